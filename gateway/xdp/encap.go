package xdp

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// skbMark is one more field of struct __sk_buff.
const skbMark = 8

// Flags of bpf_skb_adjust_room (linux/bpf.h).
const (
	adjustRoomMAC = 1 // mode: behind the Ethernet header

	roomFixedGSO   = 1 << 0
	roomEncapIPv4  = 1 << 1
	roomEncapIPv6  = 1 << 2
	roomEncapUDP   = 1 << 4
	roomEncapEther = 1 << 6
	roomL2Shift    = 56
)

// Lengths of headers in bytes.
const (
	ethernetLen = 14
	room4       = ethernetLen + 20 + 8 + 8 // outer Ethernet, IPv4, UDP, VXLAN
	room6       = ethernetLen + 40 + 8 + 8
)

// MaxSlots is the most slots that an Encap has.
const MaxSlots = 256

// slotMark is the part of a mark that names a slot.
const slotMark = MaxSlots - 1

// slotMem is a slot as the program and this process share it.
type slotMem struct {
	length  uint32 // of the frame that it is for, in bytes
	done    uint32 // frames that the headers were put in front of
	failed  uint32 // frames that they could not be put in front of: dropped
	headers [room6 + ethernetLen]byte
	_       [32]byte // a slot of its own cache lines
}

// Where the fields are, in bytes.
const (
	slotLength  = 0
	slotDone    = 4
	slotFailed  = 8
	slotHeaders = 12
	slotSize    = int(unsafe.Sizeof(slotMem{}))
)

// Encap has the kernel put outer headers in front of super-frames that leave by an
// interface, and leave them whole: they are then super-frames of a VXLAN tunnel,
// as the kernel's own vxlan device makes them, that the interface cuts or the
// kernel for it (SKB_GSO_UDP_TUNNEL). A frame is one that carries the mark of a
// Slot; others pass untouched. The outer UDP checksum must be zero.
type Encap struct {
	slots *ebpf.Map
	prog  *ebpf.Program
	stop  link.Link // nil: not attached
	mem   []byte
	mark  uint32
}

// NewEncap begins an Encap with n slots, at most MaxSlots, at TCX egress of the
// interface with the given index, before whatever else is there. v6: the outer
// headers are those of IPv6. It ends with Close, and with the process. The error
// wraps ebpf.ErrNotSupported before Linux 6.6, and os.ErrPermission without
// CAP_BPF.
func NewEncap(index, n int, v6 bool) (*Encap, error) {
	e, err := newEncap(n, v6)
	if err != nil {
		return nil, err
	}
	e.stop, err = link.AttachTCX(link.TCXOptions{Interface: index, Program: e.prog, Attach: ebpf.AttachTCXEgress, Anchor: link.Head()})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("attach to TCX egress (Linux 6.6): %w", err), e.Close())
	}
	return e, nil
}

// newEncap loads an Encap without attaching it.
func newEncap(n int, v6 bool) (e *Encap, err error) {
	if n < 1 || n > MaxSlots {
		return nil, fmt.Errorf("%d slots: there are 1 to %d", n, MaxSlots)
	}
	e = &Encap{mark: randomMark()}
	e.slots, err = ebpf.NewMap(&ebpf.MapSpec{
		Name: "vxgw_encap", Type: ebpf.Array, KeySize: 4, ValueSize: uint32(slotSize), MaxEntries: uint32(n), Flags: unix.BPF_F_MMAPABLE,
	})
	if err != nil {
		return nil, fmt.Errorf("map of outer headers: %w", err)
	}
	page := os.Getpagesize()
	e.mem, err = unix.Mmap(e.slots.FD(), 0, (n*slotSize+page-1)/page*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("share outer headers with the kernel: %w", err), e.Close())
	}
	if e.prog, err = load("vxgw_encap", ebpf.SchedCLS, encap(e.slots.FD(), e.mark, v6)); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// randomMark returns a mark that is of no other program on this machine, as far as
// chance goes, with the part that names a slot zero.
func randomMark() uint32 {
	var b [4]byte
	_, _ = rand.Read(b[:]) // it never fails
	return (binary.NativeEndian.Uint32(b[:]) | 1<<31) &^ slotMark
}

