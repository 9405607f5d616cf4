// Package netns builds small networks out of Linux network namespaces: hosts,
// kernel VTEPs, the wires between them, and what it takes to send through them
// and to count what arrives. The demo and every test that needs a real kernel
// stand on it. It speaks netlink only and runs no program, and what it makes
// it removes.
//
// It needs CAP_SYS_ADMIN and CAP_NET_ADMIN, which is to say root.
package netns

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// mountDir is where `ip netns` looks for namespaces (ip-netns(8)).
const mountDir = "/run/netns"

// NS is a network namespace. Its methods may be called from any goroutine.
type NS struct {
	// Set once.
	name string
	path string // where it is mounted, "" for an anonymous one

	// requests is held for reading while a netlink request is under way, so
	// that Close cannot pull the socket from under it: a netlink.Handle
	// without sockets would speak to the host's namespace instead.
	requests sync.RWMutex
	handle   *netlink.Handle // nil once closed

	mu      sync.Mutex
	fd      int // -1 once closed
	closers []io.Closer
}

// New makes a network namespace with lo up and nothing else in it. It is made
// quiet so that frames can be counted exactly: IPv6 is off on each device until
// an IPv6 address is added to it, and what the host has set for forwarding and
// reverse-path filtering is not inherited.
//
// With a name it appears to `ip netns` as that name with a random suffix, see
// Name; with "" it is anonymous and ends with the process at the latest.
func New(name string) (*NS, error) {
	n := &NS{fd: -1}
	if name != "" {
		if err := n.claim(name); err != nil {
			return nil, err
		}
	}
	if err := onOwnThread(n.create); err != nil {
		return nil, errors.Join(fmt.Errorf("make network namespace %q: %w", name, err), n.Close())
	}
	return n, nil
}

// claim takes a name under mountDir that nobody has.
func (n *NS) claim(name string) error {
	if strings.ContainsAny(name, "/ \n") || strings.HasPrefix(name, ".") {
		return fmt.Errorf("namespace name %q: use letters, digits and dashes", name)
	}
	if err := os.MkdirAll(mountDir, 0o755); err != nil {
		return fmt.Errorf("make network namespace %q: %w", name, err)
	}
	var suffix [4]byte
	_, _ = rand.Read(suffix[:]) // never fails, see crypto/rand
	n.name = name + "-" + hex.EncodeToString(suffix[:])
	path := filepath.Join(mountDir, n.name)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
	if err != nil {
		return fmt.Errorf("make network namespace %q: %w", name, err)
	}
	n.path = path
	return f.Close()
}

// create runs on a thread of its own, which it leaves in the new namespace.
func (n *NS) create() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	fd, err := unix.Open(threadNS, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", threadNS, err)
	}
	n.fd = fd
	if n.path != "" {
		if err := unix.Mount(threadNS, n.path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount it on %s: %w", n.path, err)
		}
	}
	if n.handle, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("netlink: %w", err)
	}
	if err := quiet(); err != nil {
		return err
	}
	return n.SetUp("lo")
}

// Name returns the name under which `ip netns` knows the namespace, "" for an
// anonymous one.
func (n *NS) Name() string { return n.name }

// String returns the name for messages.
func (n *NS) String() string {
	if n.name == "" {
		return "anonymous namespace"
	}
	return n.name
}

// dup returns a descriptor of the namespace that a concurrent Close leaves
// alone.
func (n *NS) dup() (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.fd < 0 {
		return -1, fmt.Errorf("%v: %w", n, os.ErrClosed)
	}
	return unix.FcntlInt(uintptr(n.fd), unix.F_DUPFD_CLOEXEC, 0)
}

// onClose has c closed before the namespace goes.
func (n *NS) onClose(c io.Closer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closers = append(n.closers, c)
}

// forget undoes onClose.
func (n *NS) forget(c io.Closer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closers = slices.DeleteFunc(n.closers, func(o io.Closer) bool { return o == c })
}

// Close ends the captures, deletes every link with its peers, and removes the
// namespace. The kernel keeps the namespace itself for as long as a process or
// an open socket is in it. A second Close does nothing.
func (n *NS) Close() error {
	n.mu.Lock()
	fd, closers := n.fd, n.closers
	n.fd, n.closers = -1, nil
	n.mu.Unlock()

	var errs []error
	for _, c := range closers {
		errs = append(errs, c.Close())
	}
	errs = append(errs, n.closeHandle(), n.unmount())
	if fd >= 0 {
		errs = append(errs, unix.Close(fd))
	}
	return errors.Join(errs...)
}

func (n *NS) closeHandle() error {
	n.requests.Lock()
	defer n.requests.Unlock()
	if n.handle == nil {
		return nil
	}
	err := n.deleteLinks()
	n.handle.Close()
	n.handle = nil
	return err
}

// deleteLinks takes the links down by hand. The kernel would do so too, but
// later and on a thread of its own, and the far ends would still be there when
// Close returns.
func (n *NS) deleteLinks() error {
	links, err := n.handle.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return fmt.Errorf("%v: list links: %w", n, err)
	}
	var errs []error
	for _, l := range links {
		err := n.handle.LinkDel(l)
		if err != nil && !mayStay(l, err) {
			errs = append(errs, fmt.Errorf("%v: delete %s: %w", n, l.Attrs().Name, err))
		}
	}
	return errors.Join(errs...)
}

// mayStay reports whether it is no failure that l was not deleted: lo and
// hardware cannot be, and a link may have gone along with its peer.
func mayStay(l netlink.Link, err error) bool {
	return l.Attrs().Flags&net.FlagLoopback != 0 || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENODEV)
}

// unmount gives the name back.
func (n *NS) unmount() error {
	if n.path == "" {
		return nil
	}
	// EINVAL: New failed between taking the name and mounting on it. ENOENT:
	// this is a second Close, or somebody was faster.
	err := unix.Unmount(n.path, unix.MNT_DETACH)
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", n.path, err)
	}
	if err := os.Remove(n.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// request runs f with the netlink handle of the namespace.
func (n *NS) request(f func(*netlink.Handle) error) error {
	n.requests.RLock()
	defer n.requests.RUnlock()
	if n.handle == nil {
		return fmt.Errorf("%v: %w", n, os.ErrClosed)
	}
	return f(n.handle)
}
