package e2e

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vxgw/gateway/api"
	"vxgw/l2/frame"
	"vxgw/test/packet"
)

// parts is a configuration of which each reload changes one part to another of its
// alternatives. Two flows of VNI 1000 are in all of them, between acc1 and vtepA.
var parts = [][]string{
	{"[gateway]\nname = \"gw\"\n", "[gateway]\nname = \"wg\"\n"},
	{"[log]\n", "[log]\nlevel = \"debug\"\n"},
	{"[underlay]\naddress = \"192.0.2.17\"\n"},
	{"", "ttl = 9\n"}, // waits for a restart

	{"[[vni]]\nid = 1000\nvlan = 10\n"},
	{"", "name = \"web\"\n"},
	{"", "mac_limit = 2\n"},
	{"ageing = \"0s\"\n", "ageing = \"3000s\"\n"},
	{"flood = [\"192.0.2.34\"]\n", "flood = [\"192.0.2.34\", \"192.0.2.50\"]\n", "flood = [\"192.0.2.66\", \"192.0.2.34\"]\n"},
	{"", "allowed_vteps = [\"192.0.2.0/24\"]\n", "allowed_vteps = [\"192.0.2.34\"]\n"},
	{"", "suppress_arp = true\n"},
	{"", "clamp_mss = true\n"},
	{"", "learning = false\n"},
	{"", "vrf = \"red\"\ngateway = [\"10.1.1.1/24\", \"2001:db8:1::1/64\"]\n"},

	{"[[port]]\ninterface = \"acc1\"\nvlan = 10\n", "[[port]]\ninterface = \"acc1\"\nvni = 1000\n"},
	{"", "mac_limit = 1\n"},
	{"", "bpdu = \"tunnel\"\n", "bpdu = \"shutdown\"\n"},
	{"", "priority_tagged = \"drop\"\n"},
	{"", "isolated = true\n"},
	{"", "[[port]]\ninterface = \"acc2\"\nvlan = 10\n", "[[port]]\ninterface = \"acc2\"\nvni = 5000\n"},

	{"", "[[vni]]\nid = 2000\nvlan = 20\nflood = [\"192.0.2.50\"]\n[[port]]\ninterface = \"acc3\"\nvlan = 20\n"},
	{"", "[[vni]]\nid = 3000\nvlan = 30\nvrf = \"red\"\ngateway = [\"10.3.0.1/24\"]\ndhcp_servers = [\"10.3.0.9\"]\n"},
	{"", "[[vni]]\nid = 4000\nvlan = 40\ngroup = \"239.1.1.1\"\n", "[[vni]]\nid = 4000\nvlan = 40\ngroup = \"239.1.1.2\"\n"},
	{"[[vni]]\nid = 5000\nvlan = 50\nflood = [\"192.0.2.66\"]\nvrf = \"blue\"\ngateway = [\"10.5.0.1/24\"]\n"},
	{"", "[[mac]]\nvni = 1000\naddress = \"02:00:00:00:09:09\"\nvtep = \"192.0.2.34\"\n", "[[mac]]\nvni = 1000\naddress = \"02:00:00:00:09:09\"\nvtep = \"192.0.2.99\"\n"},
	{"", "[[vrf]]\nname = \"green\"\n"},
	{"[[vrf]]\nname = \"red\"\n[[vrf]]\nname = \"blue\"\n"},
	{"", "[[vrf.route]]\nprefix = \"0.0.0.0/0\"\nvia = \"10.5.0.2\"\n", "[[vrf.route]]\nprefix = \"0.0.0.0/0\"\nvia = [\"10.5.0.2\", \"10.5.0.3\"]\n"},
	{"", "[[vrf.route]]\nprefix = \"198.18.0.0/15\"\nblackhole = true\n"},
}

// variant is which alternative of each part is meant.
type variant []int

func (v variant) String() string {
	var text strings.Builder
	for i, alternatives := range parts {
		text.WriteString(alternatives[v[i]])
	}
	return text.String()
}

// next changes one part.
func (v variant) next(r *rand.Rand) {
	for {
		i := r.IntN(len(parts))
		if n := len(parts[i]); n > 1 {
			v[i] = (v[i] + 1 + r.IntN(n-1)) % n
			return
		}
	}
}

// While everything else comes and goes, two flows at 50,000 frames a second lose no frame
// and double none: by the workers, and by the programs in the kernel.
func TestReloadsUnderLoad(t *testing.T) {
	for _, mode := range []string{"raw", "auto"} {
		t.Run(mode, func(t *testing.T) { reloadsUnderLoad(t, mode) })
	}
}

