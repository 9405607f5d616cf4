package main

import (
	"bytes"
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vxgw/gateway/api"
	"vxgw/gateway/events"
)

// telling is a gateway that tells of what the test says.
type telling struct {
	standIn
	log *events.Log
}

func (g telling) Events() *events.Log { return g.log }

// buffer is written by one goroutine and read by another.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// await waits until a buffer has a text.
func await(t *testing.T, b *buffer, text string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !strings.Contains(b.String(), text); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %q in\n%s", text, b.String())
		}
	}
}

// run starts an API, and returns what ends it.
func (g telling) run(t *testing.T, socket string) (stop func()) {
	t.Helper()
	s := api.New(g, api.Options{Socket: socket})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	select {
	case <-s.Ready():
	case err := <-done:
		t.Fatal(err)
	}
	return func() { cancel(); <-done }
}

// TestEvents holds that `vxgw events` goes on where it was when the gateway was away,
// says so once, and is told what it missed.
func TestEvents(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	g := telling{log: events.NewLog(10, 1000)}
	stop := g.run(t, socket)
	var out, errs buffer
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int, 1)
	go func() {
		done <- execute(ctx, []string{"events", "--json", "--types", "mac", "--snapshot", "--socket", socket}, strings.NewReader(""), &out, &errs)
	}()
	await(t, &out, `"type":"snapshot_end"`)
	g.log.Append(events.Event{Type: events.MACMoved, MAC: "02:00:00:00:00:01"}, events.Event{Type: events.Reload})
	await(t, &out, `"id":1001,`)
	stop()
	await(t, &errs, "the gateway stopped")
	g.log.Append(events.Event{Type: events.MACGone, MAC: "02:00:00:00:00:02"})
	stop = g.run(t, socket)
	await(t, &out, `"id":1003,`)
	stop()

	// Another life, in which that event never was: all is told anew.
	g.log = events.NewLog(10, 2000)
	stop = g.run(t, socket)
	await(t, &out, `"id":2000,`)
	if !strings.Contains(out.String(), "the events after 1003 are not kept any more") {
		t.Errorf("no word of it:\n%s", out.String())
	}
	cancel()
	if code := <-done; code != 1 {
		t.Errorf("exit %d", code)
	}
	stop()
	if n := strings.Count(errs.String(), "waiting for it to be back"); n != 2 {
		t.Errorf("it says %d times that it waits, of two:\n%s", n, errs.String())
	}
	if strings.Contains(out.String(), "reload") {
		t.Errorf("it was not asked for reloads:\n%s", out.String())
	}
}

func TestEventsCommandLine(t *testing.T) {
	socket, _ := serve(t)
	for args, says := range map[string]string{
		"events --types macs":                 `no events of type "macs"`,
		"events --vni 0":                      "1 to 16777215",
		"events all":                          "takes flags only",
		"events --socket /nonexistent":        "is it running?",
		"events --types x --socket " + socket: `no events of type "x"`,
	} {
		got := vxgw(t, "", strings.Fields(args)...)
		if got.code == 0 || !strings.Contains(got.stderr, says) || got.stdout != "" {
			t.Errorf("%s: exit %d, %q", args, got.code, got.stderr)
		}
	}
	var e events.Event
	if err := json.Unmarshal([]byte(`{"time":"2025-06-01T12:00:00Z","type":"reload"}`), &e); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := printer(&out, false)(e); err != nil || !strings.Contains(out.String(), "reload") {
		t.Errorf("%q, %v", out.String(), err)
	}
}
