package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"vxgw/gateway/api"
	"vxgw/gateway/events"
	"vxgw/l2/frame"
	"vxgw/test/packet"
)

// TestAnswersOfAGateway judges what a gateway with something in every table answers, by
// the document that it serves.
func TestAnswersOfAGateway(t *testing.T) {
	b := newBench(t)
	ask, client := serveBench(t, b)
	status, document := ask(http.MethodGet, "/v1/openapi.json", "")
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, document)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(document))
	if err != nil {
		t.Fatal(err)
	}
	schemas := jsonschema.NewCompiler()
	schemas.AssertFormat()
	if err := schemas.AddResource("doc.json", doc); err != nil {
		t.Fatal(err)
	}
	judge := func(what, text, pointer string) {
		t.Helper()
		is, err := schemas.Compile("doc.json#" + pointer)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err == nil {
			err = is.Validate(v)
		}
		if err != nil {
			t.Errorf("%s: %v\n%s", what, err, text)
		}
	}
	answer := func(method, path, code string) string {
		return fmt.Sprintf("/paths/%s/%s/responses/%s/content/application~1json/schema", strings.ReplaceAll(path, "/", "~1"), strings.ToLower(method), code)
	}
	if status, text := ask(http.MethodPut, "/v1/origins/evpn", `{"vteps":[{"vni":1000,"address":"192.0.2.9"}],"macs":[{"vni":7,"mac":"02:00:00:00:07:07","vtep":"192.0.2.9"}]}`); status != http.StatusOK {
		t.Errorf("%d %s", status, text)
	} else {
		judge("what a controller says", text, answer("PUT", "/v1/origins/{origin}", "200"))
	}
	for _, r := range api.Resources {
		path := "/v1/" + r.Name
		status, text := ask(http.MethodGet, path, "")
		if r.Name == "config" {
			continue // nobody here reads a file
		}
		if status != http.StatusOK || strings.Count(text, "\n") < 3 {
			t.Errorf("%s: %d, with nothing to judge: %s", path, status, text)
		}
		judge(path, text, answer("GET", path, "200"))
	}
	for name, f := range map[string][]byte{
		"known":     packet.ARP(remote, packet.ARPReply, here, here4, remote, remote4),
		"flooded":   packet.ARP(frame.Broadcast, packet.ARPRequest, here, here4, frame.MAC{}, here4),
		"dropped":   append(append([]byte{}, remote[:]...), 1, 0, 0, 0, 0, 1, 8, 0),
		"too short": {1},
	} {
		request := fmt.Sprintf(`{"port":"e1","frame":"%x"}`, f)
		status, text := ask(http.MethodPost, "/v1/explain", request)
		code := "200"
		if status != http.StatusOK {
			code = "default"
		}
		judge("explain "+name, text, answer("POST", "/v1/explain", code))
	}
	_, text := ask(http.MethodGet, "/v1/nope", "")
	judge("an error", text, "/components/schemas/ErrorBody")

	b.watch.drain()
	told := map[events.Type]int{}
	for e, err := range client.Listen(t.Context(), &api.Listening{Snapshot: true}) {
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		judge("an event", string(text), "/components/schemas/Event")
		if told[e.Type]++; e.Type == events.SnapshotEnd {
			break
		}
	}
	for typ, least := range map[events.Type]int{events.PortDown: 3, events.VTEPAdded: 3, events.MACLearned: 4, events.NeighbourLearned: 6} {
		if told[typ] < least {
			t.Errorf("the snapshot has %d of %s, want %d", told[typ], typ, least)
		}
	}
}

// serveBench has a gateway answer at a socket until the test ends.
func serveBench(t *testing.T, b *bench) (ask func(method, path, body string) (int, string), client *api.Client) {
	t.Helper()
	socket := serveAt(t, b)
	plain := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	client = api.NewClient(socket)
	t.Cleanup(client.Close)
	return func(method, path, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequest(method, "http://vxgw"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := plain.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}, client
}

// serveAt has a gateway answer at a socket until the test ends.
func serveAt(t *testing.T, b *bench) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "s")
	s := api.New(b.Gateway, api.Options{Socket: socket, Version: "v1", Origins: b.Gateway})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	select {
	case <-s.Ready():
	case err := <-done:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return socket
}
