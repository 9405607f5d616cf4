package netns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
)

// CaptureOption widens or narrows what a Capture takes.
type CaptureOption func(*Capture)

// Outgoing has a capture take what the device sends, too.
func Outgoing() CaptureOption { return func(c *Capture) { c.outgoing = true } }

// Only has a capture take only frames that keep says yes to. keep is called
// by one goroutine and must not hold on to the frame.
func Only(keep func(frame []byte) bool) CaptureOption { return func(c *Capture) { c.keep = keep } }

// Capture holds the frames that came in on a device since it began, as they
// were on the wire: the VLAN tag that the kernel took off is back in its place.
type Capture struct {
	// Set once.
	ns       *NS
	dev      string
	file     *os.File
	outgoing bool
	keep     func([]byte) bool
	ended    chan struct{}

	closed atomic.Bool

	mu     sync.Mutex
	frames [][]byte
	grew   chan struct{} // closed and replaced when frames grows
	err    error         // why it ended before Close
}

// captureBuffer is the kernel's room for frames that were not yet read, in
// bytes.
const captureBuffer = 32 << 20

// Capture takes the frames that come in on dev from now on until Close.
func (n *NS) Capture(dev string, opts ...CaptureOption) (*Capture, error) {
	c := &Capture{ns: n, dev: dev, ended: make(chan struct{}), grew: make(chan struct{})}
	for _, o := range opts {
		o(c)
	}
	link, err := n.link(dev)
	if err != nil {
		return nil, err
	}
	err = n.Do(func() (err error) {
		c.file, err = openCapture(link.Attrs().Index, c.outgoing)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%v: capture on %s: %w", n, dev, err)
	}
	n.onClose(c)
	go c.run()
	return c, nil
}

// openCapture opens a packet socket that hears one device only. Protocol 0
// until it is bound keeps it deaf to all others.
func openCapture(index int, outgoing bool) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, captureBuffer),
	)
	if err == nil && !outgoing {
		err = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
	}
	if err == nil {
		// Frames for other stations are heard too.
		err = unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP,
			&unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC})
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_ALL), Ifindex: index})
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "capture"), nil
}

// bigEndian returns v such that its bytes in memory are in network order.
func bigEndian(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}

// run reads until the socket is closed.
func (c *Capture) run() {
	defer close(c.ended)
	raw, err := c.file.SyscallConn()
	if err != nil {
		c.fail(err)
		return
	}
	buf := make([]byte, frame.TagLen+frame.MaxLen)
	oob := make([]byte, unix.CmsgSpace(sizeofAuxdata))
	for {
		var f []byte
		var readErr error
		err := raw.Read(func(fd uintptr) bool {
			f, readErr = receive(int(fd), buf, oob)
			return readErr != unix.EAGAIN
		})
		if c.closed.Load() {
			return
		}
		if readErr == unix.ENETDOWN {
			// The device went down, or away for good. The socket hears it
			// again when it comes up.
			continue
		}
		if err := errors.Join(err, readErr); err != nil {
			c.fail(err)
			return
		}
		if c.keep == nil || c.keep(f) {
			c.add(slices.Clone(f))
		}
	}
}

// sizeofAuxdata is the size of struct tpacket_auxdata.
const sizeofAuxdata = 20

// receive reads one frame into buf, behind room for a tag, and puts the tag
// into it.
func receive(fd int, buf, oob []byte) ([]byte, error) {
	body := buf[frame.TagLen:]
	n, oobn, flags, _, err := unix.Recvmsg(fd, body, oob, 0)
	if err != nil {
		return nil, err
	}
	if flags&unix.MSG_TRUNC != 0 {
		return nil, fmt.Errorf("a frame of more than %d bytes", len(body))
	}
	tpid, tci, tagged, err := auxTag(oob[:oobn])
	if err != nil || !tagged || n < 12 {
		return body[:n], err
	}
	copy(buf[:12], body[:12])
	binary.BigEndian.PutUint16(buf[12:], tpid)
	binary.BigEndian.PutUint16(buf[14:], tci)
	return buf[:n+frame.TagLen], nil
}

