package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"vxgw/l2/frame"
	"vxgw/test/packet"
)

// lacking returns a configuration without the section that has some text.
func lacking(text, has string) string {
	parts := strings.SplitAfter(text, "\n[[")
	for i, p := range parts {
		if i > 0 && strings.Contains(p, has) {
			parts[i] = ""
		}
	}
	return strings.TrimSuffix(strings.Join(parts, ""), "[[")
}

// A reload takes a port, a VNI and a VTEP away under load and puts them back: what it
// does not touch loses nothing, and of what is gone nothing is carried any more, by the
// kernel's programs alone neither.
func TestFastReload(t *testing.T) {
	t.Parallel()
	for _, w := range fastWays {
		t.Run(w.name, func(t *testing.T) {
			b := newFastBed(t, fastBed{way: w})
			all := b.text()
			f := b.flow(t, journeys()[0], most)
			b.isFast(t, f)
			toH2, toH3 := count(t, b.hosts, "h2", isTo(h2MAC)), count(t, b.hosts, "h3", isTo(h3MAC))
			probe := []probe{
				{"the port", lacking(all, `"acc2"`), "h1", unsummed(h2MAC, h1MAC, "203.0.113.1", "203.0.113.2")},
				{"the VNI", lacking(lacking(all, `"acc3"`), "id = 2000"), "peer", b.wrap(otherVNI, unsummed(h3MAC, rb1MAC, "203.0.113.1", "203.0.113.2"))},
				{"the VTEP", strings.ReplaceAll(all, fmt.Sprintf("%q, ", vtepA), ""), "peer", b.wrap(vni, unsummed(h2MAC, ra1MAC, "203.0.113.1", "203.0.113.2"))},
			}
			for _, p := range probe {
				there := toH2
				if p.name == "the VNI" {
					there = toH3
				}
				send := func() {
					ns, dev := b.at(p.from)
					must(t, ns.Send(dev, p.f))
				}
				was := there.Load()
				send()
				eventually(t, p.name+" is served", func() bool { return there.Load() == was+1 })
				change := func() {
					b.reloads(p.text)
					if p.name == "the port" {
						eventually(t, "no XDP is where there is no port", func() bool { return !hasXDP(t, b.bed.ns, "acc2") })
					}
					was = there.Load()
					for range 20 {
						send()
					}
				}
				if p.name == "the VTEP" {
					change() // the flow goes there
				} else {
					f.during(20_000, change)
				}
				b.isThrough()
				b.pause(func() {
					for range 20 {
						send()
					}
				})
				b.isThrough()
				if n := there.Load() - was; n != 0 {
					t.Errorf("%d frames came by way of %s that is gone", n, p.name)
				}
				b.reloads(all)
				b.forwards().inMode(w.mode)
				b.relearn()
				was = there.Load()
				b.pause(func() {
					send()
					eventually(t, p.name+" is served by the kernel again", func() bool { return there.Load() == was+1 })
				})
			}
			f.wantAll()
		})
	}
}

// isThrough waits until the workers are through with what h1 and the peer sent: so they are
// when a broadcast that was sent behind it arrives.
func (b *fastBed) isThrough() {
	b.t.Helper()
	fence(b.t, h1MAC, from(b.t, b.hosts, "h1"), capture(b.t, b.peer, "und0"))
	fence(b.t, frame.MAC{2, 0, 0, 0, 0x77, 2}, b.fromVTEP(vtepB), capture(b.t, b.hosts, "h1"))
}

// probe is what a reload takes away, and a frame that goes by it.
type probe struct {
	name, text string
	from       string
	f          []byte
}

// relearn has every station heard again.
func (b *fastBed) relearn() {
	b.t.Helper()
	for _, s := range b.stations() {
		f := packet.Numbered(nobody, s.mac, 1<<23)
		if s.at == "peer" {
			b.fromPeer(b.wrap(s.vni, f))
		} else {
			b.fromHost(s.at, f)
		}
	}
	eventually(b.t, "all stations are known", func() bool {
		at := b.macs()
		return !slices.ContainsFunc(b.stations(), func(s station) bool { return at[fmt.Sprintf("%d %s", s.vni, s.mac)] == "" })
	})
}
