package nud

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"vxgw/l2/fdb"
	"vxgw/l2/frame"
)

// Whoever keeps what Lookup answered until OnMove says so is never wrong, and who keeps
// what OnChange says knows what Lookup answers.
func TestOnMoveTellsOfEveryWrongAnswer(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		x := New()
		kept := map[netip.Addr]frame.MAC{}
		x.OnMove(func() { clear(kept) })
		told := map[netip.Addr]frame.MAC{}
		x.OnChange(func(d fdb.Domain, a netip.Addr, was, is frame.MAC) {
			if d != dom || was == is || told[a] != was {
				r.Fatalf("told that %v of domain %d is at %v and was at %v; it was at %v", a, d, is, was, told[a])
			}
			if told[a] = is; is.IsZero() {
				delete(told, a)
			}
		})
		x.SetDomain(dom, 3)
		now := uint32(100)
		who := rapid.Custom(func(r *rapid.T) netip.Addr {
			return netip.AddrFrom4([4]byte{10, 1, 1, rapid.Uint8Range(1, 5).Draw(r, "host")})
		})
		where := rapid.SampledFrom([]frame.MAC{mac1, mac2, {}})
		r.Repeat(map[string]func(*rapid.T){
			"hear": func(r *rapid.T) {
				flag := rapid.Bool()
				x.Hear(dom, Message{
					Addr: who.Draw(r, "who"), MAC: where.Draw(r, "where"), Request: flag.Draw(r, "request"),
					Solicited: flag.Draw(r, "solicited"), Override: flag.Draw(r, "override"), ToUs: flag.Draw(r, "to us"),
				}, now)
			},
			"resolve": func(r *rapid.T) { x.Resolve(dom, who.Draw(r, "who"), waits("w"), now) },
			"static":  func(r *rapid.T) { x.SetStatic(dom, who.Draw(r, "who"), mac1, now) },
			"bind":    func(r *rapid.T) { x.Bind(dom, who.Draw(r, "who"), mac2, now) },
			"unbind": func(r *rapid.T) {
				a := who.Draw(r, "who")
				x.RemoveStatics(func(_ fdb.Domain, b netip.Addr) bool { return a == b })
			},
			"dynamic": func(r *rapid.T) { x.RemoveStatic(dom, who.Draw(r, "who")) },
			"flush": func(r *rapid.T) {
				a := who.Draw(r, "who")
				x.Flush(func(_ fdb.Domain, b netip.Addr) bool { return a == b })
			},
			"time": func(r *rapid.T) {
				now += rapid.Uint32Range(1, idleFor).Draw(r, "seconds")
				x.Tick(now, func(Ask) {}, func(fdb.Domain, netip.Addr, []Packet) {})
			},
			"": func(r *rapid.T) {
				for i := range uint8(5) {
					a := netip.AddrFrom4([4]byte{10, 1, 1, i + 1})
					is, ok := x.Lookup(dom, a, now)
					if was, has := kept[a]; has && (!ok || was != is) {
						r.Fatalf("%v was kept at %v and is at %v (%t)", a, was, is, ok)
					}
					if at, has := told[a]; has != ok || has && at != is {
						r.Fatalf("told that %v is at %v (%t), and it is at %v (%t)", a, at, has, is, ok)
					}
					if ok {
						kept[a] = is
					}
				}
			},
		})
	})
}
