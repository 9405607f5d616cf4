package api

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestClearMACs(t *testing.T) {
	for _, c := range []struct {
		name string
		req  ClearRequest
		want ClearRequest // that the gateway is asked for; the zero one: it is not asked
		err  string
	}{
		{"one", ClearRequest{MAC: "0200.0000.0102"}, ClearRequest{MAC: "02:00:00:00:01:02"}, ""},
		{"one in a VNI", ClearRequest{MAC: "02:00:00:00:01:02", VNI: 7}, ClearRequest{MAC: "02:00:00:00:01:02", VNI: 7}, ""},
		{"of a port", ClearRequest{Port: "eth1"}, ClearRequest{Port: "eth1"}, ""},
		{"of a VTEP", ClearRequest{VTEP: "2001:DB8:0::2"}, ClearRequest{VTEP: "2001:db8::2"}, ""},
		{"all", ClearRequest{All: true}, ClearRequest{All: true}, ""},
		{"nothing", ClearRequest{VNI: 7}, ClearRequest{}, "say which MACs"},
		{"two things", ClearRequest{All: true, Port: "eth1"}, ClearRequest{}, "name one of"},
		{"no MAC", ClearRequest{MAC: "eth1"}, ClearRequest{}, `"eth1" is not a MAC address`},
		{"no address", ClearRequest{VTEP: "eth1"}, ClearRequest{}, `vtep "eth1" is not an IP address`},
		{"no VNI", ClearRequest{All: true, VNI: 1 << 24}, ClearRequest{}, "a VNI is a number from 1 to 16777215"},
		{"refused", ClearRequest{Port: "eth9"}, ClearRequest{Port: "eth9"}, "eth9 is no access port"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var asked ClearRequest
			_, client := start(t, busy(), func(o *Options) {
				o.ClearMACs = func(r ClearRequest) (Cleared, error) {
					asked = r
					if r.Port == "eth9" {
						return Cleared{}, errors.New("eth9 is no access port")
					}
					return Cleared{MACs: 3, Held: 1}, nil
				}
			})
			done, err := client.ClearMACs(t.Context(), c.req)
			if c.err == "" && (err != nil || done != Cleared{MACs: 3, Held: 1}) || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("%+v, %v; want error %q", done, err, c.err)
			}
			if asked != c.want {
				t.Errorf("asked for %+v, want %+v", asked, c.want)
			}
		})
	}
}

// TestClearIsRefused: what is no request changes nothing, and where nothing can be
// cleared there is no such path.
func TestClearIsRefused(t *testing.T) {
	s, _ := start(t, busy(), func(o *Options) {
		o.ClearMACs = func(r ClearRequest) (Cleared, error) { t.Errorf("asked for %+v", r); return Cleared{}, nil }
	})
	without, _ := start(t, busy())
	for _, c := range []struct {
		name, socket, method, body string
		want                       int
	}{
		{"GET", s.opts.Socket, "GET", "", http.StatusMethodNotAllowed},
		{"no JSON", s.opts.Socket, "POST", "all", http.StatusBadRequest},
		{"unknown field", s.opts.Socket, "POST", `{"everything":true}`, http.StatusBadRequest},
		{"two values", s.opts.Socket, "POST", `{"all":true}{"all":true}`, http.StatusBadRequest},
		{"too long", s.opts.Socket, "POST", `{"port":"` + strings.Repeat("x", maxBody) + `"}`, http.StatusRequestEntityTooLarge},
		{"not there", without.opts.Socket, "POST", `{"all":true}`, http.StatusNotFound},
	} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, "http://vxgw/v1/macs/clear", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := socketClient(c.socket).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("%s: %d %s", c.name, resp.StatusCode, text)
		}
	}
}
