package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// DropFrameRow is a frame that was dropped, as `vxgw show drops --frames` has it.
type DropFrameRow struct {
	Time      time.Time `json:"time"`
	Reason    string    `json:"reason"`
	Direction string    `json:"direction"`
	Port      string    `json:"port,omitempty"` // that it came in at, or was to leave by
	VTEP      string    `json:"vtep,omitempty"` // that it came from, or was to go to
	VNI       uint32    `json:"vni,omitempty"`
	Sent      bool      `json:"sent,omitempty"` // it was on its way out there
	Copy      bool      `json:"copy,omitempty"` // it was one of the frame's copies
	Length    int       `json:"length"`         // of the whole frame, in bytes
	Summary   string    `json:"summary"`

	// Frame is its first bytes in hexadecimal, as `vxgw explain` takes them; of a
	// packet that holds none, Payload is those of the UDP payload.
	Frame   string `json:"frame,omitempty"`
	Payload string `json:"payload,omitempty"`
}

// CaptureRequest is what a capture is to take.
type CaptureRequest struct {
	Port     string        // interface of an access port or of the underlay; "": all
	VNI      uint32        // 0: all
	Dropped  bool          // only what is dropped
	Filter   string        // pcap-filter(7); "": all
	Count    uint64        // frames after which it ends; 0: it does not
	Duration time.Duration // after which it ends; 0: it does not
	Snap     int           // bytes of a frame that are kept; 0: all
}

// ErrBusy is wrapped by the error of a Capture where there are too many already.
var ErrBusy = errors.New("too many captures")

// Capture is one that is under way.
type Capture interface {
	// Next returns what comes next of a pcapng file. It waits for it; the end of ctx
	// ends the capture. The error is io.EOF with the last.
	Next(ctx context.Context) ([]byte, error)
	Close()
}

// Capturer is a Source whose frames can be looked at.
type Capturer interface {
	// DropFrames lists frames that were dropped lately, the oldest first: of one
	// reason, or of all for "". The error is for the user.
	DropFrames(reason string) ([]DropFrameRow, error)
	// Capture begins a capture. The error is for the user, and wraps ErrBusy where
	// there are too many.
	Capture(CaptureRequest) (Capture, error)
}

// captureStall is how long a reader of a capture may take for one piece of it. He costs
// the memory of one capture for as long, and the frames that he misses are counted.
const captureStall = 5 * time.Minute

// captureRoutes are what looks at frames, where that can be. They are on the control
// socket alone, and for those who may change things: what hosts say to each other is
// nobody else's.
func (s *Server) captureRoutes() []route {
	src, ok := s.src.(Capturer)
	if !ok {
		return nil
	}
	text, number, truth := schema{"type": "string"}, schema{"type": "integer", "minimum": 1}, schema{"type": "boolean"}
	return []route{{
		method: http.MethodGet, path: "/v1/drops/frames", on: onSocket, writes: true,
		handler: func(w http.ResponseWriter, r *http.Request) { s.dropFrames(src, w, r) },
		summary: "frames that were dropped lately, the oldest first", answers: []DropFrameRow{},
		params: []param{{name: "reason", doc: "only those of this reason", is: text}},
	}, {
		method: http.MethodGet, path: "/v1/capture", on: onSocket, writes: true, media: pcapngType,
		handler: func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead {
				w.Header().Set("Content-Type", pcapngType)
				return
			}
			s.capture(src, w, r)
		},
		summary: "frames as they come and go, and why they are dropped: pcapng",
		params: []param{
			{name: "port", doc: "only what comes and goes at this interface", is: text}, {name: "vni", doc: "only what belongs to this VNI", is: vniParam.is},
			{name: "dropped", doc: "only what is dropped", is: truth}, {name: "filter", doc: "only what this expression matches: pcap-filter(7)", is: text},
			{name: "count", doc: "end after so many frames", is: number}, {name: "duration", doc: "end after so long: 30s", is: text},
			{name: "snaplen", doc: "keep so many bytes of each frame", is: number},
		},
	}}
}

// pcapngType is the media type of pcapng (draft-ietf-opsawg-pcapng section 8).
const pcapngType = "application/x-pcapng"

