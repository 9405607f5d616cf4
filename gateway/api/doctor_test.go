package api

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"testing"
)

// Who asks often has no more probes sent, and none where he does not want any.
func TestDoctorIsAskedOnce(t *testing.T) {
	var runs [2]atomic.Int32
	s, client := start(t, busy(), func(o *Options) {
		o.Doctor = func(_ context.Context, probes bool) []Check {
			if probes {
				runs[1].Add(1)
			} else {
				runs[0].Add(1)
			}
			return []Check{{Name: "mtu", State: CheckFail, Says: "small", Mend: "raise it"}}
		}
	}, withHTTP)
	for range 5 {
		for _, probes := range []bool{false, true} {
			found, err := client.Doctor(t.Context(), probes)
			if err != nil || len(found) != 1 || found[0].Mend != "raise it" {
				t.Fatalf("%+v, %v", found, err)
			}
		}
	}
	if a, b := runs[0].Load(), runs[1].Load(); a < 1 || b < 1 || a+b > 4 {
		t.Errorf("looked %d times without and %d with probes", a, b)
	}
	// Nobody has the gateway send packets from a browser.
	resp, err := plainClient().Get(httpURL(t, s, "/v1/doctor"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("on the HTTP listener: %s", resp.Status)
	}
}

func TestNobodyAnswers(t *testing.T) {
	c := NewClient(filepath.Join(t.TempDir(), "none"))
	defer c.Close()
	if _, err := c.Doctor(t.Context(), true); !errors.Is(err, ErrNoGateway) {
		t.Errorf("%v", err)
	}
}
