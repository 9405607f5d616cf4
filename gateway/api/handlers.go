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
}

// refuse answers with an error for people.
func refuse(w http.ResponseWriter, status int, format string, args ...any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(errorBody{fmt.Sprintf(format, args...)})
}

// controlHandler is what the unix socket answers.
func (s *Server) controlHandler() http.Handler {
	mux := http.NewServeMux()
	s.handleState(mux)
	mux.Handle("/v1/explain", only(http.MethodPost, s.explain))
	known := append(statePaths(), "POST /v1/explain")
	if s.opts.Reload != nil {
		mux.Handle("/v1/reload", only(http.MethodPost, s.reload))
		known = append(known, "POST /v1/reload")
	}
	if keeper := s.opts.Origins; keeper != nil {
		mux.Handle("/v1/origins/{origin}", s.originHandler(keeper))
		known = append(known, "GET, PUT, PATCH and DELETE /v1/origins/{origin}")
	}
	mux.HandleFunc("/", unknownPath(known))
	return mux
}

// handleState adds GET /v1/* for every resource.
func (s *Server) handleState(mux *http.ServeMux) {
	for _, r := range Resources {
		mux.Handle("/v1/"+r.Name, only(http.MethodGet, func(w http.ResponseWriter, req *http.Request) {
			vni, err := vniFilter(r, req.URL)
			if err != nil {
				refuse(w, http.StatusBadRequest, "%v", err)
				return
			}
			s.state(r.Name, vni)(w, req)
		}))
	}
}

// only lets one method through; HEAD goes where GET goes.
func only(method string, h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != method && !(method == http.MethodGet && r.Method == http.MethodHead) {
			w.Header().Set("Allow", method)
			refuse(w, http.StatusMethodNotAllowed, "%s does not take %s: use %s", r.URL.Path, r.Method, method)
			return
		}
		h(w, r)
	})
}

func unknownPath(known []string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusNotFound, "there is no %s here: there is %s", r.URL.Path, strings.Join(known, ", "))
	}
}

func statePaths() []string {
	var paths []string
	for _, r := range Resources {
		paths = append(paths, "GET /v1/"+r.Name)
	}
	return paths
}

// vniFilter reads ?vni=N; 0 is no filter.
func vniFilter(r Resource, u *url.URL) (uint32, error) {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return 0, fmt.Errorf("the query cannot be read: %w", err)
	}
	for key := range query {
		if key != "vni" {
			return 0, fmt.Errorf("unknown parameter %q: there is vni=1..%d", key, maxVNI)
		}
	}
	values := query["vni"]
	switch {
	case len(values) == 0:
		return 0, nil
	case len(values) > 1:
		return 0, fmt.Errorf("vni is given %d times: give it once", len(values))
	case !r.ByVNI:
		return 0, fmt.Errorf("%s are not kept by VNI: leave vni out", r.Name)
	}
	return ParseVNI(values[0])
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
		return list(keep(s.src.Ports(), func(r PortRow) bool { return vni == 0 || r.VNI == vni }))
	case "vnis":
		return list(keep(s.src.VNIs(), func(r VNIRow) bool { return vni == 0 || r.VNI == vni }))
	case "vteps":
		return list(keep(s.src.VTEPs(), func(r VTEPRow) bool { return vni == 0 || slices.Contains(r.VNIs, vni) }))
	case "macs":
		return list(s.src.MACs(vni))
	case "neighbours":
		return list(keep(s.src.Neighbours(), func(r NeighbourRow) bool { return vni == 0 || r.VNI == vni }))
	case "routes":
		return list(s.src.Routes())
	case "origins":
		return list(slices.Values(s.src.Origins()))
	case "drops":
		return list(slices.Values(s.src.Drops()))
	default:
		return list(slices.Values(s.src.Datapath()))
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

func list[T any](rows iter.Seq[T]) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if r.Method != http.MethodHead {
			stream(r.Context(), w, rows)
		}
	}
}

func (s *Server) explain(w http.ResponseWriter, r *http.Request) {
	req, status, err := readExplain(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		refuse(w, status, "%v", err)
		return
	}
	answer, err := s.src.Explain(req)
	if err != nil {
		refuse(w, http.StatusBadRequest, "%v", err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(answer)
}

// readExplain reads and checks a request. What it returns names one place to
// come in at, and a frame in hexadecimal without anything between the digits.
func readExplain(body io.Reader) (req ExplainRequest, status int, err error) {
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	err = d.Decode(&req)
	if err == nil {
		if _, err = d.Token(); err == io.EOF {
			err = nil
		} else if err == nil {
			err = errors.New("more than one JSON value")
		}
	}
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return req, http.StatusRequestEntityTooLarge, fmt.Errorf("the request is longer than %d bytes, which no frame needs", maxBody)
	case err != nil:
		return req, http.StatusBadRequest, fmt.Errorf("the request is no {\"port\" or \"vtep\" and \"vni\", \"frame\"}: %w", err)
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
