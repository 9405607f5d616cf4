package xdp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

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
type Diversion struct {
	Split *Split // filters for the sockets
	stop  link.Link
}

// Divert begins a Diversion on the interface with the given index, for slots with
// room for frames of the given length in bytes. It ends with Close, and with the
// process. The error wraps ebpf.ErrNotSupported before Linux 6.6.
func Divert(index int, vtep netip.AddrPort, room int) (d *Diversion, err error) {
	d = &Diversion{}
	is := isVXLAN(vtep)
	if d.Split, err = newSplit(room, is); err != nil {
		return nil, err
	}
	ins := append(asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1)}, is...)
	ins = append(ins, asm.Mov.Imm(asm.R0, tcxDrop), asm.Return(), asm.Mov.Imm(asm.R0, tcxNext).WithSymbol("no"), asm.Return())
	prog, err := load("vxgw_divert", ebpf.SchedCLS, ins)
	if err != nil {
		return nil, errors.Join(err, d.Split.Close())
	}
	d.stop, err = link.AttachTCX(link.TCXOptions{Interface: index, Program: prog, Attach: ebpf.AttachTCXIngress})
	if err = errors.Join(err, prog.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("attach to TCX ingress (Linux 6.6): %w", err), d.Split.Close())
	}
	return d, nil
}

// Close lets the host's stack have the packets again.
func (d *Diversion) Close() error { return errors.Join(d.stop.Close(), d.Split.Close()) }

// isVXLAN goes on behind its end for a VXLAN packet that is for a VTEP, and to
// "no" for any other frame. The context is in R6.
func isVXLAN(vtep netip.AddrPort) asm.Instructions {
	ins := asm.Instructions{
		asm.LoadMem(asm.R2, asm.R6, skbPacketType, asm.Word),
		asm.JNE.Imm(asm.R2, 0, "no"), // PACKET_HOST
		asm.LoadMem(asm.R2, asm.R6, skbVLANPresent, asm.Word),
		asm.JNE.Imm(asm.R2, 0, "no"),
	}
	const ethernet, ipv4, ipv6 = 14, 20, 40
	if a := vtep.Addr(); a.Is4() {
		b := a.As4()
		return append(ins,
			asm.LoadAbs(12, asm.Half), asm.JNE.Imm(asm.R0, 0x0800, "no"),
			asm.LoadAbs(ethernet, asm.Byte), asm.JNE.Imm(asm.R0, 0x45, "no"), // no options
			asm.LoadAbs(ethernet+9, asm.Byte), asm.JNE.Imm(asm.R0, 17, "no"),
			asm.LoadAbs(ethernet+6, asm.Half), asm.And.Imm(asm.R0, 0x3fff), asm.JNE.Imm(asm.R0, 0, "no"), // no fragment
			asm.LoadAbs(ethernet+16, asm.Word), jumpUnless(b[:], "no"),
			asm.LoadAbs(ethernet+ipv4+2, asm.Half), asm.JNE.Imm(asm.R0, int32(vtep.Port()), "no"),
		)
	}
	ins = append(ins,
		asm.LoadAbs(12, asm.Half), asm.JNE.Imm(asm.R0, 0x86dd, "no"),
		asm.LoadAbs(ethernet+6, asm.Byte), asm.JNE.Imm(asm.R0, 17, "no"),
	)
	b := vtep.Addr().As16()
	for i := 0; i < len(b); i += 4 {
		ins = append(ins, asm.LoadAbs(int32(ethernet+24+i), asm.Word), jumpUnless(b[i:i+4], "no"))
	}
	return append(ins, asm.LoadAbs(ethernet+ipv6+2, asm.Half), asm.JNE.Imm(asm.R0, int32(vtep.Port()), "no"))
}

// jumpUnless jumps where the low half of R0 is not the word in b. It compares 32
// bits: an immediate is extended by its sign in a comparison of 64.
func jumpUnless(b []byte, label string) asm.Instruction {
	return asm.JNE.Imm32(asm.R0, int32(binary.BigEndian.Uint32(b)), label)
}
