package udp

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"vxgw/l2/frame"
	"vxgw/l3/ip"
	"vxgw/l3/underlay"
	"vxgw/l3/vxlan"
)

// FrameReader is a queue of frames that come in by an interface: those that are
// VXLAN for this VTEP, and that nobody else on this host takes. Its methods are as
// port.Port has them.
type FrameReader interface {
	ReadBatch(bufs []frame.Buffer) (int, error)
	Wake()
	Overflows() (uint64, error)
}

// wire reads VXLAN packets as the frames that they come in, past the host's IP
// stack, and holds them to what the stack would have.
type wire struct {
	// Set once.
	rx      FrameReader
	cfg     *Config
	index   int // of the interface
	refused *refusedByWire

	// The reader's own.
	bufs []frame.Buffer
	left []frame.Buffer // of bufs: read, and not handed out yet

	// Of a super-frame of datagrams, those that were not handed out yet.
	more  []byte
	size  int             // of each but the last
	proto underlay.Packet // what all of them are
}

// refusedByWire counts what wires refuse.
type refusedByWire struct{ checksum, malformed atomic.Uint64 }

var _ underlay.Reader = (*wire)(nil)

func newWire(cfg *Config, index int, rx FrameReader, refused *refusedByWire) *wire {
	return &wire{rx: rx, cfg: cfg, index: index, refused: refused, bufs: frame.NewBuffers(underlay.BatchSize, frame.MaxLen)}
}

// ReadBatch is as underlay.Reader has it. The packets' memory is the interface's.
func (w *wire) ReadBatch(pkts []underlay.Packet) (int, error) {
	for len(pkts) > 0 {
		if n := w.fill(pkts); n > 0 {
			return n, nil
		}
		n, err := w.rx.ReadBatch(w.bufs)
		switch {
		case errors.Is(err, unix.ENETDOWN):
			continue // the next one waits for it to come up
		case errors.Is(err, unix.ENODEV):
			return 0, net.ErrClosed
		case err != nil:
			return 0, err
		}
		w.left = w.bufs[:n]
	}
	return 0, nil
}

// Wake is as underlay.Reader has it.
func (w *wire) Wake() { w.rx.Wake() }

// Close does nothing: a wire ends with its link.
func (w *wire) Close() error { return nil }

// fill makes packets of what is left, and returns how many.
func (w *wire) fill(pkts []underlay.Packet) (n int) {
	for n < len(pkts) {
		switch {
		case len(w.more) > 0:
			w.segment(&pkts[n])
			n++
		case len(w.left) > 0:
			if w.packet(&pkts[n], &w.left[0]) {
				n++
			}
			w.left = w.left[1:]
		default:
			return n
		}
	}
	return n
}

// packet makes a packet of one frame, and reports false when there is none to be
// handed out: it is not as it should be, or is many. What comes in by a wire has
// neither IPv4 options nor IPv6 extension headers.
func (w *wire) packet(p *underlay.Packet, b *frame.Buffer) bool {
	if b.Truncated || b.Len < frame.HeaderLen {
		return w.lies()
	}
	f, l4, pseudo := b.Bytes()[frame.HeaderLen:], 0, uint16(0)
	if w.cfg.Address.Is4() {
		h, ok := ip.ParseIPv4(f)
		if !ok || h.HeaderLen() != ip.IPv4HeaderLen || !h.ChecksumOK() || h.IsFragment() || h.Protocol() != ip.ProtoUDP {
			return w.lies()
		}
		f, l4, pseudo = h, ip.IPv4HeaderLen, h.PseudoSum(ip.ProtoUDP, 0)
		p.From, p.TOS = h.Src(), h.TOS()
	} else {
		h, ok := ip.ParseIPv6(f)
		if !ok || h.NextHeader() != ip.ProtoUDP {
			return w.lies()
		}
		f, l4, pseudo = h, ip.IPv6HeaderLen, h.PseudoSum(ip.ProtoUDP, 0)
		p.From, p.TOS = h.Src(), h.TrafficClass()
	}
	u, ok := w.udp(f[l4:])
	if !ok || !isHost(p.From) || p.From == w.cfg.Address {
		return w.lies()
	}
	l4 += frame.HeaderLen
	if !w.sumOK(u, pseudo, b.Offload, l4) {
		w.refused.checksum.Add(1)
		return false
	}
	p.FromPort, p.Group, p.Interface, p.Fragmented, p.Noted = u.SrcPort(), netip.Addr{}, w.index, false, true
	p.Outer = l4 + ip.UDPHeaderLen
	p.Buffer = frame.Buffer{Mem: b.Mem, Off: b.Off + l4 + ip.UDPHeaderLen, Len: len(u) - ip.UDPHeaderLen}
	p.FullLen = p.Len
	if size := int(b.Offload.SegmentSize); b.Offload.GSO == frame.GSOUDP && !b.Offload.Tunnelled {
		if 0 < size && size < p.Len {
			p.Outer = 0 // each has its own lengths
			w.more, w.size, w.proto = p.Bytes(), size, *p
			return false
		}
		return true // one datagram after all
	}
	p.Offload = inside(b.Offload, l4+ip.UDPHeaderLen)
	return true
}

