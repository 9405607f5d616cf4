package gateway

import (
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestPathMTUs(t *testing.T) {
	a, b := netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::2")
	var p pathMTUs
	limits := func(when string, a netip.Addr, mtu, want int) {
		t.Helper()
		if got := p.limit(a, mtu); got != want {
			t.Errorf("%s: of %d bytes %d, want %d", when, mtu, got, want)
		}
	}
	limits("nothing said", a, 1600, 1600)
	limits("nothing known", a, 0, 0)
	for _, s := range []struct {
		name string
		mtu  int
		at   uint32
		news bool
	}{
		{"first", 1400, 1000, true},
		{"the same again", 1400, 1100, false},
		{"more", 1500, 1200, false},
		{"less", 1300, 1300, true},
	} {
		if news := p.lower(a, s.mtu, s.at); news != s.news {
			t.Errorf("%s: news %t, want %t", s.name, news, s.news)
		}
	}
	limits("narrower", a, 1600, 1300)
	limits("the route is narrower still", a, 1200, 1200)
	limits("the route is not known", a, 0, 1300)
	limits("another VTEP", b, 1600, 1600)
	if old := p.expire(1300 + keepPathMTU - 1); old != nil {
		t.Errorf("%v expired early", old)
	}
	if old := p.expire(1300 + keepPathMTU); len(old) != 1 || old[0] != a {
		t.Errorf("%v expired, want %v", old, a)
	}
	limits("expired", a, 1600, 1600)
}

// What is remembered is bounded, and what is remembered may still be lowered.
func TestPathMTUsAreBounded(t *testing.T) {
	var p pathMTUs
	a := netip.MustParseAddr("10.0.0.0")
	for range maxPathMTUs {
		if a = a.Next(); !p.lower(a, 1400, 1) {
			t.Fatalf("%v was not taken", a)
		}
	}
	if p.lower(a.Next(), 1400, 1) || len(p.said) != maxPathMTUs {
		t.Errorf("%d are remembered, want %d", len(p.said), maxPathMTUs)
	}
	if !p.lower(a, 1300, 2) {
		t.Error("what is remembered cannot be lowered")
	}
}

// A list of all that was ever said gives the same answers.
func TestPathMTUsLikeAList(t *testing.T) {
	type word struct {
		a   netip.Addr
		mtu int
		at  uint32
	}
	rapid.Check(t, func(t *rapid.T) {
		var p pathMTUs
		var words []word // in force: each lower than those before
		now := uint32(1)
		addr := rapid.Custom(func(t *rapid.T) netip.Addr {
			return netip.AddrFrom4([4]byte{192, 0, 2, rapid.Byte().Draw(t, "host") % 4})
		})
		least := func(a netip.Addr, mtu int) int {
			for _, w := range words {
				if w.a == a && (mtu == 0 || w.mtu < mtu) {
					mtu = w.mtu
				}
			}
			return mtu
		}
		t.Repeat(map[string]func(*rapid.T){
			"lower": func(t *rapid.T) {
				a, mtu := addr.Draw(t, "addr"), rapid.IntRange(576, 600).Draw(t, "mtu")
				is := least(a, 0)
				news := is == 0 || mtu < is
				if p.lower(a, mtu, now) != news {
					t.Fatalf("%d for %v where %d was known: news %t", mtu, a, is, !news)
				}
				if news {
					words = append(words, word{a, mtu, now})
				}
			},
			"expire": func(t *rapid.T) {
				now += rapid.Uint32Range(0, keepPathMTU).Draw(t, "seconds")
				newest := make(map[netip.Addr]uint32)
				for _, w := range words {
					newest[w.a] = w.at
				}
				gone := make(map[netip.Addr]bool)
				words = slices.DeleteFunc(words, func(w word) bool {
					old := now-newest[w.a] >= keepPathMTU
					if old {
						gone[w.a] = true
					}
					return old
				})
				for _, a := range p.expire(now) {
					if !gone[a] {
						t.Fatalf("%v expired", a)
					}
					delete(gone, a)
				}
				if len(gone) > 0 {
					t.Fatalf("%v did not expire", gone)
				}
			},
			"": func(t *rapid.T) {
				a, route := addr.Draw(t, "addr"), rapid.SampledFrom([]int{0, 580, 1500}).Draw(t, "route")
				if got, want := p.limit(a, route), least(a, route); got != want {
					t.Fatalf("%v, route %d: %d, want %d", a, route, got, want)
				}
			},
		})
	})
}
