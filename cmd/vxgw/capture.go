package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"vxgw/gateway/api"
)

// captureOptions are the flags of `vxgw capture`.
type captureOptions struct {
	gatewayFlags
	req       api.CaptureRequest
	vni, file string
}

func captureCommand() *cobra.Command {
	o := &captureOptions{}
	c := &cobra.Command{
		Use:   "capture -w FILE|-",
		Short: "capture what comes in and goes out on both sides, as pcapng",
		Long: `Writes what the running gateway receives and sends to a pcapng file, or with -w -
to standard output as it happens: on the access ports as hosts see it, and on the
underlay as VXLAN. Each port is an interface of the file, directions are marked, and
a frame that was dropped says so in its comment: "dropped: tagged_frame (access)".

A filter is an expression of pcap-filter(7), as tcpdump takes it; of a VXLAN packet
it may be for the packet or for the frame in it. Addresses and ports are numbers.

Forwarding is never slowed down for a capture: frames that there is no room for are
counted, in the file and in the last line. It ends with --count, --duration, an
interrupt, or when the reader has closed the pipe.`,
		Example: `  vxgw capture --port eth1 -w eth1.pcapng
  vxgw capture --dropped -w - | tshark -l -i - -T fields -e frame.comment
  vxgw capture --vni 10010 --filter 'arp or icmp' -w - | wireshark -k -i -`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := c.Flags()
	f.StringVarP(&o.file, "write", "w", "", "pcapng `FILE` to write, - for standard output")
	f.StringVar(&o.req.Port, "port", "", "only at interface `IF`: an access port, or the underlay's")
	f.StringVar(&o.vni, "vni", "", "only VNI `N`")
	f.BoolVar(&o.req.Dropped, "dropped", false, "only what is dropped")
	f.StringVar(&o.req.Filter, "filter", "", "only what this `EXPRESSION` of pcap-filter(7) is for")
	f.Uint64Var(&o.req.Count, "count", 0, "end after `N` frames")
	f.DurationVar(&o.req.Duration, "duration", 0, "end after `TIME`, as 30s or 5m")
	f.IntVar(&o.req.Snap, "snaplen", 0, "keep `N` bytes of each frame (default: all)")
	o.add(c)
	return c
}

func (o *captureOptions) run(cmd *cobra.Command) error {
	if err := o.check(cmd); err != nil {
		return usage(err)
	}
	c, err := o.client()
	if err != nil {
		return err
	}
	defer c.Close()
	// A reader that closes the pipe has seen enough: it ends the capture and is no
	// reason to die on the spot, with the last words unsaid.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM)
	defer stop()
	to := &target{name: o.file, stdout: cmd.OutOrStdout()}
	began := time.Now()
	done, err := c.Capture(ctx, to, o.req)
	err = errors.Join(err, to.close())
	if errors.Is(err, unix.EPIPE) {
		err = nil
	} else if err == nil && !o.over(ctx, done, began) {
		err = errors.New("the gateway has ended the capture: it is being stopped or restarted")
	}
	if to.begun {
		fmt.Fprintf(cmd.ErrOrStderr(), "%d frames captured, %d dropped by the capture\n", done.Frames, done.Dropped)
	}
	return err
}

// check tells what is wrong with the command line.
func (o *captureOptions) check(cmd *cobra.Command) error {
	switch {
	case o.file == "":
		return errors.New("say where to: -w FILE, or -w - for standard output")
	case o.file == "-" && isTerminal(cmd.OutOrStdout()):
		return errors.New("pcapng is not for a terminal: write it to a file, or pipe it to tshark -i -")
	case cmd.Flags().Changed("count") && o.req.Count == 0:
		return errors.New("--count 0: write a number of frames from 1 on")
	case cmd.Flags().Changed("duration") && o.req.Duration <= 0:
		return fmt.Errorf("--duration %v: write a time as 30s or 5m", o.req.Duration)
	case cmd.Flags().Changed("snaplen") && o.req.Snap <= 0:
		return fmt.Errorf("--snaplen %d: write a number of bytes from 1 on", o.req.Snap)
	}
	if o.vni == "" {
		return nil
	}
	n, err := api.ParseVNI(o.vni)
	o.req.VNI = n
	return err
}

// over reports whether a capture has ended because it was to.
func (o *captureOptions) over(ctx context.Context, done api.Captured, began time.Time) bool {
	return ctx.Err() != nil || o.req.Count > 0 && done.Frames >= o.req.Count ||
		o.req.Duration > 0 && time.Since(began) >= o.req.Duration
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
