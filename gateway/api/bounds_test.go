package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// hurried has little patience.
func hurried(o *Options) {
	o.bounds = usualBounds
	o.bounds.header, o.bounds.read, o.bounds.idle = 100*time.Millisecond, 200*time.Millisecond, 100*time.Millisecond
}

// TestSlowRequests holds that who does not come to the point is cut off, on both
// listeners, and leaves nothing behind.
func TestSlowRequests(t *testing.T) {
	s, _ := start(t, busy(), withHTTP, hurried)
	url := httpURL(t, s, "")
	for name, test := range map[string]struct {
		sends string
		drips string // again and again
		says  string // what comes before the end
	}{
		"says nothing":              {"", "", ""},
		"half a request line":       {"GET /v1/po", "", ""},
		"header without end":        {"GET /v1/ports HTTP/1.1\r\nHost: localhost\r\n", "X-A: b\r\n", ""},
		"nothing after an answer":   {"GET /v1/drops HTTP/1.1\r\nHost: localhost\r\n\r\n", "", "200 OK"},
		"half a body":               {"POST /v1/explain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{\"por", "", "408 Request Timeout"},
		"a body that drips":         {"POST /v1/explain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n{", " ", "408 Request Timeout"},
		"chunks without end":        {"POST /v1/explain HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n", "408 Request Timeout"},
		"a body where none belongs": {"GET /v1/ports HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{", "", "200 OK"},
	} {
		for _, network := range []string{"unix", "tcp"} {
			t.Run(name+" "+network, func(t *testing.T) {
				t.Parallel()
				address := s.opts.Socket
				if network == "tcp" {
					address = strings.TrimPrefix(url, "http://")
				}
				conn, err := net.Dial(network, address)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				io.WriteString(conn, test.sends)
				done := make(chan struct{})
				var dripping sync.WaitGroup
				dripping.Go(func() {
					for test.drips != "" {
						select {
						case <-done:
							return
						case <-time.After(10 * time.Millisecond):
							io.WriteString(conn, test.drips)
						}
					}
				})
				conn.SetReadDeadline(time.Now().Add(20 * time.Second))
				text, err := io.ReadAll(conn)
				close(done)
				dripping.Wait()
				if errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatalf("it is still connected, after %q", text)
				}
				if network == "unix" && !strings.Contains(string(text), test.says) { // there is no explain at the other
					t.Errorf("it was told %q, want %q", text, test.says)
				}
			})
		}
	}
}

// TestLongRequests holds what is said to who sends too much.
func TestLongRequests(t *testing.T) {
	s, _ := start(t, busy())
	for name, test := range map[string]struct {
		body   string
		header string
		status int
	}{
		"a body":             {strings.Repeat(" ", maxBody+1), "", 413},
		"a body far beyond":  {strings.Repeat(" ", 10*maxBody), "", 413},
		"a body that fits":   {strings.Repeat(" ", maxBody-100) + `{"port":"eth1","frame":"ff"}`, "", 200},
		"a header":           {"", strings.Repeat("x", maxHeader+8192), 431}, // net/http has 4096 bytes beyond
		"a header that fits": {`{"port":"eth1","frame":"ff"}`, strings.Repeat("x", maxHeader/2), 200},
	} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, chunked %t", name, chunked), func(t *testing.T) {
				var body io.Reader = strings.NewReader(test.body)
				if chunked {
					body = io.MultiReader(body) // of a length that the client does not know
				}
				req, err := http.NewRequest(http.MethodPost, "http://vxgw/v1/explain", body)
				if err != nil {
					t.Fatal(err)
				}
				if test.header != "" {
					req.Header.Set("X-Long", test.header)
				}
				resp, err := socketClient(s.opts.Socket).Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				text, _ := io.ReadAll(resp.Body)
				if resp.StatusCode != test.status {
					t.Errorf("%s: %s, want %d", resp.Status, text, test.status)
				}
				var told errorBody
				if test.status == 413 && (json.Unmarshal(text, &told) != nil || !strings.Contains(told.Error, "262144")) {
					t.Errorf("it says %s", text)
				}
			})
		}
	}
}

// asRights has every peer be of a kind, by turns as the test says.
type asRights struct {
	mu  sync.Mutex
	may rights
}

func (a *asRights) set(r rights) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.may = r
}

func (a *asRights) of(*peer) rights {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.may
}

// TestPlaces holds that neither strangers nor readers, however many, take the places of
// those above them, and that all places are given back.
func TestPlaces(t *testing.T) {
	var kind asRights
	s, _ := startWith(t, busy(), func(s *Server) { s.may = kind.of }, func(o *Options) {
		o.bounds = usualBounds
		o.bounds.readers, o.bounds.lobby, o.bounds.conns = 3, 2, 4
	})
	open := map[rights][]net.Conn{}
	status := func(r rights) string {
		t.Helper()
		kind.set(r)
		req, err := http.NewRequest(http.MethodGet, "http://vxgw/v1/ports", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := socketClient(s.opts.Socket).Do(req)
		if err != nil {
			return "closed"
		}
		resp.Body.Close()
		return resp.Status[:3]
	}
	is := func(r rights, want string) {
		t.Helper()
		if got := status(r); got != want {
			t.Errorf("of kind %d: %s, want %s", r, got, want)
		}
	}
	// A place is free a moment after its connection has gone, so a crowd is as many as it
	// takes.
	crowd := func(r rights) {
		t.Helper()
		waitFor(t, "a crowd", func() bool {
			kind.set(r)
			open[r] = append(open[r], dial(t, s))
			return status(r) == "closed"
		})
	}
	is(mayNothing, "403")
	crowd(mayNothing)
	is(mayRead, "200")
	crowd(mayRead) // no place, and none to be told so
	is(mayWrite, "200")
	for _, c := range open[mayNothing] {
		c.Close()
	}
	waitFor(t, "the lobby", func() bool { return status(mayRead) == "503" })
	is(mayWrite, "200")
	for _, c := range open[mayRead] {
		c.Close()
	}
	waitFor(t, "readers' places", func() bool { return status(mayRead) == "200" })
}

// TestNothingIsLeft holds that clients of every kind, gone in every way, leave no file
// behind. Goroutines are looked for when all tests are done.
func TestNothingIsLeft(t *testing.T) {
	src := busy()
	src.macs = macRows(50_000)
	s, c := start(t, src, hurried)
	files := func() int {
		all, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	if err := c.Copy(t.Context(), io.Discard, "ports", 0); err != nil {
		t.Fatal(err)
	}
	c.Close()
	before := files()
	var clients sync.WaitGroup
	for i := range 40 {
		clients.Go(func() {
			for range 5 {
				conn, err := net.Dial("unix", s.opts.Socket)
				if err != nil {
					t.Error(err)
					return
				}
				fmt.Fprint(conn, []string{
					"", "GET", "GET /v1/macs HTTP/1.1\r\nHost: vxgw\r\n\r\n", "GET /v1/events HTTP/1.1\r\nHost: vxgw\r\n\r\n",
					"GET /v1/events?snapshot=1 HTTP/1.1\r\nHost: vxgw\r\n\r\n", "POST /v1/explain HTTP/1.1\r\nHost: vxgw\r\nContent-Length: 9\r\n\r\n{",
				}[i%6])
				conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond)) // and then it has enough
				io.CopyN(io.Discard, conn, int64(i)*100%700)
				conn.Close()
			}
		})
	}
	src.Events().Append(moved(1, 7))
	clients.Wait()
	waitFor(t, "all files to be closed", func() bool { return files() <= before })
	streaming(t, s, 0)
}
