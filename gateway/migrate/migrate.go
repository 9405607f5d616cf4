// Package migrate writes the configuration that does what the bridges and vxlan
// devices of a Linux kernel do, and says what of them it cannot.
package migrate

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"vxgw/config"
	"vxgw/l3/underlay/path/kernel"
)

// Result is a configuration that was made.
type Result struct {
	TOML  string // valid; what is not carried over is in it as comments
	Notes int    // how many of these there are
}

// FromKernel reads what the network namespace of the calling thread has and
// converts it: see Convert.
func FromKernel(bridges []string) (Result, error) {
	s, err := kernel.Read()
	if err != nil {
		return Result{}, err
	}
	return Convert(s, bridges)
}

// Convert returns the configuration for a set-up, or for some of its bridges where
// any are named. The error says why there is none: no vxlan device in a bridge, no
// address, or no bridge of a name.
func Convert(s *kernel.Setup, bridges []string) (Result, error) {
	c := &converter{Setup: s}
	if err := c.choose(bridges); err != nil {
		return Result{}, err
	}
	domains := c.domains()
	if len(domains) == 0 {
		return Result{}, c.nothing()
	}
	domains, err := c.underlay(domains)
	if err != nil {
		return Result{}, err
	}
	c.aboutDevices(domains)
	for _, d := range domains {
		c.addVNI(d)
	}
	c.number()
	c.addPorts()
	c.addRoutes()
	c.aboutAlone()
	text := c.write()
	if _, err := config.Parse("vxgw import", []byte(text)); err != nil {
		return Result{}, fmt.Errorf("what was made of this set-up is not valid, which is a mistake of vxgw import: write the file by hand, from `vxgw sample`\n%w", err)
	}
	return Result{text, c.count()}, nil
}

// converter is the work at hand.
type converter struct {
	*kernel.Setup
	bridges []*kernel.Link // those that are asked for

	notes []note // of no VNI
	u     underlay
	vnis  []*vni
	vrfs  []*vrf
}

// note is what is not carried over and what to do.
// What follows a line break in mend is a command.
type note struct{ what, mend string }

func (c *converter) note(mend, format string, args ...any) {
	c.notes = append(c.notes, note{fmt.Sprintf(format, args...), mend})
}

// count returns how many notes there are.
func (c *converter) count() int {
	n := len(c.notes)
	for _, v := range c.vnis {
		n += len(v.notes)
		for _, p := range v.ports {
			n += len(p.notes)
		}
	}
	for _, r := range c.vrfs {
		if len(r.connected) > 0 {
			n += len(r.notes)
		}
	}
	return n
}

