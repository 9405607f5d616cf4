package faults

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"vxgw/gateway/api"
	"vxgw/test/netns"
)

const (
	vlanID   = 77
	sub      = "und0.77"
	vlanMark = "vxgw 192.0.2.1:4789"
	onVLAN   = "address = \"192.0.2.1/24\"\ninterface = \"und0\"\nvlan = 77"
	noVLANs  = "cannot make und0.77, VLAN 77 of und0: this kernel has no 802.1Q: modprobe 8021q"
)

// newVLANBed is a bed whose underlay is VLAN 77 at the peer, and where the gateway
// is still to find its way into that. A kernel without 802.1Q has no such peer.
func newVLANBed(t *testing.T) (b *bed, hasVLANs bool) {
	t.Helper()
	b = newBed(t)
	must(t, b.gw.DelAddr("und0", gwAddr.String()+"/24"))
	hasVLANs, err := b.gw.HasVLANs("und0")
	must(t, err)
	if hasVLANs {
		must(t, b.peer.DelAddr("und0", peerAddr.String()+"/24"))
		must(t, b.peer.VLAN("und0", sub, vlanID))
		must(t, b.peer.AddAddr(sub, peerAddr.String()+"/24"))
	}
	return b, hasVLANs
}

func (b *bed) hasDevice(t testing.TB, dev string, want bool) {
	t.Helper()
	got, err := b.gw.Has(dev)
	must(t, err)
	if got != want {
		t.Errorf("%s is there: %v, want %v", dev, got, want)
	}
}

func underlayRow(d *daemon) api.DatapathRow {
	d.t.Helper()
	all := rows[api.DatapathRow](d, "datapath")
	return all[len(all)-1]
}

// waitsForVLANs holds a gateway to what it says on a kernel without 802.1Q: once
// in the log, and for as long as it is so where people look.
func (d *daemon) waitsForVLANs(b *bed) {
	d.t.Helper()
	d.says(`msg="underlay down"`, noVLANs, "CONFIG_VLAN_8021Q", "take vlan out of [underlay]")
	row := underlayRow(d)
	if row.Attached || row.Interface != sub || !strings.Contains(row.Reason, noVLANs) {
		d.t.Errorf("show datapath: %+v", row)
	}
	stdout, _, code := tool(d.t, nil, "show", "datapath", "--socket", d.socket)
	if code != 0 || !strings.Contains(strings.Join(strings.Fields(stdout), " "), "this kernel has no 802.1Q") {
		d.t.Errorf("exit %d\n%s", code, stdout)
	}
	// The supervisor looks again, and goes on with the rest.
	must(d.t, b.host.SetDown("eth0"))
	d.says(`msg="port down"`, "port=acc1")
	must(d.t, b.host.SetUp("eth0"))
	d.says(`msg="port up"`, "port=acc1")
	if n := d.lines(noVLANs); n != 1 {
		d.t.Errorf("it was said %d times", n)
	}
	b.hasDevice(d.t, sub, false)
	d.stop(syscall.SIGTERM)
	b.hasDevice(d.t, "und0", true)
}

// TestUnderlayVLAN holds that the sub-interface comes with the gateway and goes
// with it, that what it sends carries the tag, and that a kernel that cannot is
// named.
func TestUnderlayVLAN(t *testing.T) {
	b, hasVLANs := newVLANBed(t)
	must(t, b.gw.AddAddr("und0", "198.51.100.9/32"))
	d := start(t, b.gw, settings{underlay: onVLAN})
	if !hasVLANs {
		d.waitsForVLANs(b)
		return
	}
	d.says(`msg="VLAN sub-interface made"`, "interface="+sub, "parent=und0", "vlan=77")
	wire, err := b.peer.Capture("und0")
	must(t, err)
	b.pings(t)
	must(t, wire.Close())
	tagged, plain := 0, 0
	for _, f := range wire.Frames() {
		switch {
		case isOuterVXLAN(f[4:]) && binary.BigEndian.Uint32(f[12:]) == 0x8100<<16|vlanID:
			tagged++
		case isOuterVXLAN(f):
			plain++
		}
	}
	if tagged == 0 || plain > 0 {
		t.Errorf("%d VXLAN packets in VLAN 77, %d in none", tagged, plain)
	}
	if row := underlayRow(d); !row.Attached || row.Interface != sub {
		t.Errorf("show datapath: %+v", row)
	}
	alias, err := b.gw.Alias(sub)
	must(t, err)
	mtu, err := b.gw.MTU(sub)
	must(t, err)
	if alias != vlanMark || mtu != 1600 {
		t.Errorf("alias %q, MTU %d", alias, mtu)
	}
	if n := d.lines("level=WARN", "nderlay"); n > 0 {
		t.Errorf("%d warnings of the underlay", n)
	}
	d.stop(syscall.SIGTERM)
	d.says("VLAN sub-interface removed", "interface="+sub)
	b.hasDevice(t, sub, false)
	b.hasDevice(t, "und0", true)
	must(t, b.gw.DelAddr("und0", "198.51.100.9/32")) // it is there still
}

