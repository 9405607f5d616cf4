package ip

import (
	"encoding/binary"
	"math/bits"

	"vxgw/l2/frame"
)

// What the options of a TCP header are told by (RFC 9293 section 3.1).
const (
	tcpOptionEnd = 0
	tcpOptionNop = 1
	tcpOptionMSS = 2

	tcpOptionMSSLen = 4
)

// ClampMSS lowers the maximum segment size that an Ethernet frame announces, if it is a
// TCP segment with SYN, to what fits a path whose longest frame is longest bytes with
// its Ethernet header, as RFC 6691 counts it: without IP or TCP options. The TCP
// checksum, which must be complete, is brought along. It never raises the value, adds
// no option (a host that announces nothing is sent 536 or 1220 bytes at most, RFC 9293
// section 3.7.1), and leaves everything else as it is: fragments, and a longest that is
// not known, 0. It reports whether anything changed.
func ClampMSS(f []byte, longest int) bool {
	t, headers := synOf(f)
	mss := longest - headers
	if t == nil || longest <= 0 || mss <= 0 || mss > 0xffff {
		return false
	}
	changed := false
	for at := TCPHeaderLen; at < len(t); {
		switch t[at] {
		case tcpOptionEnd:
			return changed
		case tcpOptionNop:
			at++
			continue
		}
		if at+1 >= len(t) || t[at+1] < 2 || at+int(t[at+1]) > len(t) {
			return changed // malformed: the receiver does not read on either
		}
		if t[at] == tcpOptionMSS && t[at+1] == tcpOptionMSSLen {
			changed = t.lowerMSS(at+2, uint16(mss)) || changed
		}
		at += int(t[at+1])
	}
	return changed
}

// synOf returns the TCP header of a frame with SYN, its options and nothing else, and
// how long all headers are without options; nil where the frame is none.
func synOf(f []byte) (t TCP, headers int) {
	if len(f) < frame.HeaderLen {
		return nil, 0
	}
	var upper []byte
	switch f, body := frame.Frame(f), f[frame.HeaderLen:]; f.Type() {
	case frame.TypeIPv4:
		h, ok := ParseIPv4(body)
		if !ok || h.Protocol() != ProtoTCP || h.IsFragment() {
			return nil, 0
		}
		upper, headers = h.Payload(), IPv4HeaderLen
	case frame.TypeIPv6:
		h, ok := ParseIPv6(body)
		if !ok {
			return nil, 0
		}
		u, ok := h.Upper()
		if !ok || u.Proto != ProtoTCP || u.Fragment {
			return nil, 0
		}
		upper, headers = h[u.Off:], IPv6HeaderLen
	}
	if len(upper) < TCPHeaderLen {
		return nil, 0
	}
	t = TCP(upper)
	if n := t.HeaderLen(); t.Flags()&SYN == 0 || n < TCPHeaderLen || n > len(t) {
		return nil, 0
	}
	return t[:t.HeaderLen()], frame.HeaderLen + headers + TCPHeaderLen
}

// lowerMSS writes mss at a place in the header if it is less than what is there. At an
// odd place both bytes are in another half of their word.
func (h TCP) lowerMSS(at int, mss uint16) bool {
	was := binary.BigEndian.Uint16(h[at:])
	if was <= mss {
		return false
	}
	binary.BigEndian.PutUint16(h[at:], mss)
	if at&1 != 0 {
		was, mss = bits.ReverseBytes16(was), bits.ReverseBytes16(mss)
	}
	h.SetChecksum(Update(h.Checksum(), was, mss))
	return true
}
