package e2e

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"vxgw/test/netns"
)

// withHTTP is the [api] line of a test that reads metrics. Every gateway has
// the address for itself: it is one of its own namespace.
const withHTTP = `http = "127.0.0.1:9279"`

// metrics returns a gateway's samples as Prometheus would get them, by name and
// labels as they are written.
func metrics(t testing.TB, ns *netns.NS) map[string]float64 {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		return ns.Dial(ctx, network, address)
	}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: patience}
	resp, err := client.Get("http://127.0.0.1:9279/metrics")
	must(t, err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("GET /metrics: %s", resp.Status)
	}
	samples := make(map[string]float64)
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		line := lines.Text()
		at := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || at < 0 {
			continue
		}
		if samples[line[:at]], err = strconv.ParseFloat(line[at+1:], 64); err != nil {
			t.Fatalf("sample %q: %v", line, err)
		}
	}
	return samples
}
