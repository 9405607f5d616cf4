package gateway

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"vxgw/gateway/api"
	"vxgw/gateway/control"
	"vxgw/gateway/forward"
	"vxgw/l2/fdb"
	"vxgw/l2/frame"
)

// TestBehind compares the sets of VTEPs with a map.
func TestBehind(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b behind
		want := make(map[fdb.Domain]map[forward.VTEPID]bool)
		for range rapid.IntRange(0, 200).Draw(t, "entries") {
			d, v := fdb.Domain(rapid.IntRange(0, 9).Draw(t, "domain")), forward.VTEPID(rapid.IntRange(0, 300).Draw(t, "vtep"))
			b.add(d, v)
			if want[d] == nil {
				want[d] = make(map[forward.VTEPID]bool)
			}
			want[d][v] = true
		}
		for d := range fdb.Domain(12) {
			got := slices.Collect(b.vteps(d))
			if fmt.Sprint(got) != fmt.Sprint(slices.Sorted(maps.Keys(want[d]))) {
				t.Fatalf("domain %d has %v, want %v", d, got, want[d])
			}
		}
	})
}

// TestFindMACs compares what a query finds with what a look at all entries does.
func TestFindMACs(t *testing.T) {
	b := newBench(t)
	d, s := b.tables.Snapshot().VNIs[1000], b.tables.Snapshot()
	for i := range 500 {
		hop := forward.PortHop(b.ports[i%3].id)
		if i%2 == 0 {
			hop = forward.VTEPHop(forward.VTEPID(i % 6 / 2))
		}
		b.tables.FDB().Learn(d, frame.MACFromUint64(0x020000000000+uint64(i)*257), hop, b.now)
	}
	b.tables.FDB().Set(fdb.Entry{Domain: d, MAC: nobodyMAC, Hop: forward.PortHop(b.ports[0].id), Origin: fdb.Static})
	said := control.NewWords()
	for i := range 4 {
		said.MACs[control.MACKey{VNI: 1000, MAC: frame.MACFromUint64(0x02cccc000000 + uint64(i))}] = control.MAC{VTEP: s.VTEPs[0].Addr}
	}
	for _, o := range []control.Origin{"zebra", "yeti"} {
		if _, err := b.TellOrigin(control.Request{Origin: o, Replace: &said}); err != nil {
			t.Fatal(err)
		}
		delete(said.MACs, control.MACKey{VNI: 1000, MAC: frame.MACFromUint64(0x02cccc000000)})
	}
	isController := func(name string) bool { return name == "zebra" || name == "yeti" }
	isPort := func(name string) bool {
		return slices.ContainsFunc(s.Ports, func(p forward.Port) bool { return p.Name == name })
	}
	for _, query := range []string{"", "e1", "e", "E1", "zz", "192.0.2.2", "192.0.2.9", "static", "learned", "gateway", "evpn", "01:01", "101", "0200.0000", "e2 101", "192.0.2.3 02", "gateway e1", "5e00", "zebra", "yeti", "yeti cccc", "zebra 192.0.2.3"} {
		q, err := api.ParseMACQuery(query, isPort, isController)
		if err != nil {
			t.Fatal(err)
		}
		var want, got []string
		for r := range b.MACs(0) {
			if plainly(r, query, isPort) {
				want = append(want, fmt.Sprint(r))
			}
		}
		for r := range b.FindMACs(q) {
			got = append(got, fmt.Sprint(r))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q finds %d entries, want %d", query, len(got), len(want))
		}
		if q.VNI = 999; len(slices.Collect(b.FindMACs(q))) > 0 {
			t.Errorf("%q finds something in a VNI that there is not", query)
		}
	}
}

func nobody(string) bool { return false }

var nobodyMAC = frame.MAC{2, 0xde, 0xad, 0, 0, 1}

// plainly is a query of words, each looked for in the text of a row.
func plainly(r api.MACRow, query string, isPort func(string) bool) bool {
	for _, w := range strings.Fields(query) {
		digits := strings.ReplaceAll(r.MAC, ":", "")
		var has bool
		switch {
		case isPort(w):
			has = r.Port == w
		case strings.Count(w, ".") == 3:
			has = r.VTEP == w
		case len(w) > 4 && strings.Trim(w, "abcdefghijklmnopqrstuvwxyz") == "", w == "evpn", w == "yeti":
			has = r.Origin == w
		case strings.Contains(w, ":"):
			has = strings.Contains(r.MAC, w)
		case strings.Contains(w, "."):
			has = strings.Contains(digits, strings.ReplaceAll(w, ".", ""))
		case strings.Trim(strings.ToLower(w), "0123456789abcdef") == "":
			has = strings.Contains(digits, strings.ToLower(w))
		default:
			has = strings.Contains(r.Port, w)
		}
		if !has {
			return false
		}
	}
	return true
}

// TestFindAllocates holds that a search costs memory for what it finds alone.
func TestFindAllocates(t *testing.T) {
	b := newBench(t)
	fill(b, 10_000)
	q, err := api.ParseMACQuery("dead:beef", nobody, nobody)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(10, func() {
		for r := range b.FindMACs(q) {
			t.Fatalf("%v is found", r)
		}
	}); n > 20 {
		t.Errorf("%v allocations to find nothing among 10,000", n)
	}
}

func fill(b *bench, n int) {
	d := b.tables.Snapshot().VNIs[1000]
	b.tables.FDB().SetDomain(d, 0, 0)
	for v := range forward.VTEPID(3) {
		b.tables.FDB().SetHop(forward.VTEPHop(v), 0)
	}
	for i := range n {
		b.tables.FDB().Learn(d, frame.MACFromUint64(0x020000000000+uint64(i)), forward.VTEPHop(forward.VTEPID(i%3)), b.now)
	}
	if got := b.tables.FDB().Len(); got < n {
		panic(fmt.Sprintf("%d of %d entries were learned", got, n))
	}
}

func BenchmarkFindMACs(b *testing.B) {
	g := newBench(b)
	fill(g, 1_000_000)
	q, _ := api.ParseMACQuery("ff:ff:ff", nobody, nobody)
	b.Run("find nothing", func(b *testing.B) {
		for b.Loop() {
			for range g.FindMACs(q) {
			}
		}
	})
	b.Run("behind", func(b *testing.B) {
		for b.Loop() {
			g.walks = walks{}
			g.behind()
		}
	})
	b.Run("ask again", func(b *testing.B) {
		for b.Loop() {
			g.VNIs()
		}
	})
}
