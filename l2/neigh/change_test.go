package neigh

import (
	"maps"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"vxgw/l2/fdb"
	"vxgw/l2/frame"
)

// Whoever keeps what OnChange says knows at every moment what the table has, and is told
// nothing that is no news.
func TestOnChange(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		tb, now := table(rapid.IntRange(0, 4).Draw(r, "limit")), uint32(1000)
		told := map[netip.Addr]frame.MAC{}
		tb.OnChange(func(d fdb.Domain, a netip.Addr, was, is frame.MAC) {
			if d != dom || was == is || told[a] != was {
				r.Fatalf("told that %v of domain %d is at %v and was at %v; it was at %v", a, d, is, was, told[a])
			}
			if told[a] = is; is.IsZero() {
				delete(told, a)
			}
		})
		r.Repeat(map[string]func(*rapid.T){
			"hear": func(r *rapid.T) {
				tb.Hear(dom, Message{
					Says:    rapid.SampledFrom([]Says{Claims, Claims, Confirms, Doubts}).Draw(r, "says"),
					Subject: nth(rapid.IntRange(0, 5).Draw(r, "address")),
					MAC:     rapid.SampledFrom([]frame.MAC{here, there}).Draw(r, "mac"),
				}, now)
			},
			"bind": func(r *rapid.T) {
				tb.Bind(dom, nth(rapid.IntRange(0, 5).Draw(r, "address")), rapid.SampledFrom([]frame.MAC{here, there}).Draw(r, "mac"), false)
			},
			"unbind": func(r *rapid.T) { tb.Unbind(dom, nth(rapid.IntRange(0, 5).Draw(r, "address"))) },
			"time":   func(r *rapid.T) { now += uint32(rapid.IntRange(1, KeepFor).Draw(r, "later")) },
			"sweep":  func(*rapid.T) { tb.ageAll(now, everyone) },
			"flush":  func(*rapid.T) { tb.Flush(map[fdb.Domain]bool{dom: true}) },
			"": func(r *rapid.T) {
				has := map[netip.Addr]frame.MAC{}
				for e := range tb.All() {
					has[e.Addr] = e.MAC
				}
				if !maps.Equal(has, told) {
					r.Fatalf("the table has %v, and told of %v", has, told)
				}
			},
		})
	})
}
