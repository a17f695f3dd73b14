package workertest_test

import (
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pebbe/zmq4"

	"faasctl/core"
	"faasctl/core/coretest/ports"
	"faasctl/workers/workertest"
	"faasctl/workers/zmqloop"
)

// diary is a log that a test reads.
type diary struct {
	mu   sync.Mutex
	text strings.Builder
}

func (d *diary) Write(line []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text.Write(line)
}

func (d *diary) logger() *slog.Logger { return slog.New(slog.NewTextHandler(d, nil)) }

func (d *diary) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text.String()
}

func (d *diary) times(what string) int { return strings.Count(d.String(), what) }

// twice returns a line that says of an address what the line before has said
// already. How many lines there are depends on how fast the machine is: on a slow
// one a connection is given up before it is refused.
func (d *diary) twice(url string) string {
	last := ""
	for line := range strings.Lines(d.String()) {
		_, says, _ := strings.Cut(line, "msg=")
		if !strings.Contains(says, "url="+url) {
			continue
		}
		if says == last {
			return line
		}
		last = says
	}
	return ""
}

// impatient has workers try again and again, as tests have no time.
func impatient(b *workertest.Bench, d *diary) {
	b.Conn.Silence, b.Conn.Logger, b.Beat = 100*time.Millisecond, d.logger(), 10*time.Millisecond
}

// A worker at the port of the other mode is told so, logs it once however often it
// comes back, and is with the dispatcher as soon as the address is right.
func TestTheWrongPort(t *testing.T) {
	for _, c := range []struct{ right, wrong workertest.Mode }{{pushing, pulling}, {pulling, pushing}} {
		t.Run(string(c.right.Name), func(t *testing.T) {
			hubs, conns := &diary{}, &diary{}
			b := workertest.NewBench(t, c.right)
			wrong := b.Hub
			wrong.Logger = hubs.logger()
			other, err := c.wrong.Hub(wrong)
			if err != nil {
				t.Fatal(err)
			}
			b.Dispatcher.Transports = []core.Transport{other}
			b.Start()
			<-other.Ready()
			impatient(b, conns)
			proxy := workertest.NewProxy(b, other.Address())
			b.AddAt(1, proxy.Address())
			b.Until("it has come back again and again", func() bool { return proxy.Taken() > 8 })
			want := "still trying: refused: this port is for " + string(c.wrong.Name) + " workers: type faasctl worker " + string(c.wrong.Name) + " N URL"
			if line := conns.twice(proxy.Address()); line != "" || conns.times(want) == 0 {
				t.Errorf("the worker repeats itself, or does not say it: %s\n%s", line, conns)
			}
			if n := hubs.times("a " + string(c.right.Name) + " worker has come to this port"); n != 1 {
				t.Errorf("the dispatcher logs it %d times:\n%s", n, hubs)
			}
			proxy.Target(b.URL())
			b.Joined(1)
		})
	}
}

// The refusal reaches a worker that is written from the protocol alone.
func TestTheWrongPortInFrames(t *testing.T) {
	for _, c := range []struct {
		mode workertest.Mode
		kind zmq4.Type
		want string
	}{{pushing, zmq4.REQ, "push"}, {pulling, zmq4.DEALER, "pull"}} {
		b := workertest.NewBench(t, c.mode)
		b.Start()
		s := connect(t, c.kind, b)
		for _, m := range [][][]byte{newBare(t, "bare-1").join(c.kind == zmq4.REQ), message(3, []any{"bare-1", 0, []any{}}, nil)} {
			s.say(m...)
			header, _ := s.until(0x2d)
			if string(header[0]) != `"mode"` || !strings.Contains(string(header[1]), "this port is for "+c.want+" workers") {
				t.Errorf("it is answered with %s", header)
			}
		}
		if n := len(b.Workers(core.WorkerRunning)); n != 0 {
			t.Errorf("%d workers run", n)
		}
	}
}

// accepting is a port that takes connections and does something with them.
func accepting(t *testing.T, do func(net.Conn)) string {
	t.Helper()
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() { _ = listen.Close(); <-ended })
	go func() {
		defer close(ended)
		for {
			conn, err := listen.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			do(conn)
		}
	}()
	return "tcp://" + listen.Addr().String()
}

