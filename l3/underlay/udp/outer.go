package udp

import (
	"net/netip"

	"vxgw/l2/frame"
	"vxgw/l3/ip"
	"vxgw/l3/underlay"
)

// Outer writes outer headers for people to look at: those of packets that a VTEP has
// sent, as they left, and of packets that came in, as far as they are still known.
// Methods are for one goroutine.
type Outer struct {
	cfg   Config
	out   headers
	links links // IPv4 IDs of its own
}

// NewOuter returns an Outer for the packets of a VTEP.
func NewOuter(cfg Config) *Outer { return &Outer{cfg: cfg, out: newHeaders(&cfg)} }

// nowhere is the hop of what the host's stack sends: its MACs are not known.
var nowhere = &underlay.Hop{}

// AppendSent appends Ethernet, IP and UDP header of d, which had n bytes of payload, to
// b. The IPv4 ID of a packet that may be fragmented is not the one it left with, and
// where d has no Hop the MACs are zero. d may have the beginning of the payload alone;
// a UDP checksum is then left out.
func (o *Outer) AppendSent(b []byte, d *underlay.Datagram, n int) []byte {
	h := o.out
	h.checksum = h.checksum && n == len(d.Head)+len(d.Body)
	return o.append(b, &h, d, n)
}

// AppendReceived appends the headers of a packet from a VTEP with n bytes of payload:
// d has its source port, TOS and payload, and to the group it was sent to, where it was
// sent to one. MACs are zero; TTL, ID and DF are those that this VTEP sends with.
func (o *Outer) AppendReceived(b []byte, from, group netip.Addr, d *underlay.Datagram, n int) []byte {
	cfg := o.cfg
	if from.Is6() != cfg.Address.Is6() {
		from = cfg.Address
	}
	to := cfg.Address
	if group.IsValid() {
		to = group
	}
	cfg.Address = from
	h := newHeaders(&cfg)
	h.checksum = h.checksum && n == len(d.Head)+len(d.Body)
	sent := *d
	sent.To = to
	return o.append(b, &h, &sent, n)
}

func (o *Outer) append(b []byte, h *headers, d *underlay.Datagram, n int) []byte {
	is := *d
	if is.Via == nil {
		is.Via = nowhere
	}
	if is.To.Is6() != h.v6 || !is.To.IsValid() {
		return b // there is no such packet
	}
	var sum uint16
	if h.checksum {
		sum = ip.Concat(ip.Sum(is.Head, 0), len(is.Head), ip.Sum(is.Body, 0))
	}
	var mem [linkHeaderLen]byte
	h.writeFrame(&mem, &is, n, sum, &o.links)
	return append(b, mem[:frame.HeaderLen+h.length]...)
}
