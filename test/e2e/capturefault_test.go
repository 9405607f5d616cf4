package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"vxgw/gateway/api"
	gwcapture "vxgw/gateway/capture"
	"vxgw/l2/frame"
	"vxgw/test/netns"
	"vxgw/test/packet"
)

// captureCommand is `vxgw capture` with flags of its own.
func (g *gateway) captureCommand(args ...string) *netns.Cmd {
	return g.ns.Command(context.Background(), program, append([]string{"capture", "--socket", g.socket}, args...)...)
}

// free waits until there are no captures: as many as there can be begin.
func (g *gateway) free(t testing.TB) {
	t.Helper()
	eventually(t, "there is room for all captures", func() bool {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		begun := make(chan bool, gwcapture.MaxCaptures)
		ended := make(chan struct{}, gwcapture.MaxCaptures)
		for range gwcapture.MaxCaptures {
			first := true
			to := writerFunc(func(b []byte) (int, error) {
				if first {
					begun <- true
				}
				first = false
				return len(b), nil
			})
			go func() {
				if _, err := g.client.Capture(ctx, to, api.CaptureRequest{Port: "acc1"}); err != nil {
					begun <- false
				}
				ended <- struct{}{}
			}()
		}
		all := true
		for range gwcapture.MaxCaptures {
			all = <-begun && all
		}
		cancel()
		for range gwcapture.MaxCaptures {
			<-ended
		}
		return all
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// Whatever happens to a capture, it ends, what was written can be read, and the gateway
// goes on.
func TestCaptureFaults(t *testing.T) {
	t.Parallel()
	b := newBed(t, 1, 1500).start(settings{})
	frames := numbered(frame.Broadcast, h1MAC, 1, 200)

	t.Run("a closed pipe", func(t *testing.T) {
		cmd := b.captureCommand("-w", "-")
		out, err := cmd.StdoutPipe()
		must(t, err)
		var stderr output
		cmd.Stderr = &stderr
		must(t, cmd.Start())
		if _, err := io.ReadFull(out, make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		must(t, out.Close())
		eventually(t, "the capture has ended", func() bool {
			b.fromHost("h1", frames[0])
			return strings.Contains(stderr.String(), "frames captured")
		})
		if err := cmd.Wait(); err != nil {
			t.Errorf("it ended with %v: %s", err, stderr.String())
		}
		b.free(t)
	})

	t.Run("a full disk", func(t *testing.T) {
		dir := t.TempDir()
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }()
		file := filepath.Join(dir, "c.pcapng")
		var stderr output
		cmd := b.captureCommand("-w", file)
		cmd.Stderr = &stderr
		must(t, cmd.Start())
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		var err error
		eventually(t, "the capture has ended", func() bool {
			b.fromHost("h1", frames...)
			select {
			case err = <-ended:
				return true
			default:
				return false
			}
		})
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(stderr.String(), "no space left on device") {
			t.Errorf("it ended with %v: %s", err, stderr.String())
		}
		text, err := os.ReadFile(file)
		must(t, err)
		if n := len(readPcapng(t, bytes.NewReader(text), false).frames); n < 100 {
			t.Errorf("%d frames are in the file", n)
		}
		b.free(t)
	})

	t.Run("killed", func(t *testing.T) {
		c := b.capture(t)
		b.fromHost("h1", frames[:10]...)
		c.has(10)
		must(t, c.cmd.Process.Kill())
		_ = c.cmd.Wait()
		b.free(t)
	})

	t.Run("too many", func(t *testing.T) {
		var all []*capturing
		for range gwcapture.MaxCaptures {
			all = append(all, b.capture(t))
		}
		out, err := b.captureCommand("-w", filepath.Join(t.TempDir(), "c")).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), fmt.Sprintf("%d are under way", gwcapture.MaxCaptures)) {
			t.Errorf("one too many: %v: %s", err, out)
		}
		b.fromHost("h1", frames[:10]...)
		for _, c := range all {
			c.has(20)
			c.end()
		}
		b.free(t)
	})

	t.Run("what is wrong is said", func(t *testing.T) {
		old := filepath.Join(t.TempDir(), "old")
		must(t, os.WriteFile(old, []byte("keep me"), 0o600))
		for _, tc := range []struct {
			args []string
			code int
			want string
		}{
			{[]string{"-w", old, "--filter", "tcp prot 80"}, 1, `at word 2: "prot" is too much here`},
			{[]string{"-w", old, "--port", "eth9"}, 1, "neither an access port nor the underlay's"},
			{[]string{"-w", old, "--snaplen", "100000"}, 1, "1 to 65663 bytes"},
			{[]string{"-w", old, "--vni", "0"}, 2, "from 1 to 16777215"},
			{[]string{"-w", old, "--count", "0"}, 2, "--count 0"},
			{[]string{}, 2, "-w FILE"},
			{[]string{"-w", "/nonexistent/c"}, 1, "no such file"},
		} {
			out, err := b.captureCommand(tc.args...).CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != tc.code || !strings.Contains(string(out), tc.want) {
				t.Errorf("%q: %v: %s", tc.args, err, out)
			}
		}
		if text, err := os.ReadFile(old); err != nil || string(text) != "keep me" {
			t.Errorf("a refused capture left %q, %v", text, err)
		}
		b.free(t)
	})

	t.Run("a slow reader", func(t *testing.T) {
		cmd := b.captureCommand("-w", "-")
		pipe, err := cmd.StdoutPipe()
		must(t, err)
		var stderr output
		cmd.Stderr = &stderr
		must(t, cmd.Start())
		out := bufio.NewReader(pipe)
		if _, err := out.Peek(28); err != nil { // it has begun
			t.Fatal(err)
		}
		big := make([][]byte, 64)
		for i := range big {
			big[i] = packet.Ethernet(frame.Broadcast, h1MAC, typeTest, make([]byte, 1400))
		}
		before := b.port("acc1").RxPackets
		for i := range uint64(160) { // some 28 MB on both sides, and 4 MB and some pipes wait
			b.fromHost("h1", big...)
			eventually(t, "the gateway has forwarded them", func() bool { return b.port("acc1").RxPackets-before == (i+1)*64 })
		}
		must(t, cmd.Process.Signal(os.Interrupt))
		text, err := io.ReadAll(out)
		must(t, err)
		if err := cmd.Wait(); err != nil {
			t.Errorf("it ended with %v: %s", err, stderr.String())
		}
		frames, dropped := 0, 0
		if _, err := fmt.Sscanf(stderr.String(), "%d frames captured, %d dropped", &frames, &dropped); err != nil {
			t.Fatalf("%q: %v", stderr.String(), err)
		}
		if n := len(readPcapng(t, bytes.NewReader(text), false).frames); n != frames || dropped == 0 || frames+dropped != 2*160*64 {
			t.Errorf("%d frames in the file: %s", n, stderr.String())
		}
	})
}

// A capture that the end of the gateway ends can be read, and says so.
func TestCaptureOutlivesTheGateway(t *testing.T) {
	for _, tc := range []struct {
		name   string
		signal syscall.Signal
		want   string
	}{
		{"stopped", syscall.SIGTERM, "the gateway has ended the capture"},
		{"killed", syscall.SIGKILL, "cut off"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, 1, 1500)
			file := writeConfig(t, b.config(settings{}), `http = ""`)
			b.gateway = newPinning(t).start(t, b.ns, file, "--detach-on-exit")
			c := b.capture(t)
			b.fromHost("h1", numbered(frame.Broadcast, h1MAC, 1, 50)...)
			c.has(100)
			b.end(tc.signal)
			err := c.cmd.Wait()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(c.stderr.String(), tc.want) {
				t.Errorf("the capture ended with %v: %s", err, c.stderr.String())
			}
			if n := len(c.read(false).frames); n < 100 {
				t.Errorf("%d frames are in the file", n)
			}
		})
	}
}

