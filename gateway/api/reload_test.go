package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

func TestReload(t *testing.T) {
	want := Reloaded{Changes: []string{"+ port eth3"}, RestartNeeded: []string{"underlay.ttl"}, Warnings: []string{}}
	tests := []struct {
		name    string
		err     error
		invalid bool
	}{
		{name: "done"},
		{name: "not valid", err: fmt.Errorf("vxgw.toml:2:1: unknown key \"prot\"\nvxgw.toml:3:1: and more: %w", ErrInvalid), invalid: true},
		{name: "failed", err: errors.New("too many ports")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, c := start(t, busy(), func(o *Options) {
				o.Reload = func() (Reloaded, error) { return want, tt.err }
			})
			got, err := c.Reload(context.Background())
			switch {
			case tt.err == nil && (err != nil || !reflect.DeepEqual(got, want)):
				t.Errorf("%+v, %v; want %+v", got, err, want)
			case tt.err != nil && (err == nil || err.Error() != tt.err.Error() || errors.Is(err, ErrInvalid) != tt.invalid):
				t.Errorf("error %v, invalid %t; want %v, invalid %t", err, errors.Is(err, ErrInvalid), tt.err, tt.invalid)
			}
			if resp, text := ask(t, s, http.MethodGet, "/v1/reload", ""); resp.StatusCode != http.StatusMethodNotAllowed || !strings.Contains(text, "use POST") {
				t.Errorf("GET: %s %q", resp.Status, text)
			}
		})
	}
}

// The HTTP listener only reads.
func TestNoReloadOverHTTP(t *testing.T) {
	s := New(busy(), Options{Reload: func() (Reloaded, error) { t.Error("reloaded"); return Reloaded{}, nil }})
	rec := &recorder{header: make(http.Header)}
	req, err := http.NewRequest(http.MethodPost, "/v1/reload", nil)
	if err != nil {
		t.Fatal(err)
	}
	s.httpHandler().ServeHTTP(rec, req)
	if rec.status != http.StatusNotFound {
		t.Errorf("status %d, want 404", rec.status)
	}
}

type recorder struct {
	header http.Header
	status int
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) Write(b []byte) (int, error) { return len(b), nil }
func (r *recorder) WriteHeader(status int)      { r.status = status }
