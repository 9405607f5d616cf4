package api

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"vxgw/gateway/events"
	"vxgw/l2/frame"
)

func TestMain(m *testing.M) {
	if socket := os.Getenv(askEnv); socket != "" {
		os.Exit(askAsChild(socket, os.Args[1], os.Args[2]))
	}
	goleak.VerifyTestMain(m)
}

// noon is the time of day at which every test takes place.
var noon = time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC)

// fake is a gateway in memory.
type fake struct {
	ports    []PortRow
	vnis     []VNIRow
	vteps    []VTEPRow
	macs     iter.Seq[MACRow]
	neigh    []NeighbourRow
	routes   []RouteRow
	vrfs     []VRFRow
	drops    []DropRow
	origins  []OriginRow
	datapath []DatapathRow

	asked atomic.Pointer[ExplainRequest]

	log     *events.Log
	logOnce sync.Once
}

// Events keeps a hundred.
func (f *fake) Events() *events.Log {
	f.logOnce.Do(func() { f.log = events.NewLog(100, 1000) })
	return f.log
}

func (f *fake) Name() string               { return "edge-1 <b>" }
func (f *fake) Ports() []PortRow           { return f.ports }
func (f *fake) VNIs() []VNIRow             { return f.vnis }
func (f *fake) VTEPs() []VTEPRow           { return f.vteps }
func (f *fake) Routes() iter.Seq[RouteRow] { return slices.Values(f.routes) }
func (f *fake) VRFs() []VRFRow             { return f.vrfs }
func (f *fake) Drops() []DropRow           { return f.drops }
func (f *fake) Origins() []OriginRow       { return f.origins }
func (f *fake) Neighbours() []NeighbourRow { return f.neigh }
func (f *fake) Datapath() []DatapathRow    { return f.datapath }

func (f *fake) MACs(vni uint32) iter.Seq[MACRow] {
	return func(yield func(MACRow) bool) {
		if f.macs == nil {
			return
		}
		for r := range f.macs {
			if (vni == 0 || r.VNI == vni) && !yield(r) {
				return
			}
		}
	}
}

func (f *fake) MACCounts() map[MACCountKey]int {
	counts := map[MACCountKey]int{}
	for r := range f.MACs(0) {
		counts[MACCountKey{r.VNI, r.Origin}]++
	}
	return counts
}

func (f *fake) LearnRefused() []RefusedRow {
	return []RefusedRow{{Reason: "port_limit", Count: 7, Mend: "raise mac_limit of the [[port]]"}, {Reason: "table_full"}}
}

func (f *fake) Underlay() UnderlayRow {
	return UnderlayRow{Address: "192.0.2.1", Interface: "und0", Port: 4789, Up: true}
}

func (f *fake) FindMACs(q MACQuery) iter.Seq[MACRow] {
	return func(yield func(MACRow) bool) {
		for r := range f.MACs(q.VNI) {
			mac, err := frame.ParseMAC(r.MAC)
			if err != nil || !q.HasMAC(mac.Uint64()) || q.Origin != "" && q.Origin != r.Origin {
				continue
			}
			at, _ := netip.ParseAddr(r.VTEP)
			if there := r.Port != "" && q.BehindPort(r.Port) || r.Port == "" && q.BehindVTEP(at); there && !yield(r) {
				return
			}
		}
	}
}

func (f *fake) Explain(r ExplainRequest) (Explanation, error) {
	f.asked.Store(&r)
	if r.Port == "eth9" {
		return Explanation{}, errors.New("eth9 is no access port of this gateway")
	}
	return Explanation{
		Steps:   []Step{{"ingress", "access port eth1, VNI 10010 (web)"}, {"destination", "broadcast"}},
		Verdict: "flood",
		Copies:  []string{"port eth2", "vtep 192.0.2.2 sport 51234"},
	}, nil
}

