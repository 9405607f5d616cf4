package tables

import "fmt"

// slots numbers things from zero up to a bound. A number that is given back is
// handed out again only after every other free one: a worker may still hold a
// snapshot, and the FDB a last entry, of the thing that had it before.
type slots[K comparable] struct {
	bound int
	ids   map[K]int
	next  int   // the first number never handed out
	free  []int // given back, oldest first
}

func newSlots[K comparable](bound int) slots[K] {
	return slots[K]{bound: bound, ids: make(map[K]int)}
}

func (s *slots[K]) find(k K) (int, bool) {
	id, ok := s.ids[k]
	return id, ok
}

// missing is how many numbers k needs: 1 when it has none yet.
func (s *slots[K]) missing(k K) int {
	if _, ok := s.ids[k]; ok {
		return 0
	}
	return 1
}

// left is how many numbers there are to give out.
func (s *slots[K]) left() int { return s.bound - len(s.ids) }

// get returns k's number, and whether it is a new one. ok is false when there
// is no number left.
func (s *slots[K]) get(k K) (id int, fresh, ok bool) {
	if id, ok := s.ids[k]; ok {
		return id, false, true
	}
	switch {
	case s.next < s.bound:
		id = s.next
		s.next++
	case len(s.free) > 0:
		id, s.free = s.free[0], s.free[1:]
	default:
		return 0, false, false
	}
	s.ids[k] = id
	return id, true, true
}

func (s *slots[K]) drop(k K) {
	if id, ok := s.ids[k]; ok {
		delete(s.ids, k)
		s.free = append(s.free, id)
	}
}

// full says which bound was met, for an operator.
func full(what string, bound int) error {
	return fmt.Errorf("more than %d %s: that is as many as one gateway carries", bound, what)
}
