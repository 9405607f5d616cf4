package systemd

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// manager stands for the service manager: it returns the socket that the
// process would tell.
func manager(t *testing.T) *net.UnixConn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return conn
}

// told returns the next message, and fails where none comes in ten seconds.
func told(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	buf := make([]byte, 4096)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func TestMessages(t *testing.T) {
	conn := manager(t)
	for _, test := range []struct {
		name string
		send func() error
		want string
	}{
		{"ready", func() error { return Ready("2 ports, 1 VNI") }, "READY=1\nSTATUS=2 ports, 1 VNI"},
		{"status", func() error { return Status("waiting for eth1") }, "STATUS=waiting for eth1"},
		{"no second assignment", func() error { return Status("a\nSTOPPING=1\r\x00b") }, "STATUS=a STOPPING=1 b"},
		{"stopping", Stopping, "STOPPING=1\nSTATUS=stopping"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := test.send(); err != nil {
				t.Fatal(err)
			}
			if got := told(t, conn); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestWithoutManager(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	never := func() bool { t.Error("asked for a watchdog that nobody set"); return true }
	for _, err := range []error{Ready("x"), Status("x"), Stopping(), Watchdog(ctx, never)} {
		if err != nil {
			t.Error(err)
		}
	}
}

func TestManagerGone(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "gone"))
	if err := Ready("x"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

// TestWatchdogOutlivesManager holds that forwarding does not end because nobody
// listens for a moment.
func TestWatchdogOutlivesManager(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "gone"))
	t.Setenv("WATCHDOG_USEC", "2000")
	t.Setenv("WATCHDOG_PID", "")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	looks := 0
	alive := func() bool {
		if looks++; looks == 3 {
			cancel()
		}
		return true
	}
	if err := Watchdog(ctx, alive); err != nil || looks < 3 {
		t.Errorf("%d looks, %v", looks, err)
	}
}

func TestWatchdogOfAnother(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "1000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()+1))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Watchdog(ctx, func() bool { t.Error("fed"); return true }); err != nil {
		t.Error(err)
	}
}

func TestWatchdogNonsense(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "soon")
	if err := Watchdog(context.Background(), func() bool { return true }); err == nil {
		t.Error("no error")
	}
}

// TestWatchdog holds that a sign of life is sent for each look that finds the
// gateway alive, and none for one that does not.
func TestWatchdog(t *testing.T) {
	conn := manager(t)
	t.Setenv("WATCHDOG_USEC", "2000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	looks := 0
	alive := func() bool {
		if looks++; looks == 6 {
			cancel()
		}
		return looks != 3 && looks != 4
	}
	if err := Watchdog(ctx, alive); err != nil {
		t.Fatal(err)
	}
	const feed, stuck = "WATCHDOG=1", "STATUS=forwarding does not go round: waiting for the watchdog"
	for look, want := range []string{feed, feed, stuck, stuck, feed, feed} {
		if got := told(t, conn); got != want {
			t.Errorf("look %d: %q, want %q", look+1, got, want)
		}
	}
}
