package api

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

const (
	// pageRows and maxPageRows are how many entries one answer to a search has.
	pageRows, maxPageRows = 50, 500

	// maxSearches is how many searches walk through the forwarding database at
	// once: one of a million entries keeps a CPU busy for tens of milliseconds.
	maxSearches = 2

	// searchWait is how long a search waits for its turn.
	searchWait = 5 * time.Second
)

// MACPage is what a search found, from its Offset on.
type MACPage struct {
	Rows   []MACRow `json:"rows"`
	Offset int      `json:"offset"`
	More   bool     `json:"more"` // there are more behind these
}

// searches lets in so many at once.
type searches chan struct{}

// findMACs answers GET /v1/macs/search?q=WORDS&vni=N&limit=N&offset=N.
func (s *Server) findMACs(w http.ResponseWriter, r *http.Request) {
	q, limit, offset, err := s.readSearch(r.URL)
	if err != nil {
		refuse(w, http.StatusBadRequest, "%v", err)
		return
	}
	turn := time.NewTimer(searchWait)
	defer turn.Stop()
	select {
	case s.web.searches <- struct{}{}:
		defer func() { <-s.web.searches }()
	case <-turn.C:
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusServiceUnavailable, "others are searching: try again in a moment")
		return
	case <-r.Context().Done():
		return
	}
	answer(w, r, s.findPage(r, q, limit, offset))
}

// findPage walks until the page is full, and one further to know whether more follow.
func (s *Server) findPage(r *http.Request, q MACQuery, limit, offset int) MACPage {
	page, n := MACPage{Rows: []MACRow{}, Offset: offset}, 0
	for row := range s.src.FindMACs(q) {
		if n++; n <= offset {
			continue
		}
		if page.More = len(page.Rows) == limit; page.More || r.Context().Err() != nil {
			break
		}
		page.Rows = append(page.Rows, row)
	}
	return page
}

func (s *Server) readSearch(u *url.URL) (q MACQuery, limit, offset int, err error) {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return q, 0, 0, fmt.Errorf("the query cannot be read: %w", err)
	}
	for key, values := range query {
		if !slices.Contains([]string{"q", "vni", "limit", "offset"}, key) {
			return q, 0, 0, fmt.Errorf("unknown parameter %q: there are q, vni, limit and offset", key)
		}
		if len(values) > 1 {
			return q, 0, 0, fmt.Errorf("%s is given %d times: give it once", key, len(values))
		}
	}
	names := make(map[string]bool)
	for _, p := range s.webRows().Ports {
		names[p.Interface] = true
	}
	if q, err = ParseMACQuery(query.Get("q"), func(name string) bool { return names[name] }, s.isOrigin); err != nil {
		return q, 0, 0, err
	}
	if text := query.Get("vni"); text != "" {
		if q.VNI, err = ParseVNI(text); err != nil {
			return q, 0, 0, err
		}
	}
	if limit, err = wholeNumber(query, "limit", pageRows, 1, maxPageRows); err != nil {
		return q, 0, 0, err
	}
	offset, err = wholeNumber(query, "offset", 0, 0, 1<<24)
	return q, limit, offset, err
}

// wholeNumber reads a whole number of a query; without one it is unsaid.
func wholeNumber(query url.Values, key string, unsaid, least, most int) (int, error) {
	text := query.Get(key)
	if text == "" {
		return unsaid, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%s %q: a number from %d to %d", key, text, least, most)
	}
	return n, nil
}

// isOrigin reports whether there is a controller of a name.
func (s *Server) isOrigin(name string) bool {
	return slices.ContainsFunc(s.src.Origins(), func(r OriginRow) bool { return r.Origin == name })
}