// A worker that finds no dispatcher says what it has found instead, once for each
// address, and again when that changes.
func TestWhatIsNoDispatcher(t *testing.T) {
	for _, mode := range []workertest.Mode{pushing, pulling} {
		t.Run(string(mode.Name), func(t *testing.T) {
			b := workertest.NewBench(t, mode)
			b.Hub.Beat = 10 * time.Millisecond
			b.Start()
			log := &diary{}
			impatient(b, log)
			gone := "tcp://" + ports.At(ports.Reserve(t, 1))
			mute := accepting(t, func(net.Conn) {})
			web := accepting(t, func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")); _ = c.Close() })
			b.AddAt(1, gone, mute, web)
			for url, want := range map[string]string{gone: "nobody answers there", mute: "nothing there speaks ZeroMQ", web: "the handshake was broken off"} {
				b.Until("it says: "+want, func() bool {
					for line := range strings.Lines(log.String()) {
						if strings.Contains(line, want) && strings.Contains(line, "url="+url) {
							return true
						}
					}
					return false
				})
			}
			proxy := workertest.NewProxy(b, b.URL())
			proxy.Off(true)
			w := b.AddAt(1, proxy.Address())
			b.Until("it has come back again and again", func() bool { return proxy.Taken() > 20 })
			if line := log.twice(proxy.Address()); line != "" {
				t.Errorf("it repeats itself: %s\n%s", line, log)
			}
			proxy.Off(false)
			b.Joined(1)
			proxy.Hole(true)
			b.Until("it says that it is silent now", func() bool {
				return strings.Contains(log.String(), `"still trying: the dispatcher is silent" url=`+proxy.Address())
			})
			proxy.Hole(false)
			b.Joined(1)
			b.Until("it has registered with the dispatcher's own name", func() bool {
				return strings.Contains(log.String(), "dispatcher="+string(b.Workers(core.WorkerRunning)[0].Dispatcher))
			})
			w.Stop()
		})
	}
}

// Whoever comes without the right keys is told what is wrong, and the dispatcher's
// log has it as well; neither has it for every try.
func TestTheWrongKeys(t *testing.T) {
	for _, mode := range []workertest.Mode{pushing, pulling} {
		t.Run(string(mode.Name), func(t *testing.T) {
			ring := newKeyring(t)
			stranger, other := ring.pair(), ring.pair()
			hub := &diary{}
			b := workertest.NewBench(t, mode)
			b.Hub.Curve, b.Hub.Logger = &zmqloop.ServerCurve{Secret: ring.server.Secret, Allow: ring.allow}, hub.logger()
			b.Start()
			try := func(curve *zmqloop.ClientCurve, says, heard string) {
				t.Helper()
				log := &diary{}
				impatient(b, log)
				b.Conn.Curve = curve
				proxy := workertest.NewProxy(b, b.URL())
				w := b.AddAt(1, proxy.Address())
				defer w.Stop()
				b.Until("the worker says: "+says, func() bool { return log.times("still trying: "+says) > 0 })
				b.Until("the dispatcher says: "+heard, func() bool { return hub.times(heard) > 0 })
				was := proxy.Taken()
				b.Until("it has come back", func() bool { return proxy.Taken() > was+3 })
				if line := log.twice(proxy.Address()); line != "" {
					t.Errorf("the worker repeats itself: %s\n%s", line, log)
				}
				if n := hub.times(heard); n != 1 {
					t.Errorf("the dispatcher says %d times: %s", n, heard)
				}
			}
			try(&zmqloop.ClientCurve{Key: stranger, Server: ring.server.Public}, "refused: the dispatcher does not know this worker's key", "an unknown key was refused")
			try(&zmqloop.ClientCurve{Key: stranger, Server: other.Public}, "the handshake was broken off: --server-key is not", "with another server's public key")
			try(nil, "refused: the dispatcher demands keys", "without a key")
			if !strings.Contains(hub.String(), "mode="+string(mode.Name)) {
				t.Errorf("the log does not say which port:\n%s", hub)
			}

			// As soon as its key is there, the stranger is a friend.
			log := &diary{}
			impatient(b, log)
			b.Conn.Curve = &zmqloop.ClientCurve{Key: stranger, Server: ring.server.Public}
			w := b.Add(1)
			b.Until("it is refused", func() bool { return log.times("does not know this worker's key") > 0 })
			ring.admit("friend", stranger)
			b.Joined(1)
			w.Stop()
			b.Stop()

			// Keys for one who has none.
			b.Hub.Curve, b.Hub.Port = nil, 0
			b.Start()
			try(&zmqloop.ClientCurve{Key: stranger, Server: ring.server.Public}, "refused: the dispatcher has no keys", "as this side has none")
		})
	}
}
