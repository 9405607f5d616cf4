package fabric

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"

	"vxgw/l2/frame"
	portmem "vxgw/l2/port/mem"
	underlay "vxgw/l3/underlay/mem"
)

// headerLen is the length of a VXLAN header in bytes (RFC 7348 section 5).
const headerLen = 8

// Header returns the VXLAN header of a VNI as RFC 7348 section 5 draws it: the
// I flag, the VNI, and every reserved bit zero.
func Header(vni uint32) []byte {
	b := binary.BigEndian.AppendUint32([]byte{0x08, 0, 0, 0}, vni<<8)
	return b[:headerLen]
}

// Send has a host send an untagged frame into a port, "gateway.interface", and
// returns where it came out. Before it is sent, the gateways on its way are
// asked to explain it, and afterwards held to what they said.
func (n *Net) Send(place string, f []byte) *Result {
	n.T.Helper()
	return n.SendFrame(place, portmem.Frame{Bytes: f})
}

// SendTagged is Send for a frame whose tag the kernel has taken out of it.
func (n *Net) SendTagged(place string, tag frame.Tag, f []byte) *Result {
	n.T.Helper()
	return n.SendFrame(place, portmem.Frame{Bytes: f, Tag: tag})
}

// SendFrame is Send for a frame as a packet socket delivers it.
func (n *Net) SendFrame(place string, f portmem.Frame) *Result {
	n.T.Helper()
	r := n.begin(f.Bytes)
	g, name := n.at(place)
	r.vni = g.vniOf(name)
	asked := n.askPort(g, name, r.vni, f)
	r.taken = g.put(name, f)
	r.end()
	if r.taken {
		asked.check(r)
	}
	return r
}

// Burst has a host send frames all at once. Nobody is asked to explain them.
func (n *Net) Burst(place string, frames ...[]byte) *Result {
	n.T.Helper()
	r := n.begin(nil)
	g, name := n.at(place)
	r.vni = g.vniOf(name)
	for _, f := range frames {
		r.taken = g.put(name, portmem.Frame{Bytes: f}) || r.taken
	}
	r.end()
	return r
}

// Times sends a frame n times and sums up where the copies came out.
func (n *Net) Times(times int, place string, f []byte) *Result {
	n.T.Helper()
	sum := n.begin(f)
	for range times {
		sum.add(n.Send(place, f))
	}
	return sum
}

// Inject has a VTEP, known or not, send a frame in a VNI to the gateway named
// to, and returns where it came out. from is a gateway's name or an address.
func (n *Net) Inject(from, to string, vni uint32, inner []byte) *Result {
	n.T.Helper()
	return n.InjectWire(from, to, underlay.Wire{Payload: append(Header(vni), inner...)})
}

// InjectBurst has a VTEP send frames all at once. Nobody is asked to explain them.
func (n *Net) InjectBurst(from, to string, vni uint32, frames ...[]byte) *Result {
	n.T.Helper()
	r := n.begin(nil)
	r.taken = true
	var wires []underlay.Wire
	for _, f := range frames {
		wires = append(wires, underlay.Wire{From: n.addr(from), To: n.addr(to), FromPort: 50000, Payload: append(Header(vni), f...)})
	}
	n.injecting.Store(int32(len(wires)))
	n.Fabric.Inject(wires...)
	r.end()
	return r
}

// InjectWire is Inject for any UDP payload and outer header. The addresses of w
// are filled in.
func (n *Net) InjectWire(from, to string, w underlay.Wire) *Result {
	n.T.Helper()
	w.From, w.To = n.addr(from), n.addr(to)
	if w.FromPort == 0 {
		w.FromPort = 50000
	}
	r := n.begin(w.Payload[min(headerLen, len(w.Payload)):])
	r.taken = true
	asked := n.askVTEP(n.Gateway(to), w)
	n.injecting.Store(1)
	n.Fabric.Inject(w)
	r.end()
	asked.check(r)
	return r
}

// InjectGroup is Inject to a multicast group: every gateway that has joined it
// gets the frame. Nobody is asked to explain it.
func (n *Net) InjectGroup(from, group string, vni uint32, inner []byte) *Result {
	n.T.Helper()
	w := underlay.Wire{From: n.addr(from), To: n.addr(group), FromPort: 50000, Payload: append(Header(vni), inner...)}
	r := n.begin(inner)
	r.taken = true
	n.injecting.Store(1)
	n.Fabric.Inject(w)
	r.end()
	return r
}

// at splits a place into its gateway and its port.
func (n *Net) at(place string) (*Gateway, string) {
	n.T.Helper()
	gw, name, ok := strings.Cut(place, ".")
	if !ok {
		n.T.Fatalf("%q is no place: write gateway.interface", place)
	}
	return n.Gateway(gw), name
}

// addr is the inverse of name.
func (n *Net) addr(s string) netip.Addr {
	for a, name := range n.byAddr {
		if name == s {
			return a
		}
	}
	return netip.MustParseAddr(s)
}

func (g *Gateway) vniOf(name string) uint32 {
	for _, p := range g.Config.Ports {
		if p.Interface == name {
			return p.VNI
		}
	}
	return 0
}

// put hands a port a frame, and reports whether the port took it.
func (g *Gateway) put(name string, f portmem.Frame) bool {
	h := g.Cable(name)
	if h == nil || !h.Send(f) {
		return false
	}
	if f.Offload.GSO != frame.GSONone {
		g.net.mu.Lock()
		g.net.long[wholeKey(f.Bytes)] = true
		g.net.mu.Unlock()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sent[name]++
	return true
}

// drain takes what has come out of a gateway's ports since the last time.
func (g *Gateway) drain(got func(name string, f portmem.Frame)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for name, cables := range g.cables {
		for _, h := range cables {
			for _, f := range h.Drain() {
				t := g.net.carried(f)
				g.got[name] += t.packets
				g.bytes[name] += t.bytes
				f.Bytes = bytes.Clone(f.Bytes)
				got(name, f)
			}
		}
	}
}
