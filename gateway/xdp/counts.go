package xdp

// Traffic is frames and bytes of one port, VTEP, domain or VRF, in all.
type Traffic struct {
	RxPackets, RxBytes uint64
	TxPackets, TxBytes uint64
}

// Minus returns what t has more than u.
func (t Traffic) Minus(u Traffic) Traffic {
	return Traffic{t.RxPackets - u.RxPackets, t.RxBytes - u.RxBytes, t.TxPackets - u.TxPackets, t.TxBytes - u.TxBytes}
}

// AllTraffic is the traffic of everything, by number.
type AllTraffic struct{ Ports, VTEPs, Domains, VRFs []Traffic }

// Traffic returns what the programs have carried. A frame that is being carried may be
// in part of it.
func (p *Plane) Traffic() AllTraffic {
	s := &p.sizes
	return AllTraffic{
		Ports: p.sum(0, s.Ports), VTEPs: p.sum(1, s.VTEPs), Domains: p.sum(2, s.Domains), VRFs: p.sum(3, s.VRFs),
	}
}

// sum adds up what each CPU has counted of n things of a kind.
func (p *Plane) sum(kind, n int) []Traffic {
	all := make([]Traffic, n)
	for cpu := range p.cpus {
		of := p.traffics.at[uint32(cpu)*p.perCPU+p.base[kind]:]
		for i := range all {
			t, c := &all[i], &of[i]
			t.RxPackets += c.RxPackets
			t.RxBytes += c.RxBytes
			t.TxPackets += c.TxPackets
			t.TxBytes += c.TxBytes
		}
	}
	return all
}

// Verdicts is what became of the frames that were not handed up, by direction and then
// by kind and by reason, as package forward numbers them.
type Verdicts struct {
	Kinds   [3][16]uint64
	Dropped [3][64]uint64
}

// Verdicts returns what the programs have decided.
func (p *Plane) Verdicts() (all Verdicts) {
	for i := range p.verdicts.at {
		v := &p.verdicts.at[i]
		for d := range v.Kinds {
			for k, n := range v.Kinds[d] {
				all.Kinds[d][k] += n
			}
			for r, n := range v.Dropped[d] {
				all.Dropped[d][r] += n
			}
		}
	}
	return all
}

// Load is how many frames came in by an interface, not to the last one: to XDP, where
// the variant is Veth, of those a sender's on this machine, with a socket buffer, where
// there is a Tap, and of those with a checksum or segments left undone.
type Load struct{ XDP, Local, Buffers, Undone uint64 }

// Load returns the load of an interface; of interface 0 the Buffers of all.
func (p *Plane) Load(index int) Load {
	l := &p.loads.at[index%maxLinks]
	return Load{l.Xdp, l.Local, l.Skbs, l.Undone}
}
