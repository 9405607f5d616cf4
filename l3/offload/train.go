package offload

import (
	"bytes"
	"encoding/binary"

	"vxgw/l2/frame"
	"vxgw/l3/ip"
)

// Where a TCP header is behind an IPv4 header without options and behind a bare
// IPv6 header, in bytes from the frame's start.
const (
	l4Over4 = l3 + ip.IPv4HeaderLen
	l4Over6 = l3 + ip.IPv6HeaderLen
)

// findTCP returns where the TCP header of a segment is; 0 where a frame belongs to
// no connection. It reports false where a frame may belong to any: fragments,
// options, a header that is cut off.
func findTCP(f []byte) (l4 int, ok bool) {
	if len(f) < l4Over4 {
		return 0, true
	}
	switch frame.Frame(f).Type() {
	case frame.TypeIPv4:
		h := ip.IPv4(f[l3:])
		if h.Protocol() != ip.ProtoTCP {
			return 0, true
		}
		return l4Over4, h[0] == 4<<4|ip.IPv4HeaderLen/4 && !h.IsFragment() && len(f) >= l4Over4+ip.TCPHeaderLen
	case frame.TypeIPv6:
		h := ip.IPv6(f[l3:])
		switch h.NextHeader() {
		case ip.ProtoUDP, ip.ProtoICMPv6:
			return 0, true
		case ip.ProtoTCP:
			return l4Over6, h[0]>>4 == 6 && len(f) >= l4Over6+ip.TCPHeaderLen
		}
		return 0, false
	}
	return 0, true
}

// segment is a frame with a TCP header at l4.
type segment struct {
	f     []byte
	l4    int
	body  int  // where the payload starts; unless whole it may be anywhere
	whole bool // its lengths agree, and it may be part of a super-frame
	push  bool // and nothing may follow
}

// read reads a frame whose TCP header is at l4. A segment is filled in and handed
// on in place: to copy it right after its fields were written stalls.
func (s *segment) read(f []byte, l4 int) {
	h := ip.TCP(f[l4:])
	n := ip.IPv4(f[l3:]).TotalLen()
	if l4 == l4Over6 {
		n = ip.IPv6HeaderLen + ip.IPv6(f[l3:]).PayloadLen()
	}
	s.f, s.l4, s.body = f, l4, l4+h.HeaderLen()
	s.push = h.Flags()&ip.PSH != 0
	s.whole = n == len(f)-l3 && h.HeaderLen() >= ip.TCPHeaderLen && s.body < len(f) &&
		h.Flags()&^(ip.PSH|ip.ECE) == ip.ACK
}

func (s *segment) payload() int { return len(s.f) - s.body }

// sameConnection reports whether a frame with a TCP header at l4 has the same
// addresses and ports, which stand side by side.
func (s *segment) sameConnection(f []byte, l4 int) bool {
	switch {
	case s.l4 != l4:
		return false
	case l4 == l4Over6:
		const at = l4Over6 - 32
		return [36]byte(s.f[at:]) == [36]byte(f[at:])
	}
	const at = l4Over4 - 8
	return [12]byte(s.f[at:]) == [12]byte(f[at:])
}

// hash returns a number below maxOpen for a connection.
func (s *segment) hash() uint64 {
	const odd1, odd2 = 0x9e3779b97f4a7c15, 0xff51afd7ed558ccd
	h := uint64(binary.LittleEndian.Uint32(s.f[s.l4:])) * odd1 // ports
	if s.l4 == l4Over6 {
		b := s.f[l4Over6-32:]
		h ^= binary.LittleEndian.Uint64(b[8:]) * odd2
		h ^= (binary.LittleEndian.Uint64(b) ^ binary.LittleEndian.Uint64(b[16:])) * odd1
		h ^= binary.LittleEndian.Uint64(b[24:])
	} else {
		h ^= binary.LittleEndian.Uint64(s.f[l4Over4-8:])
	}
	return h * odd2 >> (64 - openBits)
}

// sound reports whether the checksums of a segment with its TCP header at l4 are
// right, and are what anybody who computes them anew comes to: 0xffff says the
// same as zero, and nobody does.
func sound(f []byte, l4 int) bool {
	t := f[l4:]
	if ip.TCP(t).Checksum() == 0xffff {
		return false
	}
	if l4 == l4Over6 {
		return ip.Sum(t, ip.IPv6(f[l3:]).PseudoSum(ip.ProtoTCP, len(t))) == 0xffff
	}
	h := ip.IPv4(f[l3:])
	return h.Checksum() != 0xffff && h.ChecksumOK() && ip.Sum(t, h.PseudoSum(ip.ProtoTCP, len(t))) == 0xffff
}

// newTrain starts a train with segment i.
func newTrain(i int32, s *segment) train {
	t := train{first: i, last: i, count: 1, l4: s.l4, body: s.body, size: s.payload(), len: len(s.f)}
	t.seq = ip.TCP(s.f[s.l4:]).Seq() + uint32(t.size)
	if s.l4 == l4Over4 {
		t.id = ip.IPv4(s.f[l3:]).ID() + 1
	}
	return t
}

// takes reports whether a train that head starts can go on with s. What costs most
// comes last.
func (t *train) takes(head []byte, s *segment) bool {
	if !s.whole || s.body != t.body || s.payload() > t.size || t.len+s.payload() > maxJoined || !t.follows(head, s) {
		return false
	}
	t.sound = t.sound || sound(head, t.l4)
	return t.sound && sound(s.f, s.l4)
}

// follows reports whether the headers of s are those that cutting gives a segment
// at this place. Of IP and TCP lengths, addresses and ports something is known
// already.
func (t *train) follows(head []byte, s *segment) bool {
	f := s.f
	if t.l4 == l4Over4 {
		if [16]byte(f) != [16]byte(head) || [4]byte(f[20:]) != [4]byte(head[20:]) || ip.IPv4(f[l3:]).ID() != t.id {
			return false // MACs to TOS, fragmentation to protocol
		}
	} else if [18]byte(f) != [18]byte(head) || [2]byte(f[20:]) != [2]byte(head[20:]) {
		return false // MACs to flow label, next header and hop limit
	}
	x, h := f[s.l4:s.body], head[t.l4:t.body]
	return ip.TCP(x).Seq() == t.seq &&
		[5]byte(x[8:]) == [5]byte(h[8:]) && // acknowledgement, data offset
		(x[13]^h[13])&^uint8(ip.PSH) == 0 &&
		[2]byte(x[14:]) == [2]byte(h[14:]) && // window
		[2]byte(x[18:]) == [2]byte(h[18:]) && // urgent pointer
		bytes.Equal(x[ip.TCPHeaderLen:], h[ip.TCPHeaderLen:])
}

// add takes segment i in, and reports whether another may follow.
func (t *train) add(i int32, s *segment) bool {
	t.last, t.count = i, t.count+1
	t.len += s.payload()
	t.seq += uint32(s.payload())
	t.id++
	return !s.push && s.payload() == t.size
}
