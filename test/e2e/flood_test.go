package e2e

import (
	"net/netip"
	"testing"

	"vxgw/l2/frame"
	"vxgw/test/packet"
)

// Flooding and learning: what is unknown goes everywhere once, what was heard of
// goes only there, and nothing that came from a VTEP goes to another.
func TestFloodAndLearn(t *testing.T) {
	t.Parallel()
	c := newCampus(t, "", "")
	everywhere := []string{"h2", "h3", "hA", "hB", "hC"}
	c.send("h1", frame.Broadcast, h1MAC, 10, everywhere...)
	c.send("h1", nobody, h1MAC, 10, everywhere...)
	c.send("hA", frame.Broadcast, nobody, 1, "h1", "h2", "h3")
	c.send("h1", nobody, h1MAC, 10, "hA")
	c.send("h2", nobody, h2MAC, 10, "hA")

	// It moves to another VTEP, to a port, and to another port.
	c.send("hB", frame.Broadcast, nobody, 1, "h1", "h2", "h3")
	c.send("h1", nobody, h1MAC, 10, "hB")
	c.send("h2", frame.Broadcast, nobody, 1, "h1", "h3", "hA", "hB", "hC")
	c.send("h1", nobody, h1MAC, 10, "h2")
	c.send("hC", nobody, rb1MAC, 10, "h2")
	c.send("h3", frame.Broadcast, nobody, 1, "h1", "h2", "hA", "hB", "hC")
	c.send("h1", nobody, h1MAC, 10, "h3")
	c.wantDrops(drops{})

	// Back where it came from, and from VTEP to VTEP: nothing.
	c.send("h3", nobody, h3MAC, 10)
	c.send("hA", frame.Broadcast, ra1MAC, 1, "h1", "h2", "h3")
	c.send("hB", ra1MAC, rb1MAC, 10)
	c.wantDrops(drops{"same_port access": 10, "split_horizon overlay": 10})

	macs := c.macs()
	for mac, want := range map[frame.MAC]string{
		h1MAC: "port acc1", h2MAC: "port acc2", h3MAC: "port acc3", nobody: "port acc3", ra1MAC: "vtep 192.0.2.34", rb1MAC: "vtep 192.0.2.50",
	} {
		if at := macs["1000 "+mac.String()]; at != want {
			t.Errorf("%v is at %q, want %q", mac, at, want)
		}
	}
}

// VNIs do not hear of each other, whatever is sent in one of them.
func TestVNIsAreApart(t *testing.T) {
	t.Parallel()
	c := newCampus(t, "", "")
	c.send("h1", frame.Broadcast, h1MAC, 10, "h2", "h3", "hA", "hB", "hC")
	c.send("h4", frame.Broadcast, h2MAC, 10, "hD")
	c.send("hD", frame.Broadcast, rb1MAC, 10, "h4")
	// A MAC of one VNI is unknown in the other, and may be in both.
	c.send("h4", h1MAC, h2MAC, 10, "hD")
	c.send("h1", h2MAC, h1MAC, 10, "h2", "h3", "hA", "hB", "hC")
	c.send("h2", frame.Broadcast, h2MAC, 1, "h1", "h3", "hA", "hB", "hC")
	c.send("h1", h2MAC, h1MAC, 10, "h2")
	c.send("hD", h2MAC, rb1MAC, 10, "h4")

	four, six := c.strays("h4"), c.strays("hD")
	var frames [][]byte
	for _, dst := range []frame.MAC{frame.Broadcast, nobody, {1, 0, 0x5e, 0, 0, 5}, {0x33, 0x33, 0, 0, 0, 1}, {1, 0x80, 0xc2, 0, 0, 0x21}} {
		kinds := [][]byte{
			packet.Ethernet(dst, h1MAC, typeTest, make([]byte, 46)),
			packet.UDP(dst, h1MAC, netip.MustParseAddrPort("203.0.113.1:9"), netip.MustParseAddrPort("203.0.113.2:9"), nil),
			packet.UDP(dst, h1MAC, netip.MustParseAddrPort("[2001:db8::1]:9"), netip.MustParseAddrPort("[2001:db8::2]:9"), nil),
		}
		frames = append(frames, kinds...)
		for _, vid := range []uint16{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 4000, 4094} {
			for _, tpid := range []uint16{0x8100, 0x88a8, 0x9100} {
				frames = append(frames, packet.Tagged(kinds[0], tpid, vid), packet.Tagged(kinds[1], tpid, vid))
			}
		}
	}
	must(t, c.hosts.Send("h1", frames...))
	c.settle("h1")
	must(t, c.hosts.Send("hA", frames...))
	c.settle("hA")
	if n, m := c.strays("h4")-four, c.strays("hD")-six; n != 0 || m != 0 {
		t.Errorf("%d frames of one VNI came to the port of another, %d to the VTEP", n, m)
	}
	tagged := uint64(5 * 13 * 3 * 2)
	c.wantDrops(drops{"tagged_frame access": tagged, "inner_vlan overlay": tagged})
}

func TestIsolatedPorts(t *testing.T) {
	t.Parallel()
	c := newCampus(t, "", "isolated = true")
	c.apart = true
	c.send("h1", frame.Broadcast, h1MAC, 10, "h3", "hA", "hB", "hC")
	c.send("h2", frame.Broadcast, h2MAC, 10, "h3", "hA", "hB", "hC")
	c.send("h3", frame.Broadcast, h3MAC, 10, "h1", "h2", "hA", "hB", "hC")
	c.send("hA", frame.Broadcast, ra1MAC, 10, "h1", "h2", "h3")
	c.wantDrops(drops{})
	c.send("h1", h2MAC, h1MAC, 10)
	c.send("h2", h1MAC, h2MAC, 10)
	c.wantDrops(drops{"isolated_port access": 20})
	c.send("h1", h3MAC, h1MAC, 10, "h3")
	c.send("h3", h1MAC, h3MAC, 10, "h1")
	c.send("h1", ra1MAC, h1MAC, 10, "hA")
	c.send("hA", h1MAC, ra1MAC, 10, "h1")
}

// Without learning what is behind VTEPs is not learned, and what is behind ports
// is.
func TestLearningOff(t *testing.T) {
	t.Parallel()
	c := newCampus(t, "learning = false", "")
	c.send("hA", frame.Broadcast, ra1MAC, 10, "h1", "h2", "h3")
	c.send("h1", ra1MAC, h1MAC, 10, "h2", "h3", "hA", "hB", "hC")
	c.send("h2", h1MAC, h2MAC, 10, "h1")
	c.send("hA", h1MAC, ra1MAC, 10, "h1")
	if at, ok := c.macs()["1000 "+ra1MAC.String()]; ok {
		t.Errorf("%v was learned at %s", ra1MAC, at)
	}
	c.wantDrops(drops{})
}
