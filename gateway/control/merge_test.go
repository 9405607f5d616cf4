package control

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// slate is a section as one would write it down: all that was said, and a search through
// it for every question.
type slate map[Origin]map[int]string

// counts looks for who says it, evpn before ovsdb before all others by name.
func (s slate) counts(k int) Said[string] {
	for _, o := range []Origin{EVPN, OVSDB, "aaa", "zebra"} {
		if v, ok := s[o][k]; ok {
			return Said[string]{o, v}
		}
	}
	return Said[string]{}
}

// Whatever is said and taken back, by whomever and in whatever order: what counts is what
// the slate has, and whoever follows the changes knows just that.
func TestSectionIsItsSlate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		group := func(k int) string { return string(rune('a' + k%3)) }
		s := NewSection(func(a, b string) bool { return a == b }, group)
		wrote, follows := slate{}, map[int]Said[string]{}
		some := rapid.MapOf(rapid.IntRange(0, 9), rapid.SampledFrom([]string{"x", "y", "z"}))
		origins := rapid.SampledFrom([]Origin{EVPN, OVSDB, "aaa", "zebra"})
		apply := func(o Origin, removed, added map[int]string) {
			if wrote[o] == nil {
				wrote[o] = map[int]string{}
			}
			growth, edits := s.Growth(o, removed, added), s.Edits(o, removed, added)
			was := maps.Clone(wrote[o])
			for k := range removed {
				delete(wrote[o], k)
			}
			maps.Copy(wrote[o], added)
			if edits == maps.Equal(was, wrote[o]) {
				t.Fatalf("Edits says %t: %v became %v", edits, was, wrote[o])
			}
			grown := map[string]int{}
			for k := range wrote[o] {
				grown[group(k)]++
			}
			for k := range was {
				grown[group(k)]--
			}
			for g := range grown {
				if growth[g] != grown[g] {
					t.Fatalf("group %s would grow by %d, and does by %d", g, growth[g], grown[g])
				}
			}
			seen := map[int]bool{}
			for _, c := range s.Apply(o, removed, added) {
				if seen[c.Key] || c.Was == c.Is || follows[c.Key] != c.Was {
					t.Fatalf("%d became %+v from %+v, and was %+v", c.Key, c.Is, c.Was, follows[c.Key])
				}
				seen[c.Key] = true
				if follows[c.Key] = c.Is; !c.Is.IsThere() {
					delete(follows, c.Key)
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"replace": func(t *rapid.T) {
				o, next := origins.Draw(t, "origin"), some.Draw(t, "all")
				removed, added := s.Diff(o, next)
				apply(o, removed, added)
				if !maps.Equal(wrote[o], next) {
					t.Fatalf("said %v, want %v", wrote[o], next)
				}
			},
			"edit": func(t *rapid.T) { apply(origins.Draw(t, "origin"), some.Draw(t, "removed"), some.Draw(t, "added")) },
			"": func(t *rapid.T) {
				all, n, by := map[int]Said[string]{}, 0, map[string]int{}
				for k, said := range s.All {
					if _, twice := all[k]; twice {
						t.Fatalf("%d comes twice", k)
					}
					all[k] = said
				}
				for o, of := range wrote {
					n += len(of)
					for k := range of {
						by[group(k)]++
					}
					if !maps.Equal(s.Of(o), of) && len(s.Of(o))+len(of) > 0 {
						t.Fatalf("%s has said %v, want %v", o, s.Of(o), of)
					}
				}
				want := map[int]Said[string]{}
				for k := range 10 {
					if is := wrote.counts(k); is.IsThere() {
						want[k] = is
					}
					if s.Counts(k) != wrote.counts(k) {
						t.Fatalf("%d is %+v, want %+v", k, s.Counts(k), wrote.counts(k))
					}
				}
				if !maps.Equal(all, want) || !maps.Equal(follows, want) {
					t.Fatalf("what counts is %v, by its changes %v, want %v", all, follows, want)
				}
				for g, n := range by {
					if s.Count(g) != n {
						t.Fatalf("group %s has %d, want %d", g, s.Count(g), n)
					}
				}
				if s.Len() != n {
					t.Fatalf("%d entries, want %d", s.Len(), n)
				}
			},
		})
	})
}

func TestOrder(t *testing.T) {
	got := []Origin{"zebra", OVSDB, "aaa", EVPN}
	slices.SortFunc(got, Origin.Compare)
	if want := []Origin{EVPN, OVSDB, "aaa", "zebra"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestParseOrigin(t *testing.T) {
	for name, ok := range map[string]bool{
		"evpn": true, "ovsdb": true, "a": true, "my-controller-2": true, "a234567890123456789012345678901": true,
		"": false, "static": false, "learned": false, "gateway": false, "group": false, "controller": false,
		"Evpn": false, "2nd": false, "-a": false, "a_b": false, "a23456789012345678901234567890123": false, "é": false, "a/b": false,
	} {
		if o, err := ParseOrigin(name); (err == nil) != ok || ok && string(o) != name {
			t.Errorf("%q: %q, %v; want it taken: %t", name, o, err, ok)
		}
	}
}
