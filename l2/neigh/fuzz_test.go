package neigh

import (
	"testing"

	"vxgw/l2/frame"
	"vxgw/test/packet"
)

func addSeeds(f *testing.F) {
	for _, b := range [][]byte{
		request(here, here4, there4), request(here, zero4, there4), reply(there, there4),
		packet.Solicit(here, here6, there6).Frame(), packet.Detect(here, there6).Frame(),
		packet.Advertise(there, there6, here, here6).Frame(), packet.Announce(there, there6).Frame(),
	} {
		f.Add(b)
	}
}

// Whatever is read is of an address that a host can have, says the frame's own
// source or nothing certain, and asks only what everybody was asked. Whatever
// asks can be answered, and the answer is itself believed.
func FuzzRead(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < frame.HeaderLen {
			return
		}
		fr := frame.Frame(b)
		m := Read(fr)
		switch {
		case m.Says == Nothing && m != (Message{}):
			t.Fatalf("nothing is said, and yet %+v", m)
		case m.Says == Nothing:
			return
		case !IsHost(m.Subject):
			t.Fatalf("no host has %v", m.Subject)
		case m.MAC != fr.Src() && !(m.Says == Doubts && m.MAC == frame.MAC{}):
			t.Fatalf("from %v: %+v", fr.Src(), m)
		case m.Router && !m.Advertised:
			t.Fatalf("a router that did not say so: %+v", m)
		}
		if !m.Asks.IsValid() {
			return
		}
		if m.Says == Doubts || !fr.Dst().IsMulticast() || !IsHost(m.Asks) || m.Asks == m.Subject {
			t.Fatalf("to %v: %+v", fr.Dst(), m)
		}
		checkAnswer(t, fr, m)
	})
}

func checkAnswer(t *testing.T, req frame.Frame, m Message) {
	t.Helper()
	b := make([]byte, AnswerLen)
	n := PutAnswer(b, req, third, true)
	if n == 0 {
		t.Fatalf("no answer to %+v", m)
	}
	a, got := frame.Frame(b[:n]), Read(b[:n])
	want := Message{Says: Claims, Subject: m.Asks, MAC: third, Advertised: m.Asks.Is6(), Router: m.Asks.Is6()}
	if a.Dst() != req.Src() || a.Src() != third || got != want {
		t.Fatalf("answered % x, which says %+v, want %+v", b[:n], got, want)
	}
	if q, ok := ParseARP(a.Payload()); a.Type() == frame.TypeARP && (!ok || q.Target() != m.Subject || q.TargetMAC() != req.Src()) {
		t.Fatalf("answered to somebody else: % x", b[:n])
	}
	if p, ok := ParseND(a.Payload()); a.Type() == frame.TypeIPv6 && (!ok || p.Dst() != m.Subject || !p.Solicited()) {
		t.Fatalf("answered to somebody else: % x", b[:n])
	}
}

// An answer is written for requests only, whole, and nowhere else.
func FuzzPutAnswer(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, req []byte) {
		if len(req) < frame.HeaderLen {
			return
		}
		b := make([]byte, AnswerLen+8)
		n := PutAnswer(b, req, third, false)
		for _, c := range b[n:] {
			if c != 0 {
				t.Fatalf("wrote past its %d bytes: % x", n, b)
			}
		}
		if n != 0 && n != ARPReplyLen && n != AdvertisementLen {
			t.Fatalf("%d bytes", n)
		}
	})
}
