package api

import (
	"net/http"
	"os"
	"strings"
	"testing"
)

// TestHosts holds which names the HTTP listener answers to: a page of somebody else's
// cannot make them up.
func TestHosts(t *testing.T) {
	src := busy()
	s, _ := start(t, src, withHTTP, func(o *Options) { o.HTTPHosts = []string{"edge-1.example.net"} })
	own, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		host string
		ok   bool
	}{
		{"127.0.0.1:9279", true}, {"127.0.0.1", true}, {"192.0.2.7:80", true}, {"[::1]:9279", true}, {"[2001:db8::1]", true},
		{"localhost", true}, {"LOCALHOST:9279", true}, {"localhost.:9279", true},
		{own, true}, {own + ":9279", true}, {"edge-1.example.net", true}, {"Edge-1.Example.Net:9279", true},
		{"evil.example", false}, {"evil.example:9279", false}, {own + ".evil.example", false}, {"edge-1.example.net.evil.example", false},
		{"127.0.0.1.evil.example", false}, {"localhost.evil.example", false}, {"xlocalhost", false},
	}
	for _, test := range tests {
		for _, path := range []string{"/", "/metrics", "/v1/ports", "/v1/events?types=reload", "/nope"} {
			req, err := http.NewRequest(http.MethodHead, httpURL(t, s, path), nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = test.host
			resp, _ := roundTrip(t, plainClient(), req)
			if refused := resp.StatusCode == http.StatusMisdirectedRequest; refused == test.ok {
				t.Errorf("%s, %s: %s", test.host, path, resp.Status)
			}
		}
	}
	req, err := http.NewRequest(http.MethodGet, httpURL(t, s, "/v1/ports"), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "evil.example"
	if _, text := roundTrip(t, plainClient(), req); !strings.Contains(text, `add \"evil.example\" to [api] http_hosts`) {
		t.Errorf("it says %q", text)
	}
}

// TestHTTPOnlyReads holds that nothing that changes anything gets an answer other than
// that it is not there, on any path of either listener.
func TestHTTPOnlyReads(t *testing.T) {
	src, does := busy(), &committer{}
	s, _ := start(t, src, withHTTP, func(o *Options) {
		o.Commit = does
	})
	for _, r := range append(s.all, route{path: "/"}) {
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE"} {
			req, err := http.NewRequest(method, httpURL(t, s, r.path), strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			if resp, _ := roundTrip(t, plainClient(), req); resp.StatusCode != http.StatusMethodNotAllowed && resp.StatusCode != http.StatusNotFound {
				t.Errorf("%s %s: %s", method, r.path, resp.Status)
			}
		}
	}
	for _, r := range s.all {
		if r.on&onHTTP != 0 && (r.writes || r.method != http.MethodGet) {
			t.Errorf("%s %s is on the HTTP listener", r.method, r.path)
		}
	}
	if src.asked.Load() != nil {
		t.Error("the gateway was asked to explain")
	}
}
