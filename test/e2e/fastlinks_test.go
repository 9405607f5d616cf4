package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"vxgw/gateway/api"
	"vxgw/l2/frame"
	"vxgw/test/netns"
	"vxgw/test/packet"
)

// An access interface, and that of the underlay, vanish under load and come back: flows
// that do not go by them lose nothing, and those that do are carried in the kernel again.
func TestFastInterfacesVanish(t *testing.T) {
	t.Parallel()
	for _, w := range fastWays {
		t.Run(w.name, func(t *testing.T) {
			b := newFastBed(t, fastBed{way: w})
			js := journeys()
			encap := b.flow(t, js[0], most)
			b.isFast(t, encap)
			encap.during(5000, func() {
				must(t, b.bed.ns.Delete("acc2"))
				b.waitPort("acc2", api.StateAbsent)
				wire(t, b.hosts, "h2", b.bed.ns, "acc2", netns.VethOptions{AMAC: h2MAC})
				must(t, b.hosts.Offloads("h2", true, "gro"))
				b.waitPort("acc2", api.StateUp)
			})
			b.inMode(w.mode)
			bridged := b.flow(t, js[2], most)
			eventually(t, "the port's frames are carried in the kernel", func() bool {
				b.relearn()
				return b.carriesAlone(t, bridged)
			})
			bridged.during(5000, func() {
				must(t, b.bed.ns.Delete("und0"))
				eventually(t, "the underlay is not there", func() bool { return !b.uplink().Attached })
				wire(t, b.bed.ns, "und0", b.peer, "und0", netns.VethOptions{AMAC: gwMAC, BMAC: peerMAC, MTU: 1700})
				must(t, b.peer.Offloads("und0", true, "gro"))
				must(t, b.bed.ns.AddAddr("und0", gwAddr.String()+"/24"))
				for _, a := range []netip.Addr{vtepA, vtepB} {
					must(t, b.peer.AddAddr("und0", a.String()+"/24"))
				}
				eventually(t, "the underlay is there again", func() bool { return b.uplink().Attached })
			})
			b.inMode(w.mode)
			b.relearn()
			again := b.flow(t, js[0], most) // the tally went with its device
			through := count(t, b.peer, "und0", isTo(ra1MAC))
			eventually(t, "the next hop is asked for", func() bool {
				b.fromHost("h1", unsummed(ra1MAC, h1MAC, "203.0.113.1", "203.0.113.2"))
				return through.Load() > 0
			})
			b.isFast(t, again)
			again.send(1000)
			again.wantAll()
		})
	}
}

// Of a VTEP that there is no route to any more the programs know: each frame arrives or
// is counted as one that the host's stack refused, and with the route they carry again.
func TestFastRouteGoes(t *testing.T) {
	t.Parallel()
	for _, w := range fastWays {
		t.Run(w.name, func(t *testing.T) {
			b := newFastBed(t, fastBed{way: w})
			f := b.flow(t, journeys()[0], most)
			b.isFast(t, f)
			lost := func() int { return int(b.dropped()["tx_failed access"]) }
			none := netns.Route{To: vtepA.String() + "/32", Kind: "unreachable"}
			must(t, b.bed.ns.AddRoute(none))
			eventually(t, "frames are refused", func() bool {
				f.send(1)
				return lost() > 0
			})
			f.send(1000)
			eventually(t, "each is counted", func() bool { return f.to.all()+lost() == f.sent && lost() > 1000 })
			must(t, b.bed.ns.DelRoute(none))
			eventually(t, "frames are carried in the kernel again", func() bool {
				arrived := f.to.all()
				b.pause(func() {
					f.send(1)
					time.Sleep(20 * time.Millisecond)
				})
				return f.to.all() > arrived && f.to.all()+lost() == f.sent
			})
			was := lost()
			f.send(1000)
			eventually(t, "all arrive", func() bool { return f.to.all()+was == f.sent })
		})
	}
}

// While an interface goes down under load each frame for it arrives or is counted, the
// first ones too: the programs send there until they are told. What was behind a port is
// flooded to from then on.
func TestFastInterfaceGoesDown(t *testing.T) {
	t.Parallel()
	for _, w := range fastWays {
		t.Run(w.name, func(t *testing.T) {
			b := newFastBed(t, fastBed{way: w})
			js := journeys()
			flooded := func() int { return int(b.vtep(vtepA.String()).TxPackets) }
			lost := func() (sum int) {
				for _, n := range b.dropped() {
					sum += int(n)
				}
				return sum
			}
			for _, is := range []struct {
				dev  string
				by   journey
				ends func() int // where frames go when it is down
			}{
				{"acc2", js[2], func() int { return lost() + flooded() }},
				{"und0", js[0], lost},
			} {
				f := b.flow(t, is.by, most)
				b.isFast(t, f)
				f.wantAll()
				before := is.ends()
				stop := f.begin(20_000)
				eventually(t, "frames arrive", func() bool { return f.to.all() > 1000 })
				must(t, b.bed.ns.SetDown(is.dev))
				eventually(t, "frames do not", func() bool { return is.ends() > before+1000 })
				stop()
				var arrived, elsewhere int
				for deadline := time.Now().Add(patience / 4); arrived+elsewhere != f.sent && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
					arrived, elsewhere = f.to.all(), is.ends()-before
				}
				if arrived+elsewhere != f.sent {
					t.Errorf("%s: %d sent, %d arrived, %d were dropped or flooded: %v", is.dev, f.sent, arrived, elsewhere, b.dropped())
				}
			}
		})
	}
}

