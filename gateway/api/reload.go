package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
)

// Reloaded is what applying the configuration again did.
type Reloaded struct {
	// Changes is a line for each thing that changed, as "+ port eth3".
	Changes []string `json:"changes"`
	// RestartNeeded are changed settings that take effect at the next start.
	RestartNeeded []string `json:"restart_needed"`
	// Warnings are what is legal in the file and likely to surprise.
	Warnings []string `json:"warnings"`
}

// ErrInvalid is wrapped by the error of a reload whose file is not valid: it
// names every mistake, and the gateway runs on with the configuration it had.
var ErrInvalid = errors.New("the configuration is not valid")

func (s *Server) reloadRoutes() []route {
	if s.opts.Reload == nil {
		return nil
	}
	return []route{{
		method: http.MethodPost, path: "/v1/reload", on: onSocket, writes: true, handler: s.reload,
		summary: "apply the configuration file again, only what changed",
		detail:  "A file that is not valid changes nothing: the answer is 422 and names every mistake.",
		answers: Reloaded{},
	}}
}

// reload applies the configuration file again.
func (s *Server) reload(w http.ResponseWriter, _ *http.Request) {
	done, err := s.opts.Reload()
	switch {
	case errors.Is(err, ErrInvalid):
		refuse(w, http.StatusUnprocessableEntity, "%v", err)
		return
	case err != nil:
		refuse(w, http.StatusInternalServerError, "%v", err)
		return
	}
	writeJSONTo(w, done)
}

// Reload has the gateway apply its configuration file again. The error wraps
// ErrInvalid when the file is not valid.
func (c *Client) Reload(ctx context.Context) (Reloaded, error) {
	var done Reloaded
	body, err := c.do(ctx, http.MethodPost, "/v1/reload", nil, nil)
	if err != nil {
		return done, err
	}
	defer body.Close()
	return done, json.NewDecoder(body).Decode(&done)
}