// busy is a gateway with something in every table.
func busy() *fake {
	seen := noon.Add(-303 * time.Second)
	return &fake{
		ports: []PortRow{
			{Interface: "eth1", VLAN: 10, VNI: 10010, State: StateUp, RxPackets: 1204, RxBytes: 98304, TxPackets: 17, TxBytes: 1190, MACs: 2},
			{Interface: "enp129s0f1np1", VNI: 16777215, State: StateAbsent, Reason: "there is no such interface: it is waited for"},
		},
		vnis: []VNIRow{
			{VNI: 10010, VLAN: 10, Name: "web", MACs: 4, Ports: []string{"eth1"}, VTEPs: []string{"192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5"}, RxPackets: 5, RxBytes: 500, TxPackets: 6, TxBytes: 600, Suppressed: 3},
			{VNI: 16777215, Name: "", MACs: 0, Ports: []string{"enp129s0f1np1"}, VTEPs: []string{}},
		},
		vteps: []VTEPRow{
			{Address: "192.0.2.2", Origin: "static", VNIs: []uint32{10010}, RxPackets: 5, RxBytes: 500, TxPackets: 6, TxBytes: 600, LastSeen: &seen, MTU: 1450},
			{Address: "2001:db8::3", Origin: "learned", VNIs: []uint32{10010, 10020, 10030, 10040, 10050, 10060}},
		},
		macs: slices.Values([]MACRow{
			{VNI: 10010, MAC: "02:00:00:00:01:01", Port: "eth1", Origin: OriginLearned, Age: 12},
			{VNI: 10010, MAC: "02:00:00:00:01:02", VTEP: "192.0.2.2", Origin: "static"},
			{VNI: 16777215, MAC: "02:00:00:00:01:03", VTEP: "2001:db8::3", Origin: OriginLearned, Age: 7260},
		}),
		neigh:  []NeighbourRow{{VNI: 10010, Address: "10.1.1.2", MAC: "02:00:00:00:01:01", State: NeighbourFresh, Origin: OriginLearned}},
		routes: []RouteRow{{VRF: "red", Prefix: "10.1.1.0/24", VNI: 10010, Kind: "connected", Origin: "connected"}, {VRF: "red", Prefix: "0.0.0.0/0", Via: "10.1.1.254", Kind: "via", Origin: "static"}},
		vrfs:   []VRFRow{{Name: "red", Routes: 4, Neighbours: map[string]int{"reachable": 2, "failed": 1}, RxPackets: 9, RxBytes: 900, TxPackets: 8, TxBytes: 800}},
		origins: []OriginRow{
			{Origin: "evpn", State: "leased", Generation: 4, Hold: 300, Left: 291, VTEPs: 2, MACs: 1000, Neighbours: 10, Routes: 3, Unused: 7, LastHeard: &seen},
			{Origin: "my-controller", State: "expired", Generation: 9, Hold: 5, Swept: 1, LastHeard: &seen},
		},
		drops: []DropRow{
			{"tagged_frame", "access", 3, "an 802.1Q or 802.1ad tag on an access port", "make the switch port an untagged access port"},
			{"ecn", "overlay", 41, "congestion marked on a frame that cannot carry the mark (RFC 6040 section 4.2)", "look for a router"},
			{"too_big", "overlay", 0, "longer than the path carries after encapsulation", "raise the underlay MTU"},
		},
		datapath: []DatapathRow{
			{"raw", "eth1", true, "AF_PACKET, with checksum and segmentation offload (virtio-net headers)"},
			{"raw", "enp129s0f1np1", false, "there is no such interface: it is waited for"},
		},
	}
}

// macRows yields n entries without holding them.
func macRows(n int) iter.Seq[MACRow] {
	return func(yield func(MACRow) bool) {
		for i := range n {
			if !yield(MACRow{VNI: 10010, MAC: fmt.Sprintf("02:00:00:%02x:%02x:%02x", byte(i>>16), byte(i>>8), byte(i)), VTEP: "192.0.2.2", Origin: OriginLearned, Age: uint32(i % 300)}) {
				return
			}
		}
	}
}

// start runs a Server of src until the test ends, and returns it with its
// client.
func start(t testing.TB, src Source, change ...func(*Options)) (*Server, *Client) {
	t.Helper()
	return startWith(t, src, func(*Server) {}, change...)
}

// startWith is start with a Server that prepare has changed.
func startWith(t testing.TB, src Source, prepare func(*Server), change ...func(*Options)) (*Server, *Client) {
	t.Helper()
	opts := Options{Socket: filepath.Join(t.TempDir(), "run", "control.sock"), Version: "v1.2.3", Revision: "abcdef", Log: testLog(t)}
	for _, f := range change {
		f(&opts)
	}
	s := New(src, opts)
	prepare(s)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	select {
	case <-s.Ready():
	case err := <-done:
		t.Fatalf("Run: %v", err)
	}
	c := NewClient(opts.Socket)
	t.Cleanup(func() {
		c.Close()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s, c
}

func withHTTP(o *Options) { o.HTTP = "127.0.0.1:0" }

// httpURL waits for the HTTP listener and returns the address of a page there.
func httpURL(t testing.TB, s *Server, path string) string {
	t.Helper()
	waitFor(t, "the HTTP listener", func() bool { return s.httpAddr.Load() != nil })
	return "http://" + *s.httpAddr.Load() + path
}

// waitFor polls until ok, for at most ten seconds.
func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// plainClient keeps no connections, so that none outlives the test.
func plainClient() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
}

// socketClient speaks HTTP to a unix socket without what Client adds.
func socketClient(path string) *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
}

func testLog(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}
