package api

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vxgw/gateway/events"
)

// hearing is a listener whose events come by a channel.
type hearing struct {
	t      *testing.T
	heard  chan events.Event
	end    chan error
	cancel context.CancelFunc
	asked  *Listening
}

func listen(t *testing.T, c *Client, l Listening) *hearing {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	h := &hearing{t: t, heard: make(chan events.Event), end: make(chan error, 1), cancel: cancel, asked: &l}
	go func() {
		var last error
		for e, err := range c.Listen(ctx, h.asked) {
			if last = err; err != nil {
				break
			}
			select {
			case h.heard <- e:
			case <-ctx.Done():
			}
		}
		h.end <- last
	}()
	t.Cleanup(h.stop)
	return h
}

func (h *hearing) stop() {
	if h.cancel != nil {
		h.cancel()
		h.cancel = nil
		<-h.end
	}
}

// hears holds that just these come next.
func (h *hearing) hears(want ...string) {
	h.t.Helper()
	var got []string
	for range want {
		select {
		case e := <-h.heard:
			got = append(got, idAndText(e))
		case err := <-h.end:
			h.end <- err
			h.t.Fatalf("heard %q, then %v; want %q", got, err, want)
		case <-time.After(10 * time.Second):
			h.t.Fatalf("heard %q and waited in vain; want %q", got, want)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		h.t.Fatalf("events (-want +got):\n%s", diff)
	}
}

// idAndText writes an event without its time, with its ID in front.
func idAndText(e events.Event) string {
	_, line, _ := strings.Cut(e.String(), "  ")
	return strconv.FormatUint(e.ID, 10) + " " + strings.Join(strings.Fields(line), " ")
}

// streaming waits until so many listen on the socket.
func streaming(t *testing.T, s *Server, n int) {
	t.Helper()
	waitFor(t, fmt.Sprintf("%d listeners", n), func() bool { return len(s.streams[1]) == n })
}

func moved(mac int, vni uint32) events.Event {
	return events.Event{Type: events.MACMoved, VNI: vni, MAC: fmt.Sprintf("02:00:00:00:00:%02x", mac), Time: noon}
}

// mark has every listener there is told something, so that a test knows where they are.
func mark(f *fake) { f.Events().Append(events.Event{Type: events.Reload, Time: noon}) }

func TestListen(t *testing.T) {
	src := busy()
	s, c := start(t, src)
	all := listen(t, c, Listening{})
	macs := listen(t, c, Listening{Types: "mac"})
	red := listen(t, c, Listening{VNI: 7})
	streaming(t, s, 3)
	mark(src) // that all of them are there is told by that
	all.hears("1001 reload")
	red.hears("1001 reload")
	src.Events().Append(moved(1, 6), moved(2, 7), events.Event{Type: events.Drops, Reason: "ecn", Time: noon})
	all.hears("1002 mac_moved vni 6 mac 02:00:00:00:00:01", "1003 mac_moved vni 7 mac 02:00:00:00:00:02", "1004 drops reason ecn")
	macs.hears("1002 mac_moved vni 6 mac 02:00:00:00:00:01", "1003 mac_moved vni 7 mac 02:00:00:00:00:02")
	red.hears("1003 mac_moved vni 7 mac 02:00:00:00:00:02", "1004 drops reason ecn")

	macs.stop()
	streaming(t, s, 2)
	src.Events().Append(moved(3, 7))
	again := listen(t, c, *macs.asked)
	again.hears("1005 mac_moved vni 7 mac 02:00:00:00:00:03") // that came while nobody listened
	all.stop()
	red.stop()
	again.stop()
	streaming(t, s, 0)
}

// TestResume holds what a listener that comes back is told: what it missed, or that it
// did.
func TestResume(t *testing.T) {
	src := busy()
	_, c := start(t, src)
	for i := range 150 { // a hundred are kept: 1051 to 1150
		src.Events().Append(moved(i, 7))
	}
	tests := []struct {
		name  string
		after uint64
		want  string
	}{
		{"the newest", 1149, "1150 mac_moved vni 7 mac 02:00:00:00:00:95"},
		{"the oldest that is kept", 1050, "1051 mac_moved vni 7 mac 02:00:00:00:00:32"},
		{"one that is not", 1049, "1150 resync reason the events after 1049 are not kept any more: read all again"},
		{"of another life", 7, "1150 resync reason the events after 7 are not kept any more: read all again"},
		{"of a later life", 999999, "1150 resync reason the events after 999999 are not kept any more: read all again"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h := listen(t, c, Listening{After: test.after})
			h.hears(test.want)
			h.stop()
		})
	}
	t.Run("after a resync", func(t *testing.T) {
		h := listen(t, c, Listening{After: 7})
		h.hears("1150 resync reason the events after 7 are not kept any more: read all again")
		mark(src)
		h.hears("1151 reload")
	})
}

