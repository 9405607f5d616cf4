package udp

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"vxgw/l3/underlay"
)

// conn is one receive queue, a UDP socket, and a raw IP socket to send by.
type conn struct {
	// Set once.
	rx      *net.UDPConn
	tx      *net.IPConn
	rxRaw   syscall.RawConn
	txRaw   syscall.RawConn
	headers headers
	links   *links // that packets are sent by directly; shared by all queues
	lane    int    // which of the queues this is

	in        receiver      // the reader's own
	fragments atomic.Uint64 // packets that came in fragments
	closed    atomic.Bool
	groups    atomic.Bool // it was told by which interface groups are sent to

	mu    sync.Mutex // guards drops
	drops dropCount
}

var _ underlay.Conn = (*conn)(nil)

func openConn(cfg *Config, queue int, l *links) (c *conn, err error) {
	c = &conn{headers: newHeaders(cfg), links: l, lane: queue}
	c.in.init(cfg.countIn(&c.fragments))
	if c.rx, err = listenUDP(cfg, queue); err != nil {
		return nil, fmt.Errorf("receive socket: %w", err)
	}
	if c.tx, err = listenRaw(cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("send socket: %w", err), c.rx.Close())
	}
	if c.rxRaw, err = c.rx.SyscallConn(); err == nil {
		c.txRaw, err = c.tx.SyscallConn()
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// ReadBatch is as underlay.Conn has it.
func (c *conn) ReadBatch(pkts []underlay.Packet) (int, error) {
	pkts = pkts[:min(len(pkts), underlay.BatchSize)]
	if len(pkts) == 0 {
		return 0, nil
	}
	for {
		if n := c.in.hand(pkts); n > 0 {
			return n, nil
		}
		if err := c.read(len(pkts)); err != nil {
			return 0, err
		}
	}
}

// read waits for messages.
func (c *conn) read(packets int) error {
	c.in.prepare(packets)
	if err := c.rxRaw.Read(c.in.receive); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			_ = c.rx.SetReadDeadline(time.Time{}) // fails when closed, and the next read says so
		}
		return err
	}
	if c.in.errno != 0 {
		return fmt.Errorf("receive from the underlay: %w", c.in.errno)
	}
	return nil
}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// Wake makes the ReadBatch that waits, or else the next one, return at once.
func (c *conn) Wake() { _ = c.rx.SetReadDeadline(longAgo) } // fails when closed, which wakes too

// Close ends this queue. A second Close does nothing.
func (c *conn) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	return errors.Join(c.rx.Close(), c.tx.Close())
}

// dropped returns how many packets the socket had to drop: no room in its
// buffer, or a wrong checksum.
func (c *conn) dropped() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.rxRaw.Control(c.drops.read)
	return c.drops.total
}

// sendGroupsBy says by which interface packets to groups leave; 0: none.
func (c *conn) sendGroupsBy(index int) error {
	c.groups.Store(false)
	if index == 0 {
		return nil
	}
	err := control(c.txRaw, func(fd int) error { return setGroupInterface(fd, index, c.headers.v6) })
	if err != nil {
		return err
	}
	c.groups.Store(true)
	return nil
}

// dropCount follows the kernel's count of packets that a socket had to drop.
type dropCount struct {
	total uint64
	last  uint32 // the kernel's count, which wraps
}

func (d *dropCount) read(fd uintptr) {
	if n, errno := socketDrops(fd); errno == 0 {
		d.total += uint64(n - d.last)
		d.last = n
	}
}

// socketDrops reads a socket's SK_MEMINFO_DROPS.
func socketDrops(fd uintptr) (uint32, unix.Errno) {
	var info [unix.SK_MEMINFO_VARS]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	return info[unix.SK_MEMINFO_DROPS], errno
}
