package gateway

import (
	"vxgw/gateway/counters"
	"vxgw/gateway/forward"
	"vxgw/gateway/xdp"
)

// fastCounts is what of the programs' counts is in the gateway's already.
type fastCounts struct {
	ports, vteps, domains, vrfs []xdp.Traffic
	verdicts                    xdp.Verdicts
	lost                        map[int]uint64 // by interface
}

// collect adds what the programs counted since it was last called.
func (f *fast) collect() {
	if !f.is() {
		return
	}
	f.counting.Lock()
	defer f.counting.Unlock()
	s, now, c := f.gw.tables.Snapshot(), f.gw.edges.Clock(), &f.counts
	is := f.plane.Traffic()
	add(&c.ports, is.Ports, len(s.Ports), func(i int) *counters.Traffic { return s.Ports[i].Traffic }, now)
	add(&c.vteps, is.VTEPs, len(s.VTEPs), func(i int) *counters.Traffic { return s.VTEPs[i].Traffic }, now)
	add(&c.domains, is.Domains, len(s.Domains), func(i int) *counters.Traffic { return s.Domains[i].Traffic }, now)
	add(&c.vrfs, is.VRFs, len(s.VRFs), func(i int) *counters.Traffic { return s.VRFs[i].Traffic }, now)
	f.addVerdicts(f.plane.Verdicts())
	f.addLost()
}

// add adds what is new of one kind of counters to those that they belong to. There are
// n of these; what has none any more is let go of.
func add(was *[]xdp.Traffic, is []xdp.Traffic, n int, to func(int) *counters.Traffic, now uint32) {
	if *was == nil {
		*was = make([]xdp.Traffic, len(is))
	}
	for i := range is {
		d := is[i].Minus((*was)[i])
		if d == (xdp.Traffic{}) {
			continue
		}
		(*was)[i] = is[i]
		if i >= n {
			continue
		}
		if t := to(i); t != nil {
			rx := counters.Tally{Packets: d.RxPackets, Bytes: d.RxBytes}
			rx.Rx(t, now)
			tx := counters.Tally{Packets: d.TxPackets, Bytes: d.TxBytes}
			tx.Tx(t)
		}
	}
}

// addLost adds what was sent and not taken: it was not sent, whatever was counted.
func (f *fast) addLost() {
	if f.counts.lost == nil {
		f.counts.lost = make(map[int]uint64)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for index, l := range f.links {
		is := f.plane.Lost(index)
		d := forward.Access
		if l.role == xdp.FacesUnderlay {
			d = forward.Overlay
		}
		f.gw.ledger.lost[d][forward.TxFailed].Add(is - f.counts.lost[index])
		f.counts.lost[index] = is
	}
}

func (f *fast) addVerdicts(is xdp.Verdicts) {
	was, l := &f.counts.verdicts, &f.gw.ledger
	for d := range forward.NumDirections {
		for k := range forward.NumKinds {
			l.verdicts[d][k].Add(is.Kinds[d][k] - was.Kinds[d][k])
		}
		for r := range forward.NumReasons {
			l.dropped[d][r].Add(is.Dropped[d][r] - was.Dropped[d][r])
		}
	}
	*was = is
}
