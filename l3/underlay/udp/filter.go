package udp

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"vxgw/l3/ip"
)

// snapLen is how much of a suspicious packet the tap gets, in bytes: more than
// the headers of any packet that is not made to confuse.
const snapLen = 512

// suspects returns a filter that lets through every packet in which a judge of
// the same address and port finds a flaw, and few others. It runs for every IP
// packet that this host receives, so what most of them are is settled first.
// Which groups the VTEP has joined is left to the judge. Offsets count from the
// IP header.
func suspects(addr netip.Addr, port uint16) []bpf.Instruction {
	if addr.Is4() {
		return suspects4(addr.As4(), port)
	}
	return suspects6(addr.As16(), port)
}

// tests is a filter under construction: a row of tests, each of which ends it
// with a packet let through or left out, or goes on to the next.
type tests []bpf.Instruction

// What a test may end with: the last two instructions of the filter.
const (
	leaveOut   = 2 // from the end
	letThrough = 1
)

// load adds an instruction that is no test.
func (t *tests) load(ins ...bpf.Instruction) { *t = append(*t, ins...) }

// when ends the filter if the condition holds.
func (t *tests) when(cond bpf.JumpTest, val uint32, end uint8) {
	*t = append(*t, bpf.JumpIf{Cond: cond, Val: val, SkipTrue: end})
}

// whenX is when for a comparison with register X.
func (t *tests) whenX(cond bpf.JumpTest, end uint8) {
	*t = append(*t, bpf.JumpIfX{Cond: cond, SkipTrue: end})
}

// unless skips the next n instructions if A has the value.
func (t *tests) unless(val uint32, n uint8) {
	*t = append(*t, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: val, SkipFalse: n})
}

// done adds the ends and points the tests at them.
func (t tests) done() []bpf.Instruction {
	t = append(t, bpf.RetConstant{Val: 0}, bpf.RetConstant{Val: snapLen})
	for i, ins := range t {
		switch j := ins.(type) {
		case bpf.JumpIf:
			if j.SkipTrue == 0 {
				continue
			}
			j.SkipTrue = uint8(len(t) - int(j.SkipTrue) - i - 1)
			t[i] = j
		case bpf.JumpIfX:
			j.SkipTrue = uint8(len(t) - int(j.SkipTrue) - i - 1)
			t[i] = j
		}
	}
	return t
}

func half(off uint32) bpf.Instruction { return bpf.LoadAbsolute{Off: off, Size: 2} }

func suspects4(addr [4]byte, port uint16) []bpf.Instruction {
	const udp = ip.IPv4HeaderLen
	var t tests
	t.load(bpf.LoadAbsolute{Off: 16, Size: 4}) // destination
	t.unless(binary.BigEndian.Uint32(addr[:]), 2)
	t.load(bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xf0000000})
	t.when(bpf.JumpNotEqual, 0xe0000000, leaveOut) // 224.0.0.0/4
	t.load(bpf.LoadAbsolute{Off: 9, Size: 1})      // protocol
	t.when(bpf.JumpNotEqual, ip.ProtoUDP, leaveOut)
	t.load(bpf.LoadAbsolute{Off: 0, Size: 1}) // version and header length
	t.when(bpf.JumpNotEqual, 0x45, letThrough)
	t.load(half(6)) // MF and fragment offset
	t.when(bpf.JumpBitsSet, 0x3fff, letThrough)
	t.load(bpf.LoadExtension{Num: bpf.ExtLen}, bpf.TAX{})
	t.when(bpf.JumpLessThan, udp+ip.UDPHeaderLen, letThrough)
	t.load(half(udp + 2)) // destination port
	t.when(bpf.JumpNotEqual, uint32(port), leaveOut)
	t.load(half(2)) // total length
	t.whenX(bpf.JumpGreaterThan, letThrough)
	t.when(bpf.JumpLessThan, udp+ip.UDPHeaderLen, letThrough)
	t.load(bpf.ALUOpConstant{Op: bpf.ALUOpSub, Val: udp}, bpf.TAX{})
	t.udpLength(udp + 4)
	t.when(bpf.JumpLessThan, ip.UDPHeaderLen, letThrough)
	// A header whose words add up to a multiple of 0xffff is right, and then
	// folding the sum once is enough.
	t.load(half(0))
	for off := uint32(2); off < udp; off += 2 {
		t.load(bpf.TAX{}, half(off), bpf.ALUOpX{Op: bpf.ALUOpAdd})
	}
	t.load(bpf.TAX{}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 16}, bpf.StoreScratch{Src: bpf.RegA, N: 0},
		bpf.TXA{}, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xffff},
		bpf.LoadScratch{Dst: bpf.RegX, N: 0}, bpf.ALUOpX{Op: bpf.ALUOpAdd})
	t.when(bpf.JumpNotEqual, 0xffff, letThrough)
	return t.done()
}

func suspects6(addr [16]byte, port uint16) []bpf.Instruction {
	const udp = ip.IPv6HeaderLen
	var t tests
	t.load(bpf.LoadAbsolute{Off: 24, Size: 1})
	t.unless(0xff, 8) // ff00::/8
	for off := uint32(0); off < 16; off += 4 {
		t.load(bpf.LoadAbsolute{Off: 24 + off, Size: 4}) // destination
		t.when(bpf.JumpNotEqual, binary.BigEndian.Uint32(addr[off:]), leaveOut)
	}
	t.load(bpf.LoadAbsolute{Off: 6, Size: 1}) // next header
	for _, p := range []uint32{ip.ProtoFragment, ip.ProtoHopByHop, ip.ProtoRouting, ip.ProtoDestination} {
		t.when(bpf.JumpEqual, p, letThrough)
	}
	t.when(bpf.JumpNotEqual, ip.ProtoUDP, leaveOut)
	t.load(bpf.LoadExtension{Num: bpf.ExtLen}, bpf.TAX{})
	t.when(bpf.JumpLessThan, udp+ip.UDPHeaderLen, letThrough)
	t.load(half(udp + 2)) // destination port
	t.when(bpf.JumpNotEqual, uint32(port), leaveOut)
	t.load(bpf.LoadAbsolute{Off: 0, Size: 1}, bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 4})
	t.when(bpf.JumpNotEqual, 6, letThrough)
	t.load(half(4), bpf.ALUOpConstant{Op: bpf.ALUOpAdd, Val: udp})
	t.whenX(bpf.JumpGreaterThan, letThrough)
	t.load(bpf.ALUOpConstant{Op: bpf.ALUOpSub, Val: udp}, bpf.TAX{})
	t.when(bpf.JumpLessThan, ip.UDPHeaderLen, letThrough)
	t.udpLength(udp + 4)
	t.when(bpf.JumpEqual, 0, leaveOut) // all there is, see judge.udp
	t.when(bpf.JumpLessThan, ip.UDPHeaderLen, letThrough)
	return t.done()
}

// udpLength tests the UDP length at off against X, what the IP packet has room
// for, and leaves it in A.
func (t *tests) udpLength(off uint32) {
	t.load(half(off))
	t.whenX(bpf.JumpGreaterThan, letThrough)
}

// toThisHost lets a filter see only packets for this host's link-layer address
// or for a group: a tap sees what a promiscuous interface takes in for others.
func toThisHost(rest []bpf.Instruction) []bpf.Instruction {
	return append([]bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpLessOrEqual, Val: unix.PACKET_MULTICAST, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
	}, rest...)
}
