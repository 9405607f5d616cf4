package raw

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
)

// Places in the kernel's struct tpacket2_hdr, which is at the front of a slot
// (linux/if_packet.h), in bytes.
const (
	slotStatus  = 0
	slotLength  = 4  // of the frame when it came in
	slotSnapped = 8  // of it that are in the slot
	slotFrame   = 12 // where in the slot it starts; 16 bits
	slotSeconds = 16
	slotNanos   = 20
	slotTCI     = 24
	slotTPID    = 26
)

const (
	// slotReserve has the kernel leave as much room in front of a frame as the
	// longest outer header takes: Ethernet, a VLAN tag, IPv6, UDP and VXLAN, 74
	// bytes. It puts the frame's IP header on an 8-byte boundary.
	slotReserve = 62

	// slotHeader is where a frame starts in a slot: the header and a struct
	// sockaddr_ll, aligned to 16 bytes for a network header behind 16 bytes of
	// link header, the room in front, and the virtio-net header (tpacket_rcv in
	// net/packet/af_packet.c).
	slotHeader = 80 + slotReserve + vnetLen - frame.HeaderLen

	minSlot   = 2048
	maxSlot   = 16384
	blockSize = 64 << 10
)

// slotSize returns how long the slots of a ring are, in bytes: a power of two
// with room for the frames of a device with the given MTU. Longer frames do not
// come by the ring.
func slotSize(mtu int) int {
	size := minSlot
	for size < maxSlot && size < slotHeader+frame.HeaderLen+frame.TagLen+mtu {
		size *= 2
	}
	return size
}

// slotRoom returns the longest frame that fits into a slot, in bytes.
func slotRoom(size int) int { return size - slotHeader }

// ring is memory that the kernel puts frames into as they come, a slot each
// (packet(7), PACKET_RX_RING with TPACKET_V2). To read one takes no system call
// and no copy: frames are handed out where they are, and the slots given back
// with the next batch.
type ring struct {
	// Set once.
	size  int // of a slot, a power of two
	slots int

	// The reader's own.
	mem  []byte
	head int // the next slot to look at
	lent int // slots before head that are handed out

	fence atomic.Uint32 // written for the barrier alone

	mu      sync.Mutex // guards what follows, and mem going away
	reading bool       // somebody has frames, and is who gives mem back
	closed  bool
}

// openRing makes the ring of a socket, of about the given size in bytes. The
// error is unix.ENOMEM when there is no memory for it.
func openRing(raw socket, size, bytes int) (*ring, error) {
	blocks := max(bytes, minSlots*size) / blockSize
	total := blocks * blockSize
	r := &ring{size: size, slots: total / size}
	req := unix.TpacketReq{
		Block_size: blockSize, Block_nr: uint32(blocks),
		Frame_size: uint32(size), Frame_nr: uint32(r.slots),
	}
	err := control(raw, func(fd int) (err error) {
		if err := setRingOptions(fd); err != nil {
			return err
		}
		if err := unix.SetsockoptTpacketReq(fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &req); err != nil {
			return fmt.Errorf("set PACKET_RX_RING: %w", err)
		}
		r.mem, err = unix.Mmap(fd, 0, total, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		return err
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// minSlots is the least that a ring has: two batches.
const minSlots = 128

func setRingOptions(fd int) error {
	for _, o := range [...]struct {
		name       string
		opt, value int
	}{
		{"PACKET_VERSION", unix.PACKET_VERSION, unix.TPACKET_V2},
		{"PACKET_RESERVE", unix.PACKET_RESERVE, slotReserve},
	} {
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, o.opt, o.value); err != nil {
			return fmt.Errorf("set %s: %w", o.name, err)
		}
	}
	return nil
}

// begin says that the calling goroutine is about to read, and reports whether
// there still is something to read from.
func (r *ring) begin() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		r.unmap()
	}
	r.reading = !r.closed
	return r.reading
}

// pause says that the reader has no frame of the ring in his hands.
func (r *ring) pause() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reading = false
	if r.closed {
		r.unmap()
	}
}

// close gives the memory back, or leaves that to the reader, who may have frames
// of it in his hands.
func (r *ring) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if !r.reading {
		r.unmap()
	}
}

func (r *ring) unmap() {
	if r.mem != nil {
		_ = unix.Munmap(r.mem) // fails for what is no mapping
		r.mem = nil
	}
}

// place returns which slot is i behind head; i is less than a round.
func (r *ring) place(i int) int {
	switch i += r.head; {
	case i < 0:
		return i + r.slots
	case i >= r.slots:
		return i - r.slots
	}
	return i
}

// slot returns the slot that is i behind head.
func (r *ring) slot(i int) []byte {
	at := r.place(i) * r.size
	return r.mem[at : at+r.size : at+r.size]
}

func owner(slot []byte) *uint32 { return (*uint32)(unsafe.Pointer(&slot[slotStatus])) }

// ready returns how many frames are there, at most n.
func (r *ring) ready(n int) (k int) {
	for k < n && atomic.LoadUint32(owner(r.slot(k)))&unix.TP_STATUS_USER != 0 {
		k++
	}
	return k
}

// take hands out the next n slots.
func (r *ring) take(n int) {
	r.head = r.place(n)
	r.lent = n
}

// giveBack lets the kernel have the slots that were handed out. One barrier keeps
// what was read of all of them in front of the words that give them back: one each
// costs as much as it takes to decide on a frame. A word that is aligned is written
// whole.
func (r *ring) giveBack() {
	r.fence.Add(1)
	for i := -r.lent; i < 0; i++ {
		*owner(r.slot(i)) = unix.TP_STATUS_KERNEL
	}
	r.lent = 0
}

// stamp returns when the frame came in, in nanoseconds.
func stamp(slot []byte) uint64 {
	sec, ns := binary.NativeEndian.Uint32(slot[slotSeconds:]), binary.NativeEndian.Uint32(slot[slotNanos:])
	return uint64(sec)*1e9 + uint64(ns)
}

// describe makes a frame of a slot. Its bytes stay in the ring.
func (r *ring) describe(b *frame.Buffer, slot []byte) {
	aux := auxdata{
		status:  binary.NativeEndian.Uint32(slot[slotStatus:]),
		length:  binary.NativeEndian.Uint32(slot[slotLength:]),
		snapped: binary.NativeEndian.Uint32(slot[slotSnapped:]),
		tci:     binary.NativeEndian.Uint16(slot[slotTCI:]),
		tpid:    binary.NativeEndian.Uint16(slot[slotTPID:]),
	}
	b.Mem = slot
	b.Off, b.Len = int(binary.NativeEndian.Uint16(slot[slotFrame:])), int(aux.snapped)
	b.Truncated = false
	describe(b, aux, vnetLen)
}
