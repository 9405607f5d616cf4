package forward

import (
	"testing"

	"vxgw/l2/frame"
)

func TestFromAccess(t *testing.T) {
	group := mac("01:00:5e:00:00:fb")
	tests := []struct {
		name string
		in   PortID
		f    frame.Frame
		tag  frame.Tag
		size int
		want Verdict
	}{
		{name: "known behind another port stays local", in: acc1, f: eth(h2, h1, local), want: Verdict{Kind: ToPort, Port: acc2}},
		{name: "known behind a VTEP", in: acc1, f: eth(ra, h1, local), want: Verdict{Kind: ToVTEP, VTEP: vtepA}},
		{name: "unknown unicast floods", in: acc1, f: eth(nobody, h1, local), want: Verdict{Kind: Flood}},
		{name: "broadcast floods", in: acc1, f: eth(frame.Broadcast, h1, local), want: Verdict{Kind: Flood}},
		{name: "multicast floods", in: acc1, f: eth(group, h1, local), want: Verdict{Kind: Flood}},
		{name: "a new source is learned", in: acc1, f: eth(h2, nobody, local), want: Verdict{Kind: ToPort, Port: acc2, Learn: true}},
		{name: "a source that moved is learned", in: acc2, f: eth(ra, h1, local), want: Verdict{Kind: ToVTEP, VTEP: vtepA, Learn: true}},
		{name: "a MAC moves here from a VTEP", in: acc1, f: eth(h2, ra, local), want: Verdict{Kind: ToPort, Port: acc2, Learn: true}},

		{name: "a port that was shut down", in: shut, f: eth(h2, h1, local), want: Verdict{Kind: Drop, Reason: PortDown, Domain: dom4000}},
		{name: "runt", in: acc1, f: eth(h2, h1, local)[:13], want: Verdict{Kind: Drop, Reason: TooShort}},
		{name: "nothing", in: acc1, f: frame.Frame{}, want: Verdict{Kind: Drop, Reason: TooShort}},
		{name: "14 bytes are a frame", in: acc1, f: eth(h2, h1, local)[:14], want: Verdict{Kind: ToPort, Port: acc2}},

		{name: "802.1Q tag beside the frame", in: acc1, f: eth(h2, h1, local), tag: frame.Tag{Present: true, TPID: frame.TypeVLAN, TCI: 10}, want: Verdict{Kind: Drop, Reason: TaggedFrame}},
		{name: "the port's own VLAN as a tag", in: acc1, f: eth(h2, h1, local), tag: frame.Tag{Present: true, TPID: frame.TypeVLAN, TCI: 1}, want: Verdict{Kind: Drop, Reason: TaggedFrame}},
		{name: "802.1ad tag", in: acc1, f: eth(h2, h1, local), tag: frame.Tag{Present: true, TPID: frame.TypeQinQ, TCI: 10}, want: Verdict{Kind: Drop, Reason: TaggedFrame}},
		{name: "802.1ad tag with VID 0", in: acc1, f: eth(h2, h1, local), tag: frame.Tag{Present: true, TPID: frame.TypeQinQ}, want: Verdict{Kind: Drop, Reason: TaggedFrame}},
		{name: "priority tag accepted", in: acc1, f: eth(h2, h1, local), tag: frame.Tag{Present: true, TPID: frame.TypeVLAN, TCI: 5 << 13}, want: Verdict{Kind: ToPort, Port: acc2}},
		{name: "priority tag with a TCI of zero", in: acc1, f: eth(h2, h1, local), tag: frame.Tag{Present: true, TPID: frame.TypeVLAN}, want: Verdict{Kind: ToPort, Port: acc2}},
		{name: "priority tag refused", in: strictPrio, f: eth(h2, h1, local), tag: frame.Tag{Present: true, TPID: frame.TypeVLAN}, want: Verdict{Kind: Drop, Reason: TaggedFrame, Domain: dom5000}},
		{name: "a tag behind a priority tag", in: acc1, f: eth(h2, h1, "8100 0064 0800"), tag: frame.Tag{Present: true, TPID: frame.TypeVLAN}, want: Verdict{Kind: Drop, Reason: TaggedFrame}},
		{name: "0x9100 in the bytes", in: acc1, f: eth(h2, h1, "9100 0064 0800"), want: Verdict{Kind: Drop, Reason: TaggedFrame}},

		{name: "multicast source", in: acc1, f: eth(h2, group, local), want: Verdict{Kind: Drop, Reason: SourceMulticast}},
		{name: "broadcast source", in: acc1, f: eth(h2, frame.Broadcast, local), want: Verdict{Kind: Drop, Reason: SourceMulticast}},
		{name: "zero source", in: acc1, f: eth(h2, frame.MAC{}, local), want: Verdict{Kind: Drop, Reason: SourceZero}},
		{name: "our gateway MAC as source", in: acc1, f: eth(h2, gwMAC, local), want: Verdict{Kind: Drop, Reason: SourceGateway}},
		{name: "a static MAC of a VTEP at a port", in: acc1, f: eth(h2, rStatic, local), want: Verdict{Kind: Drop, Reason: StaticMoved}},
		{name: "a controller's MAC of a VTEP at a port", in: acc1, f: eth(h2, rYields, local), want: Verdict{Kind: ToPort, Port: acc2, Learn: true}},
		{name: "a sticky one", in: acc1, f: eth(h2, rSticky, local), want: Verdict{Kind: Drop, Reason: StaticMoved}},
		{name: "to a controller's MAC", in: acc1, f: eth(rYields, h1, local), want: Verdict{Kind: ToVTEP, VTEP: vtepA}},
		{name: "a static MAC at another port", in: acc2, f: eth(h1, pStatic, local), want: Verdict{Kind: Drop, Reason: StaticMoved}},
		{name: "a static MAC at its port", in: acc1, f: eth(h2, pStatic, local), want: Verdict{Kind: ToPort, Port: acc2}},

		{name: "BPDU dropped, its source learned", in: acc1, f: eth(mac("01:80:c2:00:00:00"), nobody, "0026 424203"), want: Verdict{Kind: Drop, Reason: ReservedDestination, Learn: true}},
		{name: "pause frame", in: tunnel, f: eth(mac("01:80:c2:00:00:01"), nobody, "8808"), want: Verdict{Kind: Drop, Reason: ReservedDestination, Learn: true, Domain: dom4000}},
		{name: "LLDP", in: tunnel, f: eth(mac("01:80:c2:00:00:0e"), nobody, "88cc"), want: Verdict{Kind: Drop, Reason: ReservedDestination, Learn: true, Domain: dom4000}},
		{name: "-0F", in: acc1, f: eth(mac("01:80:c2:00:00:0f"), h1, local), want: Verdict{Kind: Drop, Reason: ReservedDestination}},
		{name: "CDP", in: tunnel, f: eth(mac("01:00:0c:cc:cc:cc"), nobody, "0026 aaaa03"), want: Verdict{Kind: Drop, Reason: ReservedDestination, Learn: true, Domain: dom4000}},
		{name: "PVST+ dropped", in: acc1, f: eth(mac("01:00:0c:cc:cc:cd"), h1, "0026 aaaa03"), want: Verdict{Kind: Drop, Reason: ReservedDestination}},
		{name: "PVST+ tunnelled", in: tunnel, f: eth(mac("01:00:0c:cc:cc:cd"), nobody, "0026 aaaa03"), want: Verdict{Kind: Flood, Learn: true, Domain: dom4000}},
		{name: "PVST+ shuts the port down", in: guard, f: eth(mac("01:00:0c:cc:cc:cd"), nobody, "0026 aaaa03"), want: Verdict{Kind: Drop, Reason: ReservedDestination, Shutdown: true, Learn: true, Domain: dom4000}},
		{name: "-10 is ordinary", in: acc1, f: eth(mac("01:80:c2:00:00:10"), h1, local), want: Verdict{Kind: Flood}},
		{name: "-21 is ordinary", in: acc1, f: eth(mac("01:80:c2:00:00:21"), h1, local), want: Verdict{Kind: Flood}},
		{name: "BPDU tunnelled", in: tunnel, f: eth(mac("01:80:c2:00:00:00"), nobody, "0026 424203"), want: Verdict{Kind: Flood, Learn: true, Domain: dom4000}},
		{name: "BPDU shuts the port down", in: guard, f: eth(mac("01:80:c2:00:00:00"), nobody, "0026 424203"), want: Verdict{Kind: Drop, Reason: ReservedDestination, Shutdown: true, Learn: true, Domain: dom4000}},
		{name: "LLDP does not", in: guard, f: eth(mac("01:80:c2:00:00:0e"), nobody, "88cc"), want: Verdict{Kind: Drop, Reason: ReservedDestination, Learn: true, Domain: dom4000}},

		{name: "hairpin", in: acc1, f: eth(h1, nobody, local), want: Verdict{Kind: Drop, Reason: SamePort, Learn: true}},
		{name: "isolated to isolated", in: iso1, f: eth(hIso, nobody, local), want: Verdict{Kind: Drop, Reason: IsolatedPort, Learn: true}},
		{name: "isolated to an ordinary port", in: iso1, f: eth(h1, nobody, local), want: Verdict{Kind: ToPort, Port: acc1, Learn: true}},
		{name: "isolated to a VTEP", in: iso1, f: eth(ra, nobody, local), want: Verdict{Kind: ToVTEP, VTEP: vtepA, Learn: true}},
		{name: "known behind a port that is down", in: acc1, f: eth(hDown, h1, local), want: Verdict{Kind: Drop, Reason: PortDown}},

		{name: "nobody to send to", in: acc3, f: eth(frame.Broadcast, h1, local), want: Verdict{Kind: Drop, Reason: NoRemote, Learn: true, Domain: dom2000}},
		{name: "too big for the path, known", in: strictPrio, f: eth(ra, nobody, ipv4), size: 1465, want: Verdict{Kind: Drop, Reason: TooBig, MTU: 1450, Learn: true, Domain: dom5000}},
		{name: "too big for one of two paths, unknown", in: mixed, f: eth(h2, nobody, ipv4), size: 1465, want: Verdict{Kind: Flood, MTU: 1450, Learn: true, Domain: dom6000}},
		{name: "too big for one of two paths, broadcast: nobody is told", in: mixed, f: eth(frame.Broadcast, nobody, ipv4), size: 1465, want: Verdict{Kind: Flood, Learn: true, Domain: dom6000}},
		{name: "an entry for a port that left the domain", in: acc1, f: eth(hMoved, h1, local), want: Verdict{Kind: Flood}},
		{name: "an entry for a port that this snapshot does not have", in: acc1, f: eth(hLater, h1, local), want: Verdict{Kind: Flood}},
		{name: "an entry for a VTEP that this snapshot does not have", in: acc1, f: eth(rLater, h1, local), want: Verdict{Kind: Flood}},
		{name: "just fits", in: strictPrio, f: eth(ra, nobody, ipv4), size: 1464, want: Verdict{Kind: ToVTEP, VTEP: vtepC, Learn: true, Domain: dom5000}},
		{name: "too big for every path, unknown", in: strictPrio, f: eth(h2, nobody, ipv4), size: 1465, want: Verdict{Kind: Drop, Reason: TooBig, MTU: 1450, Learn: true, Domain: dom5000}},
		{name: "an LLC frame of 1500 is no EtherType", in: acc1, f: eth(h2, h1, "05dc aaaa03"), want: Verdict{Kind: ToPort, Port: acc2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := Input{Frame: tt.f, Tag: tt.tag, Size: max(tt.size, len(tt.f))}
			checkVerdict(t, testSnapshot().FromAccess(tt.in, in, now), tt.want)
		})
	}
}

