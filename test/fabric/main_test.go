package fabric

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"vxgw/l3/underlay"
	"vxgw/l3/underlay/mem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Addresses of the gateways of the tests.
var vteps = map[string]string{"a": "192.0.2.1", "b": "192.0.2.2", "c": "192.0.2.3"}

// conf writes a configuration: the gateway's head, and then anything.
func conf(name string, rest ...string) string {
	return fmt.Sprintf("[gateway]\nname = %q\n[underlay]\naddress = %q\n[datapath]\nworkers = 1\n", name, vteps[name]) + strings.Join(rest, "\n") + "\n"
}

// vni writes a VNI whose VLAN is its number over a hundred, flooded to VTEPs,
// and more keys. Stations of these tests go from place to place as they like, but where
// a key says when they may not.
func vni(id int, flood string, more ...string) string {
	var to []string
	for _, name := range strings.Fields(flood) {
		if a, ok := vteps[name]; ok {
			name = a
		}
		to = append(to, fmt.Sprintf("%q", name))
	}
	s := fmt.Sprintf("[[vni]]\nid = %d\nvlan = %d\n", id, id/100)
	if len(to) > 0 {
		s += "flood = [" + strings.Join(to, ", ") + "]\n"
	}
	rest := strings.Join(more, "\n") + "\n"
	if !strings.Contains(rest, "move_") {
		s += "move_limit = 0\n"
	}
	return s + rest
}

// ports writes access ports of a VLAN, each with the same further keys.
func ports(vlan int, names string, more ...string) string {
	var b strings.Builder
	for _, name := range strings.Fields(names) {
		fmt.Fprintf(&b, "[[port]]\ninterface = %q\nvlan = %d\n%s\n", name, vlan, strings.Join(more, "\n"))
	}
	return b.String()
}

// mesh is three gateways that flood VNI 1000 to each other, with ports e1 and
// e2 in it, and with e3 in VNI 2000.
func mesh(n *Net) (a, b, c *Gateway) {
	add := func(name, peers string) *Gateway {
		return n.Add(conf(name, vni(1000, peers), vni(2000, peers), ports(10, "e1 e2"), ports(20, "e3")))
	}
	return add("a", "b c"), add("b", "a c"), add("c", "a b")
}

// alone is one gateway with VTEPs b and c as remotes that nobody runs: VNI 1000
// with ports e1 and e2, VNI 2000 with e3.
func alone(n *Net, more ...string) *Gateway {
	return n.Add(conf("a", append([]string{vni(1000, "b c"), vni(2000, "b"), ports(10, "e1 e2"), ports(20, "e3")}, more...)...))
}

var (
	rogueUDP = netip.MustParseAddrPort("203.0.113.66:50000")
	ownUDP   = netip.MustParseAddrPort("192.0.2.1:4789")

	refusedAll = underlay.Refused{Overflow: 1, Checksum: 2, Fragment: 3, Malformed: 4}
)

// pseudoSum is what a kernel leaves in the checksum field of a frame with UDP
// at start: the bare sum of the pseudo-header.
func pseudoSum(f []byte, start int) []byte {
	addrs := f[start-8 : start]
	if f[12] == 0x86 {
		addrs = f[start-32 : start]
	}
	sum := uint32(17 + len(f) - start)
	for i := 0; i < len(addrs); i += 2 {
		sum += uint32(addrs[i])<<8 | uint32(addrs[i+1])
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return []byte{byte(sum >> 8), byte(sum)}
}

var attachOptions mem.Options
