package raw

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/l2/mmsg"
)

const (
	// expressSlots is how many frames an express holds: two batches. They have left
	// when the call returns, or wait in the device's own ring. A power of two, as
	// the kernel wants it.
	expressSlots = 128

	// expressSlot is the room for a frame in bytes: half a page, as the kernel
	// wants it. Longer frames take the other way.
	expressSlot = 2048

	// nowhere is the address of no slot.
	nowhere = expressSlots * expressSlot

	// expressTries is how often a device that takes nothing is asked again before
	// its frames are given up. One batch at 1 Gbit/s takes 50 us.
	expressTries = 1000
)

// express sends frames by an AF_XDP socket, in the kernel's copy mode, which any
// device has: one copy into memory that the kernel shares, and one call for many.
// Each of the calls that a packet socket needs for a frame (message, address,
// vector, queueing discipline) is spared. It needs no XDP program.
type express struct {
	// Set once.
	fd      int
	longest int // frame in bytes; nobody but a packet socket tells of one too many
	umem    []byte
	mems    [2][]byte // the rings' own

	mu     sync.Mutex // guards what follows
	tx     xdpRing
	done   xdpRing
	free   []uint64 // slots of umem, by where they start
	closed bool
}

// xdpRing is a ring that is shared with the kernel.
type xdpRing struct {
	producer, consumer *uint32
	entries            unsafe.Pointer
}

// openExpress opens an express for frames that a device with the given MTU takes.
func openExpress(index, mtu int) (e *express, err error) {
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("AF_XDP socket: %w", err)
	}
	e = &express{fd: fd, longest: min(expressSlot, mtu+frame.HeaderLen)}
	if err := e.setUp(index); err != nil {
		return nil, errors.Join(err, e.close())
	}
	return e, nil
}

func (e *express) setUp(index int) (err error) {
	const size = expressSlots * expressSlot
	if e.umem, err = unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS); err != nil {
		return fmt.Errorf("memory for AF_XDP: %w", err)
	}
	reg := unix.XDPUmemReg{Addr: uint64(uintptr(unsafe.Pointer(&e.umem[0]))), Len: size, Size: expressSlot}
	if err := setsockopt(e.fd, unix.XDP_UMEM_REG, unsafe.Pointer(&reg), unsafe.Sizeof(reg)); err != nil {
		return fmt.Errorf("set XDP_UMEM_REG: %w", err)
	}
	for _, o := range [...]int{unix.XDP_UMEM_FILL_RING, unix.XDP_UMEM_COMPLETION_RING, unix.XDP_TX_RING} {
		if err := unix.SetsockoptInt(e.fd, unix.SOL_XDP, o, expressSlots); err != nil {
			return fmt.Errorf("AF_XDP rings: %w", err)
		}
	}
	if err := e.mapRings(); err != nil {
		return fmt.Errorf("AF_XDP rings: %w", err)
	}
	for i := range uint64(expressSlots) {
		e.free = append(e.free, i*expressSlot)
	}
	sa := unix.SockaddrXDP{Flags: unix.XDP_COPY, Ifindex: uint32(index)}
	return os.NewSyscallError("bind AF_XDP", unix.Bind(e.fd, &sa))
}

func (e *express) mapRings() error {
	var at unix.XDPMmapOffsets
	size := uint32(unsafe.Sizeof(at))
	if _, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(e.fd), unix.SOL_XDP, unix.XDP_MMAP_OFFSETS,
		uintptr(unsafe.Pointer(&at)), uintptr(unsafe.Pointer(&size)), 0); errno != 0 {
		return errno
	}
	for i, r := range [...]struct {
		ring   *xdpRing
		at     unix.XDPRingOffset
		offset int64
		entry  uintptr
	}{
		{&e.tx, at.Tx, unix.XDP_PGOFF_TX_RING, unsafe.Sizeof(unix.XDPDesc{})},
		{&e.done, at.Cr, unix.XDP_UMEM_PGOFF_COMPLETION_RING, 8},
	} {
		mem, err := unix.Mmap(e.fd, r.offset, int(uintptr(r.at.Desc)+expressSlots*r.entry), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
		if err != nil {
			return err
		}
		e.mems[i] = mem
		base := unsafe.Pointer(&mem[0])
		*r.ring = xdpRing{(*uint32)(unsafe.Add(base, r.at.Producer)), (*uint32)(unsafe.Add(base, r.at.Consumer)), unsafe.Add(base, r.at.Desc)}
	}
	return nil
}

