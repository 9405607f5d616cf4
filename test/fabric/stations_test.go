package fabric

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"

	"vxgw/l2/frame"
	portmem "vxgw/l2/port/mem"
	underlay "vxgw/l3/underlay/mem"
)

// crowd is a gateway with a million stations: in each of 16 VNIs 15,625 behind
// each of two ports and 31,250 behind a VTEP.
type crowd struct {
	n *Net
	a *Gateway
}

const (
	crowdVNIs   = 16
	perPort     = 15_625
	perVTEP     = 2 * perPort
	perCrowdVNI = 2*perPort + perVTEP
	everybody   = crowdVNIs * perCrowdVNI
)

func newCrowd(n *Net) crowd {
	var text []string
	for v := range crowdVNIs {
		text = append(text,
			fmt.Sprintf("[[vni]]\nid = %d\nvlan = %d\nflood = [%q]\nmac_limit = %d\n", 1000+v, 1+v, crowdVTEP(v), perCrowdVNI),
			ports(1+v, fmt.Sprintf("p%d p%d", 2*v, 2*v+1), fmt.Sprintf("mac_limit = %d", perPort)))
	}
	head := strings.Replace(conf("a"), "[datapath]", fmt.Sprintf("[datapath]\nmac_limit = %d", everybody), 1)
	return crowd{n, n.Add(head + strings.Join(text, "\n"))}
}

func crowdVTEP(v int) string { return fmt.Sprintf("198.18.0.%d", v+1) }

// crowdPlaces are the places of the stations: two ports and a VTEP for each VNI.
var crowdPlaces = func() (names []string) {
	for v := range crowdVNIs {
		names = append(names, fmt.Sprintf("p%d", 2*v), fmt.Sprintf("p%d", 2*v+1), crowdVTEP(v))
	}
	return names
}()

// at tells where station i is.
func (c crowd) at(i int) (vni int, place string) {
	vni = i / perCrowdVNI
	return vni, crowdPlaces[3*vni+min(i%perCrowdVNI/perPort, 2)]
}

// first returns the first station that is where station i is.
func (c crowd) first(i int) int {
	vni, i := i/perCrowdVNI, i%perCrowdVNI
	return vni*perCrowdVNI + min(i/perPort, 2)*perPort
}

// begin has the first station of every place speak, to everybody.
func (c crowd) begin() {
	for v := range crowdVNIs {
		one, other, vtep := fmt.Sprintf("a.p%d", 2*v), fmt.Sprintf("a.p%d", 2*v+1), crowdVTEP(v)
		i := v * perCrowdVNI
		c.n.Send(one, Local(frame.Broadcast, numbered(1, i))).Is(other + " a>" + vtep)
		c.n.Send(other, Local(frame.Broadcast, numbered(1, i+perPort))).Is(one + " a>" + vtep)
		c.n.Inject(vtep, "a", uint32(1000+v), Local(frame.Broadcast, numbered(1, i+2*perPort))).Is(one + " " + other)
	}
}

// speak has the stations from first to last speak, each to the first one of its
// place, so that nothing comes out anywhere.
func (c crowd) speak(first, last int) {
	for i := first; i < last; i++ {
		vni, place := c.at(i)
		f := Local(numbered(1, c.first(i)), numbered(1, i))
		if strings.HasPrefix(place, "p") {
			c.a.put(place, portmem.Frame{Bytes: f})
		} else {
			c.n.injecting.Store(1)
			c.n.Fabric.Inject(underlay.Wire{From: netip.MustParseAddr(place), To: c.a.Addr(), FromPort: 50000, Payload: append(Header(uint32(1000+vni)), f...)})
		}
		if i%500 == 499 {
			c.n.Settle() // no more than the edges hold
		}
	}
	c.n.Settle()
}

// are checks that those and only those stations are known that want says, each
// where it is.
func (c crowd) are(t *testing.T, want func(i int) bool) {
	t.Helper()
	found := make([]bool, everybody)
	for r := range c.a.MACs(0) {
		m := MAC(r.MAC)
		i := int(m.Uint64() & 0xffffffff)
		vni, place := c.at(i)
		if m != numbered(1, i) || int(r.VNI) != 1000+vni || r.Port+r.VTEP != place || found[i] {
			t.Fatalf("station %d, %+v, is not %s in VNI %d, once", i, r, place, 1000+vni)
		}
		found[i] = true
	}
	wrong := 0
	for i, is := range found {
		if is != want(i) {
			wrong++
		}
	}
	if wrong > 0 {
		t.Fatalf("%d stations are known and should not be, or the other way round", wrong)
	}
}

