package zmqloop

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"faasctl/core/coretest/ports"
)

// listener takes connections, does something with each, and leaves them open.
func listener(t *testing.T, do func(net.Conn)) (address string) {
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

// nowhere is an address at which nobody listens.
func nowhere(t *testing.T) string {
	t.Helper()
	return "tcp://" + ports.At(ports.Reserve(t, 1))
}

// reaches waits until a DEALER has got so far with an address.
func reaches(t *testing.T, address string, curve *ClientCurve, want Stage) {
	t.Helper()
	reached := make(chan struct{})
	var socket *Socket
	var last Stage
	stop := run(t, Config{Client: curve, Owner: &player{
		open: func(l *Loop) (err error) { socket, err = l.Dealer(address); return err },
		work: func() error {
			if last = socket.Stage(); last == want {
				select {
				case <-reached:
				default:
					close(reached)
				}
			}
			return nil
		},
	}})
	select {
	case <-reached:
	case <-time.After(20 * time.Second):
		stop()
		t.Fatalf("it stays at stage %d", last)
	}
	stop()
}

// A socket knows how far it has got, so that its owner can say what is wrong.
func TestStages(t *testing.T) {
	if !tellsHandshakes() {
		t.Skip("this libzmq does not tell")
	}
	plain, _ := echo(t, Config{})
	reaches(t, plain, nil, Open)
	reaches(t, nowhere(t), nil, Unreached)
	reaches(t, listener(t, func(net.Conn) {}), nil, Mute)
	reaches(t, listener(t, func(c net.Conn) { _ = c.Close() }), nil, BrokenOff)
	reaches(t, listener(t, func(c net.Conn) { _, _ = c.Write([]byte("SSH-2.0-OpenSSH_9.2p1\r\n")) }), nil, Mute)
}

func TestStagesWithKeys(t *testing.T) {
	if _, curve := Library(); !curve || !tellsHandshakes() {
		t.Skip("this libzmq does not encrypt, or does not tell")
	}
	server, friend, stranger := key(t), key(t), key(t)
	allow := t.TempDir()
	if err := os.WriteFile(filepath.Join(allow, "friend.pub"), []byte(friend.Public), 0o644); err != nil {
		t.Fatal(err)
	}
	said := &said{}
	keyed, _ := echo(t, Config{Server: &ServerCurve{Secret: server.Secret, Allow: allow}, Logger: said.logger()})
	plain, _ := echo(t, Config{Logger: said.logger()})
	for range 2 {
		reaches(t, keyed, &ClientCurve{Key: friend, Server: server.Public}, Open)
		reaches(t, keyed, &ClientCurve{Key: stranger, Server: server.Public}, Refused)
		reaches(t, keyed, &ClientCurve{Key: friend, Server: stranger.Public}, BrokenOff)
	}
	// Which end finds out first that only one has keys is chance; it hangs up, and
	// the other learns nothing more.
	said.until(t, "with another server's public key")
	said.until(t, "as this side has none", func() { reaches(t, plain, &ClientCurve{Key: friend, Server: server.Public}, Mismatch) })
	said.until(t, "without a key", func() { reaches(t, keyed, nil, Mismatch) })
	for _, what := range []string{"an unknown key", "with another server's", "as this side has none", "without a key"} {
		if n := said.times(what); n != 1 {
			t.Errorf("the log has it %d times that somebody %s was refused", n, what)
		}
	}
}

// A reason is logged when it is new, and seldom after that.
func TestReasonsAreNotRepeated(t *testing.T) {
	said := &said{}
	r := &refusals{log: said.logger(), notes: map[string]note{}}
	start := time.Now()
	for i := range 20 {
		r.note(start.Add(time.Duration(i)*time.Minute), "a reason")
	}
	r.note(start, "another")
	if said.times("a reason\" times=1\n") != 1 || said.times("a reason\" times=10\n") != 1 || said.times("a reason") != 2 || said.times("another times=1\n") != 1 {
		t.Errorf("the log has\n%s", said)
	}
}

// Unknown keys have a line each, but not any number of them.
func TestUnknownKeysDoNotFillTheLog(t *testing.T) {
	said, allow := &said{}, t.TempDir()
	g, err := newGate(ServerCurve{Secret: key(t).Secret, Allow: allow}, said.logger())
	if err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		for i := range 3 * maxRefused {
			g.noteRefused(fmt.Sprint("key-", i), "10.0.0.1")
			g.noteRefused("key-0", "10.0.0.1")
		}
		if len(g.refused) > maxRefused+1 {
			t.Errorf("%d keys are remembered", len(g.refused))
		}
		if n := said.times("an unknown key"); n != (round+1)*maxRefused {
			t.Errorf("round %d: %d lines", round, n)
		}
		if n := said.times("more unknown keys"); n != round+1 {
			t.Errorf("round %d: the log has it %d times that there are more", round, n)
		}
		if err := os.WriteFile(filepath.Join(allow, "new.pub"), []byte(key(t).Public), 0o644); err != nil {
			t.Fatal(err)
		}
		g.read()
	}
}

// Sockets are watched to their end, in whatever state they are: closing one never
// waits, and leaves nothing open.
func TestWatchedSocketsClose(t *testing.T) {
	mute := listener(t, func(c net.Conn) {
		go func() { _, _ = io.Copy(io.Discard, c); _ = c.Close() }()
	})
	plain, _ := echo(t, Config{})
	addresses := []string{nowhere(t), listener(t, func(c net.Conn) { _ = c.Close() }), mute, plain}
	var loop *Loop
	var sockets []*Socket
	opened, turns, least, before := 0, 0, 0, descriptors(t)
	done := make(chan int)
	run(t, Config{Owner: &player{
		open: func(l *Loop) error { loop = l; before = descriptors(t); return nil },
		work: func() error {
			for range 10 {
				if opened++; opened > 400 {
					break
				}
				s, err := loop.Dealer(addresses[opened%len(addresses)])
				if err != nil {
					return err
				}
				sockets = append(sockets, s)
			}
			for len(sockets) > 20 || opened > 400 && len(sockets) > 0 {
				if err := sockets[0].Close(false); err != nil {
					return err
				}
				sockets = sockets[1:]
			}
			if opened > 400 { // libzmq closes them in its own time
				if n := descriptors(t); turns == 0 || n < least {
					least = n
				}
				if turns++; turns == 1000 || least <= before {
					select {
					case done <- least:
					default:
					}
				}
			}
			return nil
		},
	}})
	select {
	case after := <-done:
		if after > before {
			t.Errorf("%d descriptors before, %d after 400 sockets", before, after)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("it hangs")
	}
}

// said is a log that a test reads.
type said struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *said) logger() *slog.Logger { return slog.New(slog.NewTextHandler(s, nil)) }

func (s *said) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(line)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (s *said) times(what string) int { return strings.Count(s.String(), what) }

// until does something again and again until the log has a text.
func (s *said) until(t *testing.T, what string, again ...func()) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); s.times(what) == 0; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("the log does not have it: %s\n%s", what, s)
		}
		for _, do := range again {
			do()
		}
	}
}
