package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"vxgw/gateway/control"
)

var testRules = control.Rules{Local: netip.MustParseAddr("192.0.2.1")}

// keeper is what keeps origins, without a gateway around it.
type keeper struct {
	mu    sync.Mutex
	merge *control.Merge
	book  *control.Book
	full  bool
}

func newKeeper() *keeper {
	return &keeper{merge: control.NewMerge(), book: control.NewBook()}
}

func keepIn(k *keeper) func(*Options) { return func(o *Options) { o.Origins = k } }

func (k *keeper) OriginRules() control.Rules { return testRules }

func (k *keeper) tag(p control.Page) string { return fmt.Sprintf(`"t-%d"`, p.Generation) }

func (k *keeper) TellOrigin(r control.Request) (control.Answer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	p, there := k.book.Page(r.Origin)
	switch {
	case r.May != nil && !r.May(k.tag(p), there):
		return control.Answer{}, control.ErrChanged
	case r.Replace == nil && !there:
		return control.Answer{}, control.ErrUnknown
	case k.full:
		return control.Answer{}, &control.Fault{Place: "/macs", Message: "too many"}
	}
	e := r.Edit
	if r.Replace != nil {
		e = k.merge.Replace(r.Origin, *r.Replace)
	}
	changed := k.merge.Edits(r.Origin, &e)
	k.merge.Apply(r.Origin, e)
	a := control.Answer{Page: k.book.Hear(r.Origin, r.Hold, changed, 1), Sizes: k.merge.Sizes(r.Origin)}
	a.Tag = k.tag(a.Page)
	if len(e.Added.MACs) > 0 {
		a.Unused = []control.Unused{{Section: "macs", Reason: "no VNI 10010 is configured", Count: 1, Example: "VNI 10010, 02:00:00:00:01:02"}}
	}
	return a, nil
}

func (k *keeper) OriginWords(o control.Origin) (control.Answer, control.Words, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	p, there := k.book.Page(o)
	return control.Answer{Page: p, Tag: k.tag(p)}, k.merge.Of(o), there
}

func (k *keeper) EndOrigin(o control.Origin, may func(string, bool) bool) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	p, there := k.book.Page(o)
	switch {
	case !there:
		return control.ErrUnknown
	case may != nil && !may(k.tag(p), there):
		return control.ErrChanged
	}
	k.merge.Apply(o, k.merge.Replace(o, control.NewWords()))
	k.book.End(o)
	return nil
}

func (k *keeper) AttachOrigin(o control.Origin) func() {
	note := func(open bool) {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.book.Attach(o, open, 1)
	}
	note(true)
	return func() { note(false) }
}

const fullWords = `{"hold":60,"vteps":[{"vni":10010,"address":"192.0.2.2"}],` +
	`"macs":[{"vni":10010,"mac":"02:00:00:00:01:02","vtep":"192.0.2.2","sticky":true,"sequence":4294967295},{"vni":10010,"mac":"02:00:00:00:01:03","vtep":"192.0.2.3"}],` +
	`"neighbours":[{"vni":10010,"address":"10.1.1.2","mac":"02:00:00:00:01:02"},{"vni":10010,"address":"2001:db8:1::2","mac":"02:00:00:00:01:02","router":true}],` +
	`"routes":[{"vrf":"red","prefix":"10.9.0.0/16","hops":[{"vni":10010,"via":"10.1.1.2"},{"vtep":"192.0.2.3","l3vni":50001,"router_mac":"02:00:00:00:09:09"}]}]}`

// What is answered, word for word: scripts and daemons rely on it.
func TestOriginAnswers(t *testing.T) {
	s, _ := start(t, &fake{}, keepIn(newKeeper()))
	const at = "/v1/origins/evpn"
	var out strings.Builder
	for _, r := range []struct{ method, path, body string }{
		{"PUT", at, fullWords},
		{"GET", at, ""},
		{"PATCH", at, `{"hold":90,"remove":{"macs":[{"vni":10010,"mac":"02:00:00:00:01:03"}],"routes":[{"vrf":"red","prefix":"10.9.0.0/16"}]},"add":{"vteps":[{"vni":10010,"address":"192.0.2.9"}]}}`},
		{"PATCH", at, `{}`},
		{"GET", at, ""},
		{"PUT", at, `{}`},
		{"GET", at, ""},
		{"DELETE", at, ""},
		{"GET", at, ""},
		{"PATCH", at, `{}`},
		{"POST", at, `{}`},
		{"PUT", "/v1/origins/static", `{}`},
		{"PUT", "/v1/origins/Evpn", `{}`},
		{"PUT", at, `{"macs":[{"vni":10010,"mac":"02:00:00:00:01:02"}]}`},
	} {
		resp, text := ask(t, s, r.method, r.path, r.body)
		fmt.Fprintf(&out, "%s %s %s\n%s %s\n%s\n", r.method, r.path, r.body, resp.Status, resp.Header.Get("ETag"), text)
	}
	golden(t, "origin-answers", out.String())
}

