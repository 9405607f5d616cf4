package raw

import (
	"cmp"
	"errors"
	"net"
	"os"
	"syscall"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/l2/mmsg"
	"vxgw/l2/port"
)

// intake is what comes in by a ring and, beside it, by a socket: super-frames,
// and frames that are longer than a slot. The ring is where almost all frames
// are. It cannot take all of them: a slot for 64 KiB each would be all memory
// and no cache, and a super-frame that the kernel has no words for would stop a
// ring for good (tpacket_rcv marks the slot as taken and forgets it).
//
// Which of two frames came first is told by the kernel's time stamps, so that
// the frames of a flow stay in order whichever way each of them comes.
type intake struct {
	rest receiver // of what the ring does not take

	// Set once. With a nil ring all frames come by rest.
	ring     *ring
	ringConn *packet.Conn
	ringRaw  syscall.RawConn
	poll     *os.File         // an epoll instance of both sockets
	drain    func(fd uintptr) // in.receiveRest, bound once: binding it allocates

	// The reader's own.
	own      []frame.Buffer // memory for what comes by rest
	prepared bool           // rest's messages point to own
	late     []frame.Buffer // of own: came by rest, and not handed out yet
	stamps   []uint64       // of late
	deferred unix.Errno     // what went wrong with rest, to be told after the frames
	bufs     []frame.Buffer // to be filled
	n        int            // of bufs that were filled
	drained  bool           // nothing is left in rest that came before what the ring has
}

var errNoSplit = errors.New("no filters for it")

// addRing has ordinary frames come by a ring from when both sockets are bound.
// On an error all of them come by rest, as before.
func (in *intake) addRing(cfg Config, index int) (err error) {
	switch {
	case cfg.Split == nil:
		return errNoSplit
	case in.rest.vnetLen == 0:
		return errors.New("without virtio-net headers no ring can tell super-frames")
	}
	size := slotSize(cmp.Or(cfg.MTU, 1500))
	split, err := cfg.Split(slotRoom(size))
	if err != nil {
		return err
	}
	conn, raw, err := listen(index, packet.Raw, nil)
	if err != nil {
		return err
	}
	var r *ring
	defer func() {
		if err != nil {
			err = errors.Join(err, conn.Close())
			if r != nil {
				r.close()
			}
		}
	}()
	if err := cmp.Or(setReceiveOptions(raw), setVnetHeader(raw), attach(raw, split.Ring)); err != nil {
		return err
	}
	if r, err = openRing(raw, size, cmp.Or(cfg.RingBytes, DefaultBuffer)); err != nil {
		return err
	}
	if err := setOption(in.rest.raw, "SO_TIMESTAMPNS_NEW", unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW); err != nil {
		return err
	}
	return in.join(r, conn, raw, split.Rest)
}

// attach gives a socket an eBPF filter.
func attach(raw socket, program int) error {
	return control(raw, func(fd int) error {
		return os.NewSyscallError("set SO_ATTACH_BPF", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ATTACH_BPF, program))
	})
}

// bind has frames come in.
func (in *intake) bind(index int) error {
	if in.ring != nil {
		if err := bind(in.ringRaw, unix.ETH_P_ALL, index); err != nil {
			return err
		}
	}
	return bind(in.rest.raw, unix.ETH_P_ALL, index)
}

// join begins to read from a ring too, and leaves to rest what its filter then
// takes.
func (in *intake) join(r *ring, conn *packet.Conn, raw syscall.RawConn, filter int) error {
	poll, err := pollBoth(raw, in.rest.raw)
	if err != nil {
		return err
	}
	pollRaw, err := poll.SyscallConn()
	if err == nil {
		err = attach(in.rest.raw, filter)
	}
	if err != nil {
		return errors.Join(err, poll.Close())
	}
	in.ring, in.ringConn, in.ringRaw, in.poll = r, conn, raw, poll
	in.own = frame.NewBuffers(port.BatchSize, frame.MaxLen)
	in.drain = in.receiveRest
	in.rest.gate = gate{pollRaw, poll}
	in.rest.receive = in.try
	return nil
}

