package faults

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"vxgw/gateway/api"
	"vxgw/gateway/forward"
	"vxgw/l3/vxlan"
)

// garbage makes frames that are noise, or noise behind a header that passes.
func garbage(r *rand.Rand, n int) [][]byte {
	frames := make([][]byte, n)
	types := [][]byte{{8, 0}, {0x86, 0xdd}, {8, 6}, {0x81, 0}, {0x88, 0xa8}, {0x88, 0xb5}}
	// The kernel takes a tag off itself, and drops a frame that ends before
	// the type behind it, unseen by anybody: with 20 bytes none does.
	lengths := []int{20, 21, 34, 54, 60, 100, 1000, 1514}
	for i := range frames {
		f := make([]byte, lengths[r.IntN(len(lengths))])
		for j := range f {
			f[j] = byte(r.Uint32())
		}
		if r.IntN(4) > 0 {
			f[6] &^= 1
			copy(f[12:14], types[r.IntN(len(types))])
			if len(f) > 14 {
				f[14] = []byte{0x45, 0x4f, 0x60, 0}[r.IntN(4)]
			}
		}
		frames[i] = f
	}
	return frames
}

// TestGarbage holds that noise from both sides breaks nothing: pings are
// answered all the while, and every frame is accounted for.
func TestGarbage(t *testing.T) {
	b := newBed(t)
	d := start(t, b.gw, settings{})
	b.pings(t)
	var senders sync.WaitGroup
	const rounds, batch = 150, 100
	senders.Go(func() {
		r := rand.New(rand.NewPCG(1, 1))
		for range rounds {
			if err := b.host.Send("eth0", garbage(r, batch)...); err != nil {
				t.Error(err)
			}
		}
	})
	senders.Go(func() {
		r := rand.New(rand.NewPCG(2, 2))
		for i := range rounds {
			from := netip.AddrPortFrom(peerAddr, uint16(50000+i))
			for _, f := range garbage(r, batch/5) {
				p := append(make([]byte, vxlan.HeaderLen), f...)
				vxlan.Put(p, vni)
				if r.IntN(4) == 0 {
					p = f[:r.IntN(len(f))]
				}
				if err := b.peer.SendUDP(from, netip.AddrPortFrom(gwAddr, 4789), p); err != nil {
					t.Error(err)
				}
			}
		}
	})
	senders.Wait()
	b.pings(t)
	if !d.running() {
		t.Fatal("the gateway ended")
	}
	nothingRaw(t, d.err.String())
	// The only way from the port leads to the VTEP and back: a frame was sent
	// there, or dropped for a reason.
	until(t, "the sums agree", func() error {
		came, err := b.gw.Stats("acc1")
		must(t, err)
		p, v := rows[api.PortRow](d, "ports")[0], rows[api.VTEPRow](d, "vteps")[0]
		dropped := d.dropped("access")
		overflow := d.drops(forward.RxOverflow.String(), "access") + d.drops(forward.RxUnreadable.String(), "access")
		if p.RxPackets+overflow != came.RxPackets || p.RxPackets != v.TxPackets+dropped-overflow {
			return fmt.Errorf("%d came: %d read, %d overflowed, %d sent, %d dropped", came.RxPackets, p.RxPackets, overflow, v.TxPackets, dropped)
		}
		return nil
	})
}

// dropped sums the drops of a direction.
func (d *daemon) dropped(direction string) (n uint64) {
	for _, r := range rows[api.DropRow](d, "drops") {
		if r.Direction == direction {
			n += r.Count
		}
	}
	return n
}

// TestStopUnderLoad holds that a gateway that is busy ends as well as an idle
// one, by either signal, and again and again.
func TestStopUnderLoad(t *testing.T) {
	b := newBed(t)
	frames := garbage(rand.New(rand.NewPCG(3, 3)), 100)
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		d := start(t, b.gw, settings{})
		stop := make(chan struct{})
		var sender sync.WaitGroup
		sender.Go(func() {
			for range 10000 { // bounded, whatever happens
				select {
				case <-stop:
					return
				default:
				}
				if err := b.host.Send("eth0", frames...); err != nil {
					t.Error(err)
					return
				}
			}
		})
		until(t, "it is busy", func() error {
			if n := rows[api.PortRow](d, "ports")[0].RxPackets; n < 1000 {
				return fmt.Errorf("%d frames", n)
			}
			return nil
		})
		d.stop(s)
		close(stop)
		sender.Wait()
		d.says("msg=stopping")
		nothingRaw(t, d.err.String())
	}
}

// TestFlaps holds that links that come and go leave nothing behind, and that
// every change is told of.
func TestFlaps(t *testing.T) {
	b := newBed(t)
	d := start(t, b.gw, settings{})
	state := func(want string) {
		t.Helper()
		until(t, "the port is "+want, func() error {
			if s := rows[api.PortRow](d, "ports")[0].State; s != want {
				return fmt.Errorf("it is %s", s)
			}
			return nil
		})
	}
	b.pings(t)
	flap := func() {
		must(t, b.host.SetDown("eth0"))
		state("down")
		must(t, b.host.SetUp("eth0"))
		state("up")
	}
	flap()
	files, threads := d.files(), d.threads()
	// The kernel tells of a carrier once a second; what is in between shows by
	// the count of changes.
	for range 100 {
		must(t, b.host.SetDown("eth0"))
		must(t, b.host.SetUp("eth0"))
	}
	flap()
	b.pings(t)
	if up, down := d.lines(`msg="port up"`), d.lines(`msg="port down"`); up != down+1 || down < 2 {
		t.Errorf("up was told of %d times, down %d", up, down)
	}
	until(t, "no file is left open", func() error {
		if n := d.files(); n > files {
			return fmt.Errorf("%d, were %d", n, files)
		}
		return nil
	})
	if n := d.threads(); n > threads+4 {
		t.Errorf("%d threads, were %d", n, threads)
	}
}

// files counts the gateway's open files, but for connections to its socket.
func (d *daemon) files() (n int) {
	d.t.Helper()
	d.client.Close()
	dir := filepath.Join("/proc", strconv.Itoa(d.cmd.Process.Pid), "fd")
	entries, err := os.ReadDir(dir)
	must(d.t, err)
	return len(entries)
}

func (d *daemon) threads() int {
	d.t.Helper()
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(d.cmd.Process.Pid), "status"))
	must(d.t, err)
	_, after, _ := bytes.Cut(status, []byte("Threads:"))
	n, err := strconv.Atoi(strings.Fields(string(after))[0])
	must(d.t, err)
	return n
}

// TestMACLimit holds that a table that is full is told of once, and that frames
// are carried all the same.
func TestMACLimit(t *testing.T) {
	b := newBed(t)
	d := start(t, b.gw, settings{ports: port("acc1") + "mac_limit = 2\n"})
	b.pings(t)
	must(t, b.host.Send("eth0", garbage(rand.New(rand.NewPCG(4, 4)), 100)...))
	d.says("a limit keeps MACs from being learned", "limit=port_limit", "mend=")
	b.pings(t)
}
