package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"vxgw/gateway/api"
	"vxgw/test/netns"
)

// patience is how long anything in the demo may take that ought to be at once.
const patience = 10 * time.Second

// show is a demo under way.
type show struct {
	topology
	out    io.Writer
	binary string // the vxgw to run
	dir    string // configuration, socket
	file   string // the configuration
	socket string
	client *api.Client
	daemon *netns.Cmd
	log    bytes.Buffer // what the daemon prints
}

// Run builds everything, plays the demo with the vxgw program at binary, prints
// to out what happens, and takes everything away again, also when ctx ends or
// something fails. The error says what was expected and did not happen.
func Run(ctx context.Context, out io.Writer, binary string) (err error) {
	s := &show{out: out, binary: binary}
	defer func() {
		// First the end: until then the gateway may still write to its log.
		failed, ended := err != nil, s.end()
		if failed && s.log.Len() > 0 {
			fmt.Fprintf(out, "\nThe gateway's log:\n%s", indent(s.log.String()))
		}
		err = errors.Join(err, ended)
	}()
	for _, act := range []func(context.Context) error{s.begin, s.traffic, s.refusals, s.learned, s.routes} {
		if err := act(ctx); err != nil {
			if ctx.Err() != nil {
				return errors.New("interrupted")
			}
			return err
		}
	}
	s.print("\nEverything went as it should. The namespaces are taken away again.\n")
	return nil
}

// begin builds the topology and starts the gateway in it.
func (s *show) begin(ctx context.Context) error {
	s.title("Topology")
	s.print("%s\n", strings.Trim(picture, "\n"))
	if err := s.build(); err != nil {
		return fmt.Errorf("build the topology: %w", err)
	}
	s.print("\nnamespaces %s, %s, %s, %s\n", s.h1.Name(), s.gw.Name(), s.vtep.Name(), s.h2.Name())
	dir, err := os.MkdirTemp("", "vxgw-demo-")
	if err != nil {
		return err
	}
	s.dir, s.socket, s.file = dir, filepath.Join(dir, "control.sock"), filepath.Join(dir, "vxgw.toml")
	text := configuration(s.socket)
	if err := os.WriteFile(s.file, []byte(text), 0o644); err != nil {
		return err
	}
	s.title("Configuration")
	s.print("%s", indent(text))
	s.daemon = s.gw.Command(context.WithoutCancel(ctx), s.binary, "run", "-c", s.file)
	s.daemon.Stdout, s.daemon.Stderr = &s.log, &s.log
	// A gateway of its own process group is not hit by the terminal's Ctrl-C:
	// it is stopped in good order by end.
	s.daemon.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.daemon.Start(); err != nil {
		return fmt.Errorf("start the gateway: %w", err)
	}
	s.client = api.NewClient(s.socket)
	return s.until(ctx, "the gateway forwards", func(ctx context.Context) (bool, error) { return s.carries(ctx, 1) })
}

// carries reports whether so many ports are up and the VTEP has its sockets.
func (s *show) carries(ctx context.Context, want int) (bool, error) {
	ports := 0
	for p, err := range api.Rows[api.PortRow](ctx, s.client, "ports", 0) {
		if err != nil {
			return false, err
		}
		if p.State == "up" {
			ports++
		}
	}
	attached := 0
	for d, err := range api.Rows[api.DatapathRow](ctx, s.client, "datapath", 0) {
		if err != nil {
			return false, err
		}
		if d.Attached {
			attached++
		}
	}
	return ports == want && attached == want+1, nil
}

// until polls ok until it reports true. Its error is only told of when time is
// up: the gateway may not be listening yet.
func (s *show) until(ctx context.Context, what string, ok func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var last error
	for {
		done, err := ok(ctx)
		if done && err == nil {
			return nil
		}
		if err != nil && ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("%s: not within %v", what, patience), last)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// end takes everything away.
func (s *show) end() error {
	var errs []error
	if s.client != nil {
		s.client.Close()
	}
	if s.daemon != nil && s.daemon.Process != nil {
		errs = append(errs, s.stop())
	}
	errs = append(errs, s.close())
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

// stop ends the gateway in good order, or by force when it does not.
func (s *show) stop() error {
	if err := s.daemon.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	force := time.AfterFunc(patience, func() { s.daemon.Process.Kill() })
	defer force.Stop()
	if err := s.daemon.Wait(); err != nil {
		return fmt.Errorf("the gateway did not end in good order: %w", err)
	}
	return nil
}

func (s *show) title(text string) { s.print("\n%s\n%s\n", text, strings.Repeat("-", len(text))) }

func (s *show) print(format string, args ...any) { fmt.Fprintf(s.out, format, args...) }

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ") + "\n"
}
