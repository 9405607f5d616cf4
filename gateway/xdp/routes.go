package xdp

import (
	"net/netip"
	"sync/atomic"

	"vxgw/l2/fdb"
	"vxgw/l2/frame"
)

// routes is what was decided on routed destinations.
type routes struct {
	slots []fastRoute
	seed  [4]uint64
}

func newRoutes(slots []fastRoute, seed [4]uint64) *routes {
	for i := range slots {
		slots[i].Vrf = ^uint32(0)
	}
	return &routes{slots, seed}
}

// Route is where packets to an address go in a VRF.
type Route struct {
	VRF    uint16
	Addr   netip.Addr
	Domain fdb.Domain // that they go on in
	MAC    frame.MAC  // of the next hop
}

func vrfWord(vrf uint16, a netip.Addr) uint32 {
	if a.Is6() {
		return uint32(vrf) | 0x10000
	}
	return uint32(vrf)
}

// places returns the two places that an address may have.
func (t *routes) places(vrf uint16, a netip.Addr) [2]uint32 {
	w := addrWords(a)
	lo, hi := uint64(w[0])<<32, uint64(vrf)<<32
	if a.Is6() {
		lo |= uint64(w[1])
		hi ^= uint64(w[2])<<24 ^ uint64(w[3])
	}
	h := uint32(((lo^t.seed[0])*t.seed[1] ^ (hi ^ t.seed[2])) * t.seed[3] >> 32)
	mask := uint32(len(t.slots) - 1)
	return [2]uint32{h & mask, (h ^ 1) & mask}
}

// Generation returns what AddRoute is to be given by who has decided after this call.
func (p *Plane) Generation() uint32 { return atomic.LoadUint32(&p.inForce.at[0].RouteGen) }
