package api

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"vxgw/l2/frame"
)

// view asks for a page of a server that does not listen.
func view(t testing.TB, s *Server, path string, v any) {
	t.Helper()
	rec := httptest.NewRecorder()
	s.httpHandler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
	if rec.Code != http.StatusOK {
		t.Fatalf("%s: %d %s", path, rec.Code, rec.Body)
	}
	if err := json.Unmarshal(rec.Body.Bytes(), v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func TestOverview(t *testing.T) {
	s := New(busy(), Options{HTTPHosts: testHosts, Version: "v1.2.3", Revision: "abc", Checks: func() []Check { return []Check{{Name: "MTU", State: CheckWarn, Says: "small"}} }})
	var o Overview
	view(t, s, "/v1/overview", &o)
	if o.Name != "edge-1 <b>" || o.Version != "v1.2.3" || o.Uptime < 0 || o.Uptime > 60 || o.Time.IsZero() {
		t.Errorf("%+v", o)
	}
	if len(o.Ports) != 2 || len(o.VNIs) != 2 || o.VNIs[0].VTEPs != 4 || o.VNIs[0].Ports != 1 || o.VTEPs[1].VNIs != 6 || len(o.Drops) != 3 || o.Drops[1].Count != 41 {
		t.Errorf("%+v", o)
	}
	if diff := cmp.Diff([]MACSum{{"learned", 2}, {"static", 1}, {"gateway", 0}}, o.MACs); diff != "" {
		t.Error(diff)
	}
	var names []string
	for _, c := range o.Checks {
		names = append(names, c.Name+" "+c.State)
	}
	if got := strings.Join(names, ", "); got != "Underlay ok, Access ports warn, Datapath note, Controllers fail, MTU warn" {
		t.Errorf("checks: %s", got)
	}
}

// TestCheckOrigins holds what the health panel says of controllers.
func TestCheckOrigins(t *testing.T) {
	lives, idle := OriginRow{Origin: "evpn", State: "leased"}, OriginRow{Origin: "ovsdb", State: "attached", Unused: 3}
	swept := OriginRow{Origin: "mine", State: "expired", Unused: 1}
	for _, test := range []struct {
		name        string
		origins     []OriginRow
		state, says string
	}{
		{"one lives", []OriginRow{lives}, CheckOK, "1 of 1 live"},
		{"something is of no use", []OriginRow{lives, idle}, CheckNote, "3 of ovsdb"},
		{"one was swept", []OriginRow{lives, idle, swept}, CheckFail, ": mine"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if c := checkOrigins(&Overview{Origins: test.origins}); c.State != test.state || !strings.HasSuffix(c.Says, test.says) {
				t.Errorf("%+v", c)
			}
		})
	}
	if n := len(standing(&Overview{})); n != 3 {
		t.Errorf("%d checks where there is no controller, want 3", n)
	}
}

// counting counts how often a gateway is asked.
type counting struct {
	*fake
	asked atomic.Int64
}

func (c *counting) VNIs() []VNIRow {
	c.asked.Add(1)
	return c.fake.VNIs()
}

// TestManyLook holds that the gateway is asked once for however many who look at the same
// time.
func TestManyLook(t *testing.T) {
	src := &counting{fake: busy()}
	s := New(src, Options{HTTPHosts: testHosts})
	h := s.httpHandler()
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/v1/overview", nil))
			if rec.Code != http.StatusOK || !json.Valid(rec.Body.Bytes()) {
				t.Errorf("%d %s", rec.Code, rec.Body)
			}
		})
	}
	wg.Wait()
	// A slow machine may take longer for all of it than an answer is good for.
	if n, most := src.asked.Load(), 1+int64(time.Since(s.web.began)/webEvery); n > most {
		t.Errorf("asked %d times, want %d at most", n, most)
	}
}

func TestOnce(t *testing.T) {
	var o once[int]
	n := 0
	next := func() int { n++; return n }
	if a, b := o.get(time.Hour, next), o.get(time.Hour, next); a != 1 || b != 1 {
		t.Errorf("%d, %d: made anew while it is good", a, b)
	}
	if a := o.get(0, next); a != 2 {
		t.Errorf("%d: kept when it is too old", a)
	}
}