var presentState = []string{
	"0 snapshot_begin",
	"0 port_up vni 10010 port eth1 state up",
	"0 port_down vni 16777215 port enp129s0f1np1 state absent reason there is no such interface: it is waited for",
	"0 vtep_added vtep 192.0.2.2 origin static",
	"0 vtep_added vtep 2001:db8::3 origin learned",
	"0 mac_learned vni 10010 mac 02:00:00:00:01:01 port eth1 origin learned",
	"0 mac_learned vni 10010 mac 02:00:00:00:01:02 vtep 192.0.2.2 origin static",
	"0 mac_learned vni 16777215 mac 02:00:00:00:01:03 vtep 2001:db8::3 origin learned",
	"0 neighbour_learned vni 10010 mac 02:00:00:00:01:01 address 10.1.1.2 by suppression",
	"0 origin_connected origin evpn state leased hold 300 entries 1015",
}

func TestSnapshot(t *testing.T) {
	src := busy()
	_, c := start(t, src)
	mark(src)
	t.Run("all", func(t *testing.T) {
		h := listen(t, c, Listening{Snapshot: true})
		h.hears(append(slices.Clone(presentState), "1001 snapshot_end")...)
		if h.asked.After != 1001 {
			t.Errorf("the snapshot ends with event %d", h.asked.After)
		}
		src.Events().Append(moved(1, 6))
		h.hears("1002 mac_moved vni 6 mac 02:00:00:00:00:01")
	})
	t.Run("filtered", func(t *testing.T) {
		h := listen(t, c, Listening{Snapshot: true, Types: "mac,port_up", VNI: 10010})
		h.hears("0 snapshot_begin", presentState[1], presentState[5], presentState[6], "1002 snapshot_end")
	})
	t.Run("not where nothing was missed", func(t *testing.T) {
		h := listen(t, c, Listening{Snapshot: true, After: 1001})
		h.hears("1002 mac_moved vni 6 mac 02:00:00:00:00:01")
	})
	t.Run("where something was", func(t *testing.T) {
		h := listen(t, c, Listening{Snapshot: true, After: 7, Types: "vtep"})
		h.hears("1002 resync reason the events after 7 are not kept any more: read all again",
			"0 snapshot_begin", presentState[3], presentState[4], "1002 snapshot_end")
	})
	t.Run("where something is lost", func(t *testing.T) {
		h := listen(t, c, Listening{Snapshot: true, Types: "vtep"})
		h.hears("0 snapshot_begin", presentState[3], presentState[4], "1002 snapshot_end")
		src.Events().Append(events.Event{Type: events.Resync, Reason: "too much", Time: noon}, moved(1, 6))
		h.hears("1003 resync reason too much", "0 snapshot_begin", presentState[3], presentState[4], "1004 snapshot_end")
	})
}

// TestCutOffInSnapshot holds that who was cut off in the middle of a snapshot does not
// take it for a whole one: there is nothing that he could go on from.
func TestCutOffInSnapshot(t *testing.T) {
	src := busy()
	src.macs = macRows(1 << 40)
	_, c := start(t, src)
	h := listen(t, c, Listening{Snapshot: true, Types: "mac", After: 1}) // 1: a resync comes first
	for range 1000 {
		<-h.heard
	}
	h.stop()
	if h.asked.After != 0 {
		t.Errorf("in the middle of a snapshot it goes on after %d", h.asked.After)
	}
}

// TestSlowListener holds that one who does not read keeps nobody, misses what is not
// kept for him, and is told so.
func TestSlowListener(t *testing.T) {
	src := busy()
	s, c := start(t, src)
	slow, quick := listen(t, c, Listening{}), listen(t, c, Listening{})
	streaming(t, s, 2)
	mark(src)
	slow.hears("1001 reload")
	quick.hears("1001 reload")
	const many = 20_000 // far more than sockets hold
	last := fmt.Sprintf("%d mac_moved vni 7 mac 02:00:00:00:00:01", 1001+many)
	for i := range many {
		src.Events().Append(moved(1, 7))
		if i%50 == 0 {
			for range 50 { // whoever reads is never far behind
				if e := <-quick.heard; e.ID == uint64(1002+i) {
					break
				}
			}
		}
	}
	for e := range quick.heard {
		if e.Type != events.MACMoved {
			t.Fatalf("a quick listener hears %v", e)
		}
		if idAndText(e) == last {
			break
		}
	}
	resyncs, at := 0, uint64(1001)
	for e := range slow.heard {
		if e.Type == events.Resync {
			resyncs++
		} else if e.ID != at+1 {
			t.Fatalf("%d comes after %d without a resync", e.ID, at)
		}
		if at = e.ID; at == 1001+many {
			break
		}
	}
	if resyncs == 0 || s.resyncs.Load() != uint64(resyncs) {
		t.Errorf("%d resyncs, and %d are counted", resyncs, s.resyncs.Load())
	}
}

// TestStalledListener holds that one who never reads is given up.
func TestStalledListener(t *testing.T) {
	src := busy()
	s, _ := start(t, src, func(o *Options) {
		o.bounds = usualBounds
		o.bounds.stall = 50 * time.Millisecond
	})
	conn := dial(t, s)
	fmt.Fprintf(conn, "GET /v1/events HTTP/1.1\r\nHost: vxgw\r\n\r\n")
	streaming(t, s, 1)
	waitFor(t, "the end of the stream", func() bool {
		src.Events().Append(moved(1, 7), moved(2, 7), moved(3, 7))
		return len(s.streams[1]) == 0
	})
}