// isHost reports whether a host may send from an address: it is no group,
// broadcast, loopback or unspecified address, nor one of "this network" or
// IPv4-mapped (RFC 1122 section 3.2.1.3, RFC 4291 sections 2.5 and 2.7). The stack
// takes neither those nor this host's own for a source.
func isHost(a netip.Addr) bool {
	switch {
	case a.IsMulticast(), a.IsLoopback(), a.IsUnspecified(), a.Is4In6():
		return false
	case a.Is4():
		return a.As4()[0] != 0 && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
	}
	return true
}

// udp returns the datagram that b starts with. On IPv6 Linux takes a length of
// zero for all there is, which a jumbogram has (RFC 2675 section 4).
func (w *wire) udp(b []byte) (u ip.UDP, ok bool) {
	u = b
	if len(u) < ip.UDPHeaderLen || u.DstPort() != w.cfg.Port {
		return nil, false
	}
	n := u.Length()
	if n == 0 && w.cfg.Address.Is6() {
		n = len(u)
	}
	if n < ip.UDPHeaderLen || n > len(u) {
		return nil, false
	}
	return u[:n], true
}

// sumOK verifies the UDP checksum. One that a sender on this machine left to the
// device, or that its super-frame's segments are to get, was never on a wire.
// Zero is none, which IPv6 does not allow unless both ends agree (RFC 8200
// section 8.1, RFC 6935).
func (w *wire) sumOK(u ip.UDP, pseudo uint16, o frame.Offload, l4 int) bool {
	switch {
	case u.Checksum() == 0:
		return w.cfg.Address.Is4() || w.cfg.ZeroChecksum6
	case o.GSO != frame.GSONone, o.NeedsChecksum && int(o.ChecksumStart) == l4:
		return true
	case o.NeedsChecksum:
		// What is unfinished inside is part of what the outer sum covers, and
		// the kernel takes it out of account (local checksum offload).
		return true
	}
	return ip.Sum(u, ip.Add(pseudo, uint16(len(u)))) == 0xffff
}

// inside returns what is left undone in the inner frame, which starts at byte at
// of the whole: a packet of a VTEP on this machine may be a super-frame. One that
// nobody here can cut stays one.
func inside(o frame.Offload, at int) frame.Offload {
	at += vxlan.HeaderLen
	switch {
	case o.NeedsChecksum && int(o.ChecksumStart) >= at:
		o.ChecksumStart -= uint16(at)
		o.Tunnelled = false
		return o
	case o.GSO != frame.GSONone:
		return frame.Offload{GSO: frame.GSOOther}
	}
	return frame.Offload{}
}

// segment makes a packet of the next datagram of a super-frame.
func (w *wire) segment(p *underlay.Packet) {
	n := min(w.size, len(w.more))
	*p = w.proto
	p.Off += w.proto.Len - len(w.more)
	p.Len, p.FullLen = n, n
	w.more = w.more[n:]
}

// lies counts a frame whose headers do not agree. No tap sees it: taps of one
// EtherType are the stack's.
func (w *wire) lies() bool {
	w.refused.malformed.Add(1)
	return false
}
