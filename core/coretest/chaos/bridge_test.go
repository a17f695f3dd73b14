package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// wire is a connection that can be disturbed: a proxy in front of a bridge. The
// proxy makes it slow, cuts it and swallows what passes; the bridge leads on to where
// the part is now, as its port changes when it is started again, and to the unix
// socket of Redis, which the proxy does not know how to dial.
type wire struct {
	name   string
	proxy  *toxiproxy.Proxy
	bridge *bridge
}

var toxic = toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())

func newWire(t testing.TB, name, network, address string) *wire {
	t.Helper()
	w := &wire{name: name, bridge: newBridge(t, network, address)}
	w.proxy = toxiproxy.NewProxy(toxic, name, "127.0.0.1:0", w.bridge.listen.Addr().String())
	if err := w.proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.proxy.Stop)
	return w
}

// at is where to connect.
func (w *wire) at() string { return w.proxy.Listen }

// add disturbs one direction: downstream is towards whoever connected.
func (w *wire) add(kind, direction string, attributes map[string]int) error {
	text, err := json.Marshal(map[string]any{"name": kind + direction, "type": kind, "stream": direction, "attributes": attributes})
	if err != nil {
		return err
	}
	_, err = w.proxy.Toxics.AddToxicJson(bytes.NewReader(text))
	return err
}

// heal takes everything away; connections that lost something are closed.
func (w *wire) heal() { w.proxy.Toxics.ResetToxics(context.Background()) }

// bridge passes everything on to an address that may change.
type bridge struct {
	listen  net.Listener
	network string

	mu      sync.Mutex
	address string
	conns   map[net.Conn]bool
	work    sync.WaitGroup
}

func newBridge(t testing.TB, network, address string) *bridge {
	t.Helper()
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &bridge{listen: listen, network: network, conns: map[net.Conn]bool{}}
	b.lead(address)
	b.work.Go(b.accept)
	t.Cleanup(func() {
		_ = listen.Close()
		b.cut()
		b.work.Wait()
	})
	return b
}

// lead says where new connections go from now on.
func (b *bridge) lead(address string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.address = strings.TrimPrefix(address, "tcp://")
}

// cut resets all connections.
func (b *bridge) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
}

func (b *bridge) accept() {
	for {
		near, err := b.listen.Accept()
		if err != nil {
			return
		}
		b.mu.Lock()
		address := b.address
		b.mu.Unlock()
		far, err := net.Dial(b.network, address)
		if err != nil {
			_ = near.Close()
			continue
		}
		b.mu.Lock()
		b.conns[near], b.conns[far] = true, true
		b.mu.Unlock()
		b.work.Go(func() { b.pass(near, far) })
		b.work.Go(func() { b.pass(far, near) })
	}
}

func (b *bridge) pass(from, to net.Conn) {
	_, _ = io.Copy(to, from)
	_, _ = from.Close(), to.Close()
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.conns, from)
}
