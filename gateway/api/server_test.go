package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// ask sends one request to the control socket and returns status and body.
func ask(t *testing.T, s *Server, method, path, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, "http://vxgw"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return roundTrip(t, socketClient(s.opts.Socket), req)
}

func roundTrip(t *testing.T, c *http.Client, req *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

// TestFields holds the field names that scripts rely on.
func TestFields(t *testing.T) {
	s, _ := start(t, busy())
	for path, want := range map[string]string{
		"/v1/ports":                "interface,macs,rx_bytes,rx_packets,state,tx_bytes,tx_packets,vlan,vni",
		"/v1/vnis":                 "held,macs,name,ports,rx_bytes,rx_packets,suppressed,tx_bytes,tx_packets,vlan,vni,vrf,vteps",
		"/v1/vteps":                "address,last_seen,mtu,origin,rx_bytes,rx_packets,tx_bytes,tx_packets,vnis",
		"/v1/macs":                 "age,mac,origin,port,vni",
		"/v1/macs?vni=16777215":    "age,mac,origin,vni,vtep",
		"/v1/neighbours":           "address,mac,origin,state,vni",
		"/v1/routes":               "kind,origin,prefix,vni,vrf",
		"/v1/drops":                "count,direction,meaning,mend,reason",
		"/v1/datapath":             "attached,interface,mode,reason",
		"/v1/neighbours?vni=10010": "address,mac,origin,state,vni",
	} {
		resp, text := ask(t, s, http.MethodGet, path, "")
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %s, %s", path, resp.Status, resp.Header.Get("Content-Type"))
		}
		var rows []map[string]any
		if err := json.Unmarshal([]byte(text), &rows); err != nil || len(rows) == 0 {
			t.Errorf("%s: %d rows, %v", path, len(rows), err)
			continue
		}
		if got := strings.Join(sortedKeys(rows[0]), ","); got != want {
			t.Errorf("%s has fields\n%s, want\n%s", path, got, want)
		}
	}
}

func TestEmptyIsAnArray(t *testing.T) {
	s, _ := start(t, &fake{})
	for _, r := range Resources {
		if _, text := ask(t, s, http.MethodGet, "/v1/"+r.Name, ""); strings.Join(strings.Fields(text), "") != "[]" {
			t.Errorf("%s: %q", r.Name, text)
		}
	}
}

func TestFilter(t *testing.T) {
	_, c := start(t, busy())
	for name, want := range map[string]int{"ports": 1, "vnis": 1, "vteps": 2, "macs": 2, "neighbours": 1} {
		n := 0
		for _, err := range Rows[map[string]any](context.Background(), c, name, 10010) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		if n != want {
			t.Errorf("%s of VNI 10010: %d, want %d", name, n, want)
		}
	}
}

func TestRefusals(t *testing.T) {
	s, _ := start(t, busy())
	arp := strings.Repeat("ff", 60)
	tests := []struct {
		name, method, path, body string
		status                   int
		says                     string
	}{
		{"unknown path", "GET", "/v1/nope", "", 404, "there is GET /v1/ports"},
		{"reload where nothing can be reloaded", "POST", "/v1/reload", "", 404, "/v1/reload"},
		{"a path of another method", "GET", "/v1/capture", "", 404, "/v1/capture"},
		{"root", "GET", "/", "", 404, "GET /v1/ports"},
		{"wrong method", "DELETE", "/v1/ports", "", 405, "use GET"},
		{"explain by GET", "GET", "/v1/explain", "", 405, "use POST"},
		{"vni not a number", "GET", "/v1/macs?vni=web", "", 400, "1 to 16777215"},
		{"vni zero", "GET", "/v1/macs?vni=0", "", 400, "1 to 16777215"},
		{"vni of 25 bits", "GET", "/v1/macs?vni=16777216", "", 400, "1 to 16777215"},
		{"vni twice", "GET", "/v1/macs?vni=1&vni=2", "", 400, "once"},
		{"vni where there is none", "GET", "/v1/drops?vni=1", "", 400, "not kept by VNI"},
		{"unknown parameter", "GET", "/v1/macs?mac=1", "", 400, "unknown parameter"},
		{"broken query", "GET", "/v1/macs?vni=%zz", "", 400, "query"},
		{"no body", "POST", "/v1/explain", "", 400, "frame"},
		{"not JSON", "POST", "/v1/explain", "port=eth1", 400, "frame"},
		{"unknown field", "POST", "/v1/explain", `{"port":"eth1","frame":"` + arp + `","vlan":1}`, 400, "vlan"},
		{"two values", "POST", "/v1/explain", `{"port":"eth1","frame":"` + arp + `"}{}`, 400, "more than one"},
		{"nowhere", "POST", "/v1/explain", `{"frame":"` + arp + `"}`, 400, "where"},
		{"two places", "POST", "/v1/explain", `{"port":"eth1","vtep":"192.0.2.2","vni":1,"frame":"` + arp + `"}`, 400, "not both"},
		{"port with no VNI there is", "POST", "/v1/explain", `{"port":"eth1","vni":16777216,"frame":"` + arp + `"}`, 400, "1 to 16777215"},
		{"VTEP without VNI", "POST", "/v1/explain", `{"vtep":"192.0.2.2","frame":"` + arp + `"}`, 400, "VNI"},
		{"VTEP no address", "POST", "/v1/explain", `{"vtep":"peer","vni":1,"frame":"` + arp + `"}`, 400, "not an IP address"},
		{"no frame", "POST", "/v1/explain", `{"port":"eth1"}`, 400, "empty"},
		{"frame not hexadecimal", "POST", "/v1/explain", `{"port":"eth1","frame":"hello"}`, 400, "hexadecimal"},
		{"frame too long", "POST", "/v1/explain", `{"port":"eth1","frame":"` + strings.Repeat("00", 65558) + `"}`, 400, "65557"},
		{"body too long", "POST", "/v1/explain", `{"port":"eth1","frame":"` + strings.Repeat("00:", 100000) + `"}`, 413, "262144"},
		{"the gateway says no", "POST", "/v1/explain", `{"port":"eth9","frame":"` + arp + `"}`, 400, "eth9"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			resp, text := ask(t, s, test.method, test.path, test.body)
			var body errorBody
			if err := json.Unmarshal([]byte(text), &body); err != nil {
				t.Fatalf("%s: %q is no error in JSON", resp.Status, text)
			}
			if resp.StatusCode != test.status || !strings.Contains(body.Error, test.says) {
				t.Errorf("%s %q, want %d with %q", resp.Status, body.Error, test.status, test.says)
			}
			if test.status == 405 && resp.Header.Get("Allow") == "" {
				t.Error("no Allow header")
			}
		})
	}
}