// Two writers of one origin notice each other (RFC 9110 section 13.1).
func TestOriginPreconditions(t *testing.T) {
	s, _ := start(t, &fake{}, keepIn(newKeeper()))
	_, first := tagOf(t, s, "PUT", `{}`, nil)
	if _, same := tagOf(t, s, "PATCH", `{}`, nil); same != first {
		t.Errorf("a sign of life made %s of %s", same, first)
	}
	_, second := tagOf(t, s, "PATCH", `{"add":{"vteps":[{"vni":1,"address":"192.0.2.2"}]}}`, nil)
	for _, tt := range []struct {
		name, method string
		header       map[string]string
		want         int
	}{
		{"that which is", "PATCH", map[string]string{"If-Match": second}, 200},
		{"one of several", "PATCH", map[string]string{"If-Match": `"x", ` + second}, 200},
		{"any", "PATCH", map[string]string{"If-Match": "*"}, 200},
		{"one that was", "PATCH", map[string]string{"If-Match": first}, 412},
		{"one that was, PUT", "PUT", map[string]string{"If-Match": first}, 412},
		{"one that was, DELETE", "DELETE", map[string]string{"If-Match": first}, 412},
		{"only if there is nothing", "PUT", map[string]string{"If-None-Match": "*"}, 412},
		{"that which is, DELETE", "DELETE", map[string]string{"If-Match": second}, 200},
		{"any, and there is none", "PUT", map[string]string{"If-Match": "*"}, 412},
		{"only if there is nothing, and there is", "PUT", map[string]string{"If-None-Match": "*"}, 200},
	} {
		if status, _ := tagOf(t, s, tt.method, "{}", tt.header); status != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, status, tt.want)
		}
	}
}

func tagOf(t *testing.T, s *Server, method, body string, header map[string]string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, "http://vxgw/v1/origins/evpn", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	resp, _ := roundTrip(t, socketClient(s.opts.Socket), req)
	return resp.StatusCode, resp.Header.Get("ETag")
}

