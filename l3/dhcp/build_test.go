package dhcp

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"vxgw/l2/frame"
)

var (
	client = frame.MAC{2, 0, 0, 0, 1, 1}
	link   = Link{
		VNI: 10010, Circuit: "port eth1", Name: "leaf7",
		Addr: netip.MustParseAddr("10.1.1.1"), Addr6: netip.MustParseAddr("2001:db8:1::1"),
	}
	// What link looks like in a message: sub-options 1 and 2 of option 82 (RFC 3046
	// section 2.0), written out.
	linkOption = []byte("\x52\x18\x01\x0f10010:port eth1\x02\x05leaf7")

	other = netip.MustParseAddr("10.7.7.7") // another relay
)

// opt is one option.
func opt(code byte, data ...byte) []byte { return append([]byte{code, byte(len(data))}, data...) }

// with82 is a message that the relay of link added its option to.
func with82(options ...[]byte) []byte { return append(bytes.Join(options, nil), linkOption...) }

// discover is what a client sends first, without an end.
var discover = bytes.Join([][]byte{opt(53, 1), opt(61, 1, 2, 0, 0, 0, 1, 1), opt(12, []byte("host")...), opt(55, 1, 3, 6, 15)}, nil)

// message writes a DHCPv4 message with these options and an end, of 300 bytes at
// least. change may bend the fixed part.
func message(op byte, change func(b []byte), options ...byte) []byte {
	b := make([]byte, optionAt, minLen)
	b[0], b[1], b[2] = op, 1, 6
	binary.BigEndian.PutUint32(b[4:], 0xdeadbeef)
	copy(b[28:], client[:])
	copy(b[236:], "\x63\x82\x53\x63")
	if change != nil {
		change(b)
	}
	b = append(append(b, options...), 255)
	return append(b, make([]byte, max(0, minLen-len(b)))...)
}

// bend makes changes into one.
func bend(changes ...func([]byte)) func([]byte) {
	return func(b []byte) {
		for _, c := range changes {
			c(b)
		}
	}
}

func set(at int, v ...byte) func([]byte) { return func(b []byte) { copy(b[at:], v) } }

func giaddr(a netip.Addr) func([]byte) { return set(24, a.AsSlice()...) }

func hops(n byte) func([]byte) { return set(3, n) }

func same(t *testing.T, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Fatalf("got  %d bytes: % x\nwant %d bytes: % x", len(got), got, len(want), want)
	}
}
