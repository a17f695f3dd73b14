package zmqloop

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"faasctl/core"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// player is an owner that a test makes of functions; all run in the loop.
type player struct {
	open    func(*Loop) error
	receive func(*Socket, Message)
	work    func() error
}

func (p *player) Open(l *Loop) error { return p.open(l) }
func (p *player) Receive(s *Socket, m Message) {
	if p.receive != nil {
		p.receive(s, m)
	}
}
func (p *player) Work(now time.Time) (time.Time, error) {
	if p.work != nil {
		return now.Add(10 * time.Millisecond), p.work()
	}
	return time.Time{}, nil
}
func (p *player) Close() {}

func run(t *testing.T, cfg Config) (stop func()) {
	t.Helper()
	loop, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- loop.Run(ctx) }()
	over := false
	stop = func() {
		if over {
			return
		}
		over = true
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(time.Minute):
			t.Error("the loop does not stop")
		}
	}
	t.Cleanup(stop)
	return stop
}

// echo runs a server that sends back what it gets, and says of each message who
// sent it.
func echo(t *testing.T, cfg Config) (address string, senders chan string) {
	t.Helper()
	at := make(chan string, 1)
	senders = make(chan string, 4096)
	var loop *Loop
	cfg.Owner = &player{
		open: func(l *Loop) error {
			loop = l
			s, err := l.Router("tcp://127.0.0.1:*")
			if err != nil {
				return err
			}
			address, err := s.Address()
			at <- address
			return err
		},
		receive: func(s *Socket, m Message) {
			name, ok := loop.Principal(m.User)
			if !ok {
				name = "refused"
			}
			select {
			case senders <- name:
			default:
			}
			if ok && m.Frames != nil {
				_ = s.Send(m.Route, m.Frames)
			}
		},
	}
	run(t, cfg)
	return <-at, senders
}

// talker sends one frame every 20 ms until stopped, and counts answers.
func talker(t *testing.T, address string, curve *ClientCurve) (answers chan string, stop func()) {
	t.Helper()
	answers = make(chan string, 4096)
	var socket *Socket
	p := &player{
		open: func(l *Loop) (err error) { socket, err = l.Dealer(address); return err },
		receive: func(_ *Socket, m Message) {
			select {
			case answers <- string(m.Frames[0]):
			default:
			}
		},
		work: func() error {
			if err := socket.Send("", [][]byte{[]byte("hello")}); err != nil && !errors.Is(err, core.ErrFull) {
				return err
			}
			return nil
		},
	}
	return answers, run(t, Config{Owner: p, Client: curve})
}

func hears(answers chan string, within time.Duration) bool {
	select {
	case <-answers:
		return true
	case <-time.After(within):
		return false
	}
}

