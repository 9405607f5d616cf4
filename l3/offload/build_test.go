package offload

import (
	"encoding/binary"
	"net"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"vxgw/l2/frame"
)

// shape is a stream of data as one super-frame or as the segments it stands
// for. Both are written by gopacket, so that the code under test is not its own
// witness.
type shape struct {
	v6, udp bool
	ext     []byte // IPv6 extension headers; the first is of type extType, the last names TCP or UDP
	extType layers.IPProtocol
	options int  // IPv4 options and TCP options, in bytes each, multiples of 4
	bare    bool // no IPv4 options

	id    uint16
	tos   uint8
	df    bool
	seq   uint32
	flags struct{ fin, psh, cwr, ece, ack, urg bool }
	data  []byte
	size  int
}

type failer interface {
	Helper()
	Fatal(args ...any)
}

var (
	macA = net.HardwareAddr{2, 0, 0, 0, 1, 1}
	macB = net.HardwareAddr{2, 0, 0, 0, 2, 0xa}
)

func (s shape) gso() frame.GSO {
	switch {
	case s.udp:
		return frame.GSOUDP
	case s.v6:
		return frame.GSOTCPv6
	}
	return frame.GSOTCPv4
}

// whole returns the super-frame with its checksum complete.
func (s shape) whole(t failer) []byte {
	return s.build(t, 0, s.data, true, true)
}

// super returns the super-frame as a kernel hands it over: the checksum field
// holds the pseudo-header's sum.
func (s shape) super(t failer) ([]byte, frame.Offload) {
	f := s.whole(t)
	o := s.partial(f)
	o.GSO, o.SegmentSize = s.gso(), uint16(s.size)
	return f, o
}

// partial takes the checksum of f back to the pseudo-header's sum.
func (s shape) partial(f []byte) frame.Offload {
	o := frame.Offload{NeedsChecksum: true, ChecksumStart: uint16(s.l4()), ChecksumAt: 16}
	proto := byte(6)
	if s.udp {
		o.ChecksumAt, proto = 6, 17
	}
	pseudo := append([]byte(nil), f[14+12:14+20]...)
	if s.v6 {
		pseudo = append([]byte(nil), f[14+8:14+40]...)
	}
	pseudo = append(pseudo, 0, proto)
	pseudo = binary.BigEndian.AppendUint16(pseudo, uint16(len(f)-s.l4()))
	binary.BigEndian.PutUint16(f[s.l4()+int(o.ChecksumAt):], slowSum(pseudo))
	return o
}

func slowSum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		w := uint32(b[i]) << 8
		if i+1 < len(b) {
			w |= uint32(b[i+1])
		}
		if sum += w; sum > 0xffff {
			sum -= 0xffff
		}
	}
	return uint16(sum)
}

func (s shape) l4() int {
	if s.v6 {
		return 14 + 40 + len(s.ext)
	}
	return 14 + 20 + s.ipOptions()
}

func (s shape) ipOptions() int {
	if s.bare {
		return 0
	}
	return s.options
}

// segments returns the frames that the super-frame stands for.
func (s shape) segments(t failer) (out [][]byte) {
	for at := 0; at == 0 || at < len(s.data); at += s.size {
		end := min(at+s.size, len(s.data))
		out = append(out, s.build(t, at, s.data[at:end], at == 0, end == len(s.data)))
	}
	return out
}

func (s shape) build(t failer, at int, data []byte, first, last bool) []byte {
	t.Helper()
	parts := []gopacket.SerializableLayer{&layers.Ethernet{SrcMAC: macA, DstMAC: macB, EthernetType: layers.EthernetTypeIPv4}}
	var network gopacket.NetworkLayer
	proto := layers.IPProtocolTCP
	if s.udp {
		proto = layers.IPProtocolUDP
	}
	if s.v6 {
		parts[0].(*layers.Ethernet).EthernetType = layers.EthernetTypeIPv6
		h := &layers.IPv6{Version: 6, TrafficClass: s.tos, FlowLabel: 0xabcde, HopLimit: 64, NextHeader: proto,
			SrcIP: net.ParseIP("2001:db8:1::10"), DstIP: net.ParseIP("2001:db8:1::20")}
		if len(s.ext) > 0 {
			h.NextHeader = s.extType
		}
		network, parts = h, append(parts, h, gopacket.Payload(s.ext))
	} else {
		h := &layers.IPv4{Version: 4, TOS: s.tos, Id: s.id + uint16(at/max(s.size, 1)), TTL: 64, Protocol: proto,
			SrcIP: net.IP{10, 1, 1, 10}, DstIP: net.IP{10, 1, 1, 20}}
		if s.df {
			h.Flags = layers.IPv4DontFragment
		}
		for range s.ipOptions() {
			h.Options = append(h.Options, layers.IPv4Option{OptionType: 1})
		}
		network, parts = h, append(parts, h)
	}
	if s.udp {
		h := &layers.UDP{SrcPort: 1234, DstPort: 5678}
		if err := h.SetNetworkLayerForChecksum(network); err != nil {
			t.Fatal(err)
		}
		parts = append(parts, h)
	} else {
		h := &layers.TCP{SrcPort: 1234, DstPort: 5678, Seq: s.seq + uint32(at), Ack: 99, Window: 512, Urgent: 3,
			ACK: s.flags.ack, ECE: s.flags.ece, URG: s.flags.urg,
			FIN: s.flags.fin && last, PSH: s.flags.psh && last, CWR: s.flags.cwr && first}
		for i := 0; i < s.options; i += 4 {
			h.Options = append(h.Options, layers.TCPOption{OptionType: 254, OptionLength: 4, OptionData: []byte{byte(i), 7}})
		}
		if err := h.SetNetworkLayerForChecksum(network); err != nil {
			t.Fatal(err)
		}
		parts = append(parts, h)
	}
	buf := gopacket.NewSerializeBuffer()
	opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(buf, opts, append(parts, gopacket.Payload(data))...); err != nil {
		t.Fatal(err)
	}
	n := s.l4() + 8 + len(data) // gopacket pads to the Ethernet minimum
	if !s.udp {
		n += 12 + s.options
	}
	return append([]byte(nil), buf.Bytes()[:n]...)
}

func data(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

// tcp4 and its like are ordinary traffic with n bytes of payload.
func tcp4(n int) shape {
	s := shape{data: data(n), size: 1448, id: 0xfffe, seq: 0xfffffff0, df: true, options: 12}
	s.flags.ack, s.flags.psh = true, true
	return s
}

func tcp6(n int) shape { s := tcp4(n); s.v6 = true; return s }
func udp4(n int) shape { return shape{udp: true, data: data(n), size: 1472, id: 7} }
func udp6(n int) shape { s := udp4(n); s.v6 = true; return s }

// stream4 and stream6 are tcp4 and tcp6 as hosts send them.
func stream4(n int) shape { s := tcp4(n); s.bare = true; return s }
func stream6(n int) shape { s := tcp6(n); s.size = 1428; return s }

// options6 are a hop-by-hop and a destination options header.
func options6(s shape) shape {
	last := byte(6)
	if s.udp {
		last = 17
	}
	s.extType, s.ext = 0, []byte{60, 0, 1, 4, 0, 0, 0, 0, last, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	return s
}

// fragment makes f the first fragment of a datagram.
func fragment(t testing.TB, f []byte) []byte {
	t.Helper()
	f = append([]byte(nil), f...)
	f[14+6] |= 0x20
	f[14+10], f[14+11] = 0, 0
	n := 14 + int(f[14]&0xf)*4
	binary.BigEndian.PutUint16(f[14+10:], ^slowSum(f[14:n]))
	return f
}
