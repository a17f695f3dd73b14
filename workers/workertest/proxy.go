package workertest

import (
	"net"
	"strings"
	"sync"
	"testing"
)

// Proxy stands between a worker and its dispatcher, so that a test can cut the
// connection, or let nothing through.
type Proxy struct {
	t      testing.TB
	listen net.Listener
	target string

	mu    sync.Mutex
	cond  *sync.Cond
	conns map[net.Conn]bool
	off   bool // connections are refused at once
	hole  bool // nothing passes, but nothing breaks
	held  int  // reads that the hole holds back
	taken int  // connections so far
	done  bool
	work  sync.WaitGroup
}

// NewProxy returns a proxy to an address.
func NewProxy(t testing.TB, address string) *Proxy {
	t.Helper()
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{t: t, listen: listen, target: strings.TrimPrefix(address, "tcp://"), conns: map[net.Conn]bool{}}
	p.cond = sync.NewCond(&p.mu)
	p.work.Go(p.accept)
	t.Cleanup(func() {
		p.mu.Lock()
		p.done = true
		p.cond.Broadcast()
		p.mu.Unlock()
		_ = listen.Close()
		p.Cut()
		p.work.Wait()
	})
	return p
}

// Address is where the proxy listens.
func (p *Proxy) Address() string { return "tcp://" + p.listen.Addr().String() }

// Target changes where new connections lead to.
func (p *Proxy) Target(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = strings.TrimPrefix(address, "tcp://")
}

// Cut breaks all connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset, as a killed host's
		}
		_ = c.Close()
	}
	clear(p.conns)
	p.cond.Broadcast()
}

// Off breaks all connections and takes no new ones, until it is called with
// false.
func (p *Proxy) Off(off bool) {
	p.mu.Lock()
	p.off = off
	p.mu.Unlock()
	if off {
		p.Cut()
	}
}

// Hole holds everything back, until it is called with false.
func (p *Proxy) Hole(hole bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hole, p.held = hole, 0
	p.cond.Broadcast()
}

// Swallowed is how many pieces the hole has held back since it was opened.
func (p *Proxy) Swallowed() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

// Taken is how many connections were taken so far.
func (p *Proxy) Taken() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken
}

func (p *Proxy) accept() {
	for {
		near, err := p.listen.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.taken++
		off, target := p.off || p.done, p.target
		p.mu.Unlock()
		if off {
			_ = near.Close()
			continue
		}
		far, err := net.Dial("tcp", target)
		if err != nil {
			_ = near.Close()
			continue
		}
		p.mu.Lock()
		p.conns[near], p.conns[far] = true, true
		if p.off || p.done {
			_, _ = near.Close(), far.Close()
		}
		p.mu.Unlock()
		p.work.Go(func() { p.pipe(near, far) })
		p.work.Go(func() { p.pipe(far, near) })
	}
}

func (p *Proxy) pipe(from, to net.Conn) {
	defer func() {
		_, _ = from.Close(), to.Close()
		p.mu.Lock()
		delete(p.conns, from)
		p.mu.Unlock()
	}()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		if p.hole {
			p.held++
		}
		for p.hole && !p.done && p.conns[from] {
			p.cond.Wait()
		}
		p.mu.Unlock()
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
