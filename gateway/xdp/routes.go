package xdp

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"unsafe"

	"vxgw/l2/fdb"
	"vxgw/l2/frame"
)

// Route is where packets to an address go in a VRF, as it was decided for one of them.
type Route struct {
	VRF    uint16
	Addr   netip.Addr
	Domain fdb.Domain // that they go on in
	Via    netip.Addr // the next hop
	MAC    frame.MAC  // of the next hop
}

// routes is what was decided on routed destinations. An entry holds for as long as its
// generation is in force. Each may be in one of two places; one that leaves keeps its
// place empty for restFor seconds, as in stations.
type routes struct {
	// set once
	slots []fastRoute
	seed  [4]uint64

	mu    sync.Mutex // guards everything below
	state []uint8
	about []Route
	until []uint32 // of a place that rests, in seconds
}

// noRoute is the VRF of an empty place.
const noRoute = ^uint32(0)

func newRoutes(slots []fastRoute, seed [4]uint64) *routes {
	for i := range slots {
		slots[i].Vrf = noRoute
	}
	n := len(slots)
	return &routes{slots: slots, seed: seed, state: make([]uint8, n), about: make([]Route, n), until: make([]uint32, n)}
}

func vrfWord(vrf uint16, a netip.Addr) uint32 {
	if a.Is6() {
		return uint32(vrf) | 0x10000
	}
	return uint32(vrf)
}

// The multipliers of SplitMix64, whose every bit of output depends on every one of input.
const (
	mix1 = 0xbf58476d1ce4e5b9
	mix2 = 0x94d049bb133111eb
)

// places returns the two places that an address may have.
func (t *routes) places(vrf uint16, w [4]uint32, v6 bool) [2]uint32 {
	lo, hi := uint64(w[0])<<32, uint64(vrf)<<32
	if v6 {
		lo |= uint64(w[1])
		hi ^= uint64(w[2])<<24 ^ uint64(w[3])
	}
	lo = ((lo^t.seed[0])*t.seed[1] ^ (hi ^ t.seed[2])) * t.seed[3]
	// A host's own bits are in the upper ones alone. They have to be spread to all.
	lo = (lo ^ lo>>32) * mix1
	lo = (lo ^ lo>>29) * mix2
	h := uint32((lo >> 32) * uint64(len(t.slots)) >> 32)
	return [2]uint32{h, h ^ 1}
}

// to is MAC and domain in one word.
func (r *Route) to() uint64 { return uint64(r.Domain)<<48 | r.MAC.Uint64() }

// has reports whether an entry is there and in force.
func (t *routes) has(r *Route, gen uint32) bool {
	w, vrf := addrWords(r.Addr), vrfWord(r.VRF, r.Addr)
	for _, i := range t.places(r.VRF, w, r.Addr.Is6()) {
		s := &t.slots[i]
		if atomic.LoadUint32(&s.Vrf) == vrf && s.Addr == w {
			return atomic.LoadUint64(&s.To) == r.to() && atomic.LoadUint32(&s.Gen) == gen
		}
	}
	return false
}

// put adds or changes an entry, and reports false where there is no room.
func (t *routes) put(r *Route, gen uint32) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	places := t.places(r.VRF, addrWords(r.Addr), r.Addr.Is6())
	for _, i := range places {
		if t.state[i] == slotLive && t.about[i].VRF == r.VRF && t.about[i].Addr == r.Addr {
			// Void while it changes: neither half of it is of any use.
			atomic.StoreUint32(&t.slots[i].Gen, gen-1)
			atomic.StoreUint64(&t.slots[i].To, r.to())
			atomic.StoreUint32(&t.slots[i].Gen, gen)
			t.about[i] = *r
			return true
		}
	}
	for _, i := range places {
		if t.state[i] == slotFree {
			s := &t.slots[i]
			s.Addr, s.To, s.Gen, s.Seen = addrWords(r.Addr), r.to(), gen, tickNow()
			t.state[i], t.about[i] = slotLive, *r
			atomic.StoreUint32(&s.Vrf, vrfWord(r.VRF, r.Addr))
			return true
		}
	}
	return false
}

// tend calls f with what was used since about a second, and lets go of what was not for
// idleRoute ticks. now is in seconds.
func (t *routes) tend(now uint32, f func(*Route)) {
	const idleRoute = 60
	tick := tickNow()
	for i := range t.slots {
		t.mu.Lock()
		switch t.state[i] {
		case slotLive:
			r := t.about[i]
			idle := int32(tick - atomic.LoadUint32(&t.slots[i].Seen))
			if idle > idleRoute {
				atomic.StoreUint32(&t.slots[i].Vrf, noRoute)
				t.state[i], t.until[i] = slotResting, now+restFor
			}
			t.mu.Unlock()
			if idle <= 2 {
				f(&r)
			}
			continue
		case slotResting:
			if int32(now-t.until[i]) >= 0 {
				t.state[i] = slotFree
			}
		}
		t.mu.Unlock()
	}
}

// Generation returns what Routed is to be given by who decides after this call.
func (p *Plane) Generation() uint32 { return atomic.LoadUint32(&p.inForce.at[0].RouteGen) }

// Reroute makes everything void that was decided on routed destinations.
func (p *Plane) Reroute() { atomic.AddUint32(&p.inForce.at[0].RouteGen, 1) }

// Routed has packets to a destination go where one of them went. gen is what Generation
// returned before that was decided. It costs little when the programs know already.
func (p *Plane) Routed(r *Route, gen uint32) {
	if int(r.VRF) < p.sizes.VRFs && !p.routes.has(r, gen) {
		p.routes.put(r, gen)
	}
}

// TendRoutes calls f with every route that packets went by lately. It is to be called
// once a second.
func (p *Plane) TendRoutes(f func(*Route)) { p.routes.tend(uint32(monotonic()/1e9), f) }

// OwnWords is how many words a filter of own addresses has.
const OwnWords = 64

// setOwn sets the filters of the gateway's own addresses. Those that were there stay
// until widen is false: neither half of the tables may miss one.
func (p *Plane) setOwn(v *View, widen bool) {
	for i := range v.Own[:min(len(v.Own), p.sizes.VRFs)] {
		to := p.own.at[i*OwnWords:]
		for k, w := range v.Own[i] {
			if widen {
				w |= to[k]
			}
			atomic.StoreUint64((*uint64)(unsafe.Pointer(&to[k])), w)
		}
	}
}