// Every mistake is told with its place, what is there, and what would be taken; nothing of
// the request is done.
func TestOriginMistakes(t *testing.T) {
	k := newKeeper()
	s, _ := start(t, &fake{}, keepIn(k))
	mac := func(s string) string {
		return `{"macs":[{"vni":1,"mac":"02:00:00:00:00:01","vtep":"192.0.2.2"},` + s + `]}`
	}
	for _, tt := range []struct{ name, body, place, want string }{
		{"empty", ``, "", "ends here, after 0 bytes"},
		{"cut off", `{"macs":[`, "/macs", "is not complete"},
		{"not JSON", `{"macs":[nope]}`, "/macs/0", "is not JSON"},
		{"an array", `[]`, "", "an array is there: write an object with hold, vteps, macs, neighbours, routes"},
		{"two values", `{}{}`, "", "send one object"},
		{"unknown section", `{"mac":[]}`, "", `unknown field "mac": did you mean "macs"?`},
		{"unknown section far off", `{"spoons":[]}`, "", `there is hold, vteps, macs, neighbours, routes`},
		{"a section twice", `{"macs":[],"macs":[]}`, "/macs", "twice"},
		{"a section of another kind", `{"macs":{}}`, "/macs", "an object is there: write an array"},
		{"null", `{"macs":null}`, "/macs", "null is there"},
		{"hold as text", `{"hold":"60"}`, "/hold", `"60" is there: how many seconds what was said is kept is a whole number from 1 to 86400`},
		{"no hold", `{"hold":0}`, "/hold", "from 1 to 86400"},
		{"half a second", `{"hold":1.5}`, "/hold", "1.5 is there"},
		{"unknown field", mac(`{"vni":1,"mac":"02:00:00:00:00:02","vtp":"192.0.2.2"}`), "/macs/1", `unknown field "vtp": did you mean "vtep"?`},
		{"a field twice", mac(`{"vni":1,"vni":2}`), "/macs/1/vni", "twice"},
		{"a field is missing", mac(`{"vni":1,"mac":"02:00:00:00:00:02"}`), "/macs/1", "vtep is missing: write vni, mac, vtep"},
		{"VNI 0", mac(`{"vni":0}`), "/macs/1/vni", "a VNI is a whole number from 1 to 16777215"},
		{"a VNI too large", mac(`{"vni":16777216}`), "/macs/1/vni", "16777216 is there"},
		{"a VNI as text", mac(`{"vni":"1"}`), "/macs/1/vni", `"1" is there`},
		{"a MAC as number", mac(`{"mac":2}`), "/macs/1/mac", "2 is there: write a station's MAC address, as 02:00:00:00:01:02, in quotes"},
		{"no MAC", mac(`{"mac":"nobody"}`), "/macs/1/mac", `"nobody" is there`},
		{"a group", mac(`{"mac":"01:00:5e:00:00:01"}`), "/macs/1/mac", "a station's MAC"},
		{"sticky as text", mac(`{"sticky":"yes"}`), "/macs/1/sticky", "write true or false"},
		{"sequence too large", mac(`{"sequence":4294967296}`), "/macs/1/sequence", "a mobility sequence number is a whole number from 0 to 4294967295"},
		{"no VTEP", mac(`{"vtep":"eth1"}`), "/macs/1/vtep", `"eth1" is there: write a VTEP's IP address`},
		{"a zone", mac(`{"vtep":"fe80::1%eth1"}`), "/macs/1/vtep", "write a VTEP's IP address"},
		{"a group for a VTEP", mac(`{"vtep":"239.1.1.1"}`), "/macs/1/vtep", "write a unicast one"},
		{"the gateway's own", mac(`{"vtep":"192.0.2.1"}`), "/macs/1/vtep", "192.0.2.1 is this gateway's own VTEP address"},
		{"of the other family", mac(`{"vtep":"2001:db8::2"}`), "/macs/1/vtep", "write one of that family"},
		{"the same twice", mac(`{"vni":1,"mac":"02-00-00-00-00-01","vtep":"192.0.2.3"}`), "/macs/1", "an entry before is about the same"},
		{"a prefix with host bits", `{"routes":[{"vrf":"red","prefix":"10.1.1.1/24"}]}`, "/routes/0/prefix", `did you mean "10.1.1.0/24"`},
		{"no prefix", `{"routes":[{"vrf":"red","prefix":"10.1.1.1"}]}`, "/routes/0/prefix", "write a prefix"},
		{"no hops", `{"routes":[{"vrf":"red","prefix":"10.1.1.0/24","hops":[]}]}`, "/routes/0/hops", "write one to 16"},
		{"a hop of both kinds", `{"routes":[{"vrf":"red","prefix":"10.1.1.0/24","hops":[{"vni":1,"via":"10.0.0.1","vtep":"192.0.2.2"}]}]}`, "/routes/0/hops/0", "either vni and via"},
		{"a hop of another family", `{"routes":[{"vrf":"red","prefix":"10.1.1.0/24","hops":[{"vni":1,"via":"2001:db8::1"}]}]}`, "/routes/0/hops/0/via", "of that family"},
		{"a hop twice", `{"routes":[{"vrf":"red","prefix":"10.1.1.0/24","hops":[{"vni":1,"via":"10.0.0.1"},{"via":"10.0.0.1","vni":1}]}]}`, "/routes/0/hops/1", "twice"},
		{"nobody's address", `{"neighbours":[{"vni":1,"address":"224.0.0.1","mac":"02:00:00:00:00:01"}]}`, "/neighbours/0/address", "no station has that address"},
		{"a strange name", `{"a/b~c":1}`, "", `unknown field "a/b~c"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp, text := ask(t, s, http.MethodPut, "/v1/origins/evpn", tt.body)
			var e errorBody
			if err := json.Unmarshal([]byte(text), &e); err != nil || resp.StatusCode != http.StatusBadRequest {
				t.Fatalf("%s: %s", resp.Status, text)
			}
			if e.Place != tt.place || !strings.Contains(e.Error, tt.want) || !strings.HasPrefix(e.Error, tt.place) {
				t.Errorf("at %q: %s\nwant at %q: %s", e.Place, e.Error, tt.place, tt.want)
			}
		})
	}
	for _, tt := range []struct{ name, body, place, want string }{
		{"what is removed has no more than a name", `{"remove":{"macs":[{"vni":1,"mac":"02:00:00:00:00:01","vtep":"192.0.2.2"}]}}`, "/remove/macs/0", `unknown field "vtep": there is vni, mac`},
		{"a section without add", `{"macs":[]}`, "", "there is hold, add, remove"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp, text := ask(t, s, http.MethodPatch, "/v1/origins/evpn", tt.body)
			if resp.StatusCode != http.StatusBadRequest || !strings.Contains(text, tt.place) || !strings.Contains(text, strings.ReplaceAll(tt.want, `"`, `\"`)) {
				t.Errorf("%s: %s", resp.Status, text)
			}
		})
	}
	if len(k.book.Pages()) != 0 {
		t.Error("something was done")
	}
}

