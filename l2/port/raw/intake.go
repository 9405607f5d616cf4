package raw

import (
	"cmp"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

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
	ringSock *bare
	restSock *bare // rest's
	filters  Split
	poll     [3]unix.PollFd   // ring, rest, and bell
	drain    func(fd uintptr) // in.receiveRest, bound once: binding it allocates

	inside sync.Mutex // held while somebody reads: then the sockets stay

	bellMu sync.Mutex // guards bell
	bell   int        // an eventfd that wakes the reader; -1 once closed

	stopped atomic.Bool // nothing comes in any more
	reading atomic.Bool // somebody reads, and closes the intake when it has stopped

	// The reader's own.
	own      []frame.Buffer // memory for what comes by rest
	prepared bool           // rest's messages point to all of own
	late     []frame.Buffer // of own: came by rest, and not handed out yet
	stamps   []uint64       // of late; of lateStamps
	deferred unix.Errno     // what went wrong with rest, to be told after the frames
	bufs     []frame.Buffer // to be filled
	drained  bool           // nothing is left in rest that came before what the ring has

	lateStamps [port.BatchSize]uint64
	came       [port.BatchSize]uint64 // when each of bufs came
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
	// The kernel begins to stamp frames a moment after it is first asked to, and
	// cannot tell of the frames until then when they came: so this is said first.
	if err := setOption(in.rest.raw, "SO_TIMESTAMPNS_NEW", unix.SOL_SOCKET, unix.SO_TIMESTAMPNS_NEW); err != nil {
		return err
	}
	split, err := cfg.Split(slotRoom(size))
	if err != nil {
		return err
	}
	conn, raw, err := listen(index, packet.Raw, nil)
	if err != nil {
		return err
	}
	sock, err := undress(conn, raw)
	if err != nil {
		return err
	}
	var r *ring
	defer func() {
		if err != nil {
			err = errors.Join(err, sock.Close())
			if r != nil {
				r.close()
			}
		}
	}()
	if err := cmp.Or(setReceiveOptions(sock), setVnetHeader(sock), attach(sock, split.Ring)); err != nil {
		return err
	}
	if r, err = openRing(sock, size, cmp.Or(cfg.RingBytes, DefaultBuffer)); err != nil {
		return err
	}
	return in.join(r, sock, split)
}

// attach gives a socket an eBPF filter.
func attach(raw socket, program int) error {
	return control(raw, func(fd int) error {
		return os.NewSyscallError("set SO_ATTACH_BPF", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ATTACH_BPF, program))
	})
}

// attachNone gives a socket a filter that takes no frame.
func attachNone(raw socket) error {
	none := [...]unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}}
	return control(raw, func(fd int) error {
		return os.NewSyscallError("set SO_ATTACH_FILTER", unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
			&unix.SockFprog{Len: uint16(len(none)), Filter: &none[0]}))
	})
}

// deafen has no frame come in any more, but for one that a processor is at.
func (in *intake) deafen() error {
	if in.ring == nil {
		return attachNone(in.rest.raw)
	}
	return errors.Join(attachNone(in.rest.raw), attachNone(in.ringSock))
}

// hear has frames come in again.
func (in *intake) hear() error {
	if in.ring == nil {
		return control(in.rest.raw, func(fd int) error {
			return os.NewSyscallError("set SO_DETACH_FILTER", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0))
		})
	}
	return errors.Join(attach(in.rest.raw, in.filters.Rest), attach(in.ringSock, in.filters.Ring))
}

// bind makes the sockets the interface's.
func (in *intake) bind(index int) error {
	if in.ring != nil {
		if err := bind(in.ringSock, unix.ETH_P_ALL, index); err != nil {
			return err
		}
	}
	return bind(in.rest.raw, unix.ETH_P_ALL, index)
}

