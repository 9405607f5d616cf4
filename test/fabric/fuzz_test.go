package fabric

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"

	"vxgw/l2/frame"
	portmem "vxgw/l2/port/mem"
	underlay "vxgw/l3/underlay/mem"
	"vxgw/test/packet"
)

// FuzzGateway feeds frames and packets into a whole gateway. An input is a
// script: of each step the first byte says where it comes in and whether the
// frame has a tag beside it, the second is the outer TOS or the tag's VID, two
// are the length of the frame or UDP payload that follows.
func FuzzGateway(f *testing.F) {
	step := func(where, tos byte, b []byte) []byte {
		return append(binary.BigEndian.AppendUint16([]byte{where, tos}, uint16(len(b))), b...)
	}
	script := func(steps ...[]byte) []byte { return bytes.Join(steps, nil) }
	tagged := packet.Tagged(Local(frame.Broadcast, H1), frame.TypeVLAN, 0)
	f.Add(script(step(0, 0, Local(frame.Broadcast, H1)), step(1, 0, UDP(H1, H2, 20)), step(0, 0, UDP6(H2, H1, 20))))
	f.Add(script(step(2, 2, g1()), step(0, 0, UDP(RA, H1, 100)), step(3, 3, g1())))
	f.Add(script(step(0, 0, tagged), step(0x80, 0, tagged), step(0x80, 0, Local(frame.Broadcast, H1)), step(0x81, 7, Local(H1, H2))))
	f.Add(script(step(2, 0, append(Header(1000), tagged...)), step(2, 0, append(Header(2000), Local(frame.Broadcast, RA)...))))
	f.Add(script(step(0, 0, bpdu(bridgeGroup, H1)), step(4, 0, bpdu(bridgeGroup, H1)), step(4, 0, Local(frame.Broadcast, H1))))
	f.Add(script(step(2, 3, append(Header(1000), withTOS(UDP(frame.Broadcast, RA, 8), 2)...)), step(2, 3, append(Header(1000), UDP(frame.Broadcast, RA, 8)...))))
	f.Add(script(step(0, 0, UDP(Nobody, H1, 1472)), step(0, 0, UDP6(RA, H1, 1452))))
	f.Fuzz(func(t *testing.T, script []byte) {
		Test(t, func(n *Net) {
			n.AddOn(conf("a", vni(1000, "b c"), vni(2000, "b"), ports(10, "p0 p1"), ports(10, "p4", `bpdu = "shutdown"`, "isolated = true")),
				func(h *Host) { h.SetPath(addrB, 1500) })
			for range 20 {
				if len(script) < 4 {
					return
				}
				where, tos, size := script[0], script[1], int(binary.BigEndian.Uint16(script[2:]))
				size = min(size, len(script)-4)
				fuzzStep(t, n, where, tos, script[4:4+size])
				script = script[4+size:]
			}
		})
	})
}

func fuzzStep(t *testing.T, n *Net, where, tos byte, b []byte) {
	switch in := where & 7; in {
	case 2, 3:
		from := map[byte]string{2: "192.0.2.2", 3: rogue}[in]
		checkCopies(t, n.InjectWire(from, "a", underlay.Wire{TOS: tos, Payload: b}), "")
	default:
		place := map[byte]string{0: "a.p0", 1: "a.p1", 4: "a.p4"}[in]
		if place == "" {
			place = "a.p0"
		}
		f := portmem.Frame{Bytes: b}
		if where&0x80 != 0 {
			f.Tag = frame.Tag{Present: true, TPID: frame.TypeVLAN, TCI: uint16(tos)}
		}
		checkCopies(t, n.SendFrame(place, f), place)
	}
}

