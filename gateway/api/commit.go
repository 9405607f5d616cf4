package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Committer puts the configuration file of a gateway in force. Its methods may be called
// from any goroutine. Their errors wrap ErrInvalid where a file is to blame, and
// ErrNotNow where it is the moment.
type Committer interface {
	// Reload applies the file again. Unless confirm is 0, what ran before comes back
	// after that time, if Confirm was not called: see MinConfirm and MaxConfirm.
	Reload(confirm time.Duration) (Reloaded, error)
	// Confirm keeps what waits for it.
	Confirm() (ConfigRow, error)
	// Rollback brings back at once what ran before what waits to be confirmed.
	Rollback() (Reloaded, error)
	// Diff says what a reload with a text would do, and does nothing. The name of the
	// file is for messages.
	Diff(file string, text []byte) (Differences, error)
	// Config says which configuration runs.
	Config() ConfigRow
}

// How long a reload may wait to be confirmed.
const (
	MinConfirm = time.Second
	MaxConfirm = 24 * time.Hour
)

// CheckConfirm says, for people, what is wrong with a time to confirm in.
func CheckConfirm(d time.Duration) error {
	if d < MinConfirm || d > MaxConfirm {
		return fmt.Errorf("confirm %v: a reload waits %v to %v to be confirmed: write 60s or 5m", d, MinConfirm, MaxConfirm)
	}
	return nil
}

// ReloadRequest is the body of POST /v1/reload, which may be empty.
type ReloadRequest struct {
	Confirm string `json:"confirm,omitempty"` // roll back after this long: "60s"; "": never
}

// Reloaded is what applying a configuration did.
type Reloaded struct {
	// Changes is a line for each thing that changed, as "+ port eth3".
	Changes []string `json:"changes"`
	// RestartNeeded are changed settings that take effect at the next start.
	RestartNeeded []string `json:"restart_needed"`
	// Warnings are what is legal in the file and likely to surprise.
	Warnings []string `json:"warnings"`
	// ConfirmUntil is when it is rolled back unless it was confirmed; nil: never.
	ConfirmUntil *time.Time `json:"confirm_until,omitempty"`
}

// DiffRequest is the body of POST /v1/diff: a configuration, and where it was read.
type DiffRequest struct {
	File string `json:"file"`
	Text string `json:"text"`
}

// maxDiff is the size of the largest DiffRequest, in bytes: the largest configuration,
// 2 MiB, with an escape for every other of its characters.
const maxDiff = 4 << 20

// Differences are what a reload would do.
type Differences struct {
	Impacts []Impact `json:"impacts"`
	// Warnings are what is legal in the file and likely to surprise.
	Warnings []string `json:"warnings"`
}

// ErrInvalid is wrapped by the error of a reload whose file is not valid: it
// names every mistake, and the gateway runs on with the configuration it had.
var ErrInvalid = errors.New("the configuration is not valid")

// ErrNotNow is wrapped by the error of what cannot be done as things are: nothing waits
// to be confirmed, or something does.
var ErrNotNow = errors.New("not as things are")

// handleCommit adds what changes the configuration, and returns the names of it.
func (s *Server) handleCommit(mux *http.ServeMux) (known []string) {
	c := s.opts.Commit
	if c == nil {
		return nil
	}
	for _, h := range []struct {
		name   string
		answer func(*http.Request) (any, error)
	}{
		{"reload", func(r *http.Request) (any, error) {
			var req ReloadRequest
			if err := readJSON(r, maxBody, &req); err != nil {
				return nil, fmt.Errorf("the request is no {\"confirm\": \"60s\"}: %w", err)
			}
			confirm, err := req.wait()
			if err != nil {
				return nil, malformed{err}
			}
			return c.Reload(confirm)
		}},
		{"confirm", func(*http.Request) (any, error) { return c.Confirm() }},
		{"rollback", func(*http.Request) (any, error) { return c.Rollback() }},
		{"diff", func(r *http.Request) (any, error) {
			var req DiffRequest
			if err := readJSON(r, maxDiff, &req); err != nil {
				return nil, fmt.Errorf("the request is no {\"file\", \"text\"}: %w", err)
			}
			return c.Diff(req.File, []byte(req.Text))
		}},
	} {
		mux.Handle("/v1/"+h.name, only(http.MethodPost, answerJSON(h.answer)))
		known = append(known, "POST /v1/"+h.name)
	}
	return known
}

// wait is how long a reload may wait to be confirmed; 0: for ever.
func (r *ReloadRequest) wait() (time.Duration, error) {
	if r.Confirm == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(r.Confirm)
	if err != nil {
		return 0, fmt.Errorf("confirm %q is no time: write 60s or 5m", r.Confirm)
	}
	return d, CheckConfirm(d)
}

// malformed is an error of a request.
type malformed struct{ error }

func (m malformed) Unwrap() error { return m.error }

// readJSON reads the body of a request, of one JSON value of at most max bytes or
// nothing. The error is malformed.
func readJSON(r *http.Request, max int64, to any) error {
	d := json.NewDecoder(http.MaxBytesReader(nil, r.Body, max))
	d.DisallowUnknownFields()
	err := d.Decode(to)
	if err == io.EOF {
		return nil
	}
	if err == nil {
		if _, err = d.Token(); err == io.EOF {
			return nil
		} else if err == nil {
			err = errors.New("more than one JSON value")
		}
	}
	return malformed{err}
}

// answerJSON answers with what f returns, or refuses.
func answerJSON(f func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		answer, err := f(r)
		if err != nil {
			refuse(w, statusOf(err), "%v", err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(answer)
	}
}

func statusOf(err error) int {
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return http.StatusRequestEntityTooLarge
	case errors.As(err, new(malformed)):
		return http.StatusBadRequest
	case errors.Is(err, ErrInvalid):
		return http.StatusUnprocessableEntity
	case errors.Is(err, ErrNotNow):
		return http.StatusConflict
	}
	return http.StatusInternalServerError
}

// Reload has the gateway apply its configuration file again, and roll it back after
// confirm unless that is 0. The error wraps ErrInvalid when the file is not valid.
func (c *Client) Reload(ctx context.Context, confirm time.Duration) (done Reloaded, err error) {
	var req ReloadRequest
	if confirm != 0 {
		req.Confirm = confirm.String()
	}
	return done, c.post(ctx, "reload", req, &done)
}

// Confirm has the gateway keep the configuration that waits for it.
func (c *Client) Confirm(ctx context.Context) (is ConfigRow, err error) {
	return is, c.post(ctx, "confirm", nil, &is)
}

// Rollback has the gateway go back to what it ran before what waits to be confirmed.
func (c *Client) Rollback(ctx context.Context) (done Reloaded, err error) {
	return done, c.post(ctx, "rollback", nil, &done)
}

// Diff asks what a reload with a text would do. The error wraps ErrInvalid when the
// gateway would not take it.
func (c *Client) Diff(ctx context.Context, file string, text []byte) (is Differences, err error) {
	return is, c.post(ctx, "diff", DiffRequest{file, string(text)}, &is)
}

// post sends a request to POST /v1/NAME, with nothing in it for nil, and reads the answer.
func (c *Client) post(ctx context.Context, name string, req, answer any) error {
	var body []byte
	if req != nil {
		var err error
		if body, err = json.Marshal(req); err != nil {
			return err
		}
	}
	resp, err := c.do(ctx, http.MethodPost, "/v1/"+name, nil, body)
	if err != nil {
		return err
	}
	defer resp.Close()
	if err := json.NewDecoder(resp).Decode(answer); err != nil {
		return c.cutOff(err)
	}
	return nil
}
