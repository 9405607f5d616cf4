package gateway

import (
	"sync/atomic"

	"vxgw/gateway/capture"
	"vxgw/gateway/forward"
	"vxgw/l2/fdb"
)

// ledger is what the gateway counts of frames that went nowhere. For every
// direction: frames in = verdicts of every kind, and dropped is the verdicts of
// kind Drop by reason. lost is copies that a verdict sent and an edge refused.
type ledger struct {
	verdicts [forward.NumDirections][forward.NumKinds]atomic.Uint64
	dropped  [forward.NumDirections][forward.NumReasons]atomic.Uint64
	lost     [forward.NumDirections][forward.NumReasons]atomic.Uint64
	answered [forward.NumDirections]atomic.Uint64
	refused  [numRefusals]atomic.Uint64
	released atomic.Uint64 // packets that waited for a neighbour and were then routed once more
	own      atomic.Uint64 // packets of the gateway's own that were routed
}

// total returns all frames and copies dropped for a reason.
func (l *ledger) total(d forward.Direction, r forward.Reason) uint64 {
	return l.dropped[d][r].Load() + l.lost[d][r].Load()
}

// refusal is why a MAC, or the IP address of a neighbour, was not learned.
type refusal uint8

const (
	tableFull refusal = iota
	vniLimit
	portLimit
	vtepLimit
	neighbourLimit
	duplicateMAC
	numRefusals
)

func (r refusal) String() string {
	return [...]string{"table_full", "vni_limit", "port_limit", "vtep_limit", "neighbour_limit", "duplicate"}[r]
}

// batchTally is one worker's share of the ledger for one batch: plain memory,
// added to the ledger when the batch is done. Whatever is dropped its witness hears of.
type batchTally struct {
	// set once
	direction forward.Direction
	witness   *capture.Witness

	verdicts [forward.NumKinds]uint32
	dropped  [forward.NumReasons]uint32
	lost     [forward.NumReasons]uint32
	answered uint32
	refused  [numRefusals]uint32
	anyLoss  bool // something in dropped, lost, answered or refused
}

func (t *batchTally) verdict(v forward.Verdict) {
	t.verdicts[v.Kind]++
	if v.Kind == forward.Drop {
		t.dropped[v.Reason]++
		t.anyLoss = true
		t.witness.Dropped(t.direction, v.Reason, false)
	}
}

// drop counts a frame dropped before a verdict could be asked for.
func (t *batchTally) drop(r forward.Reason) {
	t.verdicts[forward.Drop]++
	t.dropped[r]++
	t.anyLoss = true
	t.witness.Dropped(t.direction, r, false)
}

// lose counts a copy of the frame at hand that an edge refused.
func (t *batchTally) lose(r forward.Reason) {
	t.loseAll(r, 1)
	t.witness.Dropped(t.direction, r, true)
}

// loseAll counts n copies of which the witness hears otherwise.
func (t *batchTally) loseAll(r forward.Reason, n int) {
	t.lost[r] += uint32(n)
	t.anyLoss = true
}

func (t *batchTally) answer() {
	t.answered++
	t.anyLoss = true
}

// learned counts what stood in the way of learning a MAC.
func (t *batchTally) learned(o fdb.Outcome, fromVTEP bool) {
	switch o {
	case fdb.TableFull:
		t.refuse(tableFull)
	case fdb.DomainFull:
		t.refuse(vniLimit)
	case fdb.Duplicate:
		t.refuse(duplicateMAC)
	case fdb.HopFull:
		if fromVTEP {
			t.refuse(vtepLimit)
		} else {
			t.refuse(portLimit)
		}
	}
}

func (t *batchTally) refuse(r refusal) {
	t.refused[r]++
	t.anyLoss = true
}

// settle adds the batch to the ledger and starts again at zero.
func (t *batchTally) settle(l *ledger) {
	d := t.direction
	for k, n := range t.verdicts {
		if n > 0 {
			l.verdicts[d][k].Add(uint64(n))
		}
	}
	if t.anyLoss {
		for r := range t.dropped {
			if n := t.dropped[r]; n > 0 {
				l.dropped[d][r].Add(uint64(n))
			}
			if n := t.lost[r]; n > 0 {
				l.lost[d][r].Add(uint64(n))
			}
		}
		for r, n := range t.refused {
			if n > 0 {
				l.refused[r].Add(uint64(n))
			}
		}
		l.answered[d].Add(uint64(t.answered))
	}
	*t = batchTally{direction: t.direction, witness: t.witness}
}
