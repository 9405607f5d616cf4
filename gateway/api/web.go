package api

import (
	"net/http"
	"time"

	"vxgw/gateway/api/web"
)

// webRoutes are what the dashboard asks beyond the resources. All of it may be asked by
// anybody else as well.
func (s *Server) webRoutes() []route {
	get := func(path string, h http.HandlerFunc, summary string, answers any, params ...param) route {
		return route{method: http.MethodGet, path: path, on: onBoth, handler: h, summary: summary, answers: answers, params: params}
	}
	text, number := schema{"type": "string"}, schema{"type": "integer", "minimum": 0}
	return []route{
		get("/v1/overview", s.overview, "counters and states of everything in one answer, read once a second at most", Overview{}),
		get("/v1/topology", s.topology, "which ports, VNIs and VTEPs belong together", Topology{}, vniParam),
		get("/v1/macs/search", s.findMACs, "MACs by words, page by page", MACPage{}, vniParam,
			param{name: "q", doc: "words: digits of a MAC, a port or a part of its name, a VTEP, an origin; all must hold", is: text},
			param{name: "limit", doc: "so many at most", is: number}, param{name: "offset", doc: "so many are left out in front", is: number}),
	}
}

// handlePages adds the dashboard.
func handlePages(mux *http.ServeMux) {
	for _, path := range []string{"/{$}", "/ui/"} {
		mux.Handle(path, byMethod([]route{{method: http.MethodGet, path: path, handler: page}}, bounded))
	}
}

// page answers with a file of the dashboard.
func page(w http.ResponseWriter, r *http.Request) {
	if !web.Serve(w, r) {
		refuse(w, http.StatusNotFound, "the dashboard has no %s: it is at /", r.URL.Path)
	}
}

// webState is what is kept for those who look at the dashboard. However many do, the
// gateway is asked once in webEvery, and a search waits for its turn.
type webState struct {
	began    time.Time // set once
	now      once[*webRows]
	text     once[body]
	checks   once[[]Check]
	searches searches
}

const (
	// webEvery is how old an answer may be. The page asks once a second; a little
	// less than that, so that each time there is a new one.
	webEvery = 900 * time.Millisecond

	// checksEvery is how old what Options.Checks said may be.
	checksEvery = 10 * time.Second
)

func newWebState() *webState {
	return &webState{began: time.Now(), searches: make(searches, maxSearches)}
}
