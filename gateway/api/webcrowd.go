package api

import (
	"net"
	"net/http"
	"sync/atomic"
)

// crowd counts the connections of a listener. Every browser that has the dashboard open
// keeps one, and a hundred of them must not keep the metrics from being scraped: while
// half of the places are taken, no connection is kept after its answer.
type crowd struct{ n atomic.Int64 }

func (c *crowd) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		c.n.Add(1)
	case http.StateClosed, http.StateHijacked:
		c.n.Add(-1)
	}
}

func (c *crowd) thin(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.n.Load() > maxConns/2 {
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	})
}