func TestExplain(t *testing.T) {
	src := busy()
	_, c := start(t, src)
	got, err := c.Explain(context.Background(), ExplainRequest{VTEP: "::ffff:192.0.2.2", VNI: 10010, Frame: "0xFF FF:ff-ff.ffff\n0200"})
	if err != nil || got.Verdict != "flood" || len(got.Steps) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	want := ExplainRequest{VTEP: "192.0.2.2", VNI: 10010, Frame: "ffffffffffff0200"}
	if diff := cmp.Diff(want, *src.asked.Load()); diff != "" {
		t.Errorf("the source was asked (-want +got):\n%s", diff)
	}
	if _, err := c.Explain(context.Background(), ExplainRequest{Port: "eth1", VNI: 10010, Frame: "ff"}); err != nil {
		t.Errorf("a port with its VNI: %v", err)
	}
	if _, err := c.Explain(context.Background(), ExplainRequest{Port: "eth9", Frame: "00"}); err == nil || err.Error() != "eth9 is no access port of this gateway" {
		t.Errorf("error %v", err)
	}
}

func TestHead(t *testing.T) {
	s, _ := start(t, busy())
	if resp, text := ask(t, s, http.MethodHead, "/v1/macs", ""); resp.StatusCode != 200 || text != "" {
		t.Errorf("%s %q", resp.Status, text)
	}
}

// TestMillionMACs holds that an answer's memory does not grow with its rows.
func TestMillionMACs(t *testing.T) {
	if testing.Short() {
		t.Skip("a million rows")
	}
	const rows = 1_000_000
	var peak atomic.Uint64
	src := &fake{macs: func(yield func(MACRow) bool) {
		i := 0
		for r := range macRows(rows) {
			if i++; i%100_000 == 0 {
				var m runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&m)
				peak.Store(max(peak.Load(), m.HeapAlloc))
			}
			if !yield(r) {
				return
			}
		}
	}}
	_, c := start(t, src)
	body, err := c.Get(context.Background(), "macs", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	lines := &lineCounter{}
	if _, err := io.Copy(lines, body); err != nil {
		t.Fatal(err)
	}
	if lines.n != rows+2 {
		t.Errorf("%d lines, want a row to a line and two brackets", lines.n)
	}
	// The rows together are above 80 MiB; one answer is far below.
	if peak.Load() > 32<<20 {
		t.Errorf("the heap grew to %d bytes", peak.Load())
	}
}

type lineCounter struct{ n int }

func (l *lineCounter) Write(b []byte) (int, error) {
	l.n += bytes.Count(b, []byte("\n"))
	return len(b), nil
}

func TestManyClients(t *testing.T) {
	src := busy()
	src.macs = macRows(2000)
	s, _ := start(t, src)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			c := NewClient(s.opts.Socket)
			defer c.Close()
			n := 0
			for _, err := range Rows[MACRow](context.Background(), c, "macs", 0) {
				if err != nil {
					t.Error(err)
					return
				}
				n++
			}
			if n != 2000 {
				t.Errorf("%d rows", n)
			}
		})
	}
	wg.Wait()
}

