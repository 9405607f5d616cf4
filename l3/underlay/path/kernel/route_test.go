package kernel

import (
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// What a person wrote is kept, and what others did is not.
func TestRoutes(t *testing.T) {
	_, ten, _ := net.ParseCIDR("10.0.0.0/8")
	gw := net.IPv4(10, 1, 1, 254)
	for _, tc := range []struct {
		name   string
		is     netlink.Route
		family int
		want   Route
		kept   bool
	}{
		{"by a router", netlink.Route{Table: 10, Protocol: unix.RTPROT_STATIC, Type: unix.RTN_UNICAST, Dst: ten, Gw: gw, LinkIndex: 3}, unix.AF_INET,
			Route{Table: 10, Prefix: netip.MustParsePrefix("10.0.0.0/8"), Hops: []Hop{{netip.MustParseAddr("10.1.1.254"), 3}}}, true},
		{"by two", netlink.Route{Table: 254, Protocol: unix.RTPROT_BOOT, Type: unix.RTN_UNICAST, MultiPath: []*netlink.NexthopInfo{{LinkIndex: 3, Gw: gw}, {LinkIndex: 4}}}, unix.AF_INET,
			Route{Table: 254, Prefix: netip.MustParsePrefix("0.0.0.0/0"), Hops: []Hop{{netip.MustParseAddr("10.1.1.254"), 3}, {Link: 4}}}, true},
		{"the IPv6 default", netlink.Route{Table: 254, Protocol: unix.RTPROT_BOOT, Type: unix.RTN_UNICAST, LinkIndex: 3}, unix.AF_INET6,
			Route{Table: 254, Prefix: netip.MustParsePrefix("::/0"), Hops: []Hop{{Link: 3}}}, true},
		{"nowhere", netlink.Route{Table: 10, Protocol: unix.RTPROT_STATIC, Type: unix.RTN_BLACKHOLE, Dst: ten}, unix.AF_INET,
			Route{Table: 10, Prefix: netip.MustParsePrefix("10.0.0.0/8"), Blackhole: true}, true},
		{"nowhere, and told", netlink.Route{Table: 10, Protocol: unix.RTPROT_BOOT, Type: unix.RTN_UNREACHABLE, Dst: ten}, unix.AF_INET,
			Route{Table: 10, Prefix: netip.MustParsePrefix("10.0.0.0/8"), Unreachable: true}, true},
		{"the kernel's own", netlink.Route{Table: 10, Protocol: unix.RTPROT_KERNEL, Type: unix.RTN_UNICAST, Dst: ten, LinkIndex: 3}, unix.AF_INET, Route{}, false},
		{"a routing daemon's", netlink.Route{Table: 10, Protocol: unix.RTPROT_BGP, Type: unix.RTN_UNICAST, Dst: ten, LinkIndex: 3}, unix.AF_INET, Route{}, false},
		{"a prohibition", netlink.Route{Table: 10, Protocol: unix.RTPROT_STATIC, Type: unix.RTN_PROHIBIT, Dst: ten}, unix.AF_INET, Route{}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, kept := routeOf(tc.is, tc.family)
			if kept != tc.kept {
				t.Fatalf("kept is %t", kept)
			}
			if diff := cmp.Diff(tc.want, got, sameAddr); kept && diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
