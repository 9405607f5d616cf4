package e2e

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"testing"
	"time"

	"vxgw/gateway/api"
	"vxgw/l2/frame"
	"vxgw/test/netns"
	"vxgw/test/packet"
)

// places notes where the frames of a flow come, by their numbers.
type places struct {
	mu sync.Mutex
	at map[uint32][]string
}

// note counts frames to a station at a device. Of those that are encapsulated the VTEP
// that they are for is the place.
func (p *places) note(t testing.TB, ns *netns.NS, dev string, to frame.MAC) {
	capture(t, ns, dev, netns.Only(func(f []byte) bool {
		where, in := dev, frame.Frame(inner(f))
		if len(in) < len(f) {
			where = vxlanPacket(f).dst().String()
		}
		if len(in) < 46 || in.Dst() != to {
			return false
		}
		n := flowNumber(f)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.at[n] = append(p.at[n], where)
		return false
	}))
}

// flowNumber returns the number of a frame of a flow, bare or encapsulated.
func flowNumber(f []byte) uint32 { return binary.BigEndian.Uint32(inner(f)[42:]) - firstNumber }

func (p *places) total() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, at := range p.at {
		n += len(at)
	}
	return n
}

// A station moves from port to port, to a VTEP, to another one, and back to a port, while
// frames come for it: each arrives once, and none where it was once it is known where it
// is.
func TestFastMoves(t *testing.T) {
	t.Parallel()
	for _, w := range fastWays {
		t.Run(w.name, func(t *testing.T) {
			b := newFastBed(t, fastBed{way: w})
			mover := frame.MAC{2, 0, 0, 0, 0x77, 1}
			came := &places{at: make(map[uint32][]string)}
			came.note(t, b.hosts, "h2", mover)
			came.note(t, b.peer, "und0", mover)
			hello := packet.Numbered(nobody, mover, 1<<23)
			steps := []struct {
				to   string // where the frames come
				as   string // in `show macs`
				tell func()
			}{
				{"h2", "port acc2", func() { b.fromHost("h2", hello) }},
				{vtepA.String(), "vtep " + vtepA.String(), func() { b.fromPeer(b.wrap(vni, hello)) }},
				{vtepB.String(), "vtep " + vtepB.String(), func() { b.fromPeer(b.wrapFrom(true, vni, hello)) }},
				{"h2", "port acc2", func() { b.fromHost("h2", hello) }},
				{vtepB.String(), "vtep " + vtepB.String(), func() { b.fromPeer(b.wrapFrom(true, vni, hello)) }},
			}
			numbers := &flow{t: t, from: sender{b.hosts, "h1"}, frames: [][]byte{unsummed(mover, h1MAC, "203.0.113.1", "203.0.113.2")}, field: 42, to: &tally{t: t, count: most}}
			if w.live {
				numbers = newFlow(t, numbers.from, true, 42, numbers.to, numbers.frames...)
			}
			var since []int // numbers from which on frames must be where a step says
			var stop func()
			for _, s := range steps {
				s.tell()
				eventually(t, "the gateway knows of the move", func() bool { return b.macs()["1000 "+mover.String()] == s.as })
				b.macs() // the programs are told at the same moment as the table that this reads
				if stop != nil {
					stop()
				}
				since = append(since, numbers.sent)
				stop = numbers.begin(4000)
				time.Sleep(100 * time.Millisecond) // some frames
			}
			stop()
			eventually(t, "all frames are there", func() bool { return came.total() >= numbers.sent })
			step := 0
			wrong := 0
			for n := range numbers.sent {
				for step+1 < len(since) && n >= since[step+1] {
					step++
				}
				at := came.at[uint32(n)]
				ok := len(at) == 1 && (at[0] == steps[step].to || step+1 < len(steps) && at[0] == steps[step+1].to)
				if !ok {
					if wrong++; wrong < 5 {
						t.Errorf("frame %d came at %v, want once, at %s or where it moves next", n, at, steps[step].to)
					}
				}
			}
			if wrong > 0 {
				t.Errorf("%d of %d frames came elsewhere, not once, or not at all", wrong, numbers.sent)
			}
		})
	}
}

// Who is heard by the kernel's programs alone does not age. Who is silent does, and what
// is for him then goes everywhere.
func TestFastAgeing(t *testing.T) {
	t.Parallel()
	for _, w := range fastWays {
		t.Run(w.name, func(t *testing.T) {
			b := newFastBed(t, fastBed{way: w, vni: `ageing = "4s"`})
			f := b.flow(t, journeys()[0], most)
			back := b.flow(t, journeys()[1], most)
			stops := []func(){f.begin(500), back.begin(500)}
			silent := "1000 " + h2MAC.String()
			eventually(t, "who is silent is forgotten", func() bool { return b.macs()[silent] == "" })
			was := time.Now()
			eventually(t, "more than the time of ageing passes", func() bool {
				if at := b.macs(); at["1000 "+h1MAC.String()] != "port acc1" || at["1000 "+ra1MAC.String()] != "vtep "+vtepA.String() {
					t.Fatalf("who is heard is forgotten: %v", at)
				}
				return time.Since(was) > 3*time.Second
			})
			for _, stop := range stops {
				stop()
			}
			f.wantAll()
			back.wantAll()
			at := []*netns.Capture{capture(t, b.hosts, "h2"), captureOuter(t, b.peer, "und0")}
			b.fromHost("h1", packet.UDP(h2MAC, h1MAC, netip.MustParseAddrPort("203.0.113.1:1"), netip.MustParseAddrPort("203.0.113.2:2"), []byte("where are you")))
			for i, n := range []int{1, 2} { // both VTEPs
				must(t, at[i].WaitMatch(n, isTo(h2MAC), patience))
			}
			if n := rows[api.MACRow](b.gateway, "macs"); len(n) != 2 {
				t.Errorf("known are %v, want those who were heard", n)
			}
		})
	}
}
