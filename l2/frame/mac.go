package frame

import (
	"fmt"
	"net"
)

// MAC is a 48-bit IEEE 802 address. The zero MAC is no station's address.
type MAC [6]byte

// Broadcast is the address of every station.
var Broadcast = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// ParseMAC reads a 48-bit address in any of the forms of net.ParseMAC.
func ParseMAC(s string) (MAC, error) {
	hw, err := net.ParseMAC(s)
	if err != nil || len(hw) != len(MAC{}) {
		return MAC{}, fmt.Errorf("%q is not a MAC address: write six bytes as 02:00:00:00:01:02", s)
	}
	return MAC(hw), nil
}

// IsMulticast reports whether the group bit is set; broadcast is a multicast.
func (m MAC) IsMulticast() bool { return m[0]&1 != 0 }

// IsZero reports whether m is 00:00:00:00:00:00.
func (m MAC) IsZero() bool { return m == MAC{} }

// Group addresses of Cisco's link protocols: CDP, VTP and UDLD speak to the
// first, spanning tree per VLAN (PVST+) to the second.
var (
	ciscoLink = MAC{0x01, 0x00, 0x0c, 0xcc, 0xcc, 0xcc}
	ciscoPVST = MAC{0x01, 0x00, 0x0c, 0xcc, 0xcc, 0xcd}
)

// IsReserved reports whether m is for the neighbour on the link, and no bridge
// forwards it: 01-80-C2-00-00-00 to -0F (IEEE 802.1Q table 8-1), or one of
// Cisco's of the same kind, as Open vSwitch has it too.
func (m MAC) IsReserved() bool {
	return m.isLinkLocal() || m == ciscoLink || m == ciscoPVST
}

func (m MAC) isLinkLocal() bool {
	return m[0] == 0x01 && m[1] == 0x80 && m[2] == 0xc2 && m[3] == 0 && m[4] == 0 && m[5] <= 0x0f
}

// IsBPDU reports whether spanning tree speaks to m: 01-80-C2-00-00-00, the
// bridge group address, or PVST+'s 01-00-0C-CC-CC-CD.
func (m MAC) IsBPDU() bool { return m.isLinkLocal() && m[5] == 0 || m == ciscoPVST }

// Uint64 returns the address as a number below 1<<48.
func (m MAC) Uint64() uint64 {
	return uint64(m[0])<<40 | uint64(m[1])<<32 | uint64(m[2])<<24 | uint64(m[3])<<16 | uint64(m[4])<<8 | uint64(m[5])
}

// MACFromUint64 is the inverse of MAC.Uint64; bits above the 48th are ignored.
func MACFromUint64(u uint64) MAC {
	return MAC{byte(u >> 40), byte(u >> 32), byte(u >> 24), byte(u >> 16), byte(u >> 8), byte(u)}
}

// String returns the address as 02:00:00:00:01:02.
func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// MarshalText writes the address as String does.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads what ParseMAC reads.
func (m *MAC) UnmarshalText(b []byte) (err error) {
	*m, err = ParseMAC(string(b))
	return err
}
