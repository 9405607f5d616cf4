package api

import (
	"io"
	"net/http"
	"slices"
	"strings"
)

// listener is where something can be asked.
type listener uint8

// The listeners.
const (
	onSocket listener = 1 << iota // the control socket
	onHTTP                        // the read-only HTTP listener
	onBoth   = onSocket | onHTTP
)

// route is one thing that can be asked or told: a method on a path. Each stands beside
// its handler, in a list that routes names, and says of itself all that the OpenAPI
// document has of it.
type route struct {
	method  string // as net/http has it
	path    string // as http.ServeMux has it: /v1/origins/{origin}
	on      listener
	handler http.HandlerFunc

	// writes says that it changes the gateway: only who may write gets there, and each
	// time is logged.
	writes  bool
	often   bool  // it may come many times a second: only a log of level debug has each
	maxBody int64 // of a request, in bytes; 0: maxBody

	// For the document.
	summary  string // a few words
	detail   string // sentences
	params   []param
	takes    any    // a value of the type that the request's body is; nil: there is none
	optional bool   // the request may have no body all the same
	answers  any    // a value of the type that an answer's body is; nil: text
	media    string // what an answer is; "": JSON
	mentions []any  // values of further types that the texts speak of
}

// param is one parameter of a route.
type param struct {
	name, doc string
	is        schema
	in        string // "query", "path" or "header"; "": query
}

// routes are all there are. Whoever adds a resource adds its list here.
func (s *Server) routes() []route {
	return slices.Concat(
		s.stateRoutes(), s.explainRoutes(), s.commitRoutes(), s.clearRoutes(), s.captureRoutes(), s.webRoutes(), s.originRoutes(), s.eventRoutes(), s.documentRoutes(), s.metricRoutes(),
	)
}

// routesOn are those of one listener.
func (s *Server) routesOn(l listener) []route {
	return slices.DeleteFunc(slices.Clone(s.all), func(r route) bool { return r.on&l == 0 })
}

// register puts routes into a mux, and an answer for every path that there is not. wrap
// puts around a handler what its listener asks first.
func register(mux *http.ServeMux, routes []route, wrap func(route) http.Handler) {
	methods := make(map[string][]route)
	var known []string
	for _, r := range routes {
		methods[r.path] = append(methods[r.path], r)
		known = append(known, r.method+" "+r.path)
	}
	for path, of := range methods {
		mux.Handle(path, byMethod(of, wrap))
	}
	mux.HandleFunc("/", unknownPath(known))
}

// byMethod leads to the route with a request's method; HEAD goes where GET goes.
func byMethod(of []route, wrap func(route) http.Handler) http.Handler {
	handlers := make(map[string]http.Handler, len(of))
	var allowed []string
	for _, r := range of {
		h := wrap(r)
		handlers[r.method] = h
		allowed = append(allowed, r.method)
		if r.method == http.MethodGet {
			handlers[http.MethodHead] = h
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := handlers[r.Method]
		if h == nil {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			refuse(w, http.StatusMethodNotAllowed, "%s does not take %s: use %s", r.URL.Path, r.Method, strings.Join(allowed, " or "))
			return
		}
		h.ServeHTTP(w, r)
	})
}

func unknownPath(known []string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, "there is no %s here: there is %s", r.URL.Path, strings.Join(known, ", "))
	}
}

// maxWaste is how much more than it may have is read all the same of a request that is
// too long, in bytes.
const maxWaste = 4 << 20

// bounded keeps a request's body within what a route takes.
func bounded(r route) http.Handler {
	most := r.maxBody
	if most == 0 {
		most = maxBody
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.ContentLength > most {
			// A client that is still sending would meet a closed connection, and never
			// read why.
			_, _ = io.CopyN(io.Discard, req.Body, most+maxWaste)
			w.Header().Set("Connection", "close")
			refuse(w, http.StatusRequestEntityTooLarge, "the request has %d bytes: %s %s takes %d at most", req.ContentLength, r.method, r.path, most)
			return
		}
		req.Body = http.MaxBytesReader(w, req.Body, most)
		r.handler(w, req)
	})
}