// TestLongStream holds that a stream outlives the time that a request has, shows signs
// of life, and sends where to go on from with them.
func TestLongStream(t *testing.T) {
	src := busy()
	s, _ := start(t, src, func(o *Options) {
		o.bounds = usualBounds
		o.bounds.header, o.bounds.read, o.bounds.write = 100*time.Millisecond, 100*time.Millisecond, 100*time.Millisecond
		o.bounds.beat = 150 * time.Millisecond
	})
	conn := dial(t, s)
	fmt.Fprintf(conn, "GET /v1/events?types=port HTTP/1.0\r\n\r\n")
	r := &readUntil{t: t, conn: conn}
	r.until("retry: 1000\n\nid: 1000\n\n")
	src.Events().Append(moved(1, 7)) // it does not want that
	r.until(": still here\nid: 1001\n\n")
	r.until(": still here\nid: 1001\n\n")
	src.Events().Append(events.Event{Type: events.PortUp, Port: "eth1", Time: noon})
	r.until("id: 1002\nevent: port_up\ndata: {\"id\":1002,\"time\":\"2025-06-01T12:00:00Z\",\"type\":\"port_up\",\"port\":\"eth1\"}\n\n")
}

// readUntil reads from a connection up to a text.
type readUntil struct {
	t    *testing.T
	conn net.Conn
	text string
}

func (r *readUntil) until(want string) {
	r.t.Helper()
	buf := make([]byte, 4096)
	for !strings.Contains(r.text, want) {
		r.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, err := r.conn.Read(buf)
		if r.text += string(buf[:n]); err != nil {
			r.t.Fatalf("%v; read\n%s", err, r.text)
		}
	}
	_, r.text, _ = strings.Cut(r.text, want)
}

func dial(t *testing.T, s *Server) net.Conn {
	t.Helper()
	conn, err := net.Dial("unix", s.opts.Socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// TestTooManyListeners holds that there are places for some streams and no more, on each
// listener apart, and that all else is answered while they are taken.
func TestTooManyListeners(t *testing.T) {
	src := busy()
	s, c := start(t, src, withHTTP, func(o *Options) {
		o.bounds = usualBounds
		o.bounds.streams = 3
	})
	for range 3 {
		listen(t, c, Listening{})
	}
	streaming(t, s, 3)
	h := listen(t, c, Listening{})
	if err := <-h.end; err == nil || err.Error() != "3 listen to events, and there are no more places: end one, or try again" {
		t.Errorf("a fourth: %v", err)
	}
	h.end <- nil
	if err := c.Copy(t.Context(), io.Discard, "ports", 0); err != nil {
		t.Errorf("other questions: %v", err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, httpURL(t, s, "/v1/events?snapshot=1"), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := plainClient().Do(req)
	if err != nil || resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("on the HTTP listener: %v, %v", resp, err)
	}
	resp.Body.Close()
}

func TestListenRefusals(t *testing.T) {
	s, _ := start(t, busy())
	for query, says := range map[string]string{
		"types=macs":         `no events of type "macs": there is mac_learned`,
		"vni=0":              "1 to 16777215",
		"vni=1&vni=2":        "once",
		"snapshot=yes":       "write 1, or 0",
		"since=7":            `unknown parameter "since": there is types, vni, origin, snapshot`,
		"types=%zz":          "query",
		"types=mac&types=vi": "once",
	} {
		if resp, text := ask(t, s, http.MethodGet, "/v1/events?"+query, ""); resp.StatusCode != 400 || !strings.Contains(strings.ReplaceAll(text, `\"`, `"`), says) {
			t.Errorf("%s: %s %s", query, resp.Status, text)
		}
	}
	for _, id := range []string{"x", "-1", "18446744073709551616"} {
		req, err := http.NewRequest(http.MethodGet, "http://vxgw/v1/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(lastID, id)
		if resp, text := roundTrip(t, socketClient(s.opts.Socket), req); resp.StatusCode != 400 || !strings.Contains(text, "send the id of an event") {
			t.Errorf("%q: %s %s", id, resp.Status, text)
		}
	}
	if resp, text := ask(t, s, http.MethodHead, "/v1/events", ""); resp.StatusCode != 200 || text != "" || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("HEAD: %s, %q", resp.Status, text)
	}
}

// TestListenersAtTheEnd holds that a gateway that stops waits for no listener, and that
// they are told.
func TestListenersAtTheEnd(t *testing.T) {
	src := busy()
	var h *hearing
	t.Run("gateway", func(t *testing.T) {
		s, c := start(t, src)
		h = &hearing{}
		end := make(chan error, 1)
		go func() {
			var last error
			for _, last = range c.Listen(context.Background(), &Listening{}) {
			}
			end <- last
		}()
		streaming(t, s, 1)
		h.end = end
	})
	if err := <-h.end; err == nil || !strings.Contains(err.Error(), "the gateway stopped") {
		t.Errorf("it is told %v", err)
	}
}
