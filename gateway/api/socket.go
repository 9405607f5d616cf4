package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Group is the group whose members may ask and change at the control socket.
const Group = "vxgw"

const (
	socketMode = 0o660
	publicMode = 0o666 // where there is a group that may only read: who connects is asked who he is
	dirMode    = 0o755
	dialTime   = 2 * time.Second

	// maxSocketPath is the longest path of a unix socket in bytes: 108 with
	// the zero byte at its end (unix(7)).
	maxSocketPath = 107
)

// listenSocket listens on the unix socket at path, in the place of one that
// nobody answers on any more.
func listenSocket(path, readGroup string, log *slog.Logger) (*net.UnixListener, error) {
	if path == "" || len(path) > maxSocketPath {
		return nil, fmt.Errorf("[api] socket %q is %d bytes long: a unix socket's path has 1 to %d; choose another", path, len(path), maxSocketPath)
	}
	if err := makeDir(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("no directory for the control socket: %w: set [api] socket to a place this user may write", err)
	}
	if err := clearSocket(path); err != nil {
		return nil, err
	}
	// The mode given to the socket is the mode of the file that bind makes, so
	// that there is no moment in which everybody may connect.
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var mode error
		if err := c.Control(func(fd uintptr) { mode = unix.Fchmod(int(fd), 0o600) }); err != nil {
			return err
		}
		return mode
	}}
	l, err := lc.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w: set [api] socket to a place this user may write", err)
	}
	if err := openToGroups(path, readGroup, log); err != nil {
		l.Close()
		return nil, err
	}
	return l.(*net.UnixListener), nil
}

// makeDir makes a directory that everybody may pass through, whatever the umask
// of the process is. One that is there stays as it is.
func makeDir(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return err
	}
	return os.Chmod(dir, dirMode)
}

// clearSocket makes room at path. It refuses to remove a socket that somebody
// answers on, and anything that is no socket.
func clearSocket(path string) error {
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("control socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is there and is no socket: remove it, or set [api] socket", path)
	}
	conn, err := net.DialTimeout("unix", path, dialTime)
	switch {
	case err == nil:
		defer conn.Close()
		return fmt.Errorf("another vxgw answers on %s%s: stop it or set [api] socket", path, peerPID(conn))
	case errors.Is(err, unix.ECONNREFUSED): // left behind by a process that was killed
	case errors.Is(err, fs.ErrNotExist):
		return nil
	default:
		return fmt.Errorf("control socket %s is there and may be in use: %w: remove it, or set [api] socket", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("a control socket was left behind: %w: remove it, or set [api] socket", err)
	}
	return nil
}

// peerPID names the process at the other end, where the kernel knows it. A
// process in another PID namespace has none here.
func peerPID(conn net.Conn) string {
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return ""
	}
	pid := int32(0)
	raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = cred.Pid
		}
	})
	if pid <= 0 {
		return ""
	}
	return " (pid " + strconv.Itoa(int(pid)) + ")"
}

// openToGroups lets the groups in. Without such a group, or without the right to
// hand the socket to it, the process's own group stands in for Group. A file has one
// group only: for a second one the socket is everybody's to connect to, and the gate
// asks the kernel who did.
func openToGroups(path, readGroup string, log *slog.Logger) error {
	mode := fs.FileMode(socketMode)
	if _, there := groupID(readGroup); there {
		mode = publicMode
	} else if readGroup != "" {
		log.Info("nobody may only read at the control socket", "reason", "there is no group "+readGroup, "mend", "groupadd --system "+readGroup+", then start anew; or [api] read_group")
	}
	if err := chownGroup(path); err != nil {
		log.Debug("control socket keeps this process's group", "socket", path, "reason", err)
	}
	if err := os.Chmod(path, mode); err != nil {
		return fmt.Errorf("control socket: %w", err)
	}
	return nil
}

func chownGroup(path string) error {
	g, err := user.LookupGroup(Group)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(g.Gid)
	if err != nil || gid == os.Getegid() {
		// A service manager that started us in the group may also forbid
		// chown altogether.
		return err
	}
	return os.Lchown(path, -1, gid)
}

// bindMend says what to do about an address that cannot be listened on.
func bindMend(err error) string {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return "another program has the port: stop it, or set [api] http to another, or to \"\""
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return "no interface of this machine has the address: set [api] http to one it has"
	case errors.Is(err, unix.EACCES):
		return "a port below 1024 needs CAP_NET_BIND_SERVICE: set [api] http to a higher one"
	}
	return "set [api] http to an address of this machine as HOST:PORT, or to \"\" for none"
}
