package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxVNI is the largest VNI there is: 24 bits (RFC 7348 section 5).
const maxVNI = 1<<24 - 1

// maxBody is the size of the largest request body taken, in bytes. The longest
// frame written in hexadecimal with a colon between bytes needs 192 KiB.
const maxBody = 256 << 10

// errorBody is what every answer that is not 2xx carries.
type errorBody struct {
	Error string `json:"error"`
	Place string `json:"place,omitempty" doc:"where in the request's body, as a JSON pointer; where it is about one place of it"`
}

// refuse answers with an error for people.
func refuse(w http.ResponseWriter, status int, format string, args ...any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(errorBody{Error: fmt.Sprintf(format, args...)})
}

// controlHandler is what the unix socket answers.
func (s *Server) controlHandler() http.Handler {
	mux := http.NewServeMux()
	register(mux, s.routesOn(onSocket), s.forWriters)
	return s.forPeers(mux)
}

// stateRoutes are GET /v1/* for every resource.
func (s *Server) stateRoutes() []route {
	var all []route
	for _, r := range Resources {
		one := route{
			method: http.MethodGet, path: "/v1/" + r.Name, on: onBoth, summary: r.Title, answers: rowsOf[r.Name],
			handler: func(w http.ResponseWriter, req *http.Request) {
				vni, err := vniFilter(r, req.URL)
				if err != nil {
					refuse(w, http.StatusBadRequest, "%v", err)
					return
				}
				s.state(r.Name, vni)(w, req)
			},
		}
		if r.ByVNI {
			one.params = []param{vniParam}
		}
		all = append(all, one)
	}
	return all
}

// rowsOf is what each resource's list is.
var rowsOf = map[string]any{
	"ports": []PortRow{}, "vnis": []VNIRow{}, "vteps": []VTEPRow{}, "macs": []MACRow{},
	"neighbours": []NeighbourRow{}, "routes": []RouteRow{}, "drops": []DropRow{}, "datapath": []DatapathRow{},
	"config": []ConfigRow{}, "origins": []OriginRow{},
}

var vniParam = param{name: "vni", doc: "only what belongs to this VNI", is: schema{"type": "integer", "minimum": 1, "maximum": maxVNI}}

// vniFilter reads ?vni=N; 0 is no filter.
func vniFilter(r Resource, u *url.URL) (uint32, error) {
	query, err := onlyParameters(u, "vni")
	text, given := query["vni"]
	switch {
	case err != nil || !given:
		return 0, err
	case !r.ByVNI:
		return 0, fmt.Errorf("%s are not kept by VNI: leave vni out", r.Name)
	}
	return ParseVNI(text[0])
}

// onlyParameters reads a query of which each parameter may be there once.
func onlyParameters(u *url.URL, names ...string) (url.Values, error) {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("the query cannot be read: %w", err)
	}
	for key, values := range query {
		switch {
		case !slices.Contains(names, key):
			return nil, fmt.Errorf("unknown parameter %q: there is %s", key, strings.Join(names, ", "))
		case len(values) > 1:
			return nil, fmt.Errorf("%s is given %d times: give it once", key, len(values))
		}
	}
	return query, nil
}

// ParseVNI reads a VNI, 1 to 16777215.
func ParseVNI(text string) (uint32, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n < 1 || n > maxVNI {
		return 0, fmt.Errorf("vni %q: a VNI is a number from 1 to %d", text, maxVNI)
	}
	return uint32(n), nil
}

// state returns the handler that lists one resource.
func (s *Server) state(name string, vni uint32) http.HandlerFunc {
	switch name {
	case "ports":
		return list(s.bounds, keep(s.src.Ports(), func(r PortRow) bool { return vni == 0 || r.VNI == vni }))
	case "vnis":
		return list(s.bounds, keep(s.src.VNIs(), func(r VNIRow) bool { return vni == 0 || r.VNI == vni }))
	case "vteps":
		return list(s.bounds, keep(s.src.VTEPs(), func(r VTEPRow) bool { return vni == 0 || slices.Contains(r.VNIs, vni) }))
	case "macs":
		return list(s.bounds, s.src.MACs(vni))
	case "neighbours":
		return list(s.bounds, keep(s.src.Neighbours(), func(r NeighbourRow) bool { return vni == 0 || r.VNI == vni }))
	case "routes":
		return list(s.bounds, s.src.Routes())
	case "origins":
		return list(s.bounds, slices.Values(s.src.Origins()))
	case "drops":
		return list(s.bounds, slices.Values(s.src.Drops()))
	case "config":
		return list(s.bounds, slices.Values(s.config()))
	default:
		return list(s.bounds, slices.Values(s.src.Datapath()))
	}
}

func keep[T any](rows []T, wanted func(T) bool) iter.Seq[T] {
	return func(yield func(T) bool) {
		for _, r := range rows {
			if wanted(r) && !yield(r) {
				return
			}
		}
	}
}

func list[T any](b bounds, rows iter.Seq[T]) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if r.Method != http.MethodHead {
			stream(r.Context(), b, w, rows)
		}
	}
}

func (s *Server) explainRoutes() []route {
	return []route{{
		method: http.MethodPost, path: "/v1/explain", on: onSocket, handler: s.explain,
		summary: "what a frame would meet", detail: "Nothing is sent, learned or counted.",
		takes: ExplainRequest{}, answers: Explanation{},
	}}
}

func (s *Server) explain(w http.ResponseWriter, r *http.Request) {
	req, status, err := readExplain(r.Body)
	if err != nil {
		refuse(w, status, "%v", err)
		return
	}
	answer, err := s.src.Explain(req)
	if err != nil {
		refuse(w, http.StatusBadRequest, "%v", err)
		return
	}
	if answer.Copies == nil {
		answer.Copies = []string{} // a list without anything in it, and not null
	}
	writeJSONTo(w, answer)
}

// readExplain reads and checks a request. What it returns names one place to
// come in at, and a frame in hexadecimal without anything between the digits.
func readExplain(body io.Reader) (req ExplainRequest, status int, err error) {
	if status, err := readBody(body, &req); err != nil {
		return req, status, err
	}
	if err = req.Check(); err != nil {
		return req, http.StatusBadRequest, err
	}
	return req, 0, nil
}

// Check tells, for people, what is wrong with a request, and puts the frame into
// the form that a Source takes: lower-case digits only.
func (r *ExplainRequest) Check() error {
	switch {
	case r.Port == "" && r.VTEP == "":
		return errors.New("say where the frame comes in: at a port, or from a VTEP in a VNI")
	case r.Port != "" && r.VTEP != "":
		return errors.New("a frame comes in at a port or from a VTEP, not both: leave one out")
	case r.VNI > maxVNI:
		return fmt.Errorf("vni %d: a VNI is a number from 1 to %d", r.VNI, maxVNI)
	case r.VTEP != "" && r.VNI == 0:
		return fmt.Errorf("say the VNI that the VTEP sends the frame in, 1 to %d", maxVNI)
	}
	if r.VTEP != "" {
		a, err := netip.ParseAddr(r.VTEP)
		if err != nil || a.Zone() != "" {
			return fmt.Errorf("vtep %q is not an IP address: write one as 192.0.2.2 or 2001:db8::2", r.VTEP)
		}
		r.VTEP = a.Unmap().String()
	}
	frame, err := CleanHex(r.Frame)
	r.Frame = frame
	return err
}