func setsockopt(fd, opt int, value unsafe.Pointer, size uintptr) error {
	if _, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_XDP, uintptr(opt), uintptr(value), size, 0); errno != 0 {
		return errno
	}
	return nil
}

// send sends messages from the first on and returns how many it took: none while
// somebody else sends, and none from one on that is too long. The Len of those
// that the device dropped is mmsg.Lost. What a device that is down or stuck does
// not take is for the other way.
func (e *express) send(msgs []mmsg.Msg) (n int) {
	if !e.mu.TryLock() {
		return 0
	}
	defer e.mu.Unlock()
	if e.closed {
		return 0
	}
	e.reclaim()
	first := atomic.LoadUint32(e.tx.producer)
	room := expressSlots - int(first-atomic.LoadUint32(e.tx.consumer))
	if room == 0 {
		e.kick() // nothing but what was called off is there
		return 0
	}
	for n < min(len(msgs), room) && len(e.free) > 0 && e.put(first+uint32(n), &msgs[n]) {
		n++
	}
	if n == 0 {
		return 0
	}
	atomic.StoreUint32(e.tx.producer, first+uint32(n))
	taken := e.push(first, msgs[:n])
	for i := taken; i < n; i++ {
		e.callOff(first + uint32(i))
	}
	return taken
}

// callOff takes back what is described at place i and was not taken. The kernel
// looks at it when it is asked to send, and passes over what describes no slot.
func (e *express) callOff(i uint32) {
	d := e.desc(i)
	e.free = append(e.free, d.Addr)
	*d = unix.XDPDesc{Addr: nowhere}
}

func (e *express) desc(i uint32) *unix.XDPDesc {
	return &(*[expressSlots]unix.XDPDesc)(e.tx.entries)[i%expressSlots]
}

// reclaim takes back the slots of frames that have left.
func (e *express) reclaim() {
	from, to := *e.done.consumer, atomic.LoadUint32(e.done.producer)
	addrs := (*[expressSlots]uint64)(e.done.entries)
	for ; from != to; from++ {
		if at := addrs[from%expressSlots]; at < nowhere { // Linux returns what was called off, too
			e.free = append(e.free, at)
		}
	}
	atomic.StoreUint32(e.done.consumer, to)
}

// put copies a message into a slot and describes it at place i of the ring. It
// reports false when the message is too long.
func (e *express) put(i uint32, m *mmsg.Msg) bool {
	at := e.free[len(e.free)-1]
	slot, n := e.umem[at:at+expressSlot], 0
	for _, v := range unsafe.Slice(m.Hdr.Iov, m.Hdr.Iovlen) {
		if n+int(v.Len) > e.longest {
			return false
		}
		n += copy(slot[n:], unsafe.Slice(v.Base, v.Len))
	}
	e.free = e.free[:len(e.free)-1]
	m.Len = uint32(n)
	*e.desc(i) = unix.XDPDesc{Addr: at, Len: uint32(n)}
	return true
}

// push has the kernel send what the ring has from place first on: msgs. It takes
// some at a time. push returns how many it took.
func (e *express) push(first uint32, msgs []mmsg.Msg) (taken int) {
	for tries := 0; tries < expressTries && taken < len(msgs); tries++ {
		errno := e.kick()
		// The consumer is behind first while the kernel has not passed over what
		// was called off.
		if now := int(int32(atomic.LoadUint32(e.tx.consumer) - first)); now > taken {
			taken, tries = now, 0
		}
		switch errno {
		case 0, unix.EAGAIN, unix.EINTR:
		case unix.EBUSY:
			// The device dropped the last one that it was given.
			if taken > 0 {
				msgs[taken-1].Len = mmsg.Lost
			}
		default:
			return taken
		}
	}
	return taken
}

// kick asks the kernel to send.
func (e *express) kick() unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(e.fd), 0, 0, unix.MSG_DONTWAIT, 0, 0)
	return errno
}

func (e *express) close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil
	}
	e.closed = true
	err := unix.Close(e.fd)
	for _, m := range [...][]byte{e.umem, e.mems[0], e.mems[1]} {
		if m != nil {
			err = errors.Join(err, unix.Munmap(m))
		}
	}
	return err
}
