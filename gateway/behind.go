package gateway

import (
	"iter"
	"math/bits"
	"sync"
	"time"

	"vxgw/gateway/forward"
	"vxgw/l2/fdb"
)

// behindWorth is for how many times as long as a walk through the FDB took its
// outcome is good enough: whoever asks, and however often, walking takes no more
// than a twentieth of one CPU. With few MACs that is as good as at once.
const behindWorth = 20

// behind says which VTEPs MACs stand behind: bit n of a domain's words is VTEP n.
type behind [][]uint64

// vteps yields the VTEPs that MACs of a domain stand behind.
func (b behind) vteps(d fdb.Domain) iter.Seq[forward.VTEPID] {
	return func(yield func(forward.VTEPID) bool) {
		if int(d) >= len(b) {
			return
		}
		for i, word := range b[d] {
			for ; word != 0; word &= word - 1 {
				if !yield(forward.VTEPID(i*64 + bits.TrailingZeros64(word))) {
					return
				}
			}
		}
	}
}

func (b *behind) add(d fdb.Domain, v forward.VTEPID) {
	for int(d) >= len(*b) {
		*b = append(*b, nil)
	}
	words := (*b)[d]
	for int(v)/64 >= len(words) {
		words = append(words, 0)
	}
	words[v/64] |= 1 << (v % 64)
	(*b)[d] = words
}

// walks keeps the outcome of the last walk.
type walks struct {
	mu   sync.Mutex // guards last and good
	last behind
	good time.Time // until when
}

// behind walks through the FDB, which may have a million entries, unless it just
// has. What it returns is read only.
func (g *Gateway) behind() behind {
	w := &g.walks
	w.mu.Lock()
	defer w.mu.Unlock()
	began := time.Now()
	if began.Before(w.good) {
		return w.last
	}
	var found behind
	for e := range g.tables.FDB().All() {
		if _, isPort := forward.HopPort(e.Hop); !isPort {
			found.add(e.Domain, forward.HopVTEP(e.Hop))
		}
	}
	w.last, w.good = found, time.Now().Add(behindWorth*time.Since(began))
	return found
}
