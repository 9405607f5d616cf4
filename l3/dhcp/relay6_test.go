package dhcp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv6"

	"vxgw/l2/frame"
)

var (
	peer    = netip.MustParseAddr("fe80::ff:fe00:101")
	global  = netip.MustParseAddr("2001:db8:7::7") // another relay
	circuit = opt6(18, []byte("10010:port eth1")...)
)

// opt6 is one option (RFC 8415 section 21.1).
func opt6(code uint16, data ...byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, code)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(data))), data...)
}

// message6 is what a client or a server sends (RFC 8415 section 8).
func message6(typ byte, options ...[]byte) []byte {
	return append([]byte{typ, 0xab, 0xcd, 0xef}, bytes.Join(options, nil)...)
}

// relayed6 is what a relay or a server sends (RFC 8415 section 9).
func relayed6(typ, hops byte, link, peer netip.Addr, options ...[]byte) []byte {
	b := append([]byte{typ, hops}, link.AsSlice()...)
	return append(append(b, peer.AsSlice()...), bytes.Join(options, nil)...)
}

// solicit6 has its options in no order that a library would choose, and some that
// nobody knows.
var solicit6 = message6(1, opt6(8, 0, 1), opt6(0xfff0, 1, 2, 3), opt6(6, 0, 23, 0, 24), opt6(1, 0, 3, 0, 1, 2, 0, 0, 0, 1, 1), opt6(0xfff0))

// odd6 has a partial name, as RFC 4704 section 4.2 allows, a user class without a
// length, and a status of no length.
var odd6 = message6(3, opt6(39, 1, 4, 'h', 'o', 's', 't'), opt6(15, []byte("iPXE")...), opt6(13))

func TestRelay6(t *testing.T) {
	zero := netip.IPv6Unspecified()
	inner := func(hops byte) []byte { return relayed6(12, hops, link.Addr6, peer, circuit, opt6(9, solicit6...)) }
	other := relayed6(12, 0, global, peer, opt6(9, solicit6...), opt6(37, 0, 0, 0, 9, 1)) // with a remote id
	for _, tc := range []struct {
		name string
		msg  []byte
		from netip.Addr
		want []byte
	}{
		{"a client's", solicit6, peer, relayed6(12, 0, link.Addr6, peer, circuit, opt6(9, solicit6...))},
		{"a client's with a global address", solicit6, global, relayed6(12, 0, link.Addr6, global, circuit, opt6(9, solicit6...))},
		{"one with an option that is wrong inside: the server's to judge", odd6, peer, relayed6(12, 0, link.Addr6, peer, circuit, opt6(9, odd6...))},
		{"a relay's around something that is wrong inside", relayed6(12, 0, global, peer, opt6(9, 1)), global, relayed6(12, 1, zero, global, circuit, opt6(9, relayed6(12, 0, global, peer, opt6(9, 1))...))},
		{"one without options", message6(11), peer, relayed6(12, 0, link.Addr6, peer, circuit, opt6(9, message6(11)...))},
		{"a relay's: its address says which link (RFC 8415 section 19.1.2)", other, global, relayed6(12, 1, zero, global, circuit, opt6(9, other...))},
		{"a relay's with a link-local address", other, peer, relayed6(12, 1, link.Addr6, peer, circuit, opt6(9, other...))},
		{"the last hop", inner(7), global, relayed6(12, 8, zero, global, circuit, opt6(9, inner(7)...))},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := bytes.Clone(tc.msg)
			got, err := Relay6(tc.msg, tc.from, link)
			if err != nil {
				t.Fatal(err)
			}
			same(t, got, tc.want)
			same(t, tc.msg, before)
		})
	}
}

// The first relay tells the client's MAC, which a client need not (RFC 6939); one that
// relays for another does not know it.
func TestRelay6ClientMAC(t *testing.T) {
	known := link
	known.MAC = frame.MAC{2, 0, 0, 0, 1, 1}
	got, err := Relay6(solicit6, peer, known)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, relayed6(12, 0, link.Addr6, peer, circuit, opt6(9, solicit6...), opt6(79, 0, 1, 2, 0, 0, 0, 1, 1)))
	other := relayed6(12, 0, global, peer, opt6(9, solicit6...))
	if got, err = Relay6(other, global, known); err != nil {
		t.Fatal(err)
	}
	same(t, got, relayed6(12, 1, netip.IPv6Unspecified(), global, circuit, opt6(9, other...)))
}

