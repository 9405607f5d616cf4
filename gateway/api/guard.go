package api

import (
	"net/http"
	"time"
)

// forPeers lets those in who may ask, as many as there are places for.
func (s *Server) forPeers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch p := peerIn(req.Context()); {
		case p == nil || p.may < mayRead:
			s.forbid(w, req, p, mayRead)
		case p.overfull:
			turnAway(w, "as many readers are connected as there are places for, %d: end one, or try again", s.bounds.readers)
		default:
			next.ServeHTTP(w, req)
		}
	})
}

// forWriters leads to a route, where that changes something only those who may, and the
// log has who they were.
func (s *Server) forWriters(r route) http.Handler {
	next := bounded(r)
	if !r.writes {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if p := peerIn(req.Context()); p.may < mayWrite {
			s.forbid(w, req, p, mayWrite)
		} else {
			s.logged(next, p, r.often, w, req)
		}
	})
}

// forbid answers who may not. Whoever may nothing is not kept.
func (s *Server) forbid(w http.ResponseWriter, r *http.Request, p *peer, need rights) {
	if p == nil {
		refuse(w, http.StatusForbidden, "the kernel does not say who asks")
		return
	}
	if p.may == mayNothing {
		w.Header().Set("Connection", "close")
	}
	s.tellForbidden(p, r)
	what := "asked"
	if need == mayWrite {
		what = "told to change anything"
	}
	refuse(w, http.StatusForbidden, "vxgw may not be %s by uid %d: be root, or join %s, and log in anew", what, p.uid, s.access.need(need))
}

// forbiddenEvery is how often the log has that somebody asked who may not.
const forbiddenEvery = time.Minute

// tellForbidden logs an attempt to change something by who may not, and others of the
// kind not for a while.
func (s *Server) tellForbidden(p *peer, r *http.Request) {
	now := time.Now()
	if was := s.forbidden.Load(); was != nil && now.Sub(*was) < forbiddenEvery {
		return
	}
	s.forbidden.Store(&now)
	s.log.Warn("refused at the control socket; others like it are not told of for a minute", "method", r.Method, "path", r.URL.Path, "uid", p.uid, "pid", p.pid,
		"mend", "let the user in by one of the groups that the answer names, if he should be")
}

// logged serves a request that changes something, and has the log say who made it.
func (s *Server) logged(h http.Handler, p *peer, often bool, w http.ResponseWriter, r *http.Request) {
	noted := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	defer func() {
		about := []any{"method", r.Method, "path", r.URL.Path, "status", noted.status, "uid", p.uid, "pid", p.pid}
		if often {
			s.log.Debug("told by the control socket again", about...)
		} else {
			s.log.Info("told by the control socket", about...)
		}
	}()
	h.ServeHTTP(noted, r)
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// turnAway says that there is no room at the moment.
func turnAway(w http.ResponseWriter, format string, args ...any) {
	w.Header().Set("Connection", "close")
	w.Header().Set("Retry-After", "1")
	refuse(w, http.StatusServiceUnavailable, format, args...)
}