func TestFloodCopies(t *testing.T) {
	s := testSnapshot()
	tests := []struct {
		name string
		in   PortID
		bpdu bool
		want map[PortID]Reason
	}{
		{"from an ordinary port", acc1, false, map[PortID]Reason{acc1: SamePort, acc2: None, iso1: None, iso2: None, down: PortDown}},
		{"from an isolated port", iso1, false, map[PortID]Reason{acc1: None, acc2: None, iso1: SamePort, iso2: IsolatedPort, down: PortDown}},
		{"from the overlay", NoPortID, false, map[PortID]Reason{acc1: None, acc2: None, iso1: None, iso2: None, down: PortDown}},
		{"spanning tree", tunnel, true, map[PortID]Reason{tunnel: SamePort, tunnel2: None, guard: ReservedDestination, acc1: ReservedDestination}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for out, want := range tt.want {
				if got := s.Blocks(tt.in, out, tt.bpdu); got != want {
					t.Errorf("to %s: %s, want %s", s.Ports[out].Name, got, want)
				}
			}
		})
	}
}

func TestExpiredSourceIsUnknown(t *testing.T) {
	s := testSnapshot()
	in := Input{Frame: eth(h2, h1, local), Size: 60}
	if v := s.FromAccess(acc1, in, now+301); v.Kind != Flood || !v.Learn {
		t.Errorf("301 s later: %+v, want a flood and a source to learn", v)
	}
	if v := s.FromAccess(acc1, in, now+1); v.Kind != ToPort || !v.Learn {
		t.Errorf("1 s later: %+v, want one copy and the source refreshed", v)
	}
}