func TestRelay6Types(t *testing.T) {
	for typ := range 256 {
		// RFC 8415 section 7.3: who sends what.
		fromClient := typ == 1 || typ >= 3 && typ <= 6 || typ == 8 || typ == 9 || typ == 11
		msg := message6(byte(typ))
		if typ == 12 || typ == 13 {
			msg = relayed6(byte(typ), 0, global, peer, opt6(9, solicit6...))
		}
		_, err := Relay6(msg, peer, link)
		if relayed := err == nil; relayed != (fromClient || typ == 12) || !relayed && !errors.Is(err, ErrDirection) {
			t.Errorf("type %d: %v", typ, err)
		}
	}
}

func TestRelay6Refuses(t *testing.T) {
	for _, tc := range []struct {
		name string
		msg  []byte
		want error
	}{
		{"9 hops (HOP_COUNT_LIMIT)", relayed6(12, 8, global, peer, opt6(9, solicit6...)), ErrHops},
		{"255 hops", relayed6(12, 255, global, peer, opt6(9, solicit6...)), ErrHops},
		{"an option beyond the end", message6(1, []byte{0, 1, 0, 9, 1}), ErrFormat},
		{"half an option", message6(1, []byte{0, 1, 0}), ErrFormat},
		{"a relay's that is cut", relayed6(12, 0, global, peer)[:33], ErrFormat},
		{"no transaction id", []byte{1, 2}, ErrFormat},
		{"a relay's with an option beyond the end", relayed6(12, 0, global, peer, []byte{0, 9, 0, 9, 1}), ErrFormat},
		{"nothing", nil, ErrFormat},
	} {
		if out, err := Relay6(tc.msg, peer, link); !errors.Is(err, tc.want) || out != nil {
			t.Errorf("%s: %v and % x", tc.name, err, out)
		}
	}
}