// Others read it from a pipe: the reason of a drop is a comment, and what is inside
// VXLAN is found.
func TestCaptureIntoTshark(t *testing.T) {
	t.Parallel()
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skipf("%v; it is a package `make test` provides", err)
	}
	b := newBed(t, 1, 1500).start(settings{})
	cmd := b.captureCommand("-w", "-", "--count", "3")
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	pipe := bufio.NewReader(out)
	if _, err := pipe.Peek(28); err != nil { // it has begun
		t.Fatal(err)
	}
	b.fromHost("h1", packet.Numbered(frame.Broadcast, h1MAC, 1))
	b.fromHost("h1", packet.Tagged(packet.Numbered(frame.Broadcast, h1MAC, 2), 0x8100, 5))
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience) // it is slow to start
	defer cancel()
	reader := exec.CommandContext(ctx, tshark, "-n", "-r", "-", "-T", "fields", "-E", "separator=|",
		"-e", "frame.interface_name", "-e", "frame.packet_flags_direction", "-e", "frame.comment", "-e", "vxlan.vni")
	reader.Stdin = pipe
	text, err := reader.Output()
	must(t, err)
	for _, want := range []string{
		"acc1|0x00000001||",
		"acc1|0x00000001|dropped: tagged_frame (access)|",
		"und0|0x00000002||1000",
	} {
		if !strings.Contains(string(text), want+"\n") {
			t.Errorf("tshark did not see %q, but\n%s", want, text)
		}
	}
}
