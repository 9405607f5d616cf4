// Package scale writes configurations as large as one gateway carries, for tests
// that hold it to carrying them.
package scale

import (
	"fmt"
	"net/netip"
	"strings"
)

// Size is how many of each a configuration has. Ports is even.
type Size struct{ VNIs, Ports, VTEPs int }

// Full is a VNI for every VLAN, two full switches of access ports, and as many
// VTEPs as a flood list may have to reach.
var Full = Size{VNIs: 4094, Ports: 256, VTEPs: 1024}

// few is how many VTEPs a VNI floods to, but for the first.
const few = 4

// VNI returns the id of VNI i.
func (s Size) VNI(i int) uint32 { return 10001 + uint32(i) }

// Interface returns the name of port i.
func (s Size) Interface(i int) string { return fmt.Sprintf("p%d", i) }

// PortVNI returns which VNI port i is in. Ports 2n and 2n+1 are in the same one,
// and the pairs are spread over all VNIs.
func (s Size) PortVNI(i int) int { return i / 2 * (s.VNIs / (s.Ports / 2)) }

// VTEP returns the address of VTEP i.
func (s Size) VTEP(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})
}

// Flood returns which VTEPs VNI i floods to: the first VNI to all of them, any
// other to four.
func (s Size) Flood(i int) []netip.Addr {
	n, first := min(few, s.VTEPs), i*few
	if i == 0 {
		n, first = s.VTEPs, 0
	}
	all := make([]netip.Addr, n)
	for j := range all {
		all[j] = s.VTEP((first + j) % s.VTEPs)
	}
	return all
}

// Sections returns the [[vni]] and [[port]] sections. more is added to each
// [[vni]].
func (s Size) Sections(more string) string {
	var b strings.Builder
	for i := range s.VNIs {
		fmt.Fprintf(&b, "[[vni]]\nid = %d\nvlan = %d\nflood = [", s.VNI(i), i+1)
		for _, a := range s.Flood(i) {
			fmt.Fprintf(&b, "%q, ", a)
		}
		fmt.Fprintf(&b, "]\n%s\n", more)
	}
	for i := range s.Ports {
		fmt.Fprintf(&b, "[[port]]\ninterface = %q\nvlan = %d\n", s.Interface(i), s.PortVNI(i)+1)
	}
	return b.String()
}
