package httpapi

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"

	"faasctl/core"
)

// exchange is one request and its answer, for handlers that read or write
// their bodies themselves.
type exchange struct {
	w http.ResponseWriter
	r *http.Request
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange { return ctx.Value(exchangeKey{}).(*exchange) }

func (x *exchange) controller() *http.ResponseController { return http.NewResponseController(x.w) }

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int // 0 until the answer has begun
}

func (rec *recorder) WriteHeader(status int) {
	if rec.status == 0 && status >= 200 {
		rec.status = status
	}
	rec.ResponseWriter.WriteHeader(status)
}

func (rec *recorder) Write(data []byte) (int, error) {
	if rec.status == 0 {
		rec.status = http.StatusOK
	}
	return rec.ResponseWriter.Write(data)
}

// Unwrap lets http.ResponseController find the connection.
func (rec *recorder) Unwrap() http.ResponseWriter { return rec.ResponseWriter }

// guard refuses requests that a web page may have made somebody's browser
// send: to a name that is not ours, or from another origin.
type guard struct {
	origins  *http.CrossOriginProtection
	hosts    map[string]bool
	anywhere bool // listening beyond the loopback: any plain address is ours
}

func newGuard(cfg Config) *guard {
	g := &guard{origins: http.NewCrossOriginProtection(), hosts: map[string]bool{}}
	host, _, _ := net.SplitHostPort(cfg.Listen)
	names := append([]string{host}, cfg.Hosts...)
	if !loopbackName(host) {
		g.anywhere = true
		if name, err := os.Hostname(); err == nil {
			names = append(names, name)
		}
	}
	for _, name := range names {
		if name != "" {
			g.hosts[strings.ToLower(name)] = true
		}
	}
	return g
}

func (g *guard) check(r *http.Request) error {
	if !g.knows(r.Host) {
		return core.Errorf(core.ErrForbidden, "", "this server is not called %q", clip(r.Host, 64)).
			WithHint("address it as 127.0.0.1 or localhost, or by the name it listens on")
	}
	if err := g.origins.Check(r); err != nil {
		return core.Errorf(core.ErrForbidden, "", "a page of another site may not call this server")
	}
	return nil
}

// knows reports whether a Host header means this server. A plain address
// cannot be made to point elsewhere by DNS, a name can.
func (g *guard) knows(header string) bool {
	host := header
	if name, _, err := net.SplitHostPort(header); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	if loopbackName(host) || g.hosts[host] {
		return true
	}
	_, err := netip.ParseAddr(host)
	return g.anywhere && err == nil
}

func clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "") + "…"
}