func TestOriginTooLong(t *testing.T) {
	s, _ := start(t, &fake{}, keepIn(newKeeper()))
	body := `{"macs":[` + strings.Repeat(" ", maxWords) + `]}`
	if resp, text := ask(t, s, http.MethodPut, "/v1/origins/evpn", body); resp.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(text, "takes 16777216 at most") {
		t.Errorf("%s: %s", resp.Status, text)
	}
	// One that does not say how long it is. The answer may come before all is sent.
	c, err := net.Dial("unix", s.opts.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go fmt.Fprintf(c, "PUT /v1/origins/evpn HTTP/1.1\r\nHost: vxgw\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(string(text), "longer than 16 MiB: say it in parts") {
		t.Errorf("%s: %s", resp.Status, text)
	}
}

// A hundred thousand MACs are one request.
func TestOriginManyMACs(t *testing.T) {
	k := newKeeper()
	_, c := start(t, &fake{}, keepIn(k))
	var w OriginWords
	for i := range 100_000 {
		w.MACs = append(w.MACs, OriginMAC{VNI: uint32(1 + i%10), MAC: fmt.Sprintf("02:00:00:%02x:%02x:%02x", i>>16, i>>8&255, i&255), VTEP: "192.0.2.2", Sequence: uint32(i)})
	}
	o := c.Origin("evpn")
	a, err := o.Put(context.Background(), w)
	if err != nil || a.MACs != 100_000 {
		t.Fatalf("%+v, %v", a, err)
	}
	got, err := o.Get(context.Background())
	if err != nil || len(got.MACs) != 100_000 {
		t.Fatalf("%d MACs came back, %v", len(got.MACs), err)
	}
}

func TestOriginClient(t *testing.T) {
	k, ctx := newKeeper(), context.Background()
	_, c := start(t, &fake{}, keepIn(k))
	one, other := c.Origin("evpn"), c.Origin("evpn")
	if _, err := one.Patch(ctx, OriginPatch{}); !errors.Is(err, ErrUnknown) {
		t.Errorf("a patch of nothing: %v", err)
	}
	if _, err := one.Put(ctx, OriginWords{VTEPs: []OriginVTEP{{1, "192.0.2.2"}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Put(ctx, OriginWords{}); err != nil {
		t.Fatal(err)
	}
	if _, err := one.Patch(ctx, OriginPatch{Add: &OriginWords{VTEPs: []OriginVTEP{{1, "192.0.2.3"}}}}); !errors.Is(err, ErrChanged) {
		t.Errorf("after another writer: %v", err)
	}
	if w, err := one.Get(ctx); err != nil || len(w.VTEPs) != 0 {
		t.Errorf("%+v, %v", w, err)
	}
	if a, err := one.Patch(ctx, OriginPatch{Add: &OriginWords{VTEPs: []OriginVTEP{{1, "192.0.2.3"}}}}); err != nil || a.VTEPs != 1 {
		t.Errorf("%+v, %v", a, err)
	}
	k.full = true
	if _, err := one.Put(ctx, OriginWords{}); err == nil || err.Error() != "/macs: too many" {
		t.Errorf("%v", err)
	}
	if err := one.Delete(ctx); err != nil {
		t.Error(err)
	}
	if err := one.Delete(ctx); !errors.Is(err, ErrUnknown) {
		t.Errorf("%v", err)
	}
}

// Whatever is taken is what is read back; whatever is refused is refused with a place.
func FuzzOriginWords(f *testing.F) {
	f.Add([]byte(fullWords))
	f.Add([]byte(`{"add":{"macs":[{"vni":1,"mac":"02:00:00:00:01:02","vtep":"192.0.2.2"}]},"remove":{"macs":[{"vni":1,"mac":"02:00:00:00:01:02"}]}}`))
	f.Add([]byte(`{"macs":[{"vni":1e3}],"hold":-1}`))
	f.Add([]byte(`{"routes":[{"vrf":"\ud800","prefix":"::/0","hops":[{"vni":1,"via":"fe80::1"}]}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, _, err := readPatch(bytes.NewReader(body), testRules); err != nil {
			placed(t, err)
		}
		w, hold, err := readReplace(bytes.NewReader(body), testRules)
		if err != nil {
			placed(t, err)
			return
		}
		seconds := uint32(0)
		if hold != nil {
			seconds = *hold
		}
		text, err := json.Marshal(wordsOf(seconds, &w))
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := readReplace(bytes.NewReader(text), testRules)
		if err != nil {
			t.Fatalf("%s\nis not taken: %v", text, err)
		}
		if !reflect.DeepEqual(w, again) {
			t.Fatalf("%+v\nbecame %+v", w, again)
		}
	})
}

func placed(t *testing.T, err error) {
	t.Helper()
	var fault *control.Fault
	if !errors.As(err, &fault) || fault.Message == "" || fault.Place != "" && fault.Place[0] != '/' {
		t.Fatalf("%#v", err)
	}
}

// TestOriginStream holds that a stream in a controller's name is open for as long as the
// controller says, that whoever may not write has none, and that others change nothing.
func TestOriginStream(t *testing.T) {
	k, src := newKeeper(), busy()
	s, c := start(t, src, keepIn(k), withHTTP)
	streams := func() int {
		k.mu.Lock()
		defer k.mu.Unlock()
		p, _ := k.book.Page(control.EVPN)
		return p.Streams
	}
	if _, err := c.Origin("evpn").Put(t.Context(), OriginWords{}); err != nil {
		t.Fatal(err)
	}
	other := listen(t, c, Listening{Snapshot: true, Types: "reload"})
	other.hears("0 snapshot_begin", "1000 snapshot_end")
	if n := streams(); n != 0 {
		t.Errorf("%d streams, and none is its own", n)
	}
	own := listen(t, c, Listening{Snapshot: true, Types: "reload", Origin: "evpn"})
	own.hears("0 snapshot_begin", "1000 snapshot_end")
	if n := streams(); n != 1 {
		t.Errorf("%d streams, want 1", n)
	}
	own.stop()
	for deadline := time.Now().Add(30 * time.Second); streams() != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a stream that was ended still counts")
		}
	}
	for _, test := range []struct {
		name, url string
		client    *http.Client
		want      string
	}{
		{"over HTTP", httpURL(t, s, "/v1/events?origin=evpn"), plainClient(), "on the control socket alone"},
		{"no name", "http://vxgw/v1/events?origin=static", socketClient(s.opts.Socket), "the gateway's own"},
	} {
		t.Run(test.name, func(t *testing.T) {
			req, err := http.NewRequest(http.MethodGet, test.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			if resp, text := roundTrip(t, test.client, req); resp.StatusCode/100 != 4 || !strings.Contains(text, test.want) {
				t.Errorf("%s: %s", resp.Status, text)
			}
		})
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/v1/events?origin=evpn", nil)
	s.events(w, r.WithContext(context.WithValue(r.Context(), peerKey{}, &peer{uid: 4711, may: mayRead})))
	if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "be root, or join group") {
		t.Errorf("a reader: %d %s", w.Code, w.Body)
	}
	if n := streams(); n != 0 {
		t.Errorf("%d streams of who may not", n)
	}
}