// join begins to read from a ring too, and leaves to rest what its filter then
// takes.
func (in *intake) join(r *ring, sock *bare, split Split) (err error) {
	if in.bell, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return os.NewSyscallError("eventfd", err)
	}
	if err := attach(in.rest.raw, split.Rest); err != nil {
		return errors.Join(err, unix.Close(in.bell))
	}
	if in.restSock, err = undress(in.rest.conn, in.rest.raw.(syscall.RawConn)); err != nil {
		return errors.Join(err, unix.Close(in.bell)) // and nothing is left to read from
	}
	in.rest.conn, in.rest.raw = nil, in.restSock
	for i, fd := range [...]int{sock.fd, in.restSock.fd, in.bell} {
		in.poll[i] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	}
	in.ring, in.ringSock, in.filters = r, sock, split
	in.own = frame.NewBuffers(port.BatchSize, frame.MaxLen)
	in.drain = in.receiveRest
	return nil
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
	in.reading.Store(true)
	n, err := in.readRing(bufs)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, unix.ENETDOWN) {
		in.leave()
	}
	return n, err
}

func (in *intake) readRing(bufs []frame.Buffer) (int, error) {
	in.inside.Lock()
	defer in.inside.Unlock()
	if !in.ring.begin() {
		return 0, net.ErrClosed
	}
	in.ring.giveBack()
	in.bufs = bufs
	n, err := in.next()
	if err != nil {
		in.ring.pause()
	}
	return n, err
}

// next waits until there are frames, and hands them out.
func (in *intake) next() (int, error) {
	for {
		if in.rest.closed.Load() {
			return 0, net.ErrClosed
		}
		last := in.stopped.Load()
		if n := in.try(); n > 0 {
			in.rest.down = false
			return n, nil
		}
		if last {
			return 0, net.ErrClosed
		}
		if in.rest.woken.Swap(false) {
			return 0, os.ErrDeadlineExceeded
		}
		if err := in.failed(); err != nil {
			return 0, err
		}
		in.sleep()
	}
}

// leave is for a reader who will not come again.
func (in *intake) leave() {
	in.reading.Store(false)
	if in.stopped.Load() {
		_ = in.close() // who stopped it has gone on
	}
}

// stop ends an intake that is deaf. What has come is still read, when somebody
// does, and then net.ErrClosed.
func (in *intake) stop() error {
	in.stopped.Store(true)
	if in.reading.Load() {
		in.ringTheBell()
		return nil
	}
	return in.close()
}

// failed says what went wrong with rest, if anything did.
func (in *intake) failed() error {
	r := &in.rest
	if in.deferred != 0 {
		r.errno, in.deferred = in.deferred, 0
		return r.failed()
	}
	if r.down && !r.attached() {
		return unix.ENODEV
	}
	return nil
}

// sleep waits until there may be something to do. A thread sleeps here and not
// the runtime's poller, which would be woken for every frame that comes while
// there is no need to.
func (in *intake) sleep() {
	timeout := -1
	if in.rest.down {
		timeout = int(lookAgain / time.Millisecond)
	}
	if n, err := unix.Poll(in.poll[:], timeout); n <= 0 || err != nil {
		return // a signal, or time to look again
	}
	if in.poll[2].Revents != 0 {
		var b [8]byte
		_, _ = unix.Read(int(in.poll[2].Fd), b[:]) // resets it
	}
	if in.poll[0].Revents&unix.POLLERR != 0 {
		// rest has the same error, and tells of it.
		_, _ = unix.GetsockoptInt(int(in.poll[0].Fd), unix.SOL_SOCKET, unix.SO_ERROR)
	}
}

// try hands out what is there, and returns how much that is.
func (in *intake) try() int {
	// What rest has came before the frames that the ring shows now, or after.
	// What came before is there already: so the ring is looked at first. And what
	// came by the ring before rest's frames did is there when those are: so it is
	// looked at again.
	ready := in.ring.ready(len(in.bufs))
	for {
		in.fetch()
		seen := ready
		if len(in.late) > 0 {
			seen = in.ring.ready(len(in.bufs))
		}
		if seen == ready {
			break
		}
		ready = seen
	}
	return in.merge(ready)
}

// fetch takes in what comes by rest, as far as there is room.
func (in *intake) fetch() {
	in.drained = false
	for !in.drained && len(in.late) < len(in.own) && in.more() {
	}
}

