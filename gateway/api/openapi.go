package api

import (
	"encoding/json"
	"net/http"
	"reflect"
	"regexp"
	"strconv"
	"strings"
)

// documentRoutes is the API's description of itself.
func (s *Server) documentRoutes() []route {
	return []route{{
		method: http.MethodGet, path: "/v1/openapi.json", on: onBoth, handler: s.openAPI,
		summary: "this document", answers: map[string]any{},
	}}
}

func (s *Server) openAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	writeJSONTo(w, s.document())
}

const apiText = `What a running vxgw can be asked and told. All of it is on the control socket, by default ` +
	DefaultSocket + `; what its text says so of is on the read-only HTTP listener ([api] http) too. ` +
	`Whoever is root or in group vxgw may ask and change, whoever is in the group of [api] read_group may ask; the kernel says who is there. ` +
	`Every answer that is not 2xx has a body of the schema ErrorBody, whose text is for people. ` +
	`Fields and paths are added within v1, and none is renamed or removed.`

// document returns the OpenAPI document, version 3.1, of all routes.
func (s *Server) document() map[string]any {
	types := &schemas{named: make(map[string]any)}
	paths := make(map[string]map[string]any)
	for _, r := range s.all {
		if paths[r.path] == nil {
			paths[r.path] = make(map[string]any)
		}
		paths[r.path][strings.ToLower(r.method)] = r.operation(types)
	}
	return map[string]any{
		"openapi":    "3.1.0",
		"info":       map[string]any{"title": "vxgw control API", "version": s.opts.Version, "description": apiText},
		"servers":    []any{map[string]any{"url": "/"}},
		"paths":      paths,
		"components": map[string]any{"schemas": types.named},
	}
}

// operation is what the document has of a route.
func (r *route) operation(types *schemas) map[string]any {
	detail := r.detail
	if r.on == onBoth {
		detail += " On the HTTP listener too."
	} else if r.on == onHTTP {
		detail += " On the HTTP listener only."
	}
	if r.writes {
		detail += " Changes the gateway: for root and group " + Group + "."
	}
	for _, m := range r.mentions {
		types.of(reflect.TypeOf(m))
	}
	op := map[string]any{
		"operationId": r.id(),
		"summary":     r.summary,
		"description": strings.TrimSpace(detail),
		"responses": map[string]any{
			strconv.Itoa(http.StatusOK): map[string]any{"description": "done", "content": r.content(types)},
			"default":                   map[string]any{"description": "not done, and why", "content": jsonContent(types, errorBody{})},
		},
	}
	if len(r.params) > 0 {
		op["parameters"] = r.parameters()
	}
	if r.takes != nil {
		op["requestBody"] = map[string]any{"required": !r.optional, "content": jsonContent(types, r.takes)}
	}
	return op
}

func (r *route) content(types *schemas) map[string]any {
	switch {
	case r.answers != nil:
		return jsonContent(types, r.answers)
	case strings.HasPrefix(r.media, "text/"):
		return map[string]any{r.media: map[string]any{"schema": schema{"type": "string"}}}
	}
	return map[string]any{r.media: map[string]any{}} // bytes
}

func jsonContent(types *schemas, v any) map[string]any {
	return map[string]any{"application/json": map[string]any{"schema": types.of(reflect.TypeOf(v))}}
}

func (r *route) parameters() []any {
	var all []any
	for _, p := range r.params {
		in := p.in
		if in == "" {
			in = "query"
		}
		all = append(all, map[string]any{"name": p.name, "in": in, "required": in == "path", "description": p.doc, "schema": p.is})
	}
	return all
}

var notInID = regexp.MustCompile(`[^a-z0-9]+`)

// id names an operation: get_ports.
func (r *route) id() string {
	path := strings.TrimPrefix(r.path, "/v1")
	return strings.Trim(strings.ToLower(r.method)+"_"+strings.Trim(notInID.ReplaceAllString(path, "_"), "_"), "_")
}

// writeJSONTo answers with one JSON value. A client that is gone needs no answer.
func writeJSONTo(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v)
}
