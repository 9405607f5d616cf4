package demo

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"vxgw/test/netns"
)

// The second act's hosts: one more in the tenant's second network, and two of another
// tenant that has chosen the same addresses.
var (
	h3Addr  = netip.MustParseAddr("203.0.113.3")
	gate1   = netip.MustParseAddr("198.51.100.254")
	gate3   = netip.MustParseAddr("203.0.113.254")
	routing = `
  VRF red                                  VRF blue
  VNI 10010          VNI 10020             VNI 10030          VNI 10040
  h1, h2 198.51.100/24  h3 203.0.113.3     b1 198.51.100.1    b3 203.0.113.3
       \              /                         \              /
        .254  vxgw  .254                         .254  vxgw  .254
`
)

// tenants is what the second act adds to the configuration.
const tenants = `
vrf = "red"
gateway = ["198.51.100.254/24"]

[[vni]]
id = 10020
name = "red-db"
flood = ["192.0.2.2"]
vrf = "red"
gateway = ["203.0.113.254/24"]

[[vni]]
id = 10030
flood = ["192.0.2.2"]
vrf = "blue"
gateway = ["198.51.100.254/24"]

[[vni]]
id = 10040
flood = ["192.0.2.2"]
vrf = "blue"
gateway = ["203.0.113.254/24"]

[[port]]
interface = "eth2"
vni = 10020

[[port]]
interface = "eth3"
vni = 10030

[[port]]
interface = "eth4"
vni = 10040

[[vrf]]
name = "red"

[[vrf]]
name = "blue"
`

// routes is the second act: two VNIs in one VRF route to each other, and two VRFs with
// the same addresses do not meet.
func (s *show) routes(ctx context.Context) error {
	s.title("Second act: routing between VNIs, in VRFs")
	s.print("%s\n", strings.Trim(routing, "\n"))
	if err := s.buildTenants(); err != nil {
		return fmt.Errorf("build the tenants' networks: %w", err)
	}
	if err := s.reload(ctx); err != nil {
		return err
	}
	for name, ns := range map[string]*netns.NS{"red": s.h3, "blue": s.b3} {
		stop, err := serve(ns, name)
		if err != nil {
			return err
		}
		defer stop()
	}
	s.print("\n")
	for _, p := range []struct {
		from *netns.NS
		name string
		to   netip.Addr
	}{{s.h1, "h1 -> h3", h3Addr}, {s.h2, "h2 -> h3", h3Addr}, {s.h3, "h3 -> h2", h2Addr}, {s.b1, "b1 -> b3", h3Addr}} {
		const count = 5
		n, err := p.from.Ping(ctx, p.to, count, netns.PingOptions{})
		if err != nil {
			return err
		}
		s.print("  ping %s      %d of %d answered, by way of the gateway\n", p.name, n, count)
		if n != count {
			return fmt.Errorf("ping %s: %d of %d answered", p.name, n, count)
		}
	}
	for _, c := range []struct {
		from       *netns.NS
		name, want string
	}{{s.h1, "h1", "red"}, {s.b1, "b1", "blue"}} {
		got, err := ask(ctx, c.from)
		if err != nil {
			return err
		}
		s.print("  %s asks %v who it is:  %q\n", c.name, h3Addr, got)
		if got != c.want {
			return fmt.Errorf("%s met %s at %v, want %s: the VRFs are not apart", c.name, got, h3Addr, c.want)
		}
	}
	return s.tables(ctx, "neighbours", "routes")
}

// buildTenants makes the hosts of the second act, and gives all of them a router.
func (s *show) buildTenants() error {
	for _, n := range []struct {
		ns   **netns.NS
		name string
	}{{&s.h3, "vxgw-demo-h3"}, {&s.b1, "vxgw-demo-b1"}, {&s.b3, "vxgw-demo-b3"}} {
		ns, err := netns.New(n.name)
		if err != nil {
			return err
		}
		*n.ns = ns
	}
	fs := []func() error{
		func() error { return netns.Veth(s.h3, "eth0", s.gw, "eth2", netns.VethOptions{}) },
		func() error { return netns.Veth(s.b1, "eth0", s.gw, "eth3", netns.VethOptions{}) },
		func() error { return netns.Veth(s.b3, "eth0", s.gw, "eth4", netns.VethOptions{}) },
		func() error { return s.h3.AddAddr("eth0", h3Addr.String()+"/24") },
		func() error { return s.b1.AddAddr("eth0", h1Addr.String()+"/24") },
		func() error { return s.b3.AddAddr("eth0", h3Addr.String()+"/24") },
	}
	for ns, via := range map[*netns.NS]netip.Addr{s.h1: gate1, s.h2: gate1, s.b1: gate1, s.h3: gate3, s.b3: gate3} {
		fs = append(fs, func() error { return ns.AddRoute(netns.Route{To: "0.0.0.0/0", Via: via.String(), Dev: "eth0"}) })
	}
	return first(fs...)
}

// reload adds the tenants to the running gateway's configuration.
func (s *show) reload(ctx context.Context) error {
	text := strings.Replace(configuration(s.socket), "\n[[port]]", tenants+"\n[[port]]", 1)
	if err := os.WriteFile(s.file, []byte(text), 0o644); err != nil {
		return err
	}
	s.print("\n  $ vxgw reload\n")
	out, err := s.gw.Command(ctx, s.binary, "reload", "--socket", s.socket).CombinedOutput()
	if err != nil {
		return fmt.Errorf("vxgw reload: %w: %s", err, out)
	}
	s.print("%s", indent(string(out)))
	return s.until(ctx, "the new ports are up", func(ctx context.Context) (bool, error) { return s.carries(ctx, 4) })
}

const whoPort = 7000

// serve has a host say its name to whoever connects.
func serve(ns *netns.NS, name string) (stop func(), err error) {
	l, err := ns.Listen("tcp", netip.AddrPortFrom(h3Addr, whoPort).String())
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, name)
			c.Close()
		}
	}()
	return func() { l.Close() }, nil
}

// ask connects to h3's address and returns who answers.
func ask(ctx context.Context, ns *netns.NS) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := ns.Dial(ctx, "tcp", netip.AddrPortFrom(h3Addr, whoPort).String())
	if err != nil {
		return "", fmt.Errorf("TCP to %v: %w", h3Addr, err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	name, err := io.ReadAll(c)
	return string(name), err
}
