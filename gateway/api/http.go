package api

import (
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// httpHandler is what the read-only HTTP listener answers.
func (s *Server) httpHandler() http.Handler {
	mux := http.NewServeMux()
	register(mux, s.routesOn(onHTTP), bounded)
	handlePages(mux)
	return plain(s.forHosts(mux))
}

// metricRoutes are what monitoring asks.
func (s *Server) metricRoutes() []route {
	metrics := promhttp.HandlerFor(s.registry(), promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.ContinueOnError, // one bad sample must not hide the others
		MaxRequestsInFlight: 4,
	})
	return []route{
		{method: http.MethodGet, path: "/metrics", on: onHTTP, handler: metrics.ServeHTTP, summary: "for Prometheus", media: "text/plain"},
		{method: http.MethodGet, path: "/healthz", on: onHTTP, handler: healthy, summary: "answers while the process runs", media: "text/plain"},
	}
}

// plain keeps a browser from seeing in an answer what is not there.
func plain(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.ServeHTTP(w, r)
	})
}

// healthy says that the process runs and answers. Whether a port is up is for
// the metrics: restarting the gateway would not mend a cable.
func healthy(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write([]byte("ok\n"))
}
