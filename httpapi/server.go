package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"faasctl/core"
)

// errDraining ends waits and streams when the server is told to stop.
var errDraining = errors.New("the server is stopping")

// Server is the HTTP door. New, then Listen, then Run.
type Server struct {
	cfg     Config
	service *core.Service
	board   *core.Board
	gate    *gate
	guard   *guard
	polls   *polls
	openapi []byte
	handler http.Handler

	listener net.Listener
	drain    context.Context // done when waits and streams shall end
	stop     context.CancelCauseFunc
	ran      atomic.Bool
}

// New checks cfg and builds the routes; it opens nothing yet.
func New(cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	token := ""
	if cfg.TokenFile != "" {
		var err error
		if token, err = readToken(cfg.TokenFile); err != nil {
			return nil, err
		}
	}
	s := &Server{cfg: cfg, service: cfg.Service, board: core.NewBoard(cfg.Service), gate: newGate(token, cfg.peerUID), guard: newGuard(cfg), polls: newPolls()}
	s.drain, s.stop = context.WithCancelCause(context.Background())
	mux, err := s.routes()
	if err != nil {
		return nil, err
	}
	s.handler = s.protect(mux)
	return s, nil
}

// Listen opens the socket, so that a taken port is known before anything else
// starts: ErrConflict.
func (s *Server) Listen() error {
	listener, err := net.Listen("tcp", s.cfg.Listen)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return core.Errorf(core.ErrConflict, "", "the address %s is in use", s.cfg.Listen).
			WithHint("another faasctl may run there: faasctl doctor tells; or choose another port: --listen 127.0.0.1:0")
	case errors.Is(err, syscall.EACCES):
		return core.Errorf(core.ErrForbidden, "", "may not listen on %s", s.cfg.Listen).WithHint("choose a port above 1023: --listen 127.0.0.1:8000")
	case err != nil:
		return &core.Error{Class: core.ErrInvalid, Detail: "cannot listen on " + s.cfg.Listen, Err: err}
	}
	// A name such as localhost may have been made to mean something else.
	if at := addrPort(listener.Addr()); !s.gate.tokened && !at.Addr().Unmap().IsLoopback() {
		listener.Close()
		return core.Errorf(core.ErrInvalid, "", "%s means %s, which is not the loopback, and there is no token", s.cfg.Listen, at)
	}
	s.listener = listener
	return nil
}

// Addr is where the server listens, or where it shall before Listen.
func (s *Server) Addr() string {
	if s.listener == nil {
		return s.cfg.Listen
	}
	return s.listener.Addr().String()
}

// URL is the address that a client on this machine uses.
func (s *Server) URL() string {
	host, port, _ := net.SplitHostPort(s.Addr())
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// Run serves until ctx is done, then ends waits and streams at once and gives
// other requests in progress DrainTimeout. It listens first if need be. It
// runs once.
func (s *Server) Run(ctx context.Context) error {
	if s.ran.Swap(true) {
		return core.Errorf(core.ErrInternal, "http", "a server runs once")
	}
	if s.listener == nil {
		if err := s.Listen(); err != nil {
			return err
		}
	}
	server := &http.Server{
		Handler:           s.handler,
		ConnContext:       withPeer,
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
		ReadHeaderTimeout: s.cfg.HeaderTimeout,
		WriteTimeout:      maxWait + 6*s.cfg.WriteTimeout, // streams move it along
		IdleTimeout:       s.cfg.IdleTimeout,
		MaxHeaderBytes:    headerBytes,
		ErrorLog:          slog.NewLogLogger(s.cfg.Logger.Handler(), slog.LevelDebug),
	}
	drawing, stopDrawing := context.WithCancel(context.WithoutCancel(ctx))
	drawn := make(chan error, 1)
	go func() { drawn <- s.board.Run(drawing) }()
	defer func() { stopDrawing(); <-drawn }()
	served := make(chan error, 1)
	go func() { served <- server.Serve(s.listener) }()
	var err error
	select {
	case err = <-served:
		s.stop(errDraining)
	case <-ctx.Done():
		s.stop(errDraining)
		err = s.shutdown(ctx, server)
		<-served
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (s *Server) shutdown(ctx context.Context, server *http.Server) error {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.DrainTimeout)
	defer cancel()
	err := server.Shutdown(limited)
	if errors.Is(err, context.DeadlineExceeded) {
		s.cfg.Logger.Warn("requests were cut off at shutdown", slog.Duration("after", s.cfg.DrainTimeout))
		err = server.Close()
	}
	return err
}

// Close gives the socket back when Run is never called.
func (s *Server) Close() error {
	s.stop(errDraining)
	if s.listener == nil {
		return nil
	}
	return s.listener.Close()
}

// patient returns a context for waits and streams of one request: it ends
// with the request or when the server drains.
func (s *Server) patient(ctx context.Context) (context.Context, context.CancelFunc) {
	joined, cancel := context.WithCancelCause(ctx)
	unhook := context.AfterFunc(s.drain, func() { cancel(errDraining) })
	return joined, func() { unhook(); cancel(nil) }
}

// protect wraps the routes in everything that concerns all of them.
func (s *Server) protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		rec := &recorder{ResponseWriter: w}
		x := &exchange{w: rec}
		r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, x))
		x.r = r
		defer s.finish(rec, r, begin)
		head := rec.Header()
		head.Set("X-Content-Type-Options", "nosniff")
		head.Set("Cache-Control", "no-store")
		head.Set("Cross-Origin-Resource-Policy", "same-origin")
		head.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		if err := s.guard.check(r); err != nil {
			s.refusal(r.Context(), err).write(rec)
			return
		}
		if err := s.gate.admit(r); err != nil {
			s.refusal(r.Context(), err).write(rec)
			return
		}
		next.ServeHTTP(rec, r)
	})
}

// finish turns a panic into a problem and writes the access log.
func (s *Server) finish(rec *recorder, r *http.Request, begin time.Time) {
	if v := recover(); v != nil {
		if v == http.ErrAbortHandler || rec.status != 0 {
			// The answer has begun: only a cut connection tells the client.
			if v != http.ErrAbortHandler {
				s.refusal(r.Context(), fmt.Errorf("panic in the middle of an answer: %v", v))
			}
			panic(http.ErrAbortHandler)
		}
		s.refusal(r.Context(), fmt.Errorf("panic: %v\n%s", v, debug.Stack())).write(rec)
	}
	if s.cfg.Logger.Enabled(r.Context(), slog.LevelDebug) {
		s.cfg.Logger.DebugContext(r.Context(), "request", slog.String("method", r.Method), slog.String("path", r.URL.Path),
			slog.Int("status", rec.status), slog.Duration("took", time.Since(begin)), slog.String("from", r.RemoteAddr))
	}
}