// TestClientGoesAway holds that a source is not walked for nobody.
func TestClientGoesAway(t *testing.T) {
	ended := make(chan int, 1)
	src := &fake{macs: func(yield func(MACRow) bool) {
		n := 0
		for r := range macRows(1 << 40) {
			n++
			if !yield(r) {
				break
			}
		}
		ended <- n
	}}
	_, c := start(t, src)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	n := 0
	for _, err := range Rows[MACRow](ctx, c, "macs", 0) {
		if err != nil {
			break
		}
		if n++; n == 100 {
			cancel()
		}
	}
	<-ended
}

// TestShutdownCutsOff holds that the end of the gateway is told from the end of
// an answer.
func TestShutdownCutsOff(t *testing.T) {
	sock := t.TempDir() + "/s"
	s := New(&fake{macs: macRows(1 << 40)}, Options{Socket: sock, Log: testLog(t)})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	<-s.Ready()
	c := NewClient(sock)
	defer c.Close()
	var last error
	n := 0
	for _, err := range Rows[MACRow](context.Background(), c, "macs", 0) {
		last = err
		if n++; n == 10 {
			cancel()
		}
	}
	if last == nil || !strings.Contains(last.Error(), "cut off") {
		t.Errorf("error %v", last)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestTakenPort holds that monitoring comes up by itself once its port is free,
// and that forwarding is told nothing of it.
func TestTakenPort(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var log syncBuffer
	_, c := start(t, busy(), func(o *Options) {
		o.HTTP = l.Addr().String()
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	waitFor(t, "the warning", func() bool { return strings.Contains(log.String(), "another program has the port") })
	if _, err := c.Explain(context.Background(), ExplainRequest{Port: "eth1", Frame: "00"}); err != nil {
		t.Error(err)
	}
	l.Close()
	waitFor(t, "the listener", func() bool { return strings.Contains(log.String(), "metrics are served") })
	if n := strings.Count(log.String(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings, want one for one reason:\n%s", n, log.String())
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestHTTP(t *testing.T) {
	s, _ := start(t, busy(), withHTTP)
	tests := []struct {
		name, method, path string
		status             int
		kind, says         string
	}{
		{"dashboard", "GET", "/", 200, "text/html", "<title>vxgw</title>"},
		{"what the dashboard loads", "GET", "/ui/js/app.js", 200, "text/javascript", "/v1/overview"},
		{"what it does not", "GET", "/ui/js/none.js", 404, "application/json", "no /ui/js/none.js"},
		{"dashboard is read", "POST", "/", 405, "application/json", "use GET"},
		{"health", "GET", "/healthz", 200, "text/plain", "ok\n"},
		{"metrics", "GET", "/metrics", 200, "text/plain", `vxgw_port_up{port="eth1"} 1`},
		{"state", "GET", "/v1/macs?vni=10010", 200, "application/json", `"mac":"02:00:00:00:01:02"`},
		{"no explain here", "POST", "/v1/explain", 404, "application/json", "there is no /v1/explain here"},
		{"read-only", "POST", "/v1/ports", 405, "application/json", "use GET"},
		{"metrics are read", "PUT", "/metrics", 405, "application/json", "use GET"},
		{"unknown", "GET", "/favicon.ico", 404, "application/json", "GET /metrics"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			req, err := http.NewRequest(test.method, httpURL(t, s, test.path), nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, text := roundTrip(t, plainClient(), req)
			if resp.StatusCode != test.status || !strings.HasPrefix(resp.Header.Get("Content-Type"), test.kind) || !strings.Contains(text, test.says) {
				t.Errorf("%s, %s:\n%s", resp.Status, resp.Header.Get("Content-Type"), text)
			}
		})
	}
}

// TestSlowClient holds that an answer nobody takes comes to its end.
func TestSlowClient(t *testing.T) {
	result := make(chan error, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p := &pacedWriter{w: w, control: http.NewResponseController(w), end: time.Now()}
		_, err := p.Write(make([]byte, streamBuffer))
		result <- err
	}))
	defer srv.Close()
	if resp, err := plainClient().Get(srv.URL); err == nil {
		resp.Body.Close()
	}
	if err := <-result; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

// TestSilentConnections holds that those who connect and say nothing lock nobody
// out for long.
func TestSilentConnections(t *testing.T) {
	t.Parallel()
	s, c := start(t, busy())
	for range maxConns {
		conn, err := net.Dial("unix", s.opts.Socket)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	if err := c.Copy(t.Context(), io.Discard, "ports", 0); err != nil {
		t.Error(err)
	}
}
