package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// doctorEvery is how old an answer may be: who asks more often has no more probes sent.
const doctorEvery = 3 * time.Second

// doctorRoutes has the gateway look at its machine.
func (s *Server) doctorRoutes() []route {
	if s.opts.Doctor == nil {
		return nil
	}
	return []route{{
		method: http.MethodGet, path: "/v1/doctor", on: onSocket, handler: s.doctor,
		summary: "what the gateway finds when it looks at its machine",
		detail:  "Each check with its state and, where that is not \"ok\", what mends it. It takes up to four seconds, and sends packets of full length to VTEPs unless probes=false says not to.",
		answers: []Check{},
		params:  []param{{name: "probes", doc: "false: send nothing to VTEPs", is: schema{"type": "boolean"}}},
	}}
}

func (s *Server) doctor(w http.ResponseWriter, r *http.Request) {
	probes := true
	switch v := r.URL.Query().Get("probes"); v {
	case "", "true":
	case "false":
		probes = false
	default:
		refuse(w, http.StatusBadRequest, "probes=%s: say true or false", v)
		return
	}
	kept := &s.examined[0]
	if probes {
		kept = &s.examined[1]
	}
	// The answer is for others too: it does not end with who asked first.
	ctx := context.WithoutCancel(r.Context())
	writeJSONTo(w, kept.get(doctorEvery, func() []Check { return s.opts.Doctor(ctx, probes) }))
}

// Doctor has the gateway look at its machine.
func (c *Client) Doctor(ctx context.Context, probes bool) ([]Check, error) {
	query := url.Values{}
	if !probes {
		query.Set("probes", "false")
	}
	body, err := c.do(ctx, http.MethodGet, "/v1/doctor", query, nil)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var all []Check
	if err := json.NewDecoder(body).Decode(&all); err != nil {
		return nil, c.cutOff(err)
	}
	return all, nil
}
