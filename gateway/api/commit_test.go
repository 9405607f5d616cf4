package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// committer answers with what a test wants.
type committer struct {
	Committer
	err  error
	took []any // of the last call
	is   *ConfigRow
}

// waits is a Committer with something that waits to be confirmed until a minute past noon.
func waits() *committer {
	until := noon.Add(time.Minute)
	return &committer{is: &ConfigRow{State: ConfigUnconfirmed, ConfirmUntil: &until, Reason: "vxgw confirm", Since: noon}}
}

var reloaded = Reloaded{Changes: []string{"+ port eth3"}, RestartNeeded: []string{"underlay.ttl"}, Warnings: []string{}}

func (c *committer) Reload(confirm time.Duration) (Reloaded, error) {
	c.took = []any{"reload", confirm}
	done := reloaded
	if confirm != 0 {
		until := noon.Add(confirm)
		done.ConfirmUntil = &until
	}
	return done, c.err
}

func (c *committer) Confirm() (ConfigRow, error) {
	c.took = []any{"confirm"}
	return c.Config(), c.err
}

func (c *committer) Rollback() (Reloaded, error) {
	c.took = []any{"rollback"}
	return reloaded, c.err
}

func (c *committer) Diff(file string, text []byte) (Differences, error) {
	c.took = []any{"diff", file, string(text)}
	return Differences{Impacts: []Impact{{Item: "port eth1", Change: "added", Effect: "nothing is interrupted"}}, Warnings: []string{"w"}}, c.err
}

func (c *committer) Config() ConfigRow {
	if c.is != nil {
		return *c.is
	}
	return ConfigRow{File: "/etc/vxgw/vxgw.toml", State: ConfigRolledBack, Reason: "correct it", Since: noon.Add(-72 * time.Second), RestartNeeded: []string{"underlay.ttl", "api.http"}}
}

// Every call reaches the gateway as it was meant, and the answer, or why there is none,
// comes back whole.
func TestCommit(t *testing.T) {
	until := noon.Add(time.Minute)
	waits := reloaded
	waits.ConfirmUntil = &until
	ctx := context.Background()
	calls := []struct {
		name string
		call func(*Client) (any, error)
		took []any
		want any
	}{
		{"reload", func(c *Client) (any, error) { return c.Reload(ctx, 0) }, []any{"reload", time.Duration(0)}, reloaded},
		{"reload to be confirmed", func(c *Client) (any, error) { return c.Reload(ctx, time.Minute) }, []any{"reload", time.Minute}, waits},
		{"confirm", func(c *Client) (any, error) { return c.Confirm(ctx) }, []any{"confirm"}, new(committer).Config()},
		{"rollback", func(c *Client) (any, error) { return c.Rollback(ctx) }, []any{"rollback"}, reloaded},
		{"diff", func(c *Client) (any, error) { return c.Diff(ctx, "f.toml", []byte("[a]\nb = \"\"\n")) }, []any{"diff", "f.toml", "[a]\nb = \"\"\n"},
			Differences{Impacts: []Impact{{Item: "port eth1", Change: "added", Effect: "nothing is interrupted"}}, Warnings: []string{"w"}}},
		{"a large diff", func(c *Client) (any, error) { return c.Diff(ctx, "f", []byte(strings.Repeat("#\"", 1<<20))) }, []any{"diff", "f", strings.Repeat("#\"", 1<<20)},
			Differences{Impacts: []Impact{{Item: "port eth1", Change: "added", Effect: "nothing is interrupted"}}, Warnings: []string{"w"}}},
	}
	fails := []struct {
		name    string
		err     error
		invalid bool
		notNow  bool
	}{
		{"done", nil, false, false},
		{"not valid", fmt.Errorf("vxgw.toml:2:1: unknown key \"prot\"\nvxgw.toml:3:1: and more: %w", ErrInvalid), true, false},
		{"not now", fmt.Errorf("nothing waits: %w", ErrNotNow), false, true},
		{"failed", errors.New("no room on the disk"), false, false},
	}
	for _, tt := range calls {
		for _, f := range fails {
			t.Run(tt.name+" "+f.name, func(t *testing.T) {
				does := &committer{err: f.err}
				s, c := start(t, busy(), func(o *Options) { o.Commit = does })
				got, err := tt.call(c)
				if !reflect.DeepEqual(does.took, tt.took) {
					t.Errorf("the gateway was asked for %.100v, want %.100v", does.took, tt.took)
				}
				switch {
				case f.err == nil && (err != nil || !reflect.DeepEqual(got, tt.want)):
					t.Errorf("%+v, %v; want %+v", got, err, tt.want)
				case f.err != nil && (err == nil || err.Error() != f.err.Error() || errors.Is(err, ErrInvalid) != f.invalid || errors.Is(err, ErrNotNow) != f.notNow):
					t.Errorf("error %v, want %v", err, f.err)
				}
				path := "/v1/" + does.took[0].(string)
				if resp, text := ask(t, s, http.MethodGet, path, ""); resp.StatusCode != http.StatusMethodNotAllowed || !strings.Contains(text, "use POST") {
					t.Errorf("GET %s: %s %q", path, resp.Status, text)
				}
			})
		}
	}
}