func TestOverviewZipped(t *testing.T) {
	s := New(busy(), Options{HTTPHosts: testHosts})
	r := httptest.NewRequest(http.MethodGet, "/v1/overview", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	rec := httptest.NewRecorder()
	s.httpHandler().ServeHTTP(rec, r)
	zip, err := gzip.NewReader(rec.Body)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(zip)
	if err != nil || !json.Valid(text) || rec.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%s, %v, %v", text, err, rec.Header())
	}
}

func TestChecks(t *testing.T) {
	up := UnderlayRow{Address: "192.0.2.1", Interface: "und0", Port: 4789, Up: true}
	port := func(name, state string) PortRow { return PortRow{Interface: name, State: state} }
	path := func(name, mode string, attached bool) DatapathRow {
		return DatapathRow{Interface: name, Mode: mode, Attached: attached, Reason: "why"}
	}
	tests := []struct {
		name string
		o    Overview
		want []string
	}{
		{"all is well", Overview{Underlay: up, Ports: []PortRow{port("e1", StateUp)}, Datapath: []DatapathRow{path("e1", "xdp", true), path("und0", "tcx", true)}},
			[]string{"ok", "ok 1 of 1 up", "ok"}},
		{"no underlay", Overview{Underlay: UnderlayRow{Address: "192.0.2.1", Reason: "nobody has it"}}, []string{"fail VTEP 192.0.2.1 does not send or receive: nobody has it", "warn there are none", "note"}},
		{"one of two", Overview{Underlay: up, Ports: []PortRow{port("e1", StateUp), port("e2", StateDown)}, Datapath: []DatapathRow{path("e1", "xdp", true), path("e2", "raw", false)}},
			[]string{"ok", "warn 1 of 2 not up: e2 down", "ok"}},
		{"none of two", Overview{Underlay: up, Ports: []PortRow{port("e1", StateAbsent), port("e2", StateDown)}}, []string{"ok", "fail none is up: e1 absent, e2 down", "note"}},
		{"groups not joined", Overview{Underlay: up, Ports: []PortRow{port("e1", StateUp)}, Datapath: []DatapathRow{path("e1", "raw", true), path("und0", "raw", false)}},
			[]string{"ok", "ok", "warn not attached: und0 (why)"}},
		{"slow", Overview{Underlay: up, Ports: []PortRow{port("e1", StateUp)}, Datapath: []DatapathRow{path("e1", "raw", true)}}, []string{"ok", "ok", "note no fast path at e1"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for i, c := range standing(&test.o) {
				if got := c.State + " " + c.Says; !strings.HasPrefix(got, test.want[i]) {
					t.Errorf("%s: %q, want %q", c.Name, got, test.want[i])
				}
				if (c.State == CheckOK) != (c.Mend == "") && test.want[i] != "note" {
					t.Errorf("%s is %s, and the mend is %q", c.Name, c.State, c.Mend)
				}
			}
		})
	}
	if got := naming(strings.Fields("a b c d e f g")); got != "a, b, c, d, e and 2 more" {
		t.Error(got)
	}
}

func TestSearch(t *testing.T) {
	s := New(busy(), Options{HTTPHosts: testHosts})
	for query, want := range map[string]string{
		"":                           "01 02 03",
		"q=01:02":                    "02",
		"q=0200.0000.0103":           "03",
		"q=02-00-00-00-01-01":        "01",
		"q=2:0:0:0:1:1":              "01",
		"q=ETH1":                     "",
		"q=eth1":                     "01",
		"q=eth":                      "01",
		"q=192.0.2.2":                "02",
		"q=::ffff:192.0.2.2":         "02",
		"q=2001:db8::3":              "03",
		"q=static":                   "02",
		"q=learned+103":              "03",
		"q=learned+102":              "",
		"vni=16777215":               "03",
		"vni=16777215&q=eth1":        "",
		"limit=1":                    "01+",
		"limit=1&offset=1":           "02+",
		"limit=2&offset=1":           "02 03",
		"limit=1&offset=9":           "",
		"q=learned&limit=1":          "01+",
		"q=learned&limit=1&offset=1": "03",
	} {
		var page MACPage
		view(t, s, "/v1/macs/search?"+query, &page)
		var got []string
		for _, r := range page.Rows {
			got = append(got, r.MAC[15:])
		}
		text := strings.Join(got, " ")
		if page.More {
			text += "+"
		}
		if text != want {
			t.Errorf("%s finds %q, want %q", query, text, want)
		}
	}
}