// pollBoth makes an epoll instance of two sockets. Nobody takes events from it:
// it is there to be waited for.
func pollBoth(a, b socket) (*os.File, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	for _, s := range [...]socket{a, b} {
		err := control(s, func(sock int) error {
			return unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, sock, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(sock)})
		})
		if err != nil {
			return nil, errors.Join(os.NewSyscallError("epoll_ctl", err), unix.Close(fd))
		}
	}
	if err := unix.SetNonblock(fd, true); err != nil { // says to os.NewFile that it can be waited for
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "ring"), nil
}

// read is port.Port's ReadBatch. What was handed out before goes back to the
// kernel.
func (in *intake) read(bufs []frame.Buffer) (int, error) {
	if in.ring == nil {
		return in.rest.read(bufs)
	}
	bufs = bufs[:min(len(bufs), port.BatchSize)]
	if len(bufs) == 0 {
		return 0, nil
	}
	if !in.ring.begin() {
		return 0, net.ErrClosed
	}
	in.ring.giveBack()
	in.bufs, in.n = bufs, 0
	for {
		err := in.rest.wait()
		if in.n > 0 {
			return in.n, nil
		}
		if err != nil {
			in.ring.pause()
			return 0, err
		}
	}
}

// try takes what is there, and reports false when nothing is.
func (in *intake) try(uintptr) bool {
	// What rest has came before the frames that the ring shows now, or after.
	// What came before is there already: so the ring is looked at first.
	ready := in.ring.ready(len(in.bufs))
	in.drained = false
	for len(in.late) == 0 && in.deferred == 0 && !in.drained {
		if !in.more() {
			break
		}
	}
	in.n = in.merge(ready)
	if in.n == 0 {
		in.rest.errno, in.deferred = in.deferred, 0
	}
	return in.n > 0 || in.rest.errno != 0
}

// more takes in what came by rest, and reports false when that is closed.
func (in *intake) more() bool {
	r := &in.rest
	if !in.prepared {
		if r.prepare(in.own) != nil {
			return false // own has room
		}
		in.prepared = true
	}
	if err := r.raw.Control(in.drain); err != nil {
		return false
	}
	switch {
	case r.errno == unix.EAGAIN:
		in.drained = true
	case r.errno != 0:
		in.deferred = r.errno
	default:
		in.prepared = false
		in.drained = r.got < len(in.own)
		n := r.harvest(in.own[:r.got])
		in.late, in.stamps = in.own[:n], r.stamps[:n]
	}
	r.got, r.errno = 0, 0
	return true
}

func (in *intake) receiveRest(fd uintptr) {
	in.rest.got, in.rest.errno = mmsg.Receive(fd, in.rest.msgs[:in.rest.asked])
}

// merge hands out frames of both in the order in which they came, and returns
// how many. ready is how many the ring has. It stops where rest may have more
// that came before the ring's.
func (in *intake) merge(ready int) (n int) {
	taken, r := 0, in.ring
	for n < len(in.bufs) {
		switch {
		case len(in.late) > 0 && (taken == ready || in.stamps[0] < stamp(r.slot(taken))):
			in.bufs[n] = in.late[0]
			in.late, in.stamps = in.late[1:], in.stamps[1:]
			n++
			if len(in.late) == 0 && !in.drained {
				ready = taken
			}
		case taken < ready:
			r.describe(&in.bufs[n], r.slot(taken))
			taken++
			n++
		default:
			r.take(taken)
			return n
		}
	}
	r.take(taken)
	return n
}

// overflows returns how many frames there was no room for since the last call.
func (in *intake) overflows() (n uint64, err error) {
	for _, c := range [...]*packet.Conn{in.rest.conn, in.ringConn} {
		if c == nil {
			continue
		}
		s, err := c.Stats() // reading the counters resets them
		if err != nil {
			return n, err
		}
		n += uint64(s.Drops)
	}
	return n, nil
}

func (in *intake) wake() { in.rest.wake() }

func (in *intake) close() error {
	err := in.rest.close()
	if in.ring != nil {
		err = errors.Join(err, in.poll.Close(), in.ringConn.Close())
		in.ring.close()
	}
	return err
}
