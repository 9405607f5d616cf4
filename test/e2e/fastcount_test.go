package e2e

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vxgw/l2/frame"
	"vxgw/l3/ip"
	"vxgw/test/packet"
)

// journey is what a flow is sent as and where it goes.
type journey struct {
	name     string
	from, to string // h1, h2, h3 or peer
	vni      uint32 // at the sender
	inner    []byte
	routed   bool
	sums     bool // it is carried in the kernel where outer checksums are filled in, too
}

// journeys are the ways through the gateway.
func journeys() []journey {
	bridged := func(dst, src frame.MAC) []byte { return unsummed(dst, src, "203.0.113.1", "203.0.113.2") }
	routed := func(src frame.MAC, from, to netip.Addr) []byte {
		return unsummed(routerMAC, src, from.String(), to.String())
	}
	return []journey{
		{"encapsulated", "h1", "peer", vni, bridged(ra1MAC, h1MAC), false, true},
		{"decapsulated", "peer", "h1", vni, bridged(h1MAC, ra1MAC), false, true},
		{"port to port", "h1", "h2", vni, bridged(h2MAC, h1MAC), false, true},
		{"routed into the overlay", "h1", "peer", vni, routed(h1MAC, addrH1, addrRB), true, false},
		{"routed out of the overlay", "peer", "h3", vni, routed(ra1MAC, addrRA, addrH3), true, true},
		{"routed between ports", "h1", "h3", vni, routed(h1MAC, addrH1, addrH3), true, true},
		{"routed back", "h3", "h1", otherVNI, routed(h3MAC, addrH3, addrH1), true, true},
		{"routed within the overlay", "peer", "peer", vni, routed(ra1MAC, addrRA, addrRB), true, false},
	}
}

// unsummed returns a frame with a datagram without a UDP checksum, so that what is in
// it may be changed.
func unsummed(dst, src frame.MAC, from, to string) []byte {
	f := packet.UDP(dst, src, netip.AddrPortFrom(netip.MustParseAddr(from), 5000), netip.AddrPortFrom(netip.MustParseAddr(to), 80), make([]byte, 300))
	f[40], f[41] = 0, 0
	return f
}

// turns is how many frames take turns where no number fits.
const turns = 64

// flow makes the flow of a journey.
func (b *fastBed) flow(t testing.TB, j journey, most int) *flow {
	t.Helper()
	const number = 14 + 20 + 8 // behind the UDP header
	ns, dev := b.at(j.from)
	toNS, toDev := b.at(j.to)
	at := number
	if j.to == "peer" {
		at += b.outerLen()
	}
	if j.from != "peer" {
		return newFlow(t, sender{ns, dev}, b.live, number, newTally(t, toNS, toDev, numberRange{at, firstNumber, most}), j.inner)
	}
	if !b.six {
		return newFlow(t, sender{ns, dev}, b.live, outerLen+number, newTally(t, toNS, toDev, numberRange{at, firstNumber, most}), b.wrap(j.vni, j.inner))
	}
	// A number there is behind what a generator writes, and in an outer checksum. That
	// of an inner IPv4 header is not.
	var frames [][]byte
	for i := range turns {
		f := append([]byte(nil), j.inner...)
		h := ip.IPv4(f[14:])
		h.SetID(uint16(i))
		h.SetChecksum(0)
		h.SetChecksum(^ip.Sum(h[:20], 0))
		outer := b.wrap(j.vni, f)
		outer[60], outer[61] = 0, 0
		frames = append(frames, outer)
	}
	first := uint32(len(j.inner)-14) << 16 // total length, and then the ID
	at -= number - 16
	return newFlow(t, sender{ns, dev}, b.live, 0, newTally(t, toNS, toDev, numberRange{at, first, turns}), frames...)
}

// What is certain is carried in the kernel alone, every frame of it, once, and counted
// where it belongs: the gateway is stopped meanwhile.
func TestFastCounts(t *testing.T) {
	for _, tc := range []struct {
		name     string
		six      bool
		underlay string
		sums     bool
		ways     []way
	}{
		{"IPv4", false, "", false, fastWays},
		{"IPv4 with UDP checksums", false, "udp_checksum = true", true, []way{byXDP}},
		{"IPv6", true, "udp_checksum = false", false, fastWays},
	} {
		for _, w := range tc.ways {
			t.Run(tc.name+" "+w.name, func(t *testing.T) {
				for _, routed := range []bool{false, true} {
					b := newFastBed(t, fastBed{way: w, six: tc.six, underlay: tc.underlay, routed: routed})
					for _, j := range journeys() {
						if j.routed == routed && (j.sums || !tc.sums) && b.carries(j) {
							t.Run(j.name, func(t *testing.T) { b.wantCounted(t, j) })
						}
					}
				}
			})
		}
	}
}