func TestAnswer6(t *testing.T) {
	reply := message6(2, opt6(2, 0, 3, 0, 1, 2, 0, 0, 0, 9, 9), opt6(1, 0, 3, 0, 1, 2, 0, 0, 0, 1, 1), opt6(0xfff0, 7))
	nested := relayed6(13, 0, global, peer, opt6(18, 'x'), opt6(9, reply...))
	for _, tc := range []struct {
		name string
		msg  []byte
		want Reply6
	}{
		{"for a client", relayed6(13, 0, link.Addr6, peer, circuit, opt6(9, reply...)), Reply6{Msg: reply, To: peer, Port: 546, Circuit: "10010:port eth1"}},
		{"the message in front of the circuit", relayed6(13, 0, link.Addr6, peer, opt6(9, reply...), circuit), Reply6{Msg: reply, To: peer, Port: 546, Circuit: "10010:port eth1"}},
		{"a server that does not say where", relayed6(13, 0, link.Addr6, peer, opt6(9, reply...)), Reply6{Msg: reply, To: peer, Port: 546}},
		{"options that nobody knows", relayed6(13, 0, link.Addr6, peer, opt6(0xfff1), circuit, opt6(0xfff0, 1), opt6(9, reply...)), Reply6{Msg: reply, To: peer, Port: 546, Circuit: "10010:port eth1"}},
		{"for another relay", relayed6(13, 1, netip.IPv6Unspecified(), global, circuit, opt6(9, nested...)), Reply6{Msg: nested, To: global, Port: 547, Circuit: "10010:port eth1"}},
		{"two messages: the first", relayed6(13, 0, link.Addr6, peer, opt6(9, reply...), opt6(9, nested...)), Reply6{Msg: reply, To: peer, Port: 546}},
		{"an option that is asked for twice", relayed6(13, 0, link.Addr6, peer, opt6(9, message6(7, opt6(6, 0, 23, 0, 24, 0, 23))...)),
			Reply6{Msg: message6(7, opt6(6, 0, 23, 0, 24, 0, 23)), To: peer, Port: 546}},
		{"what the library does not read", relayed6(13, 0, link.Addr6, peer, opt6(9, odd6...)), Reply6{Msg: odd6, To: peer, Port: 546}},
		{"search domains without their end", relayed6(13, 0, link.Addr6, peer, opt6(9, message6(7, opt6(24, 3, 'f', 'o', 'o', 0, 1, 'x', 0xc0, 0))...)),
			Reply6{Msg: message6(7, opt6(24, 3, 'f', 'o', 'o', 0, 1, 'x', 0xc0, 0)), To: peer, Port: 546}},
		{"a status within an association", relayed6(13, 0, link.Addr6, peer, opt6(9, message6(7, opt6(3, append(make([]byte, 12), opt6(13, 0, 0)...)...))...)),
			Reply6{Msg: message6(7, opt6(3, append(make([]byte, 12), opt6(13, 0, 0)...)...)), To: peer, Port: 546}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := bytes.Clone(tc.msg)
			got, err := Answer6(tc.msg)
			if err != nil {
				t.Fatal(err)
			}
			same(t, got.Msg, tc.want.Msg)
			same(t, tc.msg, before)
			if got.To != tc.want.To || got.Port != tc.want.Port || got.Circuit != tc.want.Circuit {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestAnswer6Refuses(t *testing.T) {
	for _, tc := range []struct {
		name string
		msg  []byte
		want error
	}{
		{"a Relay-forward", relayed6(12, 0, link.Addr6, peer, opt6(9, solicit6...)), ErrDirection},
		{"a reply that is not wrapped", message6(7), ErrDirection},
		{"nothing in it", relayed6(13, 0, link.Addr6, peer, circuit), ErrFormat},
		{"an empty message in it", relayed6(13, 0, link.Addr6, peer, opt6(9)), ErrFormat},
		{"a message that is cut in it", relayed6(13, 0, link.Addr6, peer, opt6(9, 7, 1, 2)), ErrFormat},
		{"an option beyond the end", relayed6(13, 0, link.Addr6, peer, []byte{0, 9, 0, 9, 7}), ErrFormat},
		{"cut", relayed6(13, 0, link.Addr6, peer)[:33], ErrFormat},
		{"an option beyond the end of what is in it", relayed6(13, 0, link.Addr6, peer, opt6(9, message6(7, []byte{0, 1, 0, 1})...)), ErrFormat},
		{"nothing", nil, ErrFormat},
	} {
		if r, err := Answer6(tc.msg); !errors.Is(err, tc.want) || r.Msg != nil {
			t.Errorf("%s: %v and %+v", tc.name, err, r)
		}
	}
}

// What is relayed holds the bytes that came, and a server that wraps them again gives
// them back.
func FuzzRelay6(f *testing.F) {
	f.Add(solicit6, false)
	f.Add(relayed6(12, 3, global, peer, circuit, opt6(9, solicit6...)), true)
	f.Add(message6(11, opt6(6, 0, 23, 0, 24, 0, 23)), false)
	f.Add(message6(3, opt6(25, make([]byte, 12)...), opt6(24, 3, 'f', 'o', 'o', 0), opt6(39, 0, 1, 'x')), false)
	f.Fuzz(func(t *testing.T, msg []byte, byRelay bool) {
		from := peer
		if byRelay {
			from = global
		}
		before := bytes.Clone(msg)
		out, err := Relay6(msg, from, link)
		same(t, msg, before)
		if err != nil {
			if out != nil {
				t.Fatalf("%v, and yet % x", err, out)
			}
			return
		}
		m, err := dhcpv6.FromBytes(out)
		if _, wrong := dhcpv6.FromBytes(msg); wrong == nil && (err != nil || !m.IsRelay()) {
			t.Fatalf("a message that the library reads became one that it does not: %v: % x", err, out)
		}
		if out[0] != 12 || out[1] > 8 || !bytes.HasSuffix(out, msg) {
			t.Fatalf("% x", out)
		}
		out[0] = 13 // as a server answers
		r, err := Answer6(out)
		if err != nil {
			t.Fatal(err)
		}
		same(t, r.Msg, msg)
		port := uint16(546)
		if msg[0] == 12 {
			port = 547
		}
		if r.To != from || r.Port != port || r.Circuit != "10010:port eth1" {
			t.Fatalf("to %v port %d at %q", r.To, r.Port, r.Circuit)
		}
	})
}

// What an answer holds stands in the server's message as it is.
func FuzzAnswer6(f *testing.F) {
	f.Add(relayed6(13, 0, link.Addr6, peer, circuit, opt6(9, message6(7, opt6(1, 0, 3, 0, 1, 2, 0, 0, 0, 1, 1))...)))
	f.Add(relayed6(13, 1, link.Addr6, global, opt6(9, relayed6(13, 0, link.Addr6, peer, opt6(9, solicit6...))...), circuit))
	f.Fuzz(func(t *testing.T, msg []byte) {
		before := bytes.Clone(msg)
		r, err := Answer6(msg)
		same(t, msg, before)
		if err != nil {
			if r.Msg != nil || r.To.IsValid() {
				t.Fatalf("%v, and yet %+v", err, r)
			}
			return
		}
		if !r.To.Is6() || r.To.As16() != [16]byte(msg[18:34]) || !bytes.Contains(msg[34:], opt6(9, r.Msg...)) {
			t.Fatalf("%+v of % x", r, msg)
		}
		if relay := r.Msg[0] == 12 || r.Msg[0] == 13; relay != (r.Port == 547) || !relay && r.Port != 546 {
			t.Fatalf("port %d for type %d", r.Port, r.Msg[0])
		}
	})
}
