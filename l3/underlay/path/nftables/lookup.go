package nftables

import (
	"bytes"

	"golang.org/x/sys/unix"
)

// setConcat is NFT_SET_CONCAT: keys have several fields, of which each is a range.
const setConcat = 0x80

// lookup looks for a register's value in a set, or in a map, whose value it takes.
func (m *machine) lookup(c *chain, f fields) (truth, verdict) {
	s := m.rules.sets[chainKey{c.family, c.table, f.text(unix.NFTA_LOOKUP_SET)}]
	dest, isMap := f[unix.NFTA_LOOKUP_DREG]
	if s == nil {
		return maybe, m.anything(isMap && len(dest) > 0, f)
	}
	e, is := s.find(m.load(f.number(unix.NFTA_LOOKUP_SREG), s.keyLen()))
	switch {
	case f.number(unix.NFTA_LOOKUP_FLAGS)&unix.NFT_LOOKUP_F_INV != 0:
		return is.not(), goOn
	case !isMap || is == no:
		return is, goOn
	case is == maybe:
		return maybe, m.anything(true, f)
	case e.isVerdict:
		return yes, e.verdict
	}
	m.store(f.number(unix.NFTA_LOOKUP_DREG), known(e.value))
	return yes, goOn
}

// anything is what a map gives of which the element is not known: a verdict that may
// accept the packet, or a value.
func (m *machine) anything(isMap bool, f fields) verdict {
	if !isMap {
		return goOn
	}
	if register := f.number(unix.NFTA_LOOKUP_DREG); register != unix.NFT_REG_VERDICT {
		m.store(register, unknown(16))
		return goOn
	}
	return verdict{code: verdictQueue}
}

func (s *set) keyLen() int {
	if len(s.elements) == 0 {
		return 0
	}
	return min(len(s.elements[0].key), registerBytes)
}

// find finds the element that a value is or falls into.
func (s *set) find(v partial) (e element, is truth) {
	switch {
	case len(s.elements) == 0:
		return element{}, no
	case s.flags&setConcat != 0 && s.flags&unix.NFT_SET_INTERVAL != 0:
		return element{}, maybe
	case s.flags&unix.NFT_SET_INTERVAL == 0:
		return s.exact(v)
	case !v.isKnown():
		return element{}, maybe
	}
	return s.interval(v.b)
}

func (s *set) exact(v partial) (e element, is truth) {
	for _, e := range s.elements {
		switch equal(v, e.key) {
		case yes:
			return e, yes
		case maybe:
			is = maybe
		}
	}
	return element{}, is
}

// interval looks for the last key that is not beyond the value. An interval ends before
// the key that is marked so; the last one may have no end.
func (s *set) interval(b []byte) (e element, is truth) {
	for _, i := range s.elements {
		if bytes.Compare(i.key, b) > 0 {
			break
		}
		// Where one interval ends and the next begins, both keys are there.
		if order := bytes.Compare(i.key, e.key); e.key == nil || order > 0 || !i.isEnd {
			e = i
		}
	}
	switch {
	case e.key == nil || e.isEnd:
		return element{}, no
	case e.end != nil && bytes.Compare(b, e.end) > 0:
		return element{}, no
	}
	return e, yes
}
