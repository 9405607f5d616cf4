package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"vxgw/gateway/events"
)

// contract is a Server's OpenAPI document, by which answers are judged. It is stricter
// than what is served: an answer may have no field that the document does not know.
type contract struct {
	t       *testing.T
	doc     map[string]any
	schemas *jsonschema.Compiler
	asked   map[string]bool // the routes that were asked, and answered 200
}

func newContract(t *testing.T, s *Server) *contract {
	t.Helper()
	text, err := json.Marshal(s.document())
	if err != nil {
		t.Fatal(err)
	}
	return contractOf(t, string(text))
}

func contractOf(t *testing.T, document string) *contract {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(document))
	if err != nil {
		t.Fatal(err)
	}
	closeObjects(doc)
	c := &contract{t: t, doc: doc.(map[string]any), schemas: jsonschema.NewCompiler(), asked: map[string]bool{}}
	c.schemas.AssertFormat()
	if err := c.schemas.AddResource("doc.json", doc); err != nil {
		t.Fatal(err)
	}
	return c
}

// closeObjects has every object of a document be just what it says.
func closeObjects(v any) {
	switch v := v.(type) {
	case map[string]any:
		if _, has := v["properties"]; has && v["type"] == "object" {
			v["additionalProperties"] = false
		}
		for _, inner := range v {
			closeObjects(inner)
		}
	case []any:
		for _, inner := range v {
			closeObjects(inner)
		}
	}
}

// at returns what the document has at a path of names, and its place as a JSON pointer.
func (c *contract) at(names ...string) (v any, pointer string) {
	v = c.doc
	for _, name := range names {
		m, _ := v.(map[string]any)
		v = m[name]
		pointer += "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
	}
	return v, pointer
}

// judge says what is wrong with a value, by the schema at a place; nil: nothing.
func (c *contract) judge(text string, names ...string) error {
	v, pointer := c.at(names...)
	if v == nil {
		return fmt.Errorf("the document has nothing at %s", pointer)
	}
	is, err := c.schemas.Compile("doc.json#" + pointer)
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return err
	}
	return is.Validate(value)
}

// answer judges an answer to a route.
func (c *contract) answer(method, path, status, media, text string) error {
	responses := []string{"paths", path, strings.ToLower(method), "responses"}
	if v, _ := c.at(append(responses, status)...); v == nil {
		status = "default"
	}
	media, _, _ = strings.Cut(media, ";")
	content := append(responses, status, "content", media)
	if v, place := c.at(content...); v == nil {
		return fmt.Errorf("%s is not among what it answers: %s", media, place)
	}
	if media != "application/json" {
		return nil
	}
	return c.judge(text, append(content, "schema")...)
}

