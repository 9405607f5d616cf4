package path

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"vxgw/test/netns"
)

// hopsOf returns the next hops and links of a path's Hops, in order.
func hopsOf(p Path) (all []string) {
	for _, h := range p.Hops {
		all = append(all, fmt.Sprintf("%v %s", h.Via, h.Link))
	}
	return all
}

func TestPathOfSeveralNextHops(t *testing.T) {
	for _, c := range []struct{ name, own1, own2, via1, via2, bits, net, dst string }{
		{"IPv4", "192.0.2.1", "198.51.100.1", "192.0.2.254", "198.51.100.254", "/24", "203.0.113.0/24", "203.0.113.7"},
		{"IPv6", "2001:db8::1", "2001:db8:2::1", "2001:db8::ff", "2001:db8:2::ff", "/64", "2001:db8:1::/64", "2001:db8:1::7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, far := newNS(t), newNS(t)
			must(t, netns.Veth(n, "up1", far, "up1", netns.VethOptions{MTU: 1600, BMAC: macA}))
			must(t, netns.Veth(n, "up2", far, "up2", netns.VethOptions{MTU: 1550, BMAC: macB}))
			must(t, n.AddAddr("up1", c.own1+c.bits))
			must(t, n.AddAddr("up2", c.own2+c.bits))
			must(t, far.AddAddr("up1", c.via1+c.bits))
			must(t, far.AddAddr("up2", c.via2+c.bits))
			for i, ns := range []*netns.NS{n, far} { // the kernel asks for an IPv6 neighbour from there
				for _, dev := range []string{"up1", "up2"} {
					must(t, ns.AddAddr(dev, fmt.Sprintf("fe80::%d/64", i+1)))
				}
			}
			hops := []netns.Hop{{Via: c.via1, Dev: "up1", Weight: 2}, {Via: c.via2, Dev: "up2", Weight: 4}}
			must(t, n.AddRoute(netns.Route{To: c.net, Hops: hops}))
			m := follow(t, n)
			dst := netip.MustParseAddr(c.dst)
			first, second := c.via1+" up1", c.via2+" up2"
			of := func() Path {
				t.Helper()
				p, err := m.Path(dst, netip.Addr{})
				must(t, err)
				return p
			}

			p := of()
			if want := []string{first, second, second}; !slices.Equal(hopsOf(p), want) {
				t.Errorf("hops %v, want %v", hopsOf(p), want)
			}
			if p.MTU != 1550 {
				t.Errorf("MTU %d, want the least, 1550", p.MTU)
			}
			if !slices.Contains(p.Hops, p.PathHop()) {
				t.Errorf("%v is none of %v", p.PathHop(), p.Hops)
			}
			for _, h := range p.Hops {
				must(t, m.Confirm([]Neighbour{h.NextHop(dst)}))
			}
			eventually(t, m, "both resolved", func() bool {
				p := of()
				return len(p.Hops) == 3 && p.Hops[0].MAC == macA && p.Hops[1].MAC == macB
			})

			// Its peer gone, up2 has no carrier: RTNH_F_LINKDOWN. The kernel would send
			// there still.
			for _, c := range []struct {
				name, dev, by string
				ns            *netns.NS
			}{{"no carrier", "up2", first, far}, {"no carrier at the other", "up1", second, far}, {"down", "up2", first, n}} {
				must(t, c.ns.SetDown(c.dev))
				eventually(t, m, c.name, isDown(m, c.dev))
				if p := of(); len(p.Hops) != 0 || fmt.Sprintf("%v %s", p.Via, p.Link) != c.by {
					t.Errorf("%s: %+v, want by %s alone", c.name, p, c.by)
				}
				must(t, c.ns.SetUp(c.dev))
				eventually(t, m, c.name+" no more", isUp(m, c.dev))
			}
		})
	}
}

func TestRepeat(t *testing.T) {
	for _, c := range []struct {
		name    string
		weights []int
		want    []int // how often each
	}{
		{"alike", []int{1, 1}, []int{1, 1}},
		{"alike but not 1", []int{10, 10, 10}, []int{1, 1, 1}},
		{"twice", []int{1, 2}, []int{1, 2}},
		{"as many as there can be", []int{1, 15}, []int{1, 15}},
		{"more than there can be", []int{1, 255}, []int{1, 15}},
		{"in proportion", []int{100, 300, 201}, []int{2, 8, 6}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := timesOf(repeat(hopsNumbered(c.weights)), len(c.weights)); !reflect.DeepEqual(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

// hopsNumbered returns hops that their links' indexes tell apart.
func hopsNumbered(weights []int) (hops []weightedHop) {
	for i, w := range weights {
		hops = append(hops, weightedHop{PathHop{LinkIndex: i}, w})
	}
	return hops
}

func timesOf(all []PathHop, n int) []int {
	times := make([]int, n)
	for _, h := range all {
		times[h.LinkIndex]++
	}
	return times
}

// There are never more than maxHops, each hop for which there is a place has one, and
// one of more weight has not fewer of them.
func TestRepeatIsFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.IntRange(1, 65536), 2, 40).Draw(t, "weights")
		all := repeat(hopsNumbered(weights))
		times := timesOf(all, len(weights))
		if len(all) > maxHops {
			t.Fatalf("%d places", len(all))
		}
		for i, n := range times[:min(len(weights), maxHops)] {
			if n == 0 {
				t.Fatalf("hop %d has no place: %v", i, times)
			}
			for k := range i {
				if weights[k] > weights[i] && times[k] < n || weights[k] < weights[i] && times[k] > n {
					t.Fatalf("weights %v, places %v", weights, times)
				}
			}
		}
	})
}
