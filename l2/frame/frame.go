// Package frame is what every layer above means by an Ethernet frame: a MAC
// address, a VLAN tag, a read-only view over the bytes, and the Buffer that
// carries a frame through the gateway.
package frame

import (
	"encoding/binary"

	"github.com/mdlayher/ethernet"
)

const (
	// HeaderLen is the length of an untagged Ethernet header in bytes:
	// destination, source, EtherType (IEEE 802.3 clause 3.1.1).
	HeaderLen = 14

	// TagLen is the length of one VLAN tag in bytes (IEEE 802.1Q clause 9.3).
	TagLen = 4

	// MaxLen is the longest frame a Buffer is made for: a super-frame as the
	// kernel's segmentation offload delivers it, one 64 KiB IP packet behind
	// an Ethernet header with room for two tags.
	MaxLen = 65535 + HeaderLen + 2*TagLen

	// Headroom is what a reader leaves free in front of a frame, so that a
	// header can be written there without moving the frame. It holds a VXLAN
	// header and keeps the frame's IP header on a 4-byte boundary.
	Headroom = 64 + 2
)

// EtherTypes the gateway tells apart.
const (
	TypeIPv4    = uint16(ethernet.EtherTypeIPv4)
	TypeARP     = uint16(ethernet.EtherTypeARP)
	TypeIPv6    = uint16(ethernet.EtherTypeIPv6)
	TypeVLAN    = uint16(ethernet.EtherTypeVLAN)        // 802.1Q C-tag
	TypeQinQ    = uint16(ethernet.EtherTypeServiceVLAN) // 802.1ad S-tag
	TypeOldQinQ = uint16(0x9100)                        // the S-tag of switches older than 802.1ad
)

// IsTagType reports whether EtherType t introduces a VLAN tag.
func IsTagType(t uint16) bool { return t == TypeVLAN || t == TypeQinQ || t == TypeOldQinQ }

// Frame is a borrowed view over the bytes of one frame, from the destination
// address on. Its methods do not check lengths: whoever makes a Frame has
// checked that it holds at least HeaderLen bytes.
type Frame []byte

// Dst returns the destination address.
func (f Frame) Dst() MAC { return MAC(f[0:6]) }

// Src returns the source address.
func (f Frame) Src() MAC { return MAC(f[6:12]) }

// Type returns the EtherType, or the length of an 802.3 LLC frame.
func (f Frame) Type() uint16 { return binary.BigEndian.Uint16(f[12:14]) }

// Payload returns what follows the Ethernet header.
func (f Frame) Payload() []byte { return f[HeaderLen:] }

// Tag is a VLAN tag that travels beside a frame and not in it: the kernel
// strips the outer tag before a packet socket sees the bytes, and tells of it
// in PACKET_AUXDATA.
type Tag struct {
	Present bool   // TP_STATUS_VLAN_VALID; a TCI of zero is a tag too
	TPID    uint16 // TypeVLAN where the kernel does not say
	TCI     uint16 // PCP (3 bits), DEI (1), VID (12)
}

// VID returns the VLAN identifier, 0 to 4095. Zero is a priority tag.
func (t Tag) VID() uint16 { return t.TCI & 0x0fff }
