package control

import (
	"maps"
	"slices"
)

// Section is the entries of one kind of all origins, by what they are about.
type Section[K comparable, V any] struct {
	// set once
	equal func(V, V) bool
	group func(K) string // what entries are counted by, beside all of them

	said   map[Origin]map[K]V
	order  []Origin // those in said, the first one's word first
	counts map[string]int
	all    int
}

// NewSection returns a section without entries. Entries are counted by group.
func NewSection[K comparable, V any](equal func(V, V) bool, group func(K) string) *Section[K, V] {
	return &Section[K, V]{equal: equal, group: group, said: make(map[Origin]map[K]V), counts: make(map[string]int)}
}

// Said is one entry, and whose it is. The zero Said, with no Origin, is none.
type Said[V any] struct {
	Origin Origin
	Value  V
}

// IsThere reports whether there is an entry.
func (s Said[V]) IsThere() bool { return s.Origin != "" }

// Change is what counts of one thing, before and after. At least one of the two is there.
type Change[K comparable, V any] struct {
	Key     K
	Was, Is Said[V]
}

// Of returns what an origin has said. The caller must not change it.
func (s *Section[K, V]) Of(o Origin) map[K]V { return s.said[o] }

// Counts returns the word on one thing that counts.
func (s *Section[K, V]) Counts(k K) Said[V] {
	for _, o := range s.order {
		if v, ok := s.said[o][k]; ok {
			return Said[V]{o, v}
		}
	}
	return Said[V]{}
}

// All yields every entry that counts, in no order.
func (s *Section[K, V]) All(yield func(K, Said[V]) bool) {
	for i, o := range s.order {
		for k, v := range s.said[o] {
			if s.isSaidBefore(i, k) {
				continue
			}
			if !yield(k, Said[V]{o, v}) {
				return
			}
		}
	}
}

// isSaidBefore reports whether an origin before the i-th has an entry.
func (s *Section[K, V]) isSaidBefore(i int, k K) bool {
	return slices.ContainsFunc(s.order[:i], func(o Origin) bool {
		_, ok := s.said[o][k]
		return ok
	})
}

// Len returns how many entries all origins have, those that do not count among them.
func (s *Section[K, V]) Len() int { return s.all }

// Count is Len for the entries of one group.
func (s *Section[K, V]) Count(group string) int { return s.counts[group] }

// Diff returns what is to be removed of and added to what an origin has said, so that it
// becomes next.
func (s *Section[K, V]) Diff(o Origin, next map[K]V) (removed, added map[K]V) {
	removed, added = make(map[K]V), make(map[K]V)
	was := s.said[o]
	for k, v := range was {
		if _, stays := next[k]; !stays {
			removed[k] = v
		}
	}
	for k, v := range next {
		if old, ok := was[k]; !ok || !s.equal(old, v) {
			added[k] = v
		}
	}
	return removed, added
}

// Growth returns by how many entries each group would grow.
func (s *Section[K, V]) Growth(o Origin, removed, added map[K]V) map[string]int {
	by := make(map[string]int)
	was := s.said[o]
	for k := range removed {
		_, had := was[k]
		if _, again := added[k]; had && !again {
			by[s.group(k)]--
		}
	}
	for k := range added {
		if _, had := was[k]; !had {
			by[s.group(k)]++
		}
	}
	return by
}

// Edits reports whether Apply would change anything of what an origin has said.
func (s *Section[K, V]) Edits(o Origin, removed, added map[K]V) bool {
	was := s.said[o]
	for k := range removed {
		_, had := was[k]
		if _, again := added[k]; had && !again {
			return true
		}
	}
	for k, v := range added {
		if old, had := was[k]; !had || !s.equal(old, v) {
			return true
		}
	}
	return false
}

// Apply removes and adds entries of an origin, and returns what then counts otherwise
// than before, each thing once.
func (s *Section[K, V]) Apply(o Origin, removed, added map[K]V) []Change[K, V] {
	before := make(map[K]Said[V])
	for k := range removed {
		before[k] = s.Counts(k)
		s.remove(o, k)
	}
	for k, v := range added {
		if _, noted := before[k]; !noted {
			before[k] = s.Counts(k)
		}
		s.add(o, k, v)
	}
	if len(s.said[o]) == 0 {
		delete(s.said, o)
		s.order = slices.DeleteFunc(s.order, func(p Origin) bool { return p == o })
	}
	var changes []Change[K, V]
	for k, was := range before {
		if is := s.Counts(k); was.Origin != is.Origin || is.IsThere() && !s.equal(was.Value, is.Value) {
			changes = append(changes, Change[K, V]{k, was, is})
		}
	}
	return changes
}

func (s *Section[K, V]) remove(o Origin, k K) {
	if _, ok := s.said[o][k]; ok {
		delete(s.said[o], k)
		s.count(k, -1)
	}
}

func (s *Section[K, V]) add(o Origin, k K, v V) {
	of := s.said[o]
	if of == nil {
		of = make(map[K]V)
		s.said[o] = of
		s.order = slices.SortedFunc(maps.Keys(s.said), Origin.Compare)
	}
	if _, had := of[k]; !had {
		s.count(k, 1)
	}
	of[k] = v
}

func (s *Section[K, V]) count(k K, n int) {
	g := s.group(k)
	s.all += n
	if s.counts[g] += n; s.counts[g] == 0 {
		delete(s.counts, g)
	}
}
