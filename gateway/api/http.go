package api

import (
	"html/template"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// httpHandler is what the read-only HTTP listener answers.
func (s *Server) httpHandler() http.Handler {
	mux := http.NewServeMux()
	register(mux, s.routesOn(onHTTP), bounded)
	mux.Handle("/{$}", byMethod([]route{{method: http.MethodGet, handler: s.landing}}, bounded))
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
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		h.ServeHTTP(w, r)
	})
}

// healthy says that the process runs and answers. Whether a port is up is for
// the metrics: restarting the gateway would not mend a cable.
func healthy(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write([]byte("ok\n"))
}

var landingPage = template.Must(template.New("landing").Parse(`<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>vxgw {{.Name}}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;margin:2em auto;max-width:40em;padding:0 1em}</style></head>
<body>
<h1>vxgw {{.Name}}</h1>
<p>VXLAN gateway, version {{.Version}}. This page only reads.</p>
<ul>
<li><a href="/metrics">/metrics</a>: for Prometheus</li>
<li><a href="/healthz">/healthz</a>: answers while the process runs</li>
{{- range .Resources}}
<li><a href="/v1/{{.Name}}">/v1/{{.Name}}</a>: {{.Title}}{{if .ByVNI}} (?vni=N for one VNI){{end}}</li>
{{- end}}
</ul>
</body></html>
`))

func (s *Server) landing(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	landingPage.Execute(w, struct {
		Name, Version string
		Resources     []Resource
	}{s.src.Name(), s.opts.Version, Resources})
}