// more takes in some of what comes by rest, and reports false when that is closed.
func (in *intake) more() bool {
	r, room := &in.rest, in.room()
	if r.raw.Control(in.drain) != nil {
		return false
	}
	switch errno := r.errno; {
	case errno == unix.EAGAIN:
		in.drained = true
	case isAboutFrame(errno):
		r.unreadable.Add(1)
	case errno != 0:
		in.deferred = errno
	default:
		in.prepared = false
		in.keep(room[:r.got])
	}
	r.got, r.errno = 0, 0
	return true
}

// room points rest's messages to the memory that is free, behind what is late,
// and returns it.
func (in *intake) room() []frame.Buffer {
	k := len(in.late)
	if k == 0 && in.prepared {
		return in.own
	}
	for i := range in.late { // to the front
		if at := &in.own[i]; at != &in.late[i] {
			*at, in.late[i] = in.late[i], *at
		}
		in.lateStamps[i] = in.stamps[i]
	}
	in.late, in.stamps = in.own[:k], in.lateStamps[:k]
	room := in.own[k:]
	_ = in.rest.prepare(room) // own has room in front
	in.prepared = k == 0
	return room
}

// keep adds to what is late the messages that were filled into room.
func (in *intake) keep(room []frame.Buffer) {
	k := len(in.late)
	n := in.rest.harvest(room)
	copy(in.lateStamps[k:], in.rest.stamps[:n])
	in.late, in.stamps = in.own[:k+n], in.lateStamps[:k+n]
}

// sortByStamp puts frames that are almost in the order in which they came into
// that order.
func sortByStamp(bufs []frame.Buffer, came []uint64) {
	for i := 1; i < len(bufs); i++ {
		for j := i; j > 0 && came[j] < came[j-1]; j-- {
			came[j], came[j-1] = came[j-1], came[j]
			bufs[j], bufs[j-1] = bufs[j-1], bufs[j]
		}
	}
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
			in.bufs[n], in.came[n] = in.late[0], in.stamps[0]
			in.late, in.stamps = in.late[1:], in.stamps[1:]
			n++
			if len(in.late) == 0 && !in.drained {
				ready = taken
			}
		case taken < ready:
			slot := r.slot(taken)
			r.describe(&in.bufs[n], slot)
			in.came[n] = stamp(slot)
			taken++
			n++
		default:
			in.settle(n, taken)
			return n
		}
	}
	in.settle(n, taken)
	return n
}

// settle ends a merge of n frames, of which taken are the ring's. In either queue
// the frames of a flow are in order. Of both they are where each queue is: what
// several processors put into it at the same time is not always.
func (in *intake) settle(n, taken int) {
	in.ring.take(taken)
	if 0 < taken && taken < n {
		sortByStamp(in.bufs[:n], in.came[:n])
	}
}

// overflows returns how many frames there was no room for since the last call.
func (in *intake) overflows() (uint64, error) {
	n, err := drops(in.rest.raw)
	if in.ring == nil {
		return n, err
	}
	k, ringErr := drops(in.ringSock)
	return n + k, errors.Join(err, ringErr)
}

func (in *intake) wake() {
	if in.ring == nil {
		in.rest.wake()
		return
	}
	in.rest.woken.Store(true)
	in.ringTheBell()
}

func (in *intake) ringTheBell() {
	in.bellMu.Lock()
	defer in.bellMu.Unlock()
	if in.bell < 0 {
		return
	}
	one := [8]byte{1} // in either byte order it is not zero
	_, _ = unix.Write(in.bell, one[:])
}

func (in *intake) close() error {
	if in.ring == nil {
		return in.rest.close()
	}
	if in.rest.closed.Swap(true) {
		return nil
	}
	in.ringTheBell()
	in.inside.Lock()
	defer in.inside.Unlock()
	in.bellMu.Lock()
	defer in.bellMu.Unlock()
	err := errors.Join(in.restSock.Close(), in.ringSock.Close(), unix.Close(in.bell))
	in.bell = -1
	in.ring.close()
	return err
}
