package fabric

import (
	"bytes"
	"encoding/binary"
	"net/netip"

	"vxgw/gateway"
	"vxgw/gateway/forward"
	"vxgw/l2/frame"
	portmem "vxgw/l2/port/mem"
	underlay "vxgw/l3/underlay/mem"
)

// wireCount counts what gateways put on the wire, apart from what the gateways
// themselves count. Packets and bytes of inner frames.
type wireCount struct {
	byVTEP map[hop]traffic
	byVNI  map[vniOf]traffic
}

type (
	hop   struct{ from, to netip.Addr }
	vniOf struct {
		from netip.Addr
		vni  uint32
	}
	traffic struct{ packets, bytes uint64 }
)

// maxSegment is more than a segment measures in any test, in bytes.
const maxSegment = 2000

// carried returns what a frame that came out of a port stands for: itself, if it
// went into a gateway as it is, or else the segments that a gateway has joined.
func (n *Net) carried(f portmem.Frame) traffic {
	n.mu.Lock()
	whole := n.long[wholeKey(f.Bytes)]
	n.mu.Unlock()
	if f.Offload.GSO == frame.GSONone || whole {
		return traffic{1, uint64(len(f.Bytes))}
	}
	l4 := int(f.Offload.ChecksumStart)
	headers := uint64(l4 + int(f.Bytes[l4+12]>>4)*4)
	size := uint64(f.Offload.SegmentSize)
	payload := uint64(len(f.Bytes)) - headers
	k := (payload + size - 1) / size
	return traffic{k, payload + k*headers}
}

// wholeKey tells super-frames apart that went into a gateway, however they come out:
// it leaves out what routing changes.
func wholeKey(f []byte) string {
	b := bytes.Clone(f)
	if len(b) < 14+20 {
		return string(b)
	}
	clear(b[:12])
	switch frame.Frame(f).Type() {
	case frame.TypeIPv4:
		b[14+8], b[14+10], b[14+11] = 0, 0, 0
	case frame.TypeIPv6:
		b[14+7] = 0
	}
	return string(b)
}

func newWireCount() wireCount {
	return wireCount{byVTEP: make(map[hop]traffic), byVNI: make(map[vniOf]traffic)}
}

func (c *wireCount) add(w underlay.Wire) {
	if len(w.Payload) < headerLen {
		return
	}
	size := uint64(len(w.Payload) - headerLen)
	h := hop{w.From, w.To}
	c.byVTEP[h] = traffic{c.byVTEP[h].packets + 1, c.byVTEP[h].bytes + size}
	v := vniOf{w.From, binary.BigEndian.Uint32(w.Payload[4:]) >> 8}
	c.byVNI[v] = traffic{c.byVNI[v].packets + 1, c.byVNI[v].bytes + size}
}

// CheckAccounts checks that nothing that went into a gateway is unaccounted
// for: per direction, frames read = verdicts, verdicts of kind drop = their
// reasons, and what each port, VTEP and VNI counts = what came out there.
func (n *Net) CheckAccounts() {
	n.T.Helper()
	n.Settle()
	for _, g := range n.gateways {
		g.drain(func(string, portmem.Frame) {})
		accounts := g.Accounts()
		n.checkVerdicts(g, accounts)
		n.checkDropRows(g, accounts)
		n.checkPorts(g)
		n.checkVTEPs(g)
	}
}

func (n *Net) checkVerdicts(g *Gateway, accounts []gateway.Account) {
	n.T.Helper()
	read := map[forward.Direction]uint64{forward.Overlay: g.datagrams.Load() - accounts[forward.Overlay].Lost[forward.RxOverflow]}
	g.mu.Lock()
	for _, k := range g.sent {
		read[forward.Access] += k
	}
	g.mu.Unlock()
	for _, d := range []forward.Direction{forward.Access, forward.Overlay} {
		read[forward.Route] += accounts[d].Routed
	}
	for _, a := range accounts {
		if a.Frames() != read[a.Direction] {
			n.T.Errorf("%s read %d frames (%s) and counts %d verdicts: %+v", g.Name(), read[a.Direction], a.Direction, a.Frames(), a)
		}
		if sum(a.Dropped) != a.Drop {
			n.T.Errorf("%s dropped %d frames (%s), by reason %d: %v", g.Name(), a.Drop, a.Direction, sum(a.Dropped), a.Dropped)
		}
	}
}

// checkDropRows checks that what operators see is that account, with a row for
// every reason that has occurred.
func (n *Net) checkDropRows(g *Gateway, accounts []gateway.Account) {
	n.T.Helper()
	rows := make(map[string]uint64)
	for _, r := range g.Drops() {
		rows[r.Direction+" "+r.Reason] = r.Count
	}
	for _, a := range accounts {
		for r := range forward.NumReasons {
			key := a.Direction.String() + " " + r.String()
			if want := a.Dropped[r] + a.Lost[r]; rows[key] != want {
				n.T.Errorf("%s shows %d for %s, want %d", g.Name(), rows[key], key, want)
			}
		}
	}
}

func (n *Net) checkPorts(g *Gateway) {
	n.T.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.Ports() {
		i := p.Interface
		if p.RxPackets != g.sent[i] || p.TxPackets != g.got[i] || p.TxBytes != g.bytes[i] {
			n.T.Errorf("%s.%s counts %d in, %d out (%d bytes); the host sent %d and got %d (%d bytes)",
				g.Name(), i, p.RxPackets, p.TxPackets, p.TxBytes, g.sent[i], g.got[i], g.bytes[i])
		}
	}
}

func (n *Net) checkVTEPs(g *Gateway) {
	n.T.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	total := make(map[netip.Addr]traffic)
	for h, t := range n.count.byVTEP {
		if h.from == g.Addr() {
			total[h.to] = t
		}
	}
	for _, v := range g.VTEPs() {
		a := netip.MustParseAddr(v.Address)
		if got := (traffic{v.TxPackets, v.TxBytes}); got != total[a] {
			n.T.Errorf("%s counts %v sent to %s, the wire %v", g.Name(), got, n.name(a), total[a])
		}
		delete(total, a)
	}
	for a, t := range total {
		n.T.Errorf("%s sent %v to %s, which it does not list", g.Name(), t, n.name(a))
	}
	for _, v := range g.VNIs() {
		if got, want := (traffic{v.TxPackets, v.TxBytes}), n.count.byVNI[vniOf{g.Addr(), v.VNI}]; got != want {
			n.T.Errorf("%s counts %v sent in VNI %d, the wire %v", g.Name(), got, v.VNI, want)
		}
	}
}
