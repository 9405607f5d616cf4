package config

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzParse checks that any text yields a Config that holds together or
// problems that an editor can jump to, never both and never neither.
func FuzzParse(f *testing.F) {
	f.Add([]byte(base))
	f.Add([]byte(routed))
	f.Add([]byte(routed + "[[vrf.route]]\nprefix = \"0.0.0.0/0\"\nvia = \"10.1.1.254\"\n[[mac]]\nvni = 1\naddress = \"02:00:00:00:00:01\"\nvtep = \"192.0.2.2\"\n"))
	f.Add([]byte("underlay = {address = \"2001:db8::1\"}\nvni = [{id = 1, flood = [\"2001:db8::2\"]}]\nport = [{interface = \"e\", vni = 1}]\n"))
	f.Add([]byte("underlay = {address = \"192.0.2.1/24\", interface = \"enp129s0f1np1\", vlan = 77}\nvni = [{id = 1}]\nport = [{interface = \"vxgw.7\", vni = 1}]\n"))
	f.Add([]byte("[vni]\nid = \"x\"\n[[underlay]]\n[[port]]\nvlan=1\nvni=[]\n"))
	f.Add([]byte("\xef\xbb\xbf[underlay]\r\naddress=1"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse("f", text)
		if err == nil {
			if err := holds(c); err != nil {
				t.Fatal(err)
			}
			if c.Describe() == "" || !Diff(c, c).Empty() {
				t.Fatal("no description, or a difference to itself")
			}
			for _, w := range c.Warnings {
				checkProblem(t, text, w)
			}
			return
		}
		var ps Problems
		if c != nil || !errors.As(err, &ps) || len(ps) == 0 {
			t.Fatalf("%v, %T %v", c, err, err)
		}
		for _, p := range ps {
			checkProblem(t, text, p)
		}
	})
}

// checkProblem checks that a problem is one line, in a place that the text has.
func checkProblem(t *testing.T, text []byte, p Problem) {
	t.Helper()
	if p.Message == "" || printable(p.Message) != p.Message || !utf8.ValidString(p.Message) {
		t.Fatalf("message %q", p.Message)
	}
	if strings.Contains(p.Message, "%!") && !strings.Contains(string(text), "%!") {
		t.Fatalf("message %q", p.Message)
	}
	lines := strings.Split(strings.TrimPrefix(string(text), "\xef\xbb\xbf"), "\n")
	if p.Line == 0 && p.Col == 0 {
		return
	}
	if p.Line < 1 || p.Line > len(lines) || p.Col < 1 || p.Col > utf8.RuneCountInString(lines[p.Line-1])+1 {
		t.Fatalf("%v is outside of the text", p)
	}
}

