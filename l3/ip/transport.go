package ip

import "encoding/binary"

// Lengths in bytes, and where the checksum field is, from the header's start.
const (
	UDPHeaderLen  = 8
	UDPChecksumAt = 6

	TCPHeaderLen    = 20
	TCPMaxHeaderLen = 60
	TCPChecksumAt   = 16

	SCTPHeaderLen  = 12
	SCTPChecksumAt = 8
)

// UDP is a view over a UDP header and its payload, UDPHeaderLen bytes at least.
type UDP []byte

// SrcPort returns the source port.
func (h UDP) SrcPort() uint16 { return binary.BigEndian.Uint16(h[0:2]) }

// DstPort returns the destination port.
func (h UDP) DstPort() uint16 { return binary.BigEndian.Uint16(h[2:4]) }

// Length returns the length field: header and payload in bytes.
func (h UDP) Length() int { return int(binary.BigEndian.Uint16(h[4:6])) }

// Checksum returns the checksum field; zero means that there is none.
func (h UDP) Checksum() uint16 { return binary.BigEndian.Uint16(h[6:8]) }

// SetLength writes the length field, 8 to 65535 bytes.
func (h UDP) SetLength(n int) { binary.BigEndian.PutUint16(h[4:6], uint16(n)) }

// SetChecksum writes the checksum field.
func (h UDP) SetChecksum(c uint16) { binary.BigEndian.PutUint16(h[6:8], c) }

// NonZero returns a computed UDP checksum as it goes on the wire: zero would
// mean that there is none, and is sent as all ones (RFC 768).
func NonZero(c uint16) uint16 {
	if c == 0 {
		return 0xffff
	}
	return c
}

// TCPFlags are the control bits of a TCP header.
type TCPFlags uint8

// The control bits (RFC 9293 section 3.1).
const (
	FIN TCPFlags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

// TCP is a view over a TCP header and its payload, TCPHeaderLen bytes at least.
type TCP []byte

// SrcPort returns the source port.
func (h TCP) SrcPort() uint16 { return binary.BigEndian.Uint16(h[0:2]) }

// DstPort returns the destination port.
func (h TCP) DstPort() uint16 { return binary.BigEndian.Uint16(h[2:4]) }

// Seq returns the sequence number.
func (h TCP) Seq() uint32 { return binary.BigEndian.Uint32(h[4:8]) }

// HeaderLen returns what the data offset says the header's length is, in
// bytes: 0 to 60, options included.
func (h TCP) HeaderLen() int { return int(h[12]>>4) * 4 }

// Flags returns the control bits.
func (h TCP) Flags() TCPFlags { return TCPFlags(h[13]) }

// Checksum returns the checksum field.
func (h TCP) Checksum() uint16 { return binary.BigEndian.Uint16(h[16:18]) }

// SetSeq writes the sequence number.
func (h TCP) SetSeq(seq uint32) { binary.BigEndian.PutUint32(h[4:8], seq) }

// SetFlags writes the control bits.
func (h TCP) SetFlags(f TCPFlags) { h[13] = uint8(f) }

// SetChecksum writes the checksum field.
func (h TCP) SetChecksum(c uint16) { binary.BigEndian.PutUint16(h[16:18], c) }