// checkCopies checks what holds for every copy, whatever came in. That every
// frame is accounted for, the harness checks.
func checkCopies(t *testing.T, r *Result, from string) {
	t.Helper()
	popped := r.Sent
	if from != "" && len(r.Sent) >= 18 && frame.IsTagType(frame.Frame(r.Sent).Type()) {
		popped = append(bytes.Clone(r.Sent[:12]), r.Sent[16:]...)
	}
	answers := int(r.after[r.net.Gateway("a")].accounts[0].Answered - r.before[r.net.Gateway("a")].accounts[0].Answered)
	for place, frames := range r.Frames {
		for _, f := range frames {
			switch {
			case place == from && answers > 0:
				answers--
			case place == from:
				t.Errorf("back out of %s: % x", place, f.Bytes)
			default:
				checkInner(t, place, f.Bytes, popped)
			}
		}
	}
	for _, w := range r.Wires {
		if from == "" {
			t.Errorf("back into the overlay: %+v", w)
		}
		if !bytes.Equal(w.Payload[:8], Header(1000)) {
			t.Errorf("header % x", w.Payload[:8])
		}
		checkInner(t, w.To.String(), w.Payload[8:], popped)
	}
	if s := r.String(); s == "" && r.taken {
		t.Errorf("nothing became of % x", r.Sent)
	}
	if from == "" && strings.Contains(r.String(), "a>") {
		t.Errorf("%s", r)
	}
}

// checkInner checks that a copy is untagged, and what was sent but for the ECN
// field and checksums.
func checkInner(t *testing.T, place string, got, sent []byte) {
	t.Helper()
	if frame.IsTagType(frame.Frame(got).Type()) {
		t.Errorf("a tag came out at %s: % x", place, got)
	}
	if len(got) != len(sent) || !bytes.Equal(blank(got), blank(sent)) {
		t.Errorf("%s got\n% x\nwant\n% x", place, got, sent)
	}
}

// blank returns a frame with zeros where a gateway may write: the ECN field with
// the IPv4 header checksum, and a transport checksum that a VTEP on the same
// machine may have left unfinished.
func blank(f []byte) []byte {
	f = bytes.Clone(f)
	zero := func(at int) {
		if at+2 <= len(f) {
			f[at], f[at+1] = 0, 0
		}
	}
	switch frame.Frame(f).Type() {
	case frame.TypeIPv4:
		if len(f) < 34 {
			break
		}
		f[15] &^= 3
		zero(24)
		zero(transportSum(f, f[23], 14+int(f[14]&15)*4))
	case frame.TypeIPv6:
		if len(f) < 54 {
			break
		}
		f[15] &^= 0x30
		// Extension headers may stand before the transport header: all that
		// may be finished is two bytes somewhere behind the IPv6 header.
		return f[:54]
	}
	return f
}

func transportSum(f []byte, proto byte, at int) int {
	switch proto {
	case 6:
		return at + 16
	case 17:
		return at + 6
	}
	return len(f)
}

// Good frames with a few bits wrong, one after the other into one gateway, so
// that what one leaves behind meets the next.
func TestManyDamagedFrames(t *testing.T) {
	Test(t, func(n *Net) {
		n.AddOn(conf("a", vni(1000, "b c"), vni(2000, "b"), ports(10, "p0 p1 p4", `bpdu = "tunnel"`)), func(h *Host) { h.SetPath(addrB, 1500) })
		good := [][]byte{
			Local(frame.Broadcast, H1), UDP(H2, H1, 40), UDP6(H1, H2, 40), ARP(H2, "10.1.1.1", "10.1.1.2"), bpdu(bridgeGroup, H3), g1()[8:],
			packet.Tagged(UDP(H1, H3, 4), frame.TypeVLAN, 0), UDP(RA, H1, 1460), withTOS(UDP(frame.Broadcast, RA, 8), 1),
		}
		rnd := rand.New(rand.NewPCG(7, 11))
		for range 3000 {
			b := good[rnd.IntN(len(good))]
			for range rnd.IntN(4) {
				b = flip(b, rnd.IntN(min(len(b), 60)*8))
			}
			if rnd.IntN(10) == 0 {
				b = b[:rnd.IntN(len(b))]
			}
			where := byte(rnd.IntN(5))
			if where == 2 || where == 3 {
				b = append(Header(1000), b...)
				if rnd.IntN(5) == 0 {
					b = flip(b, rnd.IntN(64))
				}
			}
			fuzzStep(t, n, where, byte(rnd.IntN(4)), b)
			if t.Failed() {
				return
			}
		}
	})
}
