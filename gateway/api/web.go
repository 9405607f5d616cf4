package api

import (
	"net/http"
	"time"

	"vxgw/gateway/api/web"
)

// webRoute is one path that the dashboard asks.
type webRoute struct {
	path    string
	handler http.HandlerFunc
	summary string
}

// webRoutes are what the dashboard asks beyond the resources. All of it may be asked by
// anybody else as well.
func (s *Server) webRoutes() []webRoute {
	return []webRoute{
		{"/v1/overview", s.overview, "counters and states of everything in one answer, read once a second at most"},
		{"/v1/topology", s.topology, "which ports, VNIs and VTEPs belong together (?vni=N for one VNI)"},
		{"/v1/macs/search", s.findMACs, "MACs by words, page by page (?q=WORDS&vni=N&limit=N&offset=N)"},
	}
}

// handleWeb adds the dashboard and what it asks.
func (s *Server) handleWeb(mux *http.ServeMux) {
	for _, r := range s.webRoutes() {
		mux.Handle(r.path, only(http.MethodGet, r.handler))
	}
	mux.Handle("/{$}", only(http.MethodGet, page))
	mux.Handle("/ui/", only(http.MethodGet, page))
}

func webPaths() []string {
	var paths []string
	for _, r := range (*Server)(nil).webRoutes() {
		paths = append(paths, "GET "+r.path)
	}
	return paths
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
