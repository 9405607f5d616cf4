package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"vxgw/gateway/api"
	"vxgw/l2/frame"
	"vxgw/test/netns"
	"vxgw/test/packet"
)

// sent is one case of a frame from a host.
type sent struct {
	name  string
	frame []byte
	drop  string // a reason; "": it is carried
	want  []byte // what is carried; nil: frame
}

// carry sends each frame ten times out of h1 and compares what came to h2 and,
// in VXLAN, to the peer, and every counter.
func (b *bed) carry(t *testing.T, cases []sent) {
	t.Helper()
	const times = 10
	total := b.dropped()
	atHost, atPeer := capture(t, b.hosts, "h2"), captureOuter(t, b.peer, "und0")
	for _, tc := range cases {
		var want [][]byte
		switch {
		case tc.drop != "":
			total[tc.drop+" access"] += times
		case tc.want != nil:
			want = slices.Repeat([][]byte{tc.want}, times)
		default:
			want = slices.Repeat([][]byte{tc.frame}, times)
		}
		hostHad, peerHad := len(got(atHost)), len(got(atPeer))
		fence(t, h3MAC, func(f ...[]byte) {
			b.fromHost("h1", append(slices.Repeat([][]byte{tc.frame}, times), f...)...)
		}, atHost, atPeer)
		wantFrames(t, got(atHost)[hostHad:], want)
		var inners [][]byte
		for _, f := range got(atPeer)[peerHad:] {
			inners = append(inners, vxlanPacket(f).inner())
		}
		wantFrames(t, inners, want)
		b.wantDrops(total)
		if t.Failed() {
			t.Fatalf("that was: %s", tc.name)
		}
	}
}

// Tags do not get past an access port, whether the kernel takes them out of the
// frame or leaves them in; a priority tag is taken off, or refused.
func TestAccessTags(t *testing.T) {
	t.Parallel()
	for _, offload := range []bool{true, false} {
		for _, policy := range []string{"accept", "drop"} {
			t.Run(fmt.Sprintf("VLAN offload %t, priority tags %s", offload, policy), func(t *testing.T) {
				t.Parallel()
				b := newBed(t, 2, 1600)
				for _, feature := range []string{"rxvlan", "rx-vlan-stag-hw-parse"} {
					must(t, b.ns.Offloads("acc1", offload, feature))
				}
				for _, feature := range []string{"txvlan", "tx-vlan-stag-hw-insert"} {
					must(t, b.hosts.Offloads("h1", offload, feature))
				}
				b.start(settings{port: fmt.Sprintf("priority_tagged = %q", policy)})
				plain := packet.Numbered(ra1MAC, h1MAC, 1)
				tagged := func(tpid, tci uint16) []byte { return packet.Tagged(plain, tpid, tci) }
				priority := sent{drop: "tagged_frame"}
				if policy == "accept" {
					priority = sent{want: plain}
				}
				with := func(name string, f []byte) sent { priority.name, priority.frame = name, f; return priority }
				cases := []sent{
					{name: "untagged", frame: plain},
					with("priority 5", tagged(0x8100, 5<<13)),
					with("priority 0", tagged(0x8100, 0)),
					with("priority 7, drop eligible", tagged(0x8100, 7<<13|1<<12)),
					{name: "802.1ad VID 0", frame: tagged(0x88a8, 0), drop: "tagged_frame"},
					{name: "9100 VID 0", frame: tagged(0x9100, 0), drop: "tagged_frame"},
				}
				for _, vid := range []uint16{1, 10, 100, 4094, 4095} {
					cases = append(cases,
						sent{name: fmt.Sprintf("802.1Q VID %d", vid), frame: tagged(0x8100, vid), drop: "tagged_frame"},
						sent{name: fmt.Sprintf("802.1ad VID %d", vid), frame: tagged(0x88a8, vid), drop: "tagged_frame"},
						sent{name: fmt.Sprintf("9100 VID %d", vid), frame: tagged(0x9100, vid), drop: "tagged_frame"})
				}
				b.carry(t, append(cases,
					sent{name: "QinQ", frame: packet.Tagged(tagged(0x8100, 20), 0x88a8, 10), drop: "tagged_frame"},
					sent{name: "two 802.1Q tags", frame: packet.Tagged(tagged(0x8100, 20), 0x8100, 10), drop: "tagged_frame"},
					sent{name: "a tag behind a priority tag", frame: packet.Tagged(tagged(0x8100, 20), 0x8100, 0), drop: "tagged_frame"},
					sent{name: "two priority tags", frame: packet.Tagged(tagged(0x8100, 0), 0x8100, 0), drop: "tagged_frame"},
					sent{name: "9100 behind a priority tag", frame: packet.Tagged(tagged(0x9100, 20), 0x8100, 0), drop: "tagged_frame"},
				))
			})
		}
	}
}

