package forward

import (
	"testing"

	"vxgw/l2/frame"
)

// checkSane asserts what holds for every verdict, whatever the frame.
func checkSane(t *testing.T, s *Snapshot, v Verdict) {
	t.Helper()
	switch {
	case v.Kind >= NumKinds:
		t.Fatalf("no such kind: %+v", v)
	case (v.Kind == Drop) != (v.Reason != None):
		t.Fatalf("a drop needs a reason, and only a drop: %+v", v)
	case v.Reason >= NumReasons:
		t.Fatalf("no such reason: %+v", v)
	case v.Kind == ToPort && !s.Ports[v.Port].Up:
		t.Fatalf("to a port that is down: %+v", v)
	case (v.Kind == Answer) != (v.Neighbour != frame.MAC{}):
		t.Fatalf("an answer needs a neighbour, and only an answer: %+v", v)
	case v.Kind == ToPort && s.Ports[v.Port].Domain != v.Domain:
		t.Fatalf("into another domain: %+v", v)
	}
}

func FuzzFromAccess(f *testing.F) {
	f.Add(uint8(acc1), []byte(eth(h2, h1, local)), false, uint16(0), uint16(60))
	f.Add(uint8(acc1), []byte(eth(ra, h1, ipv4)), false, uint16(0), uint16(1500))
	f.Add(uint8(iso1), []byte(eth(frame.Broadcast, h1, "8100 0000 0800")), true, uint16(5<<13), uint16(60))
	f.Add(uint8(guard), []byte(eth(mac("01:80:c2:00:00:00"), nobody, "0026")), false, uint16(0), uint16(60))
	s := testSnapshot()
	f.Fuzz(func(t *testing.T, port uint8, b []byte, tagged bool, tci, size uint16) {
		in := PortID(port) % PortID(len(s.Ports))
		buf := frame.Buffer{Mem: append(make([]byte, frame.Headroom), b...), Off: frame.Headroom, Len: len(b)}
		if tagged {
			buf.Tag = frame.Tag{Present: true, TPID: frame.TypeVLAN, TCI: tci}
		}
		PopTag(&buf)
		fr := frame.Frame(buf.Bytes())
		v := s.FromAccess(in, Input{Frame: fr, Tag: buf.Tag, Size: max(int(size), len(fr))}, now)
		checkSane(t, s, v)
		if v.Kind == Drop {
			return
		}
		switch {
		case frame.IsTagType(fr.Type()) || buf.Tag.VID() != 0:
			t.Fatalf("a tag went through: %+v", v)
		case fr.Src().IsMulticast() || fr.Src().IsZero():
			t.Fatalf("source %s went through: %+v", fr.Src(), v)
		case fr.Dst().IsReserved() && !fr.Dst().IsBPDU():
			t.Fatalf("destination %s went through: %+v", fr.Dst(), v)
		case v.Kind == ToPort && v.Port == in:
			t.Fatalf("back where it came from: %+v", v)
		case v.Kind == ToVTEP && !s.Fits(v.VTEP, int(size)):
			t.Fatalf("too big: %+v", v)
		}
	})
}

func FuzzFromOverlay(f *testing.F) {
	head := []byte{8, 0, 0, 0, 0, 3, 0xe8, 0}
	f.Add(append(head[:8:8], eth(h1, ra, ipv4)...), uint8(0), uint8(3))
	f.Add(append(head[:8:8], eth(rStatic, nobody, local)...), uint8(1), uint8(0))
	f.Add(append(head[:8:8], eth(h1, ra, "8100 0064 0800")...), uint8(0), uint8(0))
	f.Add(head[:7], uint8(0), uint8(0))
	s := testSnapshot()
	f.Fuzz(func(t *testing.T, payload []byte, vtep, tos uint8) {
		from := VTEPID(vtep) % 3
		d, r := s.ClassifyOverlay(Outer{From: s.VTEPs[from].Addr, TOS: tos}, payload)
		if r != None {
			return
		}
		fr := frame.Frame(payload[8:])
		v := s.FromOverlay(d, from, tos, fr, now)
		checkSane(t, s, v)
		switch {
		case v.Kind == ToVTEP:
			t.Fatalf("back into the overlay: %+v", v)
		case v.Kind != Drop && frame.IsTagType(fr.Type()):
			t.Fatalf("an inner tag went through: %+v", v)
		case v.Kind != Drop && fr.Src().IsMulticast():
			t.Fatalf("source %s went through: %+v", fr.Src(), v)
		}
	})
}

func TestDecideAllocatesNothing(t *testing.T) {
	s := testSnapshot()
	in := Input{Frame: eth(h2, h1, ipv4), Size: 60}
	bum := Input{Frame: eth(frame.Broadcast, h1, ipv4), Size: 60}
	payload := append([]byte{8, 0, 0, 0, 0, 3, 0xe8, 0}, eth(h1, ra, ipv4)...)
	n := testing.AllocsPerRun(100, func() {
		s.FromAccess(acc1, in, now)
		s.FromAccess(acc1, bum, now)
		d, _ := s.ClassifyOverlay(Outer{From: addrA}, payload)
		s.FromOverlay(d, vtepA, 0, payload[8:], now)
	})
	if n != 0 {
		t.Errorf("%v allocations a frame, want none", n)
	}
}