func TestSearchRefuses(t *testing.T) {
	s, _ := start(t, busy(), withHTTP)
	for query, says := range map[string]string{
		"q=eth1+192.0.2.2":     "name one",
		"q=eth1+enp":           "name one",
		"q=static+learned":     "one origin",
		"q=02:00:00:00:01:022": "longer than a MAC",
		"vni=0":                "1 to 16777215",
		"limit=0":              "1 to 500",
		"limit=1000000":        "1 to 500",
		"offset=-1":            "from 0",
		"mac=1":                "unknown parameter",
		"q=1&q=2":              "give it once",
		"q=%zz":                "query",
	} {
		resp, err := plainClient().Get(httpURL(t, s, "/v1/macs/search?"+query))
		if err != nil {
			t.Fatal(err)
		}
		var body errorBody
		err = json.NewDecoder(resp.Body).Decode(&body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest || !strings.Contains(body.Error, says) {
			t.Errorf("%s: %s %q, %v, want %q", query, resp.Status, body.Error, err, says)
		}
	}
}

// TestSearchEnds holds that a search walks no further than its page.
func TestSearchEnds(t *testing.T) {
	walked := 0 // by the last walk
	src := &fake{macs: func(yield func(MACRow) bool) {
		walked = 0
		for r := range macRows(10_000) {
			if walked++; !yield(r) {
				return
			}
		}
	}}
	var page MACPage
	view(t, New(src, Options{HTTPHosts: testHosts}), "/v1/macs/search?limit=10&offset=90", &page)
	if len(page.Rows) != 10 || !page.More || walked != 101 {
		t.Errorf("%d rows, walked over %d", len(page.Rows), walked)
	}
}

// TestMACPart compares what is found with strings.Contains.
func TestMACPart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mac := rapid.Uint64Max(1<<48-1).Draw(t, "mac")
		whole := fmt.Sprintf("%012x", mac)
		digits := rapid.StringMatching(`[0-9a-f]{1,4}`).Draw(t, "digits")
		if rapid.Bool().Draw(t, "of it") {
			from := rapid.IntRange(0, 11).Draw(t, "from")
			digits = whole[from:rapid.IntRange(from+1, 12).Draw(t, "to")]
		}
		p, ok, err := parseMACPart(digits)
		if !ok || err != nil {
			t.Fatalf("%q: %v %v", digits, ok, err)
		}
		if got, want := p.Has(mac), strings.Contains(whole, digits); got != want {
			t.Errorf("%s has %s: %v, want %v", whole, digits, got, want)
		}
		// With colons whole bytes are compared.
		if len(digits)%2 != 0 {
			return
		}
		var bytes []string
		for i := 0; i < len(digits); i += 2 {
			bytes = append(bytes, digits[i:i+2])
		}
		colons := strings.Join(bytes, ":") + ":"
		p, ok, err = parseMACPart(colons)
		if want := strings.Contains(frame.MACFromUint64(mac).String()+":", colons); !ok || err != nil || p.Has(mac) != want {
			t.Errorf("%s has %s: %v, want %v (%v, %v)", whole, colons, p.Has(mac), want, ok, err)
		}
	})
}

