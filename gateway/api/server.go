package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"
)

// Limits of both listeners. A request is small and comes at once; an answer may
// be long, and is then given time as it moves (see stream).
const (
	maxConns      = 64 // at once, each listener; more wait in the kernel's queue
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = 60 * time.Second
	maxHeader     = 16 << 10
	bindRetry     = 5 * time.Second
	shutdownGrace = time.Second
)

// DefaultSocket is where a gateway is asked unless [api] socket says otherwise.
const DefaultSocket = "/run/vxgw/control.sock"

// Options say where a Server listens and who it says it is.
type Options struct {
	Socket   string // path of the unix socket
	HTTP     string // address of the read-only listener; "": none
	Version  string // of the program, for vxgw_build_info
	Revision string // the commit it was built from
	Log      *slog.Logger

	// Reload applies the configuration file again, for POST /v1/reload. An
	// error wraps ErrInvalid where the file is to blame. It may be called by
	// several goroutines.
	Reload func() (Reloaded, error)

	// Origins takes what controllers say, for /v1/origins/{origin}; nil: nobody does.
	Origins OriginKeeper
}

// Server answers questions about one gateway: on a unix socket to those who
// administer it, and read-only over HTTP to monitoring.
type Server struct {
	src  Source
	opts Options
	log  *slog.Logger

	ready    chan struct{}
	httpAddr atomic.Pointer[string] // where the HTTP listener stands now
}

// New returns a Server that asks src. It opens nothing before Run.
func New(src Source, opts Options) *Server {
	log := opts.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Server{src: src, opts: opts, log: log, ready: make(chan struct{})}
}

// Ready is closed once the control socket takes connections. The HTTP listener
// is not waited for: its port may be taken for as long as it likes.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Run serves until ctx ends, and returns nil then. A control socket that cannot
// be had is an error; an HTTP address that cannot be had is logged and asked for
// again, because monitoring must not stop forwarding.
func (s *Server) Run(ctx context.Context) error {
	l, err := listenSocket(s.opts.Socket, s.log)
	if err != nil {
		return err
	}
	close(s.ready)
	s.log.Debug("control API is up", "socket", s.opts.Socket)

	eg, ctx := errgroup.WithContext(ctx)
	eg.Go(func() error {
		if err := s.serve(ctx, l, s.controlHandler()); err != nil {
			return fmt.Errorf("control socket %s: %w", s.opts.Socket, err)
		}
		return nil
	})
	if s.opts.HTTP != "" {
		eg.Go(func() error { s.runHTTP(ctx); return nil })
	}
	return eg.Wait()
}

// runHTTP keeps the HTTP listener up until ctx ends.
func (s *Server) runHTTP(ctx context.Context) {
	handler := s.httpHandler()
	said := ""
	for ctx.Err() == nil {
		err := s.serveHTTP(ctx, handler)
		if err != nil && err.Error() != said {
			said = err.Error()
			s.log.Warn("metrics are not served, forwarding goes on", "address", s.opts.HTTP, "err", err,
				"mend", bindMend(err), "retry", bindRetry.String())
		}
		select {
		case <-ctx.Done():
		case <-time.After(bindRetry):
		}
	}
}

func (s *Server) serveHTTP(ctx context.Context, handler http.Handler) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", s.opts.HTTP)
	if err != nil {
		return err
	}
	addr := l.Addr().String()
	s.httpAddr.Store(&addr)
	defer s.httpAddr.Store(nil)
	s.log.Info("metrics are served", "url", "http://"+addr+"/metrics")
	return s.serve(ctx, l, handler)
}

// serve answers on l until ctx ends, and closes l.
func (s *Server) serve(ctx context.Context, l net.Listener, handler http.Handler) error {
	srv := &http.Server{
		Handler:           handler,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		grace, cancel := context.WithTimeout(context.Background(), shutdownGrace)
		defer cancel()
		if srv.Shutdown(grace) != nil {
			srv.Close()
		}
	})
	err := srv.Serve(netutil.LimitListener(l, maxConns))
	if !stop() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	srv.Close()
	return err
}
