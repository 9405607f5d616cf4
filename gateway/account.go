package gateway

import "vxgw/gateway/forward"

// Account is what became of the frames of one direction since the start. Every
// frame that was read met exactly one verdict: it was sent to one port, sent to
// one VTEP, flooded, answered for a neighbour, given to the L3 side, kept as the
// gateway's own, or dropped. Those of direction route are the frames that the other
// two gave to the L3 side; one that waits for its neighbour was Held, and meets a
// second verdict as one that was Released. Own is packets that the gateway itself sent
// by its routes.
type Account struct {
	Direction forward.Direction

	ToPort, ToVTEP, Flooded, Suppressed, Drop uint64
	Routed, Local, Held, Released, Own        uint64

	// Dropped is Drop by reason. Lost is by reason too: copies that a verdict
	// sent and an edge did not take, and frames that were lost or refused before
	// they could be read, which met no verdict.
	Dropped, Lost map[forward.Reason]uint64

	// Answered is how many frames were answered with an ICMP error.
	Answered uint64
}

// Frames is how many frames were read.
func (a *Account) Frames() uint64 {
	return a.ToPort + a.ToVTEP + a.Flooded + a.Suppressed + a.Drop + a.Routed + a.Local + a.Held - a.Released - a.Own
}

// Accounts returns the account of every direction. Its numbers agree with each
// other once nothing is under way.
func (g *Gateway) Accounts() []Account {
	g.pollEdges()
	l := &g.ledger
	accounts := make([]Account, forward.NumDirections)
	for d := range forward.NumDirections {
		v := &l.verdicts[d]
		a := Account{
			Direction: d,
			ToPort:    v[forward.ToPort].Load(), ToVTEP: v[forward.ToVTEP].Load(),
			Flooded: v[forward.Flood].Load(), Suppressed: v[forward.Answer].Load(), Drop: v[forward.Drop].Load(),
			Dropped: make(map[forward.Reason]uint64), Lost: make(map[forward.Reason]uint64),
			Routed: v[forward.ToRouter].Load(), Local: v[forward.Local].Load(), Held: v[forward.Hold].Load(),
			Answered: l.answered[d].Load(),
		}
		if d == forward.Route {
			a.Released, a.Own = l.released.Load(), l.own.Load()
		}
		for r := range forward.NumReasons {
			if n := l.dropped[d][r].Load(); n > 0 {
				a.Dropped[r] = n
			}
			if n := l.lost[d][r].Load(); n > 0 {
				a.Lost[r] = n
			}
		}
		accounts[d] = a
	}
	return accounts
}