// holds checks what the rest of the gateway relies on.
func holds(c *Config) error {
	u := c.Underlay
	if !u.Address.IsValid() || notHost(u.Address) != "" || u.TTL == 0 || u.Port == 0 || u.DSCP.Value > 63 || u.SourcePorts.First == 0 || u.SourcePorts.First > u.SourcePorts.Last {
		return fmt.Errorf("underlay %+v", u)
	}
	if u.VLAN > maxVLAN || u.VLAN != 0 && u.Interface == "" || len(u.Device()) > maxInterfaceName {
		return fmt.Errorf("VLAN of %+v", u)
	}
	if u.Assign.IsValid() && (u.VLAN == 0 || u.Assign.Addr() != u.Address || notHostOf(u.Assign) != "" || u.Assign.Bits() == 0) {
		return fmt.Errorf("address of %+v", u)
	}
	if u.ZeroChecksum6 && (u.Checksum || u.Address.Is4()) {
		return fmt.Errorf("checksums %+v", u)
	}
	if c.Name == "" || c.MAC.IsZero() || c.Datapath.MACLimit < 1 || c.API.Socket == "" || c.Log.Level == "" || c.Log.Format == "" {
		return fmt.Errorf("defaults of %+v", c)
	}
	remote := func(a netip.Addr) bool {
		return a.IsValid() && a != u.Address && a.Is4() == u.Address.Is4() && notHost(a) == ""
	}
	vnis, vlans := map[uint32]VNI{}, map[uint16]uint32{}
	vrfs := map[string]bool{}
	for _, v := range c.VRFs {
		if v.Name == "" || vrfs[v.Name] {
			return fmt.Errorf("VRF %q", v.Name)
		}
		vrfs[v.Name] = true
	}
	for _, v := range c.VNIs {
		if _, dup := vnis[v.ID]; dup || v.ID == 0 || v.ID > maxVNI || v.VLAN > maxVLAN || v.VLAN != 0 && vlans[v.VLAN] != 0 || v.MACLimit < 1 || v.Ageing < 0 || v.Moves.Limit < 0 || v.Moves.Window < time.Second || v.Moves.Hold < 0 || !sane(v.Storm) {
			return fmt.Errorf("VNI %+v", v)
		}
		vnis[v.ID] = v
		vlans[v.VLAN] = v.ID
		seen := map[netip.Addr]bool{}
		for _, a := range v.Flood {
			if !remote(a) || seen[a] {
				return fmt.Errorf("flood %v", a)
			}
			seen[a] = true
		}
		if v.Group.IsValid() && (!v.Group.IsMulticast() || v.Group.Is4() != u.Address.Is4()) {
			return fmt.Errorf("group %v", v.Group)
		}
		if v.AllowedVTEPs != nil && len(v.AllowedVTEPs) == 0 {
			return fmt.Errorf("VNI %d is open to nobody", v.ID)
		}
		for _, p := range v.AllowedVTEPs {
			if p != p.Masked() || p.Addr().Is4() != u.Address.Is4() {
				return fmt.Errorf("allowed %v", p)
			}
		}
		if (len(v.Gateway) > 0) != (v.VRF != "") || (len(v.Gateway) > 0) == v.GatewayMAC.IsZero() || v.VRF != "" && !vrfs[v.VRF] || v.GatewayMAC.IsMulticast() {
			return fmt.Errorf("gateway of %+v", v)
		}
	}
	if err := apart(c); err != nil {
		return err
	}
	ports := map[string]Port{}
	for _, p := range c.Ports {
		v, known := vnis[p.VNI]
		if _, dup := ports[p.Interface]; dup || !known || p.Interface == "" || p.Interface == u.Interface || p.Interface == u.Device() || p.VLAN != 0 && v.VLAN != p.VLAN || p.MACLimit < 1 || p.BPDU == "" || !sane(p.Storm) {
			return fmt.Errorf("port %+v", p)
		}
		ports[p.Interface] = p
	}
	for _, m := range c.MACs {
		if _, known := vnis[m.VNI]; !known || m.MAC.IsZero() || m.MAC.IsMulticast() || m.VTEP.IsValid() == (m.Port != "") {
			return fmt.Errorf("static MAC %+v", m)
		}
		if m.VTEP.IsValid() && !remote(m.VTEP) || m.Port != "" && ports[m.Port].VNI != m.VNI {
			return fmt.Errorf("static MAC %+v", m)
		}
	}
	return nil
}

// sane reports whether storm control has limits that it can keep.
func sane(s Storm) bool {
	for _, n := range []int{s.Broadcast, s.Multicast, s.UnknownUnicast} {
		if n < 0 || n > maxStorm {
			return false
		}
	}
	return true
}

// apart checks the gateway prefixes and routes of each VRF, the slow way.
func apart(c *Config) error {
	for _, r := range c.VRFs {
		var connected []netip.Prefix
		for _, v := range c.VNIs {
			if v.VRF != r.Name {
				continue
			}
			for _, p := range v.Gateway {
				for _, q := range connected {
					if p.Overlaps(q) {
						return fmt.Errorf("VRF %s: %v overlaps %v", r.Name, p, q)
					}
				}
				connected = append(connected, p)
			}
		}
		for _, s := range r.Routes {
			if ways := len(s.Hops) > 0; s.Prefix != s.Prefix.Masked() || ways == (s.Blackhole || s.Unreachable) || s.Blackhole && s.Unreachable {
				return fmt.Errorf("VRF %s: route %v", r.Name, s)
			}
			for _, h := range s.Hops {
				found := h.Via.Is6() && h.Via.IsLinkLocalUnicast()
				for _, p := range connected {
					found = found || p.Contains(h.Via) && p.Addr() != h.Via
				}
				if !found || h.VNI == 0 || s.Prefix.Addr().Is4() != h.Via.Is4() {
					return fmt.Errorf("VRF %s: route %v", r.Name, s)
				}
			}
		}
	}
	return nil
}