// FuzzMACQuery holds that whatever is typed is an answer or an error, and that a MAC in
// any notation finds itself.
func FuzzMACQuery(f *testing.F) {
	for _, s := range []string{"eth1", "02:00:00:00:01:02 static", "::", ".", "-", "1:2:3:4:5:6:7", "192.0.2.2 learned", "fe80::1%eth0", "\xff", "0 0 0"} {
		f.Add(s, uint64(0x020000000102))
	}
	isPort := func(name string) bool { return name == "eth1" }
	f.Fuzz(func(t *testing.T, text string, n uint64) {
		mac := frame.MACFromUint64(n)
		if q, err := ParseMACQuery(text, isPort, isPort); err == nil {
			q.HasMAC(mac.Uint64())
			q.BehindPort(text)
		}
		hex := fmt.Sprintf("%012x", mac.Uint64())
		for _, whole := range []string{mac.String(), strings.ToUpper(mac.String()), hex, hex[:4] + "." + hex[4:8] + "." + hex[8:], strings.ReplaceAll(mac.String(), ":", "-")} {
			q, err := ParseMACQuery(whole, isPort, isPort)
			if err != nil || !q.HasMAC(mac.Uint64()) || q.HasMAC(mac.Uint64()^1) || !q.Anywhere() {
				t.Fatalf("%q: %+v, %v", whole, q, err)
			}
		}
	})
}

func TestTopology(t *testing.T) {
	var vnis []VNIRow
	for i := range 40 {
		v := VNIRow{VNI: uint32(100 + i), Ports: []string{fmt.Sprintf("e%d", i), "trunk"}}
		for j := range 40 {
			v.VTEPs = append(v.VTEPs, fmt.Sprintf("192.0.2.%d", j))
		}
		vnis = append(vnis, v)
	}
	s := New(&fake{vnis: vnis}, Options{HTTPHosts: testHosts})
	var all, one, none Topology
	view(t, s, "/v1/topology", &all)
	if len(all.VNIs) != maxDrawnVNIs || all.Left.VNIs != 24 || len(all.VTEPs) != maxDrawnVTEPs || all.Left.VTEPs != 8 || len(all.Ports) != 17 || all.Left.Ports != 0 {
		t.Errorf("%d VNIs, %d VTEPs, %d ports, left out %+v", len(all.VNIs), len(all.VTEPs), len(all.Ports), all.Left)
	}
	for _, v := range all.VNIs {
		for _, p := range v.Ports {
			if !slices.Contains(all.Ports, p) {
				t.Errorf("VNI %d is drawn with %s, which is not", v.VNI, p)
			}
		}
	}
	view(t, s, "/v1/topology?vni=139", &one)
	if len(one.VNIs) != 1 || one.VNIs[0].VNI != 139 || !slices.Equal(one.Ports, []string{"e39", "trunk"}) || one.Left.VNIs != 0 {
		t.Errorf("%+v", one)
	}
	view(t, s, "/v1/topology?vni=7", &none)
	if len(none.VNIs) != 0 {
		t.Errorf("%+v", none)
	}
}

// TestCrowd holds that browsers that keep their connections do not keep others out.
func TestCrowd(t *testing.T) {
	t.Parallel()
	s, _ := start(t, busy(), withHTTP)
	home := httpURL(t, s, "/v1/overview")
	var keep []*http.Transport
	for range 2 * maxConns {
		tr := &http.Transport{}
		keep = append(keep, tr)
		resp, err := (&http.Client{Transport: tr, Timeout: 20 * time.Second}).Get(home)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	for _, tr := range keep {
		tr.CloseIdleConnections()
	}
}

func BenchmarkOverview(b *testing.B) {
	src := &fake{}
	for i := range 4000 {
		src.vnis = append(src.vnis, VNIRow{VNI: uint32(i + 1), Name: "tenant", RxPackets: 1 << 30, RxBytes: 1 << 40})
	}
	s := New(src, Options{HTTPHosts: testHosts})
	h, r := s.httpHandler(), httptest.NewRequest(http.MethodGet, "/v1/overview", nil)
	r.Header.Set("Accept-Encoding", "gzip")
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			s.web = newWebState()
			h.ServeHTTP(httptest.NewRecorder(), r)
		}
	})
	b.Run("within a second", func(b *testing.B) {
		for b.Loop() {
			h.ServeHTTP(httptest.NewRecorder(), r)
		}
	})
}

// testHosts is what package httptest asks for.
var testHosts = []string{"example.com"}
