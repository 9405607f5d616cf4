package xdp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// More fields of struct __sk_buff.
const (
	skbPacketType  = 4
	skbVLANPresent = 20
)

// What a program at TCX returns (linux/bpf.h, enum tcx_action_base).
const (
	tcxNext = -1
	tcxDrop = 2
)

// Diversion has the VXLAN packets for a VTEP that come in by an interface taken
// by packet sockets alone: those see a frame first, and the host's IP stack does
// not see it any more. What it takes is unicast, whole, without IPv4 options or
// IPv6 extension headers and without a VLAN tag; the rest is the stack's.
//
// A packet is kept from the stack when a filter has taken it, and then only: the
// filters tell the program at TCX, which runs behind them for the same packet. So
// each packet is either the sockets' or the stack's, also while sockets come and
// go.
type Diversion struct {
	Split *Split // filters for the sockets
	stop  link.Link
}

// Divert begins a Diversion on the interface with the given index, for slots with
// room for frames of the given length in bytes. It ends with Close, and with the
// process. The error wraps ebpf.ErrNotSupported before Linux 6.6.
func Divert(index int, vtep netip.AddrPort, room int) (*Diversion, error) {
	d, prog, err := newDiversion(vtep, room)
	if err != nil {
		return nil, err
	}
	d.stop, err = link.AttachTCX(link.TCXOptions{Interface: index, Program: prog, Attach: ebpf.AttachTCXIngress})
	if err = errors.Join(err, prog.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("attach to TCX ingress (Linux 6.6): %w", err), d.Split.Close())
	}
	return d, nil
}

// newDiversion loads the programs: the filters, and the one for TCX.
func newDiversion(vtep netip.AddrPort, room int) (d *Diversion, prog *ebpf.Program, err error) {
	// What each filter has done with the packet that this processor is at.
	taken, err := ebpf.NewMap(&ebpf.MapSpec{Name: "vxgw_taken", Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		return nil, nil, fmt.Errorf("make map vxgw_taken: %w", err)
	}
	defer func() { err = errors.Join(err, taken.Close()) }() // the programs keep it
	is, look := isVXLAN(vtep), lookUp(taken)
	d = &Diversion{}
	d.Split, err = newSplit(room, func(filter int16) picks {
		tell := append(slices.Clone(look), asm.StoreMem(asm.R0, 4*filter, asm.R7, asm.Word))
		return picks{which: is, tell: tell, no: otherwise(0)}
	})
	if err != nil {
		return nil, nil, err
	}
	prog, err = load("vxgw_divert", ebpf.SchedCLS, slices.Concat(is, look, asm.Instructions{
		asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord),
		asm.JEq.Imm(asm.R1, 0, "no"),
		asm.Mov.Imm(asm.R1, 0),
		asm.StoreMem(asm.R0, 0, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R0, tcxDrop),
		asm.Return(),
	}, otherwise(tcxNext)))
	if err != nil {
		return nil, nil, errors.Join(err, d.Split.Close())
	}
	return d, prog, nil
}

// Close lets the host's stack have all packets again. Sockets that still take
// some then get what the stack gets too: they are to be stopped first.
func (d *Diversion) Close() error { return errors.Join(d.stop.Close(), d.Split.Close()) }

// lookUp leaves in R0 where this processor's value of the map's one element is.
func lookUp(m *ebpf.Map) asm.Instructions {
	return asm.Instructions{
		asm.StoreImm(asm.RFP, -4, 0, asm.Word), // the key
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.LoadMapPtr(asm.R1, m.FD()),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "no"), // never: it is there
	}
}

// isVXLAN goes on behind its end for a VXLAN packet that is for a VTEP, and to
// "no" for any other frame. It keeps the context in R6.
//
// A load behind a packet's end would end the program with 0, which at TCX keeps
// the programs behind this one from the packet. So the length comes first.
func isVXLAN(vtep netip.AddrPort) asm.Instructions {
	const ethernet, ipv4, ipv6, udp = 14, 20, 40, 8
	header, rest := ipv4, isIPv4
	if vtep.Addr().Is6() {
		header, rest = ipv6, isIPv6
	}
	return slices.Concat(asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R2, asm.R6, skbPacketType, asm.Word),
		asm.JNE.Imm(asm.R2, 0, "no"), // PACKET_HOST
		asm.LoadMem(asm.R2, asm.R6, skbVLANPresent, asm.Word),
		asm.JNE.Imm(asm.R2, 0, "no"),
		asm.LoadMem(asm.R2, asm.R6, skbLen, asm.Word),
		asm.JLT.Imm(asm.R2, int32(ethernet+header+udp), "no"),
	}, rest(vtep.Addr(), ethernet), asm.Instructions{
		asm.LoadAbs(int32(ethernet+header+2), asm.Half), asm.JNE.Imm(asm.R0, int32(vtep.Port()), "no"),
	})
}

// isIPv4 goes on for an IPv4 header at at that UDP for dst follows.
func isIPv4(dst netip.Addr, at int32) asm.Instructions {
	b := dst.As4()
	return asm.Instructions{
		asm.LoadAbs(12, asm.Half), asm.JNE.Imm(asm.R0, 0x0800, "no"),
		asm.LoadAbs(at, asm.Byte), asm.JNE.Imm(asm.R0, 0x45, "no"), // no options
		asm.LoadAbs(at+9, asm.Byte), asm.JNE.Imm(asm.R0, 17, "no"),
		asm.LoadAbs(at+6, asm.Half), asm.And.Imm(asm.R0, 0x3fff), asm.JNE.Imm(asm.R0, 0, "no"), // no fragment
		asm.LoadAbs(at+16, asm.Word), jumpUnless(b[:], "no"),
	}
}

// isIPv6 goes on for an IPv6 header at at that UDP for dst follows.
func isIPv6(dst netip.Addr, at int32) asm.Instructions {
	ins := asm.Instructions{
		asm.LoadAbs(12, asm.Half), asm.JNE.Imm(asm.R0, 0x86dd, "no"),
		asm.LoadAbs(at+6, asm.Byte), asm.JNE.Imm(asm.R0, 17, "no"),
	}
	b := dst.As16()
	for i := 0; i < len(b); i += 4 {
		ins = append(ins, asm.LoadAbs(at+24+int32(i), asm.Word), jumpUnless(b[i:i+4], "no"))
	}
	return ins
}

// otherwise is where isVXLAN goes with other frames, to return a value.
func otherwise(value int32) asm.Instructions {
	return asm.Instructions{asm.Mov.Imm(asm.R0, value).WithSymbol("no"), asm.Return()}
}

// jumpUnless jumps where the low half of R0 is not the word in b. It compares 32
// bits: an immediate is extended by its sign in a comparison of 64.
func jumpUnless(b []byte, label string) asm.Instruction {
	return asm.JNE.Imm32(asm.R0, int32(binary.BigEndian.Uint32(b)), label)
}