// ask asks on a listener, and judges the answer, whatever it is.
func (c *contract) ask(base string, client *http.Client, method, path, body string, status int) {
	c.t.Helper()
	req, err := http.NewRequest(method, base+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	resp, text := roundTrip(c.t, client, req)
	if resp.StatusCode != status {
		c.t.Errorf("%s %s: %s, want %d: %s", method, path, resp.Status, status, text)
		return
	}
	route := documented(req.URL.Path)
	if status == http.StatusOK {
		c.asked[method+" "+route] = true
	}
	if err := c.answer(method, route, fmt.Sprint(status), resp.Header.Get("Content-Type"), text); err != nil {
		c.t.Errorf("%s %s: %v\n%s", method, path, err, text)
	}
}

// documented is the path as the document has it.
func documented(path string) string {
	if strings.HasPrefix(path, "/v1/origins/") {
		return "/v1/origins/{origin}"
	}
	return path
}

// TestDocument holds that what both listeners serve is the document, and that every
// schema in it is one.
func TestDocument(t *testing.T) {
	s, _ := start(t, busy(), withHTTP, withReload)
	for _, where := range []struct {
		client *http.Client
		url    string
	}{{socketClient(s.opts.Socket), "http://vxgw/v1/openapi.json"}, {plainClient(), httpURL(t, s, "/v1/openapi.json")}} {
		req, err := http.NewRequest(http.MethodGet, where.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, text := roundTrip(t, where.client, req)
		c := contractOf(t, text)
		if c.doc["openapi"] != "3.1.0" {
			t.Errorf("version %v", c.doc["openapi"])
		}
		all, _ := c.at("components", "schemas")
		if len(all.(map[string]any)) < 10 {
			t.Errorf("only %d schemas", len(all.(map[string]any)))
		}
		for name := range all.(map[string]any) {
			_, pointer := c.at("components", "schemas", name)
			if _, err := c.schemas.Compile("doc.json#" + pointer); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func withReload(o *Options) {
	o.Commit = &committer{}
	o.Origins = newKeeper()
	o.ClearMACs = func(ClearRequest) (Cleared, error) { return Cleared{MACs: 2, Held: 1}, nil }
	o.Doctor = func(_ context.Context, probes bool) []Check {
		return []Check{{Name: "mtu", State: CheckWarn, Says: fmt.Sprintf("probes: %v", probes), Mend: "raise it"}, {Name: "rp-filter", State: CheckOK, Says: "well"}}
	}
}

// TestAnswersAreAsDocumented judges the answer of every route, good and bad, by the
// document. A new route is named here until it is asked.
func TestAnswersAreAsDocumented(t *testing.T) {
	s, _ := start(t, busy(), withHTTP, withReload)
	c := newContract(t, s)
	socket, plain := socketClient(s.opts.Socket), plainClient()
	web := httpURL(t, s, "")
	for _, r := range s.all {
		if r.method != http.MethodGet || r.path == "/v1/events" || r.path == "/v1/origins/{origin}" {
			continue
		}
		if r.on&onSocket != 0 {
			c.ask("http://vxgw", socket, r.method, r.path, "", 200)
			c.ask("http://vxgw", socket, r.method, r.path+"?vni=x", "", map[bool]int{true: 400, false: 200}[rowsOf[strings.TrimPrefix(r.path, "/v1/")] != nil || takesVNI(r)])
		}
		if r.on&onHTTP != 0 {
			c.ask(web, plain, r.method, r.path, "", 200)
		}
		if r.params != nil {
			c.ask("http://vxgw", socket, r.method, r.path+"?vni=10010", "", 200)
		}
	}
	c.ask("http://vxgw", socket, "POST", "/v1/reload", "", 200)
	c.ask("http://vxgw", socket, "POST", "/v1/reload", `{"confirm":"60s"}`, 200)
	c.ask("http://vxgw", socket, "POST", "/v1/reload", `{"confirm":"soon"}`, 400)
	c.ask("http://vxgw", socket, "POST", "/v1/confirm", "", 200)
	c.ask("http://vxgw", socket, "POST", "/v1/rollback", "", 200)
	c.ask("http://vxgw", socket, "POST", "/v1/diff", `{"file":"f","text":""}`, 200)
	c.ask("http://vxgw", socket, "POST", "/v1/macs/clear", `{"all":true}`, 200)
	c.ask("http://vxgw", socket, "POST", "/v1/macs/clear", `{"vni":1}`, 400)
	c.ask("http://vxgw", socket, "POST", "/v1/explain", `{"port":"eth1","frame":"ffff"}`, 200)
	c.ask("http://vxgw", socket, "POST", "/v1/explain", `{"port":"eth1","frame":"f"}`, 400)
	c.ask("http://vxgw", socket, "POST", "/v1/explain", `{"prot":"eth1"}`, 400)
	c.ask("http://vxgw", socket, "POST", "/v1/explain", strings.Repeat(" ", maxBody+1), 413)
	c.askOfOrigins(socket)
	c.ask("http://vxgw", socket, "GET", "/v1/events?types=x", "", 400)
	c.ask("http://vxgw", socket, "GET", "/v1/doctor?probes=false", "", 200)
	c.ask("http://vxgw", socket, "GET", "/v1/doctor?probes=perhaps", "", 400)
	c.ask("http://vxgw", socket, "GET", "/v1/events?origin=Evpn", "", 400)
	c.ask(web, plain, "GET", "/v1/events?origin=evpn", "", 403)
	c.asked["GET /v1/events"] = true // judged in TestEventsAreAsDocumented
	for _, r := range s.all {
		if !c.asked[r.method+" "+r.path] {
			t.Errorf("%s %s is not asked here: add a question for it, with an answer of 200", r.method, r.path)
		}
	}

	// A judge that finds nothing wrong is none.
	for name, wrong := range map[string]string{
		"a field too many": `[{"interface":"e","vlan":1,"vni":1,"state":"up","rx_packets":1,"rx_bytes":1,"tx_packets":1,"tx_bytes":1,"macs":1,"colour":1}]`,
		"a field too few":  `[{"interface":"e","vlan":1,"vni":1,"state":"up","rx_packets":1,"rx_bytes":1,"tx_packets":1,"tx_bytes":1}]`,
		"another type":     `[{"interface":"e","vlan":"1","vni":1,"state":"up","rx_packets":1,"rx_bytes":1,"tx_packets":1,"tx_bytes":1,"macs":1}]`,
		"no list":          `null`,
	} {
		if c.answer("GET", "/v1/ports", "200", "application/json", wrong) == nil {
			t.Errorf("%s: nothing is wrong with %s", name, wrong)
		}
	}
	if c.answer("GET", "/v1/ports", "200", "text/html", "") == nil || c.answer("GET", "/v1/ports", "400", "application/json", `{"eror":""}`) == nil {
		t.Error("nothing is wrong with another media type, or another error")
	}
}

// askOfOrigins says things as a controller, and judges what it says as well as the
// answers.
func (c *contract) askOfOrigins(socket *http.Client) {
	c.t.Helper()
	for _, says := range []struct {
		method, body string
		status       int
	}{
		{"GET", "", 404},
		{"PATCH", `{}`, 404},
		{"PUT", fullWords, 200},
		{"GET", "", 200},
		{"PATCH", `{}`, 200},
		{"PATCH", `{"hold":90,"remove":{"macs":[{"vni":10010,"mac":"02:00:00:00:01:03"}]},"add":{"vteps":[{"vni":10010,"address":"192.0.2.9"}]}}`, 200},
		{"PUT", `{"macs":[{"vni":10010}]}`, 400},
		{"PUT", strings.Repeat(" ", maxWords+1), 413},
		{"DELETE", "", 200},
		{"DELETE", "", 404},
	} {
		c.ask("http://vxgw", socket, says.method, "/v1/origins/evpn", says.body, says.status)
		if says.status == http.StatusOK && says.body != "" {
			if err := c.judge(says.body, "paths", "/v1/origins/{origin}", strings.ToLower(says.method), "requestBody", "content", "application/json", "schema"); err != nil {
				c.t.Errorf("%s is taken, and is not as documented: %v", says.body, err)
			}
		}
	}
	c.ask("http://vxgw", socket, "PUT", "/v1/origins/static", `{}`, 404)
}

// TestEventsAreAsDocumented judges an event of every type, as it is sent, by the schema
// that the text of the document names.
func TestEventsAreAsDocumented(t *testing.T) {
	src := busy()
	s, client := start(t, src)
	c := newContract(t, s)
	check := func(e events.Event) {
		t.Helper()
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.judge(string(text), "components", "schemas", "Event"); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	h := listen(t, client, Listening{Snapshot: true})
	for e := range h.heard {
		if check(e); e.Type == events.SnapshotEnd {
			break
		}
	}
	for _, typ := range append(slices.Clone(events.Types), events.Resync) {
		src.Events().Append(events.Event{Type: typ, Time: noon, VNI: 1, MAC: "m", Times: 2, Changes: []string{"a"}, Table: events.ByRouting, ConfirmUntil: &noon})
		e := <-h.heard
		if e.Type != typ {
			t.Fatalf("%v in the place of %s", e, typ)
		}
		check(e)
	}
	if c.judge(`{"time":"noon","type":"reload"}`, "components", "schemas", "Event") == nil {
		t.Error("nothing is wrong with a time that is none")
	}
}

// TestRoutesAreComplete holds that every route is in the document and the other way
// round, that each says what it is, and that nothing is registered past them.
func TestRoutesAreComplete(t *testing.T) {
	s := New(busy(), Options{Commit: &committer{}, Origins: newKeeper()})
	var routes, inDocument []string
	ids := map[string]bool{}
	for _, r := range s.all {
		name := r.method + " " + r.path
		routes = append(routes, name)
		switch {
		case r.summary == "":
			t.Errorf("%s has no summary", name)
		case r.on == 0:
			t.Errorf("%s is on no listener", name)
		case r.answers == nil && r.media == "":
			t.Errorf("%s does not say what it answers: fill in answers, or media", name)
		case ids[r.id()]:
			t.Errorf("%s has the operationId %s of another", name, r.id())
		case r.method != http.MethodGet && r.takes == nil && strings.Contains(r.method, "P") && !r.writes:
			t.Errorf("%s neither takes nor writes anything", name)
		}
		ids[r.id()] = true
	}
	for path, methods := range s.document()["paths"].(map[string]map[string]any) {
		for method := range methods {
			inDocument = append(inDocument, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(routes)
	slices.Sort(inDocument)
	if !slices.Equal(routes, inDocument) {
		t.Errorf("routes\n%s\ndocumented\n%s", routes, inDocument)
	}

	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	past := regexp.MustCompile(`\.Handle(Func)?\("([A-Z]+ )?/v1`)
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if m := past.Find(text); m != nil && f != "openapi_test.go" {
			t.Errorf("%s registers a path past routes: %s...: return it as a route from a list that Server.routes has, or it is neither documented nor guarded", f, m)
		}
	}
}

func takesVNI(r route) bool {
	return slices.ContainsFunc(r.params, func(p param) bool { return p.name == "vni" })
}
