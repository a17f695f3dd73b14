package httpapi

import (
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"faasctl/core"
)

const (
	maxWait      = 60 * time.Second // a longer ?wait is cut to this
	bodySlack    = 64 << 10         // bytes of a body beside its payload
	headerBytes  = 16 << 10
	minTokenSize = 16 // characters
)

// Config tells a Server what to serve and where. Only Service is required.
type Config struct {
	// Service answers the requests, and its MaxPayload bounds their bodies.
	// Whoever made it runs its Run.
	Service *core.Service
	// Listen is the host and port to listen on; port 0 takes a free one. An
	// address beyond the loopback needs a TokenFile. Default: 127.0.0.1:8000.
	Listen string
	// Hosts are further names under which clients may address the server
	// (the Host header), beside the loopback's, that of Listen and plain
	// addresses. Default: none.
	Hosts []string
	// TokenFile holds the bearer token, of at least 16 characters; nobody but
	// its owner may have access. Default: "" (no token: only the server's own
	// user and root may call, on loopback).
	TokenFile string
	// Version is what /version says. Default: that of the build.
	Version string
	// Logger takes requests at debug level and our own mistakes at error
	// level. Default: slog.Default().
	Logger *slog.Logger
	// Warnings are told by /healthz, one sentence each, such as that the store
	// keeps nothing. Default: none.
	Warnings []string

	// Heartbeat is how often a quiet event stream carries a comment.
	// Default: 15 s.
	Heartbeat time.Duration
	// WriteTimeout is how long a client may refuse to take what is written to
	// it before its connection is cut. Default: 10 s.
	WriteTimeout time.Duration
	// HeaderTimeout bounds the time a client takes to send a request's head.
	// Default: 10 s.
	HeaderTimeout time.Duration
	// BodyTimeout bounds the time a client takes to send a request's body, or
	// each line of a streamed one. Default: 60 s.
	BodyTimeout time.Duration
	// IdleTimeout is how long an unused connection is kept. Default: 120 s.
	IdleTimeout time.Duration
	// DrainTimeout is how long Run waits for requests in progress when it is
	// told to stop. Default: 5 s.
	DrainTimeout time.Duration

	// peerUID overrides the lookup of a connection's owner, for tests.
	peerUID func(remote, local netip.AddrPort) (uint32, error)
}

func (c Config) withDefaults() Config {
	if c.Listen == "" {
		c.Listen = "127.0.0.1:8000"
	}
	if c.Version == "" {
		c.Version = "devel"
		if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
			c.Version = info.Main.Version
		}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.Heartbeat, 15 * time.Second}, {&c.WriteTimeout, 10 * time.Second}, {&c.HeaderTimeout, 10 * time.Second},
		{&c.BodyTimeout, time.Minute}, {&c.IdleTimeout, 2 * time.Minute}, {&c.DrainTimeout, 5 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if c.peerUID == nil {
		c.peerUID = peerUID
	}
	return c
}

func (c Config) validate() error {
	if c.Service == nil {
		return core.Errorf(core.ErrInternal, "http", "no service was configured")
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return core.Errorf(core.ErrInvalid, "", "cannot listen on %q: not a host and a port", c.Listen).
			WithHint("write --listen 127.0.0.1:8000")
	}
	switch {
	case c.TokenFile != "":
		return nil
	case !loopbackName(host):
		return core.Errorf(core.ErrInvalid, "", "will not listen on %s without a token: anybody who reaches it could run code", c.Listen).
			WithHint("add --token-file FILE, or listen on 127.0.0.1")
	case !peerLookup:
		return core.Errorf(core.ErrInvalid, "", "this system cannot tell whose a local connection is, so a token is needed").
			WithHint("add --token-file FILE")
	}
	return nil
}

// loopbackName reports whether host can only mean this machine's loopback.
func loopbackName(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// readToken reads and checks the token file.
func readToken(path string) (string, error) {
	const op = "read the token file"
	info, err := os.Stat(path)
	if err != nil {
		return "", &core.Error{Class: core.ErrInvalid, Op: op, Err: err, Hint: "make one: (umask 077; openssl rand -hex 32 > " + path + ")"}
	}
	if info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		return "", core.Errorf(core.ErrInvalid, op, "%s is open to others (mode %04o)", path, info.Mode().Perm()).
			WithHint("chmod 600 %s", path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", &core.Error{Class: core.ErrInvalid, Op: op, Err: err}
	}
	token := strings.TrimSpace(string(data))
	if len(token) < minTokenSize || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", core.Errorf(core.ErrInvalid, op, "%s must hold one token of at least %d printable characters", path, minTokenSize).
			WithHint("make one: (umask 077; openssl rand -hex 32 > %s)", path)
	}
	return token, nil
}