// auxTag finds the tag in the PACKET_AUXDATA message: struct tpacket_auxdata
// is status, len, snaplen (32 bits each), mac, net, vlan_tci, vlan_tpid (16).
func auxTag(oob []byte) (tpid, tci uint16, tagged bool, err error) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return 0, 0, false, err
	}
	for _, m := range msgs {
		if m.Header.Level != unix.SOL_PACKET || m.Header.Type != unix.PACKET_AUXDATA || len(m.Data) < sizeofAuxdata {
			continue
		}
		status := binary.NativeEndian.Uint32(m.Data)
		if status&unix.TP_STATUS_VLAN_VALID == 0 {
			return 0, 0, false, nil
		}
		tpid = frame.TypeVLAN
		if status&unix.TP_STATUS_VLAN_TPID_VALID != 0 {
			tpid = binary.NativeEndian.Uint16(m.Data[18:])
		}
		return tpid, binary.NativeEndian.Uint16(m.Data[16:]), true, nil
	}
	return 0, 0, false, nil
}

func (c *Capture) add(f []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frames = append(c.frames, f)
	c.wake()
}

func (c *Capture) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = fmt.Errorf("%v: capture on %s: %w", c.ns, c.dev, err)
	c.wake()
}

// wake needs mu.
func (c *Capture) wake() {
	close(c.grew)
	c.grew = make(chan struct{})
}

// Frames returns what was captured so far, in order. The frames are not to be
// written to.
func (c *Capture) Frames() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.frames)
}

// Count returns how many of the frames captured so far match.
func (c *Capture) Count(match func(frame []byte) bool) int {
	n := 0
	for _, f := range c.Frames() {
		if match(f) {
			n++
		}
	}
	return n
}

// Wait returns when at least n frames are there, or with an error when there
// are fewer after timeout.
func (c *Capture) Wait(n int, timeout time.Duration) error {
	return c.WaitMatch(n, func([]byte) bool { return true }, timeout)
}

// WaitMatch is Wait for frames that match. To see that nothing else comes, send
// one more frame behind what is tested, wait for that, and then count: a wire
// keeps the order.
func (c *Capture) WaitMatch(n int, match func(frame []byte) bool, timeout time.Duration) error {
	expired := time.NewTimer(timeout)
	defer expired.Stop()
	seen, matching := 0, 0
	for {
		c.mu.Lock()
		fresh, grew, err := c.frames[seen:], c.grew, c.err
		c.mu.Unlock()
		seen += len(fresh)
		for _, f := range fresh {
			if match(f) {
				matching++
			}
		}
		switch {
		case matching >= n:
			return nil
		case err != nil:
			return err
		}
		select {
		case <-grew:
		case <-expired.C:
			return fmt.Errorf("%v: %s: %d of %d frames after %v (%d captured in all)", c.ns, c.dev, matching, n, timeout, seen)
		}
	}
}

// Close ends the capture; its frames stay. The error says when they are not
// all: the kernel had no room for some.
func (c *Capture) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	lost, err := c.lost()
	err = errors.Join(err, c.file.Close())
	<-c.ended
	c.ns.forget(c)
	c.mu.Lock()
	defer c.mu.Unlock()
	if lost > 0 {
		err = errors.Join(err, fmt.Errorf("%v: capture on %s: the kernel had no room for %d frames", c.ns, c.dev, lost))
	}
	return errors.Join(err, c.err)
}

// lost asks how many frames found no room.
func (c *Capture) lost() (lost uint32, err error) {
	raw, err := c.file.SyscallConn()
	if err != nil {
		return 0, err
	}
	ctlErr := raw.Control(func(fd uintptr) {
		var stats *unix.TpacketStats
		if stats, err = unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			lost = stats.Drops
		}
	})
	return lost, errors.Join(ctlErr, err)
}
