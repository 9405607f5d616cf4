package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"
)

const (
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

	// ReadGroup is the group whose members may ask at the socket and change nothing;
	// "": nobody may only ask, and the socket is for Group alone.
	ReadGroup string
	// HTTPHosts are further names that the HTTP listener may be asked by.
	HTTPHosts []string

	// Commit applies the configuration file again; nil: nobody does.
	Commit Committer

	// ClearMACs forgets learned MACs, for POST /v1/macs/clear.
	ClearMACs func(ClearRequest) (Cleared, error)

	// Origins takes what controllers say, for /v1/origins/{origin}; nil: nobody does.
	Origins OriginKeeper

	// Checks says what else was looked at, for the dashboard's health panel. It is
	// called while somebody looks, once in ten seconds at most; nil: nothing else.
	Checks func() []Check

	bounds bounds // the zero bounds: usualBounds
}

// Server answers questions about one gateway: on a unix socket to those who
// administer it, and read-only over HTTP to monitoring.
type Server struct {
	// set once
	src     Source
	opts    Options
	log     *slog.Logger
	bounds  bounds
	access  access
	may     func(*peer) rights // access.of
	all     []route
	streams [2]chan struct{} // places for streams: of the HTTP listener, and of the socket

	web       *webState
	ready     chan struct{}
	httpAddr  atomic.Pointer[string]    // where the HTTP listener stands now
	forbidden atomic.Pointer[time.Time] // when the log last had who was refused
	resyncs   atomic.Uint64             // how often a listener to events had missed some
}

// New returns a Server that asks src. It opens nothing before Run.
func New(src Source, opts Options) *Server {
	log := opts.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		src: src, opts: opts, log: log, bounds: opts.bounds, web: newWebState(), ready: make(chan struct{}),
		access: access{self: uint32(os.Geteuid()), group: uint32(os.Getegid()), readGroup: opts.ReadGroup},
	}
	if s.bounds == (bounds{}) {
		s.bounds = usualBounds
	}
	for i := range s.streams {
		s.streams[i] = make(chan struct{}, s.bounds.streams)
	}
	s.may = s.access.of
	s.all = s.routes()
	return s
}

// Ready is closed once the control socket takes connections. The HTTP listener
// is not waited for: its port may be taken for as long as it likes.
func (s *Server) Ready() <-chan struct{} { return s.ready }

// Run serves until ctx ends, and returns nil then. A control socket that cannot
// be had is an error; an HTTP address that cannot be had is logged and asked for
// again, because monitoring must not stop forwarding.
func (s *Server) Run(ctx context.Context) error {
	l, err := listenSocket(s.opts.Socket, s.opts.ReadGroup, s.log)
	if err != nil {
		return err
	}
	gate := newGate(l, s.may, s.bounds, s.log)
	close(s.ready)
	s.log.Debug("control API is up", "socket", s.opts.Socket)

	eg, ctx := errgroup.WithContext(ctx)
	eg.Go(func() error {
		if err := s.serve(ctx, gate, s.controlHandler()); err != nil {
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
	return s.serve(ctx, netutil.LimitListener(l, s.bounds.conns), handler)
}

// serve answers on l until ctx ends, and closes l.
func (s *Server) serve(ctx context.Context, l net.Listener, handler http.Handler) error {
	crowd := new(crowd)
	srv := &http.Server{
		Handler:           crowd.thin(handler),
		ConnState:         crowd.count,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       withPeer,
		ReadHeaderTimeout: s.bounds.header,
		ReadTimeout:       s.bounds.read,
		WriteTimeout:      s.bounds.write,
		IdleTimeout:       s.bounds.idle,
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
	err := srv.Serve(l)
	if !stop() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	srv.Close()
	return err
}