// Frames of every length and kind, and addresses that are not carried.
func TestAccessFrames(t *testing.T) {
	t.Parallel()
	b := newBed(t, 2, 1600).start(settings{})
	var cases []sent
	for n := 14; n < 60; n++ {
		cases = append(cases, sent{name: fmt.Sprintf("%d bytes", n), frame: packet.Ethernet(ra1MAC, h1MAC, typeTest, make([]byte, n-14))})
	}
	cases = append(cases, sent{name: "1514 bytes", frame: packet.Ethernet(ra1MAC, h1MAC, typeTest, make([]byte, 1500))})
	for _, length := range []uint16{0, 3, 0x5dc, 0x5dd, 0x5ff, 0x600} {
		cases = append(cases, sent{name: fmt.Sprintf("type %#04x", length), frame: packet.Ethernet(ra1MAC, h1MAC, length, make([]byte, 46))})
	}
	to := func(dst ...byte) []byte { return packet.Ethernet(frame.MAC(dst), h1MAC, typeTest, make([]byte, 46)) }
	for last := range byte(16) {
		cases = append(cases, sent{name: fmt.Sprintf("to 01-80-c2-00-00-%02x", last), frame: to(1, 0x80, 0xc2, 0, 0, last), drop: "reserved_destination"})
	}
	cases = append(cases,
		sent{name: "to 01-80-c2-00-00-10", frame: to(1, 0x80, 0xc2, 0, 0, 0x10)},
		sent{name: "to 01-80-c2-00-00-21", frame: to(1, 0x80, 0xc2, 0, 0, 0x21)},
		sent{name: "to 224.0.0.5", frame: to(1, 0, 0x5e, 0, 0, 5)},
		sent{name: "to ff02::1", frame: to(0x33, 0x33, 0, 0, 0, 1)},
		sent{name: "a group as source", frame: packet.Ethernet(ra1MAC, frame.MAC{1, 2, 3, 4, 5, 6}, typeTest, nil), drop: "source_multicast"},
		sent{name: "broadcast as source", frame: packet.Ethernet(ra1MAC, frame.Broadcast, typeTest, nil), drop: "source_multicast"},
		sent{name: "zero as source", frame: packet.Ethernet(ra1MAC, frame.MAC{}, typeTest, nil), drop: "source_zero"},
		sent{name: "to a station on the same port", frame: packet.Ethernet(h3MAC, h1MAC, typeTest, nil), drop: "same_port"},
	)
	b.carry(t, cases)
}