func TestPopTag(t *testing.T) {
	tests := []struct {
		name string
		rest string
		had  frame.Tag
		want frame.Tag
		typ  uint16
	}{
		{name: "untagged", rest: local, typ: 0x88b5},
		{name: "VID 100", rest: "8100 6064 88b5", want: frame.Tag{Present: true, TPID: 0x8100, TCI: 0x6064}, typ: 0x88b5},
		{name: "priority", rest: "8100 0000 88b5", want: frame.Tag{Present: true, TPID: 0x8100}, typ: 0x88b5},
		{name: "S-tag", rest: "88a8 0064 8100 0001 88b5", want: frame.Tag{Present: true, TPID: 0x88a8, TCI: 0x64}, typ: 0x8100},
		{name: "one was popped already", rest: "8100 0064 88b5", had: frame.Tag{Present: true, TPID: 0x88a8, TCI: 1}, want: frame.Tag{Present: true, TPID: 0x88a8, TCI: 1}, typ: 0x8100},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := frame.NewBuffers(1, 100)[0]
			b.Len, b.Tag = copy(b.Mem[b.Off:], eth(h2, h1, tt.rest)), tt.had
			PopTag(&b)
			f := frame.Frame(b.Bytes())
			if b.Tag != tt.want || f.Type() != tt.typ || f.Dst() != h2 || f.Src() != h1 {
				t.Errorf("tag %+v, %s -> %s type %#04x; want %+v and type %#04x", b.Tag, f.Src(), f.Dst(), f.Type(), tt.want, tt.typ)
			}
		})
	}
}