// isOuterVXLAN reports whether an untagged frame is VXLAN in UDP in IPv4.
func isOuterVXLAN(f []byte) bool {
	return len(f) > 38 && bytes.Equal(f[12:14], []byte{8, 0}) && f[23] == unix.IPPROTO_UDP && binary.BigEndian.Uint16(f[36:]) == 4789
}

// TestVLANHeals holds that whatever happens to the sub-interface and to its parent
// is mended.
func TestVLANHeals(t *testing.T) {
	b, hasVLANs := newVLANBed(t)
	d := start(t, b.gw, settings{underlay: onVLAN})
	if !hasVLANs {
		d.waitsForVLANs(b)
		return
	}
	b.pings(t)
	for _, harm := range []struct {
		name string
		do   func() error
	}{
		{"sub-interface down", func() error { return b.gw.SetDown(sub) }},
		{"no address", func() error { return b.gw.DelAddr(sub, "192.0.2.1/24") }},
		{"sub-interface deleted", func() error { return b.gw.Delete(sub) }},
		{"sub-interface narrow", func() error { return b.gw.SetMTU(sub, 1400) }},
		{"parent narrow", func() error { return b.gw.SetMTU("und0", 1400) }},
		{"parent wide", func() error { return b.gw.SetMTU("und0", 1600) }},
		{"parent down and up", func() error { return first(b.gw.SetDown("und0"), b.gw.SetUp("und0")) }},
	} {
		must(t, harm.do())
		b.pings(t)
		until(t, harm.name, func() error {
			is, err := b.gw.MTU(sub)
			parent, perr := b.gw.MTU("und0")
			if err = first(err, perr); err == nil && is != parent {
				err = fmt.Errorf("MTU %d, the parent's is %d", is, parent)
			}
			return err
		})
	}

	must(t, b.gw.SetDown("und0"))
	d.says("und0 is administratively down", "ip link set und0 up")
	must(t, b.gw.Rename("und0", "eno1"))
	d.says("there is no interface und0 to carry VLAN 77")
	until(t, "it goes", func() error { return gone(b, sub) })
	must(t, b.gw.Rename("eno1", "und0"))
	must(t, b.gw.SetUp("und0"))
	b.pings(t)

	away := newNS(t)
	must(t, b.gw.Move("und0", away))
	until(t, "it goes", func() error { return gone(b, sub) })
	must(t, away.Move("und0", b.gw))
	must(t, b.gw.SetUp("und0"))
	b.pings(t)

	must(t, b.gw.Bridge("br77"))
	must(t, b.gw.SetDown("br77")) // older kernels rename nothing that is up
	must(t, b.gw.SetDown("und0"))
	must(t, b.gw.Rename("und0", "eno1"))
	until(t, "it goes", func() error { return gone(b, sub) })
	must(t, b.gw.Rename("br77", sub))
	must(t, b.gw.Rename("eno1", "und0"))
	must(t, b.gw.SetUp("und0"))
	d.says("und0.77 is there already and is not VLAN 77 of und0 but a bridge device", "ip link delete und0.77")
	must(t, b.gw.Delete(sub))
	b.pings(t)
	d.stop(syscall.SIGTERM)
	b.hasDevice(t, sub, false)
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func gone(b *bed, dev string) error {
	there, err := b.gw.Has(dev)
	if err == nil && there {
		err = fmt.Errorf("%s is there", dev)
	}
	return err
}

// TestVLANKilled holds that what a killed gateway leaves is used by the next one,
// and removed at its end.
func TestVLANKilled(t *testing.T) {
	b, hasVLANs := newVLANBed(t)
	d := start(t, b.gw, settings{underlay: onVLAN})
	if !hasVLANs {
		d.waitsForVLANs(b)
		return
	}
	b.pings(t)
	must(t, d.cmd.Process.Kill())
	<-d.done
	b.hasDevice(t, sub, true)
	next := *d
	next.err = new(buffer)
	next.again(b.gw)
	next.start().begun()
	next.says("VLAN sub-interface is there", "removed_at_the_end=true")
	b.pings(t)
	next.stop(syscall.SIGTERM)
	if n := next.lines("VLAN sub-interface made"); n > 0 {
		t.Error("it was made anew")
	}
	b.hasDevice(t, sub, false)
}

// TestVLANOfTheOperators holds that a sub-interface that is there is used and left
// alone, by the key and without it.
func TestVLANOfTheOperators(t *testing.T) {
	for name, underlay := range map[string]string{"vlan": onVLAN, "interface": "interface = \"storage\""} {
		t.Run(name, func(t *testing.T) {
			b, hasVLANs := newVLANBed(t)
			if !hasVLANs {
				start(t, b.gw, settings{underlay: onVLAN}).waitsForVLANs(b)
				return
			}
			must(t, b.gw.VLAN("und0", "storage", vlanID))
			if underlay != onVLAN {
				must(t, b.gw.AddAddr("storage", gwAddr.String()+"/24"))
			}
			d := start(t, b.gw, settings{underlay: underlay})
			b.pings(t)
			if row := underlayRow(d); row.Interface != "storage" {
				t.Errorf("show datapath: %+v", row)
			}
			d.stop(syscall.SIGTERM)
			b.hasDevice(t, "storage", true)
			b.hasDevice(t, sub, false)
			if underlay == onVLAN {
				must(t, b.gw.AddAddr("storage", gwAddr.String()+"/24")) // it was taken away
			}
		})
	}
}

// TestVLANWithoutTheRight holds that without CAP_NET_ADMIN the gateway says what
// it needs, and takes what somebody else makes.
func TestVLANWithoutTheRight(t *testing.T) {
	b, hasVLANs := newVLANBed(t)
	d := prepare(t, b.gw, settings{underlay: onVLAN})
	unprivileged(t, d, unix.CAP_NET_RAW)
	d.start().begun()
	d.says(`msg="underlay down"`, "cannot make und0.77, VLAN 77 of und0: this process may not, it needs CAP_NET_ADMIN", "AmbientCapabilities=", "ip link add link und0 name und0.77 type vlan id 77")
	if row := underlayRow(d); row.Attached || !strings.Contains(row.Reason, "CAP_NET_ADMIN") {
		t.Errorf("show datapath: %+v", row)
	}
	if hasVLANs {
		must(t, b.gw.VLAN("und0", sub, vlanID))
		d.says(`msg="underlay down"`, "cannot give und0.77 the address 192.0.2.1/24: this process may not, it needs CAP_NET_ADMIN")
		must(t, b.gw.AddAddr(sub, gwAddr.String()+"/24"))
		b.pings(t)
	}
	d.stop(syscall.SIGTERM)
	if n := d.lines("cannot make und0.77"); n != 1 {
		t.Errorf("it was said %d times", n)
	}
	b.hasDevice(t, sub, hasVLANs)
}

// TestVLANOverIPv6 holds that the address is assigned without duplicate address
// detection, and again after the kernel has taken it away with the link.
func TestVLANOverIPv6(t *testing.T) {
	b, hasVLANs := newVLANBed(t)
	own, far := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	s := settings{underlay: strings.Replace(onVLAN, "192.0.2.1/24", "2001:db8::1/64", 1), flood: `"2001:db8::2"`}
	if !hasVLANs {
		start(t, b.gw, s).waitsForVLANs(b)
		return
	}
	must(t, b.peer.AddAddr(sub, far.String()+"/64"))
	must(t, b.peer.Delete("vx0"))
	must(t, b.peer.VXLAN(netns.VXLANConfig{Name: "vx0", VNI: vni, Local: far, Remotes: []netip.Addr{own}, Master: "br0"}))
	must(t, b.gw.Sysctl("ipv6/conf/lo/disable_ipv6", "0"))
	d := start(t, b.gw, s)
	d.says(`msg="underlay down"`, "IPv6 is off there: sysctl -w net/ipv6/conf/und0.77/disable_ipv6=0")
	must(t, b.gw.Sysctl("ipv6/conf/und0.77/disable_ipv6", "0"))
	b.pings(t)
	for range 3 {
		must(t, b.gw.SetDown("und0"))
		d.says("und0 is administratively down")
		must(t, b.gw.SetUp("und0"))
		b.pings(t)
	}
	d.stop(syscall.SIGTERM)
	b.hasDevice(t, sub, false)
}

// TestTwoGatewaysOnAVLAN holds that the end of one takes nothing from the other
// for longer than a look.
func TestTwoGatewaysOnAVLAN(t *testing.T) {
	b, hasVLANs := newVLANBed(t)
	other := prepare(t, b.gw, settings{underlay: "port = 8472\n" + onVLAN, ports: port("acc9")})
	other.start().begun()
	d := start(t, b.gw, settings{underlay: onVLAN})
	if !hasVLANs {
		other.says(noVLANs)
		d.waitsForVLANs(b)
		return
	}
	b.pings(t)
	d.says("VLAN sub-interface is there", "removed_at_the_end=false")
	other.stop(syscall.SIGTERM)
	d.says("VLAN sub-interface made")
	b.pings(t)
	d.stop(syscall.SIGTERM)
	b.hasDevice(t, sub, false)
}

// TestVLANReload holds that another VLAN waits for the next start, and that this
// is said as of every other key.
func TestVLANReload(t *testing.T) {
	b := newBed(t)
	d := start(t, b.gw, settings{})
	b.pings(t)
	d.write(settings{underlay: onVLAN})
	stdout, _, code := tool(t, nil, "reload", "--socket", d.socket)
	for _, line := range []string{"~ underlay.address (at the next start)", "~ underlay.interface (at the next start)", "~ underlay.vlan (at the next start)"} {
		if code != 0 || !strings.Contains(stdout, line+"\n") {
			t.Errorf("exit %d, nothing of %q\n%s", code, line, stdout)
		}
	}
	b.pings(t)
	b.hasDevice(t, sub, false)
}
