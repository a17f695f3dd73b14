package zmqloop

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"github.com/pebbe/zmq4"

	"faasctl/core"
)

// Owner is the role that a Loop plays. All its methods are called from the
// loop's goroutine, and may use the loop's sockets.
type Owner interface {
	// Open creates the first sockets. An error ends Run.
	Open(*Loop) error
	// Receive takes one message of a socket.
	Receive(*Socket, Message)
	// Work is called after every wake-up, to send what is due, and says when it
	// wants to be called again at the latest; zero is "when something happens".
	// An error ends Run; ErrDone ends it well.
	Work(now time.Time) (next time.Time, err error)
	// Close is called once at the end; the sockets still work.
	Close()
}

// ErrDone ends a loop that has nothing left to do.
var ErrDone = errors.New("done")

// Message is what arrived in one piece.
type Message struct {
	// Route leads back to the sender through a ROUTER; "" elsewhere.
	Route string
	// User is the sender's public key, where CURVE says who that is.
	User string
	// Frames are the parts after the route. Nil if there were too many or too
	// much of them.
	Frames [][]byte
}

// Config describes a Loop.
type Config struct {
	// Owner plays the role. Required.
	Owner Owner
	// MaxFrame is the longest frame that is received or sent, in bytes. Default:
	// 16 MiB.
	MaxFrame int
	// MaxFrames is how many frames one message may have. Default: 256.
	MaxFrames int
	// Linger is how long sockets go on sending after the end. Default: 0.
	Linger time.Duration
	// Server, where set, demands CURVE of everybody who connects.
	Server *ServerCurve
	// Client, where set, introduces this side with CURVE wherever it connects.
	Client *ClientCurve
	// Logger takes what nobody is told otherwise. Default: slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.MaxFrame == 0 {
		c.MaxFrame = 16 << 20
	}
	if c.MaxFrames == 0 {
		c.MaxFrames = 256
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Loop is one goroutine and its sockets. Ring may be called from
// anywhere, the rest from the Owner's methods only.
type Loop struct {
	cfg  Config
	bell bell

	// Owned by Run.
	ctx     *zmq4.Context
	poller  *zmq4.Poller
	sockets []*Socket // those that are polled, without the bell
	turn    int       // which socket is read first
	gate    *gate     // nil without CURVE
	watched int       // sockets that were watched so far
}

// New returns a Loop that Run sets going.
func New(cfg Config) (*Loop, error) {
	l := &Loop{cfg: cfg.withDefaults()}
	if l.cfg.Owner == nil {
		return nil, core.Errorf(core.ErrInternal, "sockets", "a loop needs an owner")
	}
	if (l.cfg.Server != nil || l.cfg.Client != nil) && !zmq4.HasCurve() {
		return nil, core.Errorf(core.ErrUnavailable, "sockets", "this libzmq was built without CURVE encryption")
	}
	if l.cfg.Client != nil {
		if err := l.cfg.Client.check(); err != nil {
			return nil, err
		}
	}
	if l.cfg.Server != nil {
		gate, err := newGate(*l.cfg.Server, l.cfg.Logger)
		if err != nil {
			return nil, err
		}
		l.gate = gate
	}
	return l, nil
}

// Ring wakes the loop so that it calls Owner.Work. It never blocks; rings before
// Run or after its end are lost.
func (l *Loop) Ring() { l.bell.ring() }

// Principal returns the name of the key with which a peer came and whether it is
// still allowed. Without CURVE everybody is, and has no name.
func (l *Loop) Principal(user string) (name string, ok bool) {
	if l.gate == nil {
		return "", true
	}
	return l.gate.name(user)
}

// Revision changes when the keys that are allowed change.
func (l *Loop) Revision() int {
	if l.gate == nil {
		return 0
	}
	return l.gate.revision
}

// Run serves until ctx is done or the owner ends it, then closes everything. It
// returns nil after an end that was asked for. Call it once.
func (l *Loop) Run(ctx context.Context) (err error) {
	if l.ctx, err = zmq4.NewContext(); err != nil {
		return fmt.Errorf("make a ZeroMQ context: %w", err)
	}
	l.poller = zmq4.NewPoller()
	defer func() { err = errors.Join(err, l.shut()) }()
	if err := l.ctx.SetMaxSockets(4096); err != nil {
		return fmt.Errorf("allow many sockets: %w", err)
	}
	if err := l.bell.hang(l); err != nil {
		return fmt.Errorf("make a doorbell: %w", err)
	}
	if l.gate != nil {
		if err := l.gate.open(l); err != nil {
			return err
		}
	}
	defer context.AfterFunc(ctx, l.Ring)()
	opened := l.cfg.Owner.Open(l)
	defer l.cfg.Owner.Close()
	if opened != nil {
		return opened
	}
	for ctx.Err() == nil {
		next, err := l.cfg.Owner.Work(time.Now())
		if errors.Is(err, ErrDone) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := l.wait(next); err != nil {
			return err
		}
	}
	return nil
}

// fairShare is how many messages are read from one socket before the others get
// their turn; a ROUTER takes turns among its peers by itself.
const fairShare = 64

// wait polls until something has arrived or next has come, and reads.
func (l *Loop) wait(next time.Time) error {
	timeout := time.Duration(-1)
	if l.gate != nil {
		next = earliest(next, l.gate.next)
	}
	if !next.IsZero() {
		timeout = max(time.Millisecond, time.Until(next)+time.Millisecond-1) // less than 1 ms would spin
	}
	if _, err := l.poller.Poll(timeout); err != nil && !errors.Is(err, zmq4.Errno(syscall.EINTR)) {
		return fmt.Errorf("poll: %w", err)
	}
	l.bell.silence()
	if l.gate != nil {
		l.gate.work(time.Now())
	}
	// The sockets are asked, not the poll's answer: an owner may close one
	// while it receives from another.
	l.turn++
	open := append([]*Socket(nil), l.sockets...)
	for i := range open {
		s := open[(i+l.turn)%len(open)]
		if s.watcher != nil {
			s.watcher.read()
		}
		for range fairShare {
			m, ok := s.receive()
			if !ok {
				break
			}
			l.cfg.Owner.Receive(s, m)
		}
	}
	return nil
}

// earliest returns the earlier of two times that are set.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// shut closes every socket before the context, which would wait for them.
func (l *Loop) shut() error {
	var errs []error
	for len(l.sockets) > 0 {
		errs = append(errs, l.sockets[0].Close(true))
	}
	if l.gate != nil {
		errs = append(errs, l.gate.close())
	}
	errs = append(errs, l.bell.unhang(), l.ctx.Term())
	return errors.Join(errs...)
}

// bell wakes a loop out of its poll. However often it is rung between two
// wake-ups, one message crosses.
type bell struct {
	inside *zmq4.Socket // polled; owned by Run

	mu      sync.Mutex
	rung    bool
	outside *zmq4.Socket // nil before and after Run
}

const bellAddress = "inproc://bell"

func (b *bell) hang(l *Loop) (err error) {
	if b.inside, err = l.ctx.NewSocket(zmq4.PAIR); err != nil {
		return err
	}
	if err = b.inside.Bind(bellAddress); err != nil {
		return err
	}
	l.poller.Add(b.inside, zmq4.POLLIN)
	outside, err := l.ctx.NewSocket(zmq4.PAIR)
	if err != nil {
		return err
	}
	if err = errors.Join(outside.SetLinger(0), outside.Connect(bellAddress)); err != nil {
		return errors.Join(err, outside.Close())
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.outside = outside
	return nil
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung || b.outside == nil {
		return
	}
	if _, err := b.outside.SendBytes(nil, zmq4.DONTWAIT); err == nil {
		b.rung = true
	}
}

// silence makes the next ring heard; it comes before the owner looks for what
// was rung about.
func (b *bell) silence() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rung {
		if _, err := b.inside.RecvBytes(zmq4.DONTWAIT); err == nil {
			b.rung = false
		}
	}
}

func (b *bell) unhang() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var errs []error
	for _, s := range []*zmq4.Socket{b.outside, b.inside} {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	b.outside = nil
	return errors.Join(errs...)
}
