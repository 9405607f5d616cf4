package api

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func sortedKeys(m map[string]any) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func TestSocketModes(t *testing.T) {
	defer unix.Umask(unix.Umask(0o077)) // as the service has it
	s, _ := start(t, busy())
	for path, want := range map[string]fs.FileMode{
		s.opts.Socket:               fs.ModeSocket | 0o660,
		filepath.Dir(s.opts.Socket): fs.ModeDir | 0o755,
	} {
		info, err := os.Stat(path)
		if err != nil || info.Mode() != want {
			t.Errorf("%s has mode %v, want %v (%v)", path, info.Mode(), want, err)
		}
	}
}

func TestSocketLeftBehind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	unix.Close(fd) // as the kernel does for a process that is killed: the file stays
	start(t, busy(), func(o *Options) { o.Socket = path })
}

func TestSocketRemovedAtTheEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	t.Run("run", func(t *testing.T) { start(t, busy(), func(o *Options) { o.Socket = path }) })
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestSocketRefused(t *testing.T) {
	s, c := start(t, busy())
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, says := range map[string]string{
		s.opts.Socket:                      fmt.Sprintf("another vxgw answers on %s (pid %d): stop it or set [api] socket", s.opts.Socket, os.Getpid()),
		file:                               file + " is there and is no socket",
		file + "/s":                        "no directory for the control socket",
		"/tmp/" + strings.Repeat("x", 120): "a unix socket's path has 1 to 107",
		"":                                 "a unix socket's path has 1 to 107",
	} {
		err := New(busy(), Options{Socket: path}).Run(context.Background())
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: error %v, want %q", path, err, says)
		}
	}
	if err := c.Copy(context.Background(), io.Discard, "ports", 0); err != nil {
		t.Errorf("the one that was first no longer answers: %v", err)
	}
	if text, err := os.ReadFile(file); string(text) != "precious" {
		t.Errorf("the file was touched: %q, %v", text, err)
	}
}

func TestClientErrors(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, "stale")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	for path, says := range map[string]string{
		filepath.Join(dir, "none"): "is it running? systemctl status vxgw",
		stale:                      "is it running? systemctl status vxgw",
		foreign(t, dir):            "is no vxgw",
	} {
		c := NewClient(path)
		_, err := c.Get(context.Background(), "ports", 0)
		if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v, want %q", path, err, says)
		}
		c.Close()
	}
	if err := NewClient("s").unreachable(&net.OpError{Err: os.NewSyscallError("connect", unix.EACCES)}); !strings.Contains(err.Error(), "not root or in group vxgw") {
		t.Errorf("permission: %v", err)
	}
}

// foreign starts a web server that knows nothing of us.
func foreign(t *testing.T, dir string) string {
	path := filepath.Join(dir, "foreign")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.NotFoundHandler()}
	done := make(chan struct{})
	go func() { defer close(done); srv.Serve(l) }()
	t.Cleanup(func() { srv.Close(); <-done })
	return path
}

func TestGroupIsLoggedOnce(t *testing.T) {
	var log syncBuffer
	path := filepath.Join(t.TempDir(), "s")
	l, err := listenSocket(path, "", slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if chownGroup(path) != nil && strings.Count(log.String(), "keeps this process's group") != 1 {
		t.Errorf("the log has %q", log.String())
	}
}