// A million stations are learned within their limits, in no more than 64 bytes
// each, and found where they are. They go with their port, or when their time is
// up, and nobody else does.
func TestMillionStations(t *testing.T) {
	if testing.Short() {
		t.Skip("learns a million stations")
	}
	Test(t, func(n *Net) {
		c := newCrowd(n)
		before := heapInUse()
		c.begin()
		r := n.begin(nil)
		c.speak(0, everybody)
		r.end()
		r.Is(fmt.Sprintf("a!access:same_port*%d a!overlay:split_horizon*%d", everybody/2, everybody/2))
		c.are(t, func(int) bool { return true })
		used := heapInUse() - before
		t.Logf("%.1f bytes a station", float64(used)/everybody)
		if used > 64*everybody {
			t.Errorf("%.1f bytes a station, want at most 64", float64(used)/everybody)
		}

		pick := rand.New(rand.NewPCG(1, 2))
		for range 500 {
			vni := pick.IntN(crowdVNIs)
			from, to := vni*perCrowdVNI, vni*perCrowdVNI+perPort+pick.IntN(perPort+perVTEP) // never behind the same port
			_, place := c.at(to)
			n.Send(fmt.Sprintf("a.p%d", 2*vni), Local(numbered(1, to), numbered(1, from))).Is(map[bool]string{true: "a.", false: "a>"}[place[0] == 'p'] + place)
		}

		// One more than there is room for, in each way of having none.
		n.Send("a.p0", Local(frame.Broadcast, numbered(2, 0))).Is("a.p1 a>198.18.0.1 a?table_full")

		c.a.Host.SetUp("p5", false)
		n.Settle()
		c.are(t, func(i int) bool { _, place := c.at(i); return place != "p5" })

		// Half of their time later the first tenth speaks again.
		n.Advance(150)
		c.speak(0, everybody/10)
		n.Advance(151)
		c.are(t, func(i int) bool { return i < everybody/10 })
		n.Advance(300)
		c.are(t, func(int) bool { return false })
		// The log of events, a ring of 8,192, tells of the last that went.
		const log = 8192 * 1024
		if left := heapInUse() - before; left > log+(1<<20) {
			t.Errorf("%d KiB are left of them", left>>10)
		}
	})
}

func heapInUse() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// Whoever makes up source addresses fills the room of the port, the VNI or the
// table that he is in and no more: everybody else stays known, and every address
// that was not learned is counted.
func TestMadeUpSources(t *testing.T) {
	const (
		others = 300     // known behind each of three places beforehand
		forged = 100_000 // sources from one place
		room   = 1000    // for them
	)
	for _, c := range []struct {
		name, vni, port, table string
		fromVTEP               bool
		want                   string
	}{
		{"at a port, its own limit", "", fmt.Sprint("mac_limit = ", room), "", false, "port_limit"},
		{"at a port, the VNI's limit", fmt.Sprint("mac_limit = ", room+2*others), "mac_limit = 65536", "", false, "vni_limit"},
		{"at a port, the table's limit", "mac_limit = 65536", "mac_limit = 65536", fmt.Sprint("mac_limit = ", room+3*others), false, "table_full"},
		{"from a VTEP, the VNI's limit", fmt.Sprint("mac_limit = ", room+2*others), "", "", true, "vni_limit"},
		{"from a VTEP, the table's limit", "mac_limit = 65536", "", fmt.Sprint("mac_limit = ", room+3*others), true, "table_full"},
	} {
		t.Run(c.name, func(t *testing.T) {
			Test(t, func(n *Net) {
				head := strings.Replace(conf("a"), "[datapath]", "[datapath]\n"+c.table, 1)
				a := n.Add(head + vni(1000, "b", c.vni) + vni(2000, "b") + ports(10, "e1", c.port) + ports(10, "e2") + ports(20, "e3 e4"))
				inject := func(vni uint32, f []byte) {
					n.injecting.Store(1)
					n.Fabric.Inject(underlay.Wire{From: netip.MustParseAddr("192.0.2.2"), To: a.Addr(), FromPort: 50000, Payload: append(Header(vni), f...)})
				}
				// All speak to the first one of their own place: nothing goes out.
				n.Send("a.e2", Local(frame.Broadcast, numbered(1, 0)))
				n.Send("a.e3", Local(frame.Broadcast, numbered(1, 0)))
				n.Inject("192.0.2.2", "a", 1000, Local(frame.Broadcast, numbered(2, 0)))
				for i := range others {
					a.put("e2", portmem.Frame{Bytes: Local(numbered(1, 0), numbered(1, i))})
					a.put("e3", portmem.Frame{Bytes: Local(numbered(1, 0), numbered(1, i))})
					inject(1000, Local(numbered(2, 0), numbered(2, i)))
				}
				if c.fromVTEP {
					n.Inject("192.0.2.2", "a", 1000, Local(frame.Broadcast, numbered(3, 0)))
				} else {
					n.Send("a.e1", Local(frame.Broadcast, numbered(3, 0)))
				}
				before, r := heapInUse(), n.begin(nil)
				for i := range forged {
					if f := Local(numbered(3, 0), numbered(3, i)); c.fromVTEP {
						inject(1000, f)
					} else {
						a.put("e1", portmem.Frame{Bytes: f})
					}
					if i%500 == 499 {
						n.Settle()
					}
				}
				r.end()
				went := "a!access:same_port"
				if c.fromVTEP {
					went = "a!overlay:split_horizon"
				}
				r.Is(fmt.Sprintf("%s*%d a?%s*%d", went, forged, c.want, forged-room))
				if got := learned(a); got != room+3*others {
					t.Errorf("%d MACs are known, want %d", got, room+3*others)
				}
				is := make(map[string]string)
				for r := range a.MACs(0) {
					is[fmt.Sprintf("%d %s", r.VNI, r.MAC)] = r.Port + r.VTEP
				}
				for i := range others {
					for at, want := range map[string]string{
						fmt.Sprintf("1000 %v", numbered(1, i)): "e2", fmt.Sprintf("2000 %v", numbered(1, i)): "e3", fmt.Sprintf("1000 %v", numbered(2, i)): "192.0.2.2",
					} {
						if is[at] != want {
							t.Errorf("%s is at %q, want %s", at, is[at], want)
						}
					}
				}
				if grown := heapInUse() - before; grown > 1<<20 {
					t.Errorf("%d KiB more than before", grown>>10)
				}
			})
		})
	}
}

