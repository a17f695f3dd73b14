package httpapi

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"faasctl/core"
)

// gate decides who may call. The server's own user and root pass on loopback;
// everyone else needs the token.
type gate struct {
	digest  [sha256.Size]byte // of the token
	tokened bool
	owner   uint32
	peerUID func(remote, local netip.AddrPort) (uint32, error)
}

func newGate(token string, lookup func(remote, local netip.AddrPort) (uint32, error)) *gate {
	return &gate{digest: sha256.Sum256([]byte(token)), tokened: token != "", owner: uint32(os.Geteuid()), peerUID: lookup}
}

// peer is one connection's other end. Its owner is looked up by the first
// request that needs to know and never again: the connection keeps it.
type peer struct {
	remote, local netip.AddrPort
	once          sync.Once
	asked         atomic.Bool // uid and err are set
	uid           uint32
	err           error
}

type peerKey struct{}

// withPeer is the server's ConnContext.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, peerKey{}, &peer{remote: addrPort(conn.RemoteAddr()), local: addrPort(conn.LocalAddr())})
}

func addrPort(a net.Addr) netip.AddrPort {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort()
	}
	return netip.AddrPort{}
}

func (p *peer) loopback() bool {
	return p.remote.IsValid() && p.remote.Addr().Unmap().IsLoopback() && p.local.Addr().Unmap().IsLoopback()
}

// owner is whose the connection is, where an earlier look-up has told.
func (p *peer) owner() (uid uint32, known bool) {
	if !p.loopback() || !p.asked.Load() {
		return 0, false
	}
	return p.uid, p.err == nil
}

// admit returns nil when the request may pass.
func (g *gate) admit(r *http.Request) error {
	if g.tokened && g.bearer(r.Header.Get("Authorization")) {
		return nil
	}
	for _, header := range []string{"Forwarded", "X-Forwarded-For", "Via"} {
		if r.Header.Get(header) != "" {
			// The connection is the proxy's; whose the request is nobody knows.
			return g.refuse("what comes through a proxy needs the server's token")
		}
	}
	p, _ := r.Context().Value(peerKey{}).(*peer)
	if p == nil || !p.loopback() {
		return g.refuse("callers from elsewhere need the server's token")
	}
	p.once.Do(func() {
		p.uid, p.err = g.peerUID(p.remote, p.local)
		p.asked.Store(true)
	})
	switch {
	case p.err != nil:
		return g.refuse("cannot tell whose this connection is: " + p.err.Error())
	case p.uid == g.owner || p.uid == 0:
		return nil
	}
	return g.refuse("this server belongs to another user")
}

// bearer compares digests, so that neither content nor length of the token
// shows in the time it takes.
func (g *gate) bearer(header string) bool {
	scheme, token, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	digest := sha256.Sum256([]byte(strings.TrimSpace(token)))
	return subtle.ConstantTimeCompare(digest[:], g.digest[:]) == 1
}

func (g *gate) refuse(why string) error {
	e := core.Errorf(core.ErrNoToken, "", "%s", why)
	if !g.tokened {
		return e.WithHint("ask whoever runs the server to start it with --token-file and to give you the token")
	}
	return e.WithHint("send Authorization: Bearer TOKEN; faasctl reads it from the file that FAASCTL_TOKEN_FILE names")
}
