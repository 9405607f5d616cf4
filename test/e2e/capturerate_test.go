package e2e

import (
	"bytes"
	"net/netip"
	"os"
	"testing"
	"time"

	"vxgw/test/packet"
)

// Captures that begin and end lose no frame of what is forwarded, in either direction,
// whichever way frames are carried.
func TestCapturesLoseNothing(t *testing.T) {
	const length = 342
	from4, to4 := netip.MustParseAddrPort("203.0.113.1:80"), netip.MustParseAddrPort("203.0.113.2:5000")
	for _, tc := range []struct {
		way
		rate float64 // frames a second, each way: with the race detector a worker is slow
	}{{byWorkers, 2000}, {byXDP, 50_000}} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBed(t, 1, 1700)
			must(t, b.hosts.Offloads("h1", true, "gro"))
			must(t, b.peer.Offloads("und0", true, "gro"))
			for _, dev := range []string{"acc1", "und0"} { // frames without a socket buffer come in
				must(t, b.ns.Offloads(dev, true, "gro"))
			}
			encap, decap := newCounter(t, b.peer, "und0", length+outerLen), newCounter(t, b.hosts, "h1", length)
			b.start(settings{more: "[datapath]\n" + tc.datapath + "\n"})
			b.learnBoth()
			b.inMode(tc.mode)
			inner := packet.UDP(ra1MAC, h1MAC, from4, to4, make([]byte, length-42))
			outer := outerFrom(vtepA, packet.UDP(h1MAC, ra1MAC, to4, from4, make([]byte, length-42)))
			warm := paceBoth(t, b, inner, outer, 1000, time.Second)
			eventually(t, "the first frames are there", func() bool {
				return encap.frames() >= uint64(warm[0]) && decap.frames() >= uint64(warm[1])
			})
			was, lost := [2]uint64{encap.frames(), decap.frames()}, b.dropped()
			enough, sent := make(chan struct{}), make(chan [2]int, 1)
			go func() {
				var n [2]int
				for under := true; under; {
					more := paceBoth(t, b, inner, outer, tc.rate, time.Second)
					n[0], n[1] = n[0]+more[0], n[1]+more[1]
					select {
					case <-enough:
						under = false
					default:
					}
				}
				sent <- n
			}()
			for range 3 {
				c := b.capture(t, "--snaplen", "64", "--count", "1000")
				if err := c.cmd.Wait(); err != nil {
					t.Errorf("the capture: %v\n%s", err, c.stderr.String())
				}
				if n := len(c.read(false).frames); n != 1000 {
					t.Errorf("%d of 1000 frames were captured", n)
				}
			}
			close(enough)
			n := <-sent
			for i, counter := range []*counter{encap, decap} {
				eventually(t, "all frames are there", func() bool { return counter.frames()-was[i] >= uint64(n[i]) })
				if got := counter.frames() - was[i]; got != uint64(n[i]) {
					t.Errorf("%d of %d frames came", got, n[i])
				}
			}
			if d := b.dropped(); len(d) != len(lost) {
				t.Errorf("dropped: %v, and before %v", d, lost)
			}
			t.Logf("%d and %d frames", n[0], n[1])
		})
	}
}

// A capture under load accounts for every frame: it has it, or has counted it.
func TestCaptureAccounts(t *testing.T) {
	const count = 20_000
	b := newFastBed(t, fastBed{way: byXDP})
	for _, j := range journeys()[:3] {
		t.Run(j.name, func(t *testing.T) {
			f := b.flow(t, j, 2*count)
			b.isFast(t, f)
			before := f.sent
			c := b.capture(t)
			f.send(count)
			eventually(t, "all frames are carried", func() bool { return f.to.all() == f.sent })
			file := c.end()
			seen := 0
			for _, is := range file.frames {
				if is.length == len(j.inner) || is.length == len(j.inner)+outerLen {
					seen++
				}
			}
			missed := 0
			for _, is := range file.interfaces {
				missed += int(is.Statistics.PacketsDropped)
			}
			if want := 2 * (f.sent - before); seen+missed != want || seen == 0 {
				t.Errorf("%d frames were seen and %d counted as missed, want %d in all\n%s", seen, missed, want, c.stderr.String())
			}
			text, err := os.ReadFile(c.file)
			must(t, err)
			readPcapng(t, bytes.NewReader(text), false)
		})
	}
}
