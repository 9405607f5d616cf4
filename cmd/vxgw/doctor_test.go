package main

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"vxgw/gateway/api"
)

// examined has a gateway answer with what it found.
func examined(t *testing.T, found ...api.Check) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "s")
	s := api.New(standIn{}, api.Options{Socket: socket, Doctor: func(_ context.Context, probes bool) []api.Check {
		if !probes {
			return []api.Check{{Name: "quiet", State: api.CheckOK, Says: "nothing was sent"}}
		}
		return found
	}})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	<-s.Ready()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return socket
}

func TestDoctor(t *testing.T) {
	ok := api.Check{Name: "kernel", State: api.CheckOK, Says: "Linux 6.1"}
	warn := api.Check{Name: "mtu", State: api.CheckWarn, Says: "small & narrow", Mend: "ip link set dev und0 mtu 1550"}
	fail := api.Check{Name: "routes", State: api.CheckFail, Says: "none", Mend: "ip route add"}
	for _, test := range []struct {
		name   string
		found  []api.Check
		args   string
		code   int
		stdout string
	}{
		{"well", []api.Check{ok}, "", 0, "OK    kernel  Linux 6.1\n1 OK, 0 WARN, 0 FAIL\n"},
		{"a warning", []api.Check{ok, warn}, "", 0, "WARN  mtu     small & narrow\n              -> ip link set dev und0 mtu 1550\n"},
		{"a failure", []api.Check{ok, fail}, "", 1, "FAIL  routes  none\n"},
		{"without probes", []api.Check{fail}, "--no-probe", 0, "nothing was sent"},
		{"as JSON", []api.Check{fail, warn}, "--json", 1, `"says":"small & narrow"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := vxgw(t, "", append([]string{"doctor", "--socket", examined(t, test.found...)}, strings.Fields(test.args)...)...)
			if got.code != test.code || !strings.Contains(got.stdout, test.stdout) || got.stderr != "" {
				t.Errorf("exit %d, want %d\nstdout: %s\nstderr: %s", got.code, test.code, got.stdout, got.stderr)
			}
			var all []api.Check
			if err := json.Unmarshal([]byte(got.stdout), &all); strings.Contains(test.args, "--json") && (err != nil || len(all) != 2) {
				t.Errorf("%v: %s", err, got.stdout)
			}
		})
	}
}