func key(t *testing.T) KeyPair {
	t.Helper()
	k, err := NewKeyPair()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// A server lets in whom it knows and nobody else: not the unknown, not the one
// without a key, not the one who means another server, and not the one it knew.
func TestCurveKeepsOthersOut(t *testing.T) {
	if _, curve := Library(); !curve {
		t.Skip("libzmq was built without CURVE")
	}
	allow := t.TempDir()
	server, friend, stranger := key(t), key(t), key(t)
	admit := func(name, public string) {
		if err := os.WriteFile(filepath.Join(allow, name+".pub"), []byte(public+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	admit("friend", friend.Public)
	address, senders := echo(t, Config{Server: &ServerCurve{Secret: server.Secret, Allow: allow}})

	good, stop := talker(t, address, &ClientCurve{Key: friend, Server: server.Public})
	if !hears(good, 5*time.Second) || <-senders != "friend" {
		t.Fatal("a friend was not let in, or not known by its name")
	}
	stop()
	for name, curve := range map[string]*ClientCurve{
		"an unknown key":     {Key: stranger, Server: server.Public},
		"no key":             nil,
		"the wrong server":   {Key: friend, Server: stranger.Public},
		"an unknown, itself": {Key: stranger, Server: stranger.Public},
	} {
		bad, stop := talker(t, address, curve)
		if who := others(senders, "friend"); hears(bad, 300*time.Millisecond) || len(who) > 0 {
			t.Errorf("%s got something through, as %q", name, who)
		}
		stop()
		if who := others(senders, "friend"); len(who) > 0 {
			t.Errorf("%s got something through, as %q", name, who)
		}
	}

	keysComeAndGo(t, address, senders, admit, filepath.Join(allow, "late.pub"), &ClientCurve{Key: stranger, Server: server.Public})
}

// others takes what has come so far and returns who sent it, but for one name:
// what that one said before it was stopped may come late.
func others(senders chan string, but string) (names []string) {
	for {
		select {
		case name := <-senders:
			if name != but {
				names = append(names, name)
			}
		default:
			return names
		}
	}
}

func keysComeAndGo(t *testing.T, address string, senders chan string, admit func(name, public string), file string, curve *ClientCurve) {
	t.Helper()
	// Added while running. libzmq does not try again by itself once it was refused.
	admit("late", curve.Key.Public)
	late, stopLate := talker(t, address, curve)
	for tries := 0; !hears(late, 500*time.Millisecond); tries++ {
		if stopLate(); tries == 20 {
			t.Fatal("a key that was added was not let in")
		}
		late, stopLate = talker(t, address, curve)
	}
	defer func() { stopLate() }()
	for name := <-senders; name != "late"; name = <-senders {
		if name != "friend" {
			t.Fatalf("it is known as %q", name)
		}
	}
	// Revoked while connected.
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); <-senders != "refused"; {
		if time.Now().After(deadline) {
			t.Fatal("a revoked key goes on being heard")
		}
	}
	for len(late) > 0 {
		<-late
	}
	if hears(late, 200*time.Millisecond) {
		t.Error("a revoked key is answered")
	}
}

func TestAPeerThatIsGoneAndAFrameThatIsTooLong(t *testing.T) {
	var router *Socket
	errs := make(chan error, 2)
	first := true
	run(t, Config{MaxFrame: 1000, Owner: &player{
		open: func(l *Loop) (err error) { router, err = l.Router("tcp://127.0.0.1:*"); return err },
		work: func() error {
			if first {
				errs <- router.Send("nobody", [][]byte{[]byte("x")})
				errs <- router.Send("nobody", [][]byte{make([]byte, 1001)})
				first = false
			}
			return nil
		},
	}})
	if err := <-errs; !errors.Is(err, core.ErrGone) {
		t.Errorf("to nobody: %v", err)
	}
	if err := <-errs; !errors.Is(err, core.ErrTooLarge) {
		t.Errorf("too long: %v", err)
	}
}

// A peer that takes in nothing fills up, and the loop is not held up by it.
func TestAFullPeer(t *testing.T) {
	var router *Socket
	var route string
	full := make(chan int, 1)
	address := make(chan string, 1)
	sent := 0
	run(t, Config{Owner: &player{
		open: func(l *Loop) (err error) {
			if router, err = l.Router("tcp://127.0.0.1:*"); err == nil {
				var at string
				at, err = router.Address()
				address <- at
			}
			return err
		},
		receive: func(_ *Socket, m Message) { route = m.Route },
		work: func() error {
			for route != "" && sent >= 0 {
				err := router.Send(route, [][]byte{make([]byte, 1<<20)})
				if errors.Is(err, core.ErrFull) {
					full <- sent
					sent = -1
				} else if err != nil {
					return err
				} else {
					sent++
				}
			}
			return nil
		},
	}})
	block := make(chan struct{})
	defer close(block)
	var dealer *Socket
	greeted := false
	run(t, Config{Owner: &player{
		open: func(l *Loop) (err error) { dealer, err = l.Dealer(<-address); return err },
		work: func() error {
			if !greeted {
				greeted = true
				return dealer.Send("", [][]byte{[]byte("hello")})
			}
			select {
			case <-block:
			case <-full:
			}
			return nil
		},
	}})
	select {
	case n := <-full:
		full <- n
		t.Logf("full after %d messages of 1 MiB", n)
	case <-time.After(20 * time.Second):
		t.Fatal("it takes in everything")
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no procfs")
	}
	return len(entries)
}

func TestNothingIsLeftOpen(t *testing.T) {
	round := func() {
		address, _ := echo(t, Config{})
		_ = address
		answers, stop := talker(t, address, nil)
		if !hears(answers, 5*time.Second) {
			t.Fatal("no answer")
		}
		stop()
	}
	t.Run("warm", func(t *testing.T) { round() })
	before := descriptors(t)
	for range 10 {
		t.Run("round", func(t *testing.T) {
			address, _ := echo(t, Config{})
			answers, stop := talker(t, address, nil)
			if !hears(answers, 5*time.Second) {
				t.Fatal("no answer")
			}
			stop()
		})
	}
	if after := descriptors(t); after > before+2 {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func TestAPortThatIsTaken(t *testing.T) {
	address, _ := echo(t, Config{})
	loop, err := New(Config{Owner: &player{open: func(l *Loop) error { _, err := l.Router(address); return err }}})
	if err != nil {
		t.Fatal(err)
	}
	if err := loop.Run(context.Background()); core.ClassOf(err) != core.ErrUnavailable || core.HintOf(err) == "" {
		t.Errorf("%v", err)
	}
	loop.Ring() // after the end it does nothing
}