// choose finds the bridges.
func (c *converter) choose(names []string) error {
	var all []string
	for i := range c.Links {
		if l := &c.Links[i]; l.Bridge != nil {
			all = append(all, l.Name)
			if len(names) == 0 || slices.Contains(names, l.Name) {
				c.bridges = append(c.bridges, l)
			}
		}
	}
	for _, name := range names {
		if !slices.Contains(all, name) {
			return fmt.Errorf("there is no bridge %q: there is %s", name, orNone(all))
		}
	}
	return nil
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// nothing says why there is nothing to convert.
func (c *converter) nothing() error {
	found := 0
	for i := range c.Links {
		if c.Links[i].VXLAN != nil {
			found++
		}
	}
	if found == 0 {
		return errors.New("there is no vxlan device here: `vxgw import` reads bridges with vxlan devices in the network namespace it runs in; `vxgw sample` prints a configuration to begin with")
	}
	lines := []string{"no vxlan device here is a port of a bridge as vxgw can take its place:"}
	for _, n := range c.notes {
		lines = append(lines, n.what+": "+n.mend)
	}
	return errors.New(strings.Join(lines, "\n"))
}

// domain is one VNI of the kernel's: a bridge, or a VLAN of one, and the vxlan device
// that carries it.
type domain struct {
	bridge, device *kernel.Link
	vlan           uint16 // 0: all of a bridge that does not filter VLANs
	vni            uint32
}

func (d domain) String() string {
	if d.vlan == 0 {
		return fmt.Sprintf("bridge %s, vxlan device %s", d.bridge.Name, d.device.Name)
	}
	return fmt.Sprintf("VLAN %d of bridge %s, vxlan device %s", d.vlan, d.bridge.Name, d.device.Name)
}

// domains returns those that vxgw can take, each VNI and each VLAN once.
func (c *converter) domains() (good []domain) {
	for i := range c.Links {
		l := &c.Links[i]
		if l.VXLAN == nil {
			continue
		}
		for _, d := range c.domainsOf(l) {
			if why := unfit(d, good); why != "" {
				c.note("move it to a bridge, or a VLAN, of its own with a VNI of its own, or leave it out", "%v, VNI %d: %s", d, d.vni, why)
				continue
			}
			good = append(good, d)
		}
	}
	return good
}

// maxVNI is RFC 7348 section 5: 24 bits. Linux takes 0 for one, vxgw does not.
const maxVNI = 1<<24 - 1

func unfit(d domain, others []domain) string {
	if d.vni == 0 || d.vni > maxVNI {
		return "there is no such VNI here: 1..16777215"
	}
	for _, o := range others {
		switch {
		case o.vni == d.vni:
			return fmt.Sprintf("the VNI is that of %v already", o)
		case o.bridge == d.bridge && o.vlan == d.vlan:
			return fmt.Sprintf("it is bridged to VNI %d there, and here a VNI is a bridge domain of its own", o.vni)
		}
	}
	return ""
}

func (c *converter) domainsOf(l *kernel.Link) []domain {
	x, bridge := l.VXLAN, c.Link(l.Master)
	switch {
	case bridge == nil || bridge.Bridge == nil:
		c.note("give this machine a veth pair with one end as a port of the VNI, or leave "+l.Name+" as it is with another UDP port",
			"vxlan device %s is in no bridge: what is bridged here is carried over, and not what a machine sends itself", l.Name)
	case !slices.Contains(c.bridges, bridge): // not asked for
	case x.GPE:
		c.note("make it a plain VXLAN device at all its VTEPs", "vxlan device %s speaks VXLAN-GPE, which is another protocol", l.Name)
	case x.External:
		return c.external(l, bridge)
	case !bridge.Bridge.Filtering:
		return []domain{{bridge, l, 0, x.VNI}}
	default:
		return c.filtered(l, bridge)
	}
	return nil
}

// filtered returns the VLAN of a VLAN-aware bridge that a device for one VNI carries.
func (c *converter) filtered(l, bridge *kernel.Link) []domain {
	own, tagged, more := access(l.VLANs)
	if len(tagged) > 0 || len(more) > 0 {
		c.note("give each of these VLANs a VNI of its own", "vxlan device %s carries VLANs %s of bridge %s too, which takes a VLAN tag inside of VXLAN", l.Name, ranges(append(tagged, more...)), bridge.Name)
	}
	if own == 0 {
		c.note("bridge vlan add dev "+l.Name+" vid VLAN pvid untagged, and import again", "vxlan device %s is in no VLAN of bridge %s as its PVID, untagged", l.Name, bridge.Name)
		return nil
	}
	return []domain{{bridge, l, own, l.VXLAN.VNI}}
}

// external returns what one device for many VNIs carries, by bridge vlan tunnel_info.
func (c *converter) external(l, bridge *kernel.Link) (all []domain) {
	if !bridge.Bridge.Filtering || l.Port == nil || !l.Port.Tunnel || len(l.Tunnels) == 0 {
		c.note("write its VNIs by hand: tc, OVS or a program decides which there are",
			"vxlan device %s is external, and bridge %s maps none of its VLANs to VNIs (bridge vlan tunnelshow)", l.Name, bridge.Name)
		return nil
	}
	for _, t := range l.Tunnels {
		for vlan := t.First; vlan <= t.Last; vlan++ {
			d := domain{bridge, l, vlan, t.VNI + uint32(vlan-t.First)}
			if _, ok := l.VXLAN.Has(d.vni); l.VXLAN.VNIFilter && !ok {
				c.note(fmt.Sprintf("bridge vni add dev %s vni %d, and import again, or leave it out", l.Name, d.vni),
					"%v, VNI %d: the device's VNI filter does not have it, and so it carries nothing", d, d.vni)
				continue
			}
			all = append(all, d)
		}
	}
	return all
}

// access says what a port of a VLAN-aware bridge is: its PVID where that is untagged,
// else 0; the VLANs that it has tagged, and those untagged that it only sends.
func access(vlans []kernel.VLAN) (own uint16, tagged, more []kernel.VLAN) {
	for _, v := range vlans {
		switch {
		case v.PVID && v.Untagged:
			own = v.First
		case v.Untagged:
			more = append(more, v)
		default:
			tagged = append(tagged, v)
		}
	}
	return own, tagged, more
}

// ranges writes VLANs as 10, 20-22.
func ranges(vlans []kernel.VLAN) string {
	var out []string
	for _, v := range vlans {
		if v.First == v.Last {
			out = append(out, fmt.Sprint(v.First))
		} else {
			out = append(out, fmt.Sprintf("%d-%d", v.First, v.Last))
		}
	}
	return strings.Join(out, ", ")
}

// isHost reports whether an address can be a single host's, and a VTEP's.
func isHost(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsLoopback() && !a.IsMulticast() && a.Zone() == "" && !a.Is4In6() &&
		a != netip.AddrFrom4([4]byte{255, 255, 255, 255}) && !(a.Is6() && a.IsLinkLocalUnicast())
}