// What the gateway sends out of a port does not come in there again: nothing is
// counted as received, and nothing is learned of it.
func TestOwnFramesStayOut(t *testing.T) {
	t.Parallel()
	b := newBed(t, 2, 1600).start(settings{})
	at := []*netns.Capture{capture(t, b.hosts, "h1"), capture(t, b.hosts, "h2")}
	b.fromVTEP(vtepA)(numbered(frame.Broadcast, ra1MAC, 0, 100)...)
	fence(t, ra1MAC, b.fromVTEP(vtepA), at...)
	for i, name := range []string{"acc1", "acc2"} {
		if n := between(t, at[i], 0, 100); n != 100 {
			t.Errorf("%d of 100 frames came out of %s", n, name)
		}
		if p := b.port(name); p.RxPackets != 0 || p.TxPackets != 101 || p.MACs != 0 {
			t.Errorf("%+v, want 0 received, 101 sent, no MACs", p)
		}
	}
	if v := b.vtep("192.0.2.34"); v.TxPackets != 0 || v.RxPackets != 101 {
		t.Errorf("%+v, want 101 received, none sent", v)
	}
	b.wantDrops(drops{})
}

// bpdu is a spanning-tree configuration frame (IEEE 802.1D clause 9.3.1).
func bpdu(src frame.MAC) []byte {
	llc := append([]byte{0x42, 0x42, 0x03}, make([]byte, 35)...)
	return packet.Ethernet(frame.MAC{1, 0x80, 0xc2, 0, 0, 0}, src, uint16(len(llc)), llc)
}

func TestBPDUTunnel(t *testing.T) {
	t.Parallel()
	b := newBed(t, 2, 1600).start(settings{port: `bpdu = "tunnel"`})
	atHost := capture(t, b.hosts, "h2")
	b.carry(t, []sent{
		{name: "BPDU", frame: bpdu(h1MAC)},
		{name: "LLDP", frame: packet.Ethernet(frame.MAC{1, 0x80, 0xc2, 0, 0, 0xe}, h1MAC, 0x88cc, make([]byte, 46)), drop: "reserved_destination"},
	})
	b.fromVTEP(vtepA)(bpdu(ra1MAC))
	fence(t, ra1MAC, b.fromVTEP(vtepA), atHost)
	if n := atHost.Count(func(f []byte) bool { return frame.Frame(f).Src() == ra1MAC && frame.Frame(f).Dst().IsBPDU() }); n != 1 {
		t.Errorf("%d BPDUs came from the VTEP, want 1", n)
	}
}

// A port that must not hear spanning tree is shut down by it, says so, carries
// nothing either way, and is put back by its link going down and up.
func TestBPDUShutdown(t *testing.T) {
	t.Parallel()
	b := newBed(t, 2, 1600).start(settings{port: `bpdu = "shutdown"`})
	atPeer, atHost := captureOuter(t, b.peer, "und0"), capture(t, b.hosts, "h1")
	fence(t, h1MAC, from(t, b.hosts, "h1"), atPeer)
	b.fromHost("h1", bpdu(h1MAC))
	p := b.waitPort("acc1", api.StateDown)
	if !strings.Contains(p.Reason, "spanning tree") || !strings.Contains(p.Reason, "acc1") || p.MACs != 0 {
		t.Errorf("%+v: want the reason named and no MACs", p)
	}
	b.fromHost("h1", numbered(nobody, h1MAC, 0, 10)...)
	b.wantDrops(drops{"reserved_destination access": 1, "port_down access": 10})
	b.fromVTEP(vtepA)(numbered(frame.Broadcast, ra1MAC, 20, 10)...)
	// The other port is not touched by it.
	atOther := capture(t, b.hosts, "h2")
	fence(t, ra1MAC, b.fromVTEP(vtepA), atOther)
	if n := len(atHost.Frames()); n != 0 {
		t.Errorf("%d frames came out of a port that is shut down", n)
	}
	b.waitPort("acc2", api.StateUp)

	must(t, b.hosts.SetDown("h1"))
	b.waitPort("acc1", api.StateDown)
	must(t, b.hosts.SetUp("h1"))
	b.waitPort("acc1", api.StateUp)
	fence(t, h1MAC, from(t, b.hosts, "h1"), atPeer)
	fence(t, ra1MAC, b.fromVTEP(vtepA), atHost)
	if n := between(t, atPeer, 0, 10); n != 0 {
		t.Errorf("%d frames came from a port that is shut down", n)
	}
}