// A request that is not what it should be is refused in words, and goes no further.
func TestCommitRefuses(t *testing.T) {
	does := &committer{}
	s, _ := start(t, busy(), func(o *Options) { o.Commit = does })
	for _, tt := range []struct {
		name, path, body string
		status           int
		says             string
	}{
		{"no JSON", "reload", "60s", 400, "the request is a number"},
		{"an unknown key", "reload", `{"confrim":"60s"}`, 400, "confrim"},
		{"two values", "reload", `{} {}`, 400, "more than one"},
		{"no time", "reload", `{"confirm":"soon"}`, 400, "write 60s or 5m"},
		{"no unit", "reload", `{"confirm":"60"}`, 400, "write 60s or 5m"},
		{"too short", "reload", `{"confirm":"10ms"}`, 400, "waits 1s to 24h0m0s"},
		{"back in time", "reload", `{"confirm":"-5m"}`, 400, "waits 1s to 24h0m0s"},
		{"too long", "reload", `{"confirm":"25h"}`, 400, "waits 1s to 24h0m0s"},
		{"too large", "diff", `{"text":"` + strings.Repeat("x", maxDiff) + `"}`, 413, "takes 4194304 at most"},
		{"a diff of something else", "diff", `[1]`, 400, "the request is an array"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp, text := ask(t, s, http.MethodPost, "/v1/"+tt.path, tt.body)
			if resp.StatusCode != tt.status || !strings.Contains(text, tt.says) {
				t.Errorf("%s %q", resp.Status, text)
			}
			if does.took != nil {
				t.Errorf("the gateway was asked for %v", does.took)
			}
		})
	}
}

// The HTTP listener only reads.
func TestNoCommitOverHTTP(t *testing.T) {
	for _, path := range []string{"reload", "confirm", "rollback", "diff"} {
		does := &committer{}
		s := New(busy(), Options{Commit: does})
		rec := &recorder{header: make(http.Header)}
		req, err := http.NewRequest(http.MethodPost, "/v1/"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		s.httpHandler().ServeHTTP(rec, req)
		if rec.status != http.StatusNotFound || does.took != nil {
			t.Errorf("%s: status %d, %v", path, rec.status, does.took)
		}
	}
}

type recorder struct {
	header http.Header
	status int
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) Write(b []byte) (int, error) { return len(b), nil }
func (r *recorder) WriteHeader(status int)      { r.status = status }

// TestConfigMetrics holds that exactly one state is told of, and a time where one waits.
func TestConfigMetrics(t *testing.T) {
	until := noon.Add(time.Minute)
	for name, test := range map[string]struct {
		row  ConfigRow
		want string
	}{
		"confirmed": {ConfigRow{State: ConfigConfirmed}, `
vxgw_config_state{state="confirmed"} 1
vxgw_config_state{state="rolled_back"} 0
vxgw_config_state{state="unconfirmed"} 0
`},
		"rolled back": {ConfigRow{State: ConfigRolledBack}, `
vxgw_config_state{state="confirmed"} 0
vxgw_config_state{state="rolled_back"} 1
vxgw_config_state{state="unconfirmed"} 0
`},
		"unconfirmed": {ConfigRow{State: ConfigUnconfirmed, ConfirmUntil: &until}, `
vxgw_config_state{state="confirmed"} 0
vxgw_config_state{state="rolled_back"} 0
vxgw_config_state{state="unconfirmed"} 1
# HELP vxgw_config_confirm_until_timestamp_seconds When the configuration that runs is rolled back unless it is confirmed, in seconds since 1970; absent if nothing waits.
# TYPE vxgw_config_confirm_until_timestamp_seconds gauge
vxgw_config_confirm_until_timestamp_seconds 1.74877926e+09
`},
	} {
		t.Run(name, func(t *testing.T) {
			const head = "# HELP vxgw_config_state Which of its states the configuration is in: 1, and 0 for the others. unconfirmed: it is rolled back unless `vxgw confirm` follows; rolled_back: the file has another one, that was not confirmed.\n# TYPE vxgw_config_state gauge"
			c := collector{src: busy(), server: New(busy(), Options{Commit: &committer{is: &test.row}})}
			if err := testutil.CollectAndCompare(c, strings.NewReader(head+test.want), "vxgw_config_state", "vxgw_config_confirm_until_timestamp_seconds"); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestConfigInSnapshot holds that who comes to listen is told of a configuration that
// waits, unless he wants to hear of other things.
func TestConfigInSnapshot(t *testing.T) {
	_, c := start(t, busy(), func(o *Options) { o.Commit = waits() })
	h := listen(t, c, Listening{Snapshot: true, Types: "config"})
	h.hears("0 snapshot_begin", "0 config_unconfirmed until "+noon.Add(time.Minute).Local().Format(time.TimeOnly)+" mend: vxgw confirm", "1000 snapshot_end")
	h = listen(t, c, Listening{Snapshot: true, Types: "config_confirmed,port_up"})
	h.hears("0 snapshot_begin", presentState[1], "1000 snapshot_end")
}
