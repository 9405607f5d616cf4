package tables

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"vxgw/config"
	"vxgw/gateway/forward"
	"vxgw/l3/vrf"
)

// manyVRFs writes a configuration of n VRFs with a VNI and a static route each, all
// with the same addresses.
func manyVRFs(n int) string {
	var b strings.Builder
	b.WriteString("[underlay]\naddress = \"192.0.2.1\"\n")
	for i := range n {
		fmt.Fprintf(&b, "[[vni]]\nid = %d\nvrf = \"v%d\"\ngateway = [\"10.1.1.1/24\", \"2001:db8:1::1/64\"]\n", i+1, i)
		fmt.Fprintf(&b, "[[vrf]]\nname = \"v%d\"\n[[vrf.route]]\nprefix = \"0.0.0.0/0\"\nvia = \"10.1.1.%d\"\n", i, 2+i%200)
	}
	return b.String()
}

func parse(t testing.TB, text string) *config.Config {
	t.Helper()
	cfg, err := config.Parse("f", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// As many VRFs as one gateway has, each a table of its own though all addresses are
// the same; and one more is refused, and changes nothing.
func TestManyVRFs(t *testing.T) {
	x, err := New(parse(t, manyVRFs(maxVRFs)), nil)
	if err != nil {
		t.Fatal(err)
	}
	s := x.Snapshot()
	a := netip.MustParseAddr("8.8.8.8")
	for i := range s.Domains {
		irb := s.Domains[i].IRB
		r := s.VRFs[irb.VRF].Table.Lookup(a)
		if r == nil || r.Kind != vrf.Via || int(r.Hops[0].Domain) != i || s.VRFs[irb.VRF].Name != fmt.Sprintf("v%d", i) {
			t.Fatalf("VNI %d is routed by %+v of %+v", s.Domains[i].VNI, r, s.VRFs[irb.VRF].Name)
		}
	}
	if err := x.Apply(parse(t, manyVRFs(maxVRFs+1))); err == nil || !strings.Contains(err.Error(), "more than 4096 VRFs") {
		t.Errorf("one more: %v", err)
	}
	if x.Snapshot() != s {
		t.Error("what was refused has changed something")
	}
}

// A VRF that stays keeps its number and its counters; one that goes leaves an empty
// table behind, for who still routes by it.
func TestVRFsComeAndGo(t *testing.T) {
	x, err := New(parse(t, manyVRFs(3)), nil)
	if err != nil {
		t.Fatal(err)
	}
	before := x.Snapshot()
	id := before.Domains[before.VNIs[1]].IRB.VRF
	gone := before.Domains[before.VNIs[3]].IRB.VRF
	before.VRFs[id].Traffic.RxPackets.Add(7)
	if err := x.Apply(parse(t, manyVRFs(2))); err != nil {
		t.Fatal(err)
	}
	s := x.Snapshot()
	if got := s.Domains[s.VNIs[1]].IRB.VRF; got != id || s.VRFs[id].Traffic.RxPackets.Load() != 7 {
		t.Errorf("it is number %d with %d packets, want %d with 7", got, s.VRFs[id].Traffic.RxPackets.Load(), id)
	}
	if v := s.VRFs[gone]; v.Name != "" || v.Table.Len() != 0 || v.Own == nil || v.Traffic == nil {
		t.Errorf("what has gone left %+v", v)
	}
	if _, ok := s.VNIs[3]; ok {
		t.Error("VNI 3 is still there")
	}
	// Whoever has the old snapshot still routes by it.
	var f [60]byte
	f[12], f[13] = 8, 0
	if r := before.Route(before.VNIs[3], f[:], nil, 1); r.Reason != forward.BadIPHeader {
		t.Errorf("an older snapshot says %+v", r)
	}
}