func (s *Server) dropFrames(src Capturer, w http.ResponseWriter, r *http.Request) {
	query, err := onlyParameters(r.URL, "reason")
	if err != nil {
		refuse(w, http.StatusBadRequest, "%v", err)
		return
	}
	rows, err := src.DropFrames(query.Get("reason"))
	if err != nil {
		refuse(w, http.StatusBadRequest, "%v", err)
		return
	}
	list(s.bounds, slices.Values(rows))(w, r)
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
			return nil, fmt.Errorf("unknown parameter %q: there is %v", key, names)
		case len(values) > 1:
			return nil, fmt.Errorf("%s is given %d times: give it once", key, len(values))
		}
	}
	return query, nil
}

// query is the request as it is asked for; readCaptureRequest is the inverse.
func (r *CaptureRequest) query() url.Values {
	q := url.Values{}
	set := func(name, value string, is bool) {
		if is {
			q.Set(name, value)
		}
	}
	set("port", r.Port, r.Port != "")
	set("vni", number(r.VNI), r.VNI != 0)
	set("dropped", "true", r.Dropped)
	set("filter", r.Filter, r.Filter != "")
	set("count", number(r.Count), r.Count != 0)
	set("duration", r.Duration.String(), r.Duration != 0)
	set("snaplen", strconv.Itoa(r.Snap), r.Snap != 0)
	return q
}

func readCaptureRequest(u *url.URL) (r CaptureRequest, err error) {
	q, err := onlyParameters(u, "port", "vni", "dropped", "filter", "count", "duration", "snaplen")
	if err != nil {
		return r, err
	}
	r.Port, r.Filter = q.Get("port"), q.Get("filter")
	if v := q.Get("vni"); v != "" {
		if r.VNI, err = ParseVNI(v); err != nil {
			return r, err
		}
	}
	if v := q.Get("dropped"); v != "" {
		if r.Dropped, err = strconv.ParseBool(v); err != nil {
			return r, fmt.Errorf("dropped %q: write true or false", v)
		}
	}
	if v := q.Get("count"); v != "" {
		if r.Count, err = strconv.ParseUint(v, 10, 63); err != nil || r.Count == 0 {
			return r, fmt.Errorf("count %q: write a number of frames from 1 on", v)
		}
	}
	if v := q.Get("duration"); v != "" {
		if r.Duration, err = time.ParseDuration(v); err != nil || r.Duration <= 0 {
			return r, fmt.Errorf("duration %q: write a time as 30s or 5m", v)
		}
	}
	if v := q.Get("snaplen"); v != "" {
		if r.Snap, err = strconv.Atoi(v); err != nil || r.Snap <= 0 {
			return r, fmt.Errorf("snaplen %q: write a number of bytes from 1 on", v)
		}
	}
	return r, nil
}

// capture writes a capture into the answer as it goes on. A client that closes its half
// of the connection, and the end of the gateway, end it as it should be ended; one that
// goes away ends it too.
func (s *Server) capture(src Capturer, w http.ResponseWriter, r *http.Request) {
	req, err := readCaptureRequest(r.URL)
	if err != nil {
		refuse(w, http.StatusBadRequest, "%v", err)
		return
	}
	c, err := src.Capture(req)
	switch {
	case errors.Is(err, ErrBusy):
		refuse(w, http.StatusServiceUnavailable, "%v", err)
		return
	case err != nil:
		refuse(w, http.StatusBadRequest, "%v", err)
		return
	}
	defer c.Close()
	control := http.NewResponseController(w)
	// The connection is read from until the end, to see whether anybody is there.
	if err := control.SetReadDeadline(time.Time{}); err != nil {
		s.log.Debug("a capture may end early", "err", err)
	}
	w.Header().Set("Content-Type", pcapngType)
	w.Header().Set("Cache-Control", "no-store")
	for {
		b, err := c.Next(r.Context())
		if len(b) > 0 && !writePiece(w, control, b) {
			panic(http.ErrAbortHandler) // as stream does
		}
		if err != nil {
			return
		}
	}
}

// writePiece writes and sends b.
func writePiece(w io.Writer, control *http.ResponseController, b []byte) bool {
	if control.SetWriteDeadline(time.Now().Add(captureStall)) != nil {
		return false
	}
	if _, err := w.Write(b); err != nil {
		return false
	}
	return control.Flush() == nil
}