// Close ends the Encap. No Slot may be used any more.
func (e *Encap) Close() error {
	var errs []error
	if e.stop != nil {
		errs = append(errs, e.stop.Close())
	}
	if e.prog != nil {
		errs = append(errs, e.prog.Close())
	}
	if e.mem != nil {
		errs = append(errs, unix.Munmap(e.mem))
	}
	return errors.Join(append(errs, e.slots.Close())...)
}

// Slot is where the outer headers of one super-frame at a time are for the
// kernel. It belongs to one socket.
type Slot struct {
	Mark uint32 // that the socket's frames carry (SO_MARK)
	mem  *slotMem
}

// Slot returns the i-th slot, from 0 on.
func (e *Encap) Slot(i int) Slot {
	return Slot{e.mark | uint32(i), (*slotMem)(unsafe.Pointer(&e.mem[i*slotSize]))}
}

// Put sets what is to be in front of the frame f when it leaves next: the outer
// Ethernet, IP and UDP headers, then that of VXLAN.
func (s Slot) Put(outer, vxlan, f []byte) {
	n := copy(s.mem.headers[:], outer)
	n += copy(s.mem.headers[n:], vxlan)
	copy(s.mem.headers[n:], f[:ethernetLen])
	s.mem.length = uint32(len(f))
}

// Outcome returns how many frames, of the slot's, got their headers and how many
// could not and were dropped; both wrap.
func (s Slot) Outcome() (done, failed uint32) {
	return atomic.LoadUint32(&s.mem.done), atomic.LoadUint32(&s.mem.failed)
}

// encap finds the headers for a frame by its mark and puts them in front of it.
// What is in the slot ends with the inner Ethernet header: room is made behind
// that, and it moves in front to be overwritten.
func encap(slots int, mark uint32, v6 bool) asm.Instructions {
	room, flags := int32(room4), int64(roomEncapIPv4)
	if v6 {
		room, flags = room6, roomEncapIPv6
	}
	// The inner MAC header is where the Ethernet header is, and not in front of
	// VXLAN's: the kernel takes what lies between UDP and there for the tunnel's.
	flags |= roomFixedGSO | roomEncapUDP | roomEncapEther | ethernetLen<<roomL2Shift
	return asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R2, asm.R6, skbMark, asm.Word),
		asm.Mov.Reg32(asm.R3, asm.R2),
		asm.And.Imm32(asm.R3, ^int32(slotMark)),
		asm.JNE.Imm32(asm.R3, int32(mark), "next"),
		asm.And.Imm32(asm.R2, slotMark),
		asm.StoreMem(asm.RFP, -4, asm.R2, asm.Word),
		asm.LoadMapPtr(asm.R1, slots),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "next"),
		asm.Mov.Reg(asm.R7, asm.R0),
		asm.LoadMem(asm.R2, asm.R7, slotLength, asm.Word),
		asm.LoadMem(asm.R3, asm.R6, skbLen, asm.Word),
		asm.JNE.Reg(asm.R2, asm.R3, "next"),

		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Imm(asm.R2, room),
		asm.Mov.Imm(asm.R3, adjustRoomMAC),
		asm.LoadImm(asm.R4, flags, asm.DWord),
		asm.FnSkbAdjustRoom.Call(),
		asm.JNE.Imm(asm.R0, 0, "fail"),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Imm(asm.R2, 0),
		asm.Mov.Reg(asm.R3, asm.R7),
		asm.Add.Imm(asm.R3, slotHeaders),
		asm.Mov.Imm(asm.R4, room+ethernetLen),
		asm.Mov.Imm(asm.R5, 0),
		asm.FnSkbStoreBytes.Call(),
		asm.JNE.Imm(asm.R0, 0, "fail"),
		asm.Mov.Imm(asm.R2, 0),
		asm.StoreMem(asm.R6, skbMark, asm.R2, asm.Word),
		asm.LoadMem(asm.R2, asm.R7, slotDone, asm.Word),
		asm.Add.Imm(asm.R2, 1),
		asm.StoreMem(asm.R7, slotDone, asm.R2, asm.Word),
		asm.Mov.Imm(asm.R0, tcxNext).WithSymbol("next"),
		asm.Return(),

		asm.LoadMem(asm.R2, asm.R7, slotFailed, asm.Word).WithSymbol("fail"),
		asm.Add.Imm(asm.R2, 1),
		asm.StoreMem(asm.R7, slotFailed, asm.R2, asm.Word),
		asm.Mov.Imm(asm.R0, tcxDrop),
		asm.Return(),
	}
}