// A thousand stations that are at two ports and behind two VTEPs at once, or a
// loop that makes it look so: hundreds of thousands of moves are accounted for,
// nothing is said of them, and a conversation beside them loses nothing.
func TestStationsThatMoveAllTheTime(t *testing.T) {
	const stations, rounds, each, beside = 1000, 100, 500, 20
	Test(t, func(n *Net) {
		a := n.Add(conf("a", vni(1000, "b c"), ports(10, "e1 e2 e3 e4")))
		n.Send("a.e4", Local(frame.Broadcast, H2))
		n.Send("a.e3", Local(frame.Broadcast, H1))
		log, r := a.Log(), n.begin(Local(H2, H1))
		// To a neighbour on the link: nothing goes out.
		frames := make([][]byte, stations)
		for i := range frames {
			frames[i] = Local(MAC("01:80:c2:00:00:0e"), numbered(1, i))
		}
		for round := range rounds {
			var senders sync.WaitGroup
			for _, port := range []string{"e1", "e2"} {
				senders.Go(func() {
					for i := range each {
						a.put(port, portmem.Frame{Bytes: frames[(round*each+i)%stations]})
					}
				})
			}
			senders.Go(func() {
				for i := range each {
					for _, vtep := range []string{"192.0.2.2", "192.0.2.3"} {
						n.injecting.Store(1)
						n.Fabric.Inject(underlay.Wire{From: netip.MustParseAddr(vtep), To: a.Addr(), FromPort: 50000, Payload: append(Header(1000), frames[(round*each+i)%stations]...)})
					}
				}
			})
			for range beside {
				a.put("e3", portmem.Frame{Bytes: r.Sent})
			}
			senders.Wait()
			n.Settle()
		}
		r.end()
		all := 2 * rounds * each
		r.Is(fmt.Sprintf("a.e4*%d a!access:reserved_destination*%d a!overlay:reserved_destination*%d", rounds*beside, all, all))
		if a.Log() != log {
			t.Errorf("it says\n%s", strings.TrimPrefix(a.Log(), log))
		}
		at := make(map[string]string)
		for r := range a.MACs(1000) {
			if at[r.MAC] != "" {
				t.Errorf("%s is at %s and at %s%s", r.MAC, at[r.MAC], r.Port, r.VTEP)
			}
			at[r.MAC] = r.Port + r.VTEP
		}
		for i := range stations {
			if place := at[numbered(1, i).String()]; !strings.Contains("e1 e2 192.0.2.2 192.0.2.3", place) || place == "" {
				t.Errorf("station %d is at %q", i, place)
			}
		}
	})
}