// carries reports whether a journey is one that the programs carry at all.
func (b *fastBed) carries(j journey) bool {
	// Back into the overlay what the kernel keeps in mind of a tunnel is in the way.
	return b.live || j.from != "peer" || j.to != "peer"
}

// wantCounted has frames go a journey and compares what is counted.
func (b *fastBed) wantCounted(t *testing.T, j journey) {
	const count = 20_000
	before, lost := b.counted(), b.dropped()
	was := b.vrf()
	f := b.flow(t, j, 2*count)
	b.isFast(t, f)
	b.pause(func() {
		f.send(count)
		for deadline := time.Now().Add(patience); f.to.all() < f.sent && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		f.wantNow(f.sent)
	})
	want := make(account)
	n, bytes := uint64(f.sent), uint64(f.sent*len(j.inner))
	var routed traffic
	if j.routed {
		routed = traffic{n, bytes, n, bytes}
	}
	rx := func(name string) { want.of(name).rxPackets, want.of(name).rxBytes = n, bytes }
	tx := func(name string) { want.of(name).txPackets, want.of(name).txBytes = n, bytes }
	out := j.vni
	if j.routed {
		out = vni + otherVNI - j.vni
	}
	vtep := vtepA.String()
	if b.six {
		vtep = vtepSix.String()
	}
	if j.from == "peer" {
		rx(vtep)
		rx(fmt.Sprintf("VNI %d", j.vni))
	} else {
		rx("acc" + j.from[1:])
	}
	if j.to == "peer" {
		tx(vtep)
		tx(fmt.Sprintf("VNI %d", out))
	} else {
		tx("acc" + j.to[1:])
	}
	var have account
	exported := cmp.AllowUnexported(traffic{})
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		have = b.counted().minus(before)
		if j.routed {
			want.allow(have)
		}
		if cmp.Equal(want, have, exported) {
			break
		}
	}
	if d := cmp.Diff(want, have, exported); d != "" {
		t.Errorf("traffic (-want +got):\n%s", d)
	}
	if d := cmp.Diff(lost, b.dropped()); d != "" {
		t.Errorf("drops (-before +after):\n%s", d)
	}
	if d := cmp.Diff(routed, b.vrf().minus(was), exported); d != "" {
		t.Errorf("the VRF's traffic (-want +got):\n%s", d)
	}
}

// minus returns what e has more than o.
func (e traffic) minus(o traffic) traffic {
	return traffic{e.rxPackets - o.rxPackets, e.rxBytes - o.rxBytes, e.txPackets - o.txPackets, e.txBytes - o.txBytes}
}

// allow adds to what is expected the requests and answers with which a gateway that
// routes keeps its neighbours, which are few.
func (a account) allow(have account) {
	const few = 100
	for name, is := range have {
		w := a.of(name)
		for _, n := range []struct{ want, have *uint64 }{{&w.rxPackets, &is.rxPackets}, {&w.txPackets, &is.txPackets}} {
			if *n.have > *n.want && *n.have-*n.want < few {
				*n.want = *n.have
			}
		}
		for _, n := range []struct{ want, have *uint64 }{{&w.rxBytes, &is.rxBytes}, {&w.txBytes, &is.txBytes}} {
			if *n.have > *n.want && *n.have-*n.want < few*100 {
				*n.want = *n.have
			}
		}
	}
}

// minus returns what a has more than b, without what is the same.
func (a account) minus(b account) account {
	d := make(account)
	for name, is := range a {
		if more := is.minus(*b.of(name)); more != (traffic{}) {
			d[name] = &more
		}
	}
	return d
}

// vrf returns what is counted of the one VRF; nothing where the gateway does not route.
func (b *fastBed) vrf() traffic {
	m := metrics(b.t, b.bed.ns)
	of := func(name, direction string) uint64 {
		return uint64(m[fmt.Sprintf(`vxgw_vrf_%s_total{direction=%q,vrf="red"}`, name, direction)])
	}
	return traffic{of("frames", "rx"), of("bytes", "rx"), of("frames", "tx"), of("bytes", "tx")}
}
