package api

import (
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
)

// forHosts refuses requests for a name that is not ours. A page of somebody else's whose
// name he has resolve to this machine (DNS rebinding) is, to the browser that has it
// open, of the same origin as this listener; the Host header is what gives it away. An
// address has no name to resolve, so it is taken.
func (s *Server) forHosts(next http.Handler) http.Handler {
	own, _ := os.Hostname()
	names := append([]string{"localhost", own, s.src.Name()}, s.opts.HTTPHosts...)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if host := hostOf(r.Host); !isAddress(host) && !isOne(host, names) {
			refuse(w, http.StatusMisdirectedRequest, "this is not %s but %s: ask for that, or for an address of it, or add %[1]q to [api] http_hosts", host, own)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// hostOf returns a Host header without port and brackets. There is none in HTTP/1.0,
// which no browser speaks.
func hostOf(header string) string {
	if host, _, err := net.SplitHostPort(header); err == nil {
		header = host
	}
	return strings.TrimSuffix(strings.Trim(header, "[]"), ".")
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil || host == ""
}

func isOne(host string, names []string) bool {
	for _, n := range names {
		if n != "" && strings.EqualFold(host, n) {
			return true
		}
	}
	return false
}