func reloadsUnderLoad(t *testing.T, mode string) {
	const reloads, most, length, at = 100, 1 << 21, 128, 42
	b := newBed(t, 3, 1700)
	// A veth takes frames without a socket buffer when it has GRO.
	must(t, b.hosts.Offloads("h1", true, "gro"))
	must(t, b.peer.Offloads("und0", true, "gro"))
	must(t, b.ns.Offloads("acc1", true, "gro"))
	must(t, b.ns.Offloads("und0", true, "gro"))
	runs := make(variant, len(parts))
	tail := fmt.Sprintf("[datapath]\nmode = %q\n", mode)
	b.gateway = start(t, b.ns, runs.String()+tail).forwards()
	file := filepath.Join(filepath.Dir(b.socket), "vxgw.toml")
	text, err := os.ReadFile(file)
	must(t, err)
	tail = string(text[len(runs.String()):]) // with [api], as start wrote it
	b.learnBothOf(vni)

	in, out := counted(h1MAC, ra1MAC, length), counted(ra1MAC, h1MAC, length)
	flows := []*flow{
		newFlow(t, sender{b.hosts, "h1"}, true, at, newTally(t, b.peer, "und0", numberRange{outerLen + at, firstNumber, most}), in),
		newFlow(t, sender{b.peer, "und0"}, true, outerLen+at, newTally(t, b.hosts, "h1", numberRange{at, firstNumber, most}), outerFrom(vtepA, out)),
	}
	stop, ended := make(chan struct{}), make(chan error, len(flows))
	for _, f := range flows {
		go func() { ended <- f.stream(50_000, most, stop) }()
	}
	if mode == "auto" {
		eventually(t, "the programs carry", b.inXDP)
	}

	r, begun := rand.New(rand.NewPCG(1, 2)), time.Now()
	for i := range reloads {
		runs.next(r)
		must(t, os.WriteFile(file, []byte(runs.String()+tail), 0o644))
		if _, err := b.client.Reload(context.Background(), 0); err != nil {
			t.Fatalf("reload %d: %v\n%s", i, err, runs)
		}
		time.Sleep(20 * time.Millisecond) // some frames in each configuration
		if len(ended) > 0 {
			break // a frame is lost, or there are too many
		}
	}
	took := time.Since(begun)
	if mode == "auto" && !b.inXDP() {
		t.Errorf("the programs carry no more: %+v", rows[api.DatapathRow](b.gateway, "datapath"))
	}
	close(stop)
	for range flows {
		must(t, <-ended)
	}
	for _, f := range flows {
		eventually(t, "all frames are there", func() bool { return f.to.came(f.sent-1) && f.to.all() >= f.sent })
		f.wantNow(f.sent)
	}
	t.Logf("%d and %d frames, %d reloads in %v", flows[0].sent, flows[1].sent, reloads, took)
}

// inXDP reports whether there are programs at the first port and at the underlay.
func (b *bed) inXDP() bool {
	at := make(map[string]bool)
	for _, d := range rows[api.DatapathRow](b.gateway, "datapath") {
		at[d.Interface] = at[d.Interface] || d.Mode == "xdp"
	}
	return at["acc1"] && at["und0"]
}

// counted is a frame of a length that has room for a number, and no checksum that it
// would change.
func counted(src, dst frame.MAC, length int) []byte {
	from, to := netip.MustParseAddrPort("203.0.113.1:80"), netip.MustParseAddrPort("203.0.113.2:5000")
	f := packet.UDP(dst, src, from, to, make([]byte, length-42))
	f[40], f[41] = 0, 0
	return f
}

// window is how many frames of a flow are under way at the most: less than the rings of
// the gateway hold, so that none is lost because the machine has no time for it.
const window = 1500

// stream sends a flow at a rate, or as fast as it is carried, until stop is closed. An
// error says that a frame did not come, or that more than most would have been sent.
func (f *flow) stream(rate, most int, stop <-chan struct{}) error {
	const every, burst = time.Millisecond, 250
	begun := time.Now()
	for moved := begun; ; {
		select {
		case <-stop:
			return nil
		case <-time.After(every):
		}
		n := min(int(float64(rate)*time.Since(begun).Seconds())-f.sent, burst)
		if last := f.sent + n - window; last >= 0 && !f.to.came(last) {
			if time.Since(moved) > patience {
				return fmt.Errorf("frame %d of %s has not come", last, f.from.dev)
			}
			continue
		}
		moved = time.Now()
		if f.sent+n > most {
			return fmt.Errorf("all numbers of %s are used up", f.from.dev)
		}
		if err := f.gen.Send(n); err != nil {
			return err
		}
		f.sent += n
	}
}

// came reports whether a number came.
func (c *tally) came(n int) bool {
	b := make([]byte, 8)
	_, err := c.mem.ReadAt(b, int64(8*n))
	return err == nil && binary.NativeEndian.Uint64(b) > 0
}