// With an MTU beyond a page a veth takes only programs that take frames in pieces, which
// is said; frames of any length are carried in the kernel.
func TestFastJumboFrames(t *testing.T) {
	t.Parallel()
	for _, w := range fastWays {
		t.Run(w.name, func(t *testing.T) {
			b := (&fastBed{way: w}).prepare(t)
			for _, at := range []sender{{b.hosts, "h1"}, {b.bed.ns, "acc1"}, {b.bed.ns, "und0"}, {b.peer, "und0"}} {
				must(t, at.ns.SetMTU(at.dev, 9000))
			}
			b.begin()
			if why := b.datapathOf("acc1").Reason; w.live && !strings.Contains(why, "jumbo frames too") {
				t.Errorf("acc1: %s", why)
			}
			f := b.flow(t, journeys()[0], most)
			back := b.flow(t, journeys()[1], most)
			b.isFast(t, f)
			b.isFast(t, back)
			for _, size := range []int{3000, 4000, 8900} {
				big := resized(unsummed(ra1MAC, h1MAC, "203.0.113.1", "203.0.113.2"), size)
				bigBack := resized(unsummed(h1MAC, ra1MAC, "203.0.113.2", "203.0.113.1"), size)
				isBig := func(f []byte) bool { return len(inner(f)) == size }
				at := []*netns.Capture{capture(t, b.peer, "und0", netns.Only(isBig)), capture(t, b.hosts, "h1", netns.Only(isBig))}
				b.pause(func() {
					for range 5 {
						b.fromHost("h1", big)
						b.fromPeer(b.wrap(vni, bigBack))
					}
					for _, c := range at {
						must(t, c.Wait(5, patience))
					}
				})
				for i, want := range [][]byte{big, bigBack} {
					for _, p := range at[i].Frames() {
						if string(inner(p)) != string(want) {
							t.Errorf("a frame of %d bytes has changed", size)
						}
					}
					must(t, at[i].Close())
				}
			}
			b.wantDrops(drops{})
		})
	}
}

// resized returns a frame of a datagram that is as long as n bytes.
func resized(f []byte, n int) []byte {
	f = append(f[:42:42], make([]byte, n-42)...)
	f[16], f[17] = byte((n-14)>>8), byte(n-14)
	f[38], f[39] = byte((n-34)>>8), byte(n-34)
	return reseal(f)
}

// VTEPs that the programs' tables have no room for are served by the workers, which is
// told of once.
func TestFastMoreVTEPsThanRoom(t *testing.T) {
	t.Parallel()
	const vteps, room = 1100, 1024
	b := (&fastBed{way: byTCX, vni: `allowed_vteps = ["10.9.0.0/16", "192.0.2.0/24"]`}).prepare(t)
	must(t, b.bed.ns.AddRoute(netns.Route{To: "10.9.0.0/16", Via: vtepA.String()}))
	b.begin()
	address := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)}) }
	mac := func(i int) frame.MAC { return frame.MAC{2, 0, 0, 9, byte(i >> 8), byte(i)} }
	for i := 1; i <= vteps; i++ {
		b.fromPeer(outerFrom(address(i), packet.Numbered(nobody, mac(i), 1<<23)))
		if i%50 == 0 {
			eventually(t, "the VTEPs are known", func() bool { return b.macs()[fmt.Sprintf("1000 %v", mac(i))] != "" })
		}
	}
	b.wantOneLine("the fast path has no room", "more than 1024 VTEPs")
	at := captureOuter(t, b.peer, "und0")
	tries := 0
	send := func(i int) {
		tries++
		b.fromHost("h1", packet.UDP(mac(i), h1MAC, netip.MustParseAddrPort("203.0.113.1:1"), netip.AddrPortFrom(netip.MustParseAddr("203.0.113.2"), uint16(tries)), []byte("which of you")))
	}
	came := func(i, try int) bool {
		n := at.Count(func(f []byte) bool {
			in := vxlanPacket(f).inner()
			return isTo(mac(i))(f) && len(in) > 38 && int(in[36])<<8|int(in[37]) == try && vxlanPacket(f).dst() == address(i)
		})
		if n > 1 {
			t.Errorf("a frame for VTEP %d came %d times", i, n)
		}
		return n == 1
	}
	for _, i := range []int{5, vteps} {
		eventually(t, fmt.Sprintf("VTEP %d is served", i), func() bool {
			send(i)
			try := tries
			eventually(t, "the frame is there", func() bool { return came(i, try) })
			return true
		})
	}
	b.pause(func() {
		send(vteps)
		over := tries
		send(5)
		try := tries
		eventually(t, "the programs carry what they know", func() bool { return came(5, try) })
		if came(vteps, over) {
			t.Errorf("the programs know of more than %d VTEPs", room)
		}
	})
	eventually(t, "the workers carry the rest", func() bool { return came(vteps, tries-1) })
	b.wantOneLine("the fast path has no room", "more than 1024 VTEPs")
}
