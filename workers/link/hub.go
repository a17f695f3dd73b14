package link

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"faasctl/core"
	"faasctl/workers/wire"
	"faasctl/workers/zmqloop"
)

// HubConfig describes the dispatcher's end of a socket mode. The zero value
// listens on any free port of the loopback.
type HubConfig struct {
	// Bind is the IP address to listen on, or localhost. Default: 127.0.0.1.
	Bind string
	// Port to listen on. Default: 0, any that is free; see Hub.Address.
	Port int
	// Curve demands keys of all workers. Required beyond the loopback, unless
	// Insecure is set.
	Curve *zmqloop.ServerCurve
	// Insecure listens beyond the loopback without keys. Default: false.
	Insecure bool
	// Beat is how often workers are told that the dispatcher lives; push workers
	// that hold nothing half as often. Default: 1 s.
	Beat time.Duration
	// LostAfter is how long a worker whose connection broke may take to come back
	// before its tasks are others'. Default: 1.5 s.
	LostAfter time.Duration
	// Park is how long a pull worker's request may go unanswered. Default: 10 s.
	Park time.Duration
	// Forget is how long a worker may be silent before its route is forgotten;
	// its leases have lapsed long before. Default: 1 min.
	Forget time.Duration
	// MaxPayload bounds arguments, bodies and results, in bytes. Default:
	// core.MaxPayload.
	MaxPayload int
	// Hired is what workers that this process has started show when they register,
	// and nobody else knows. Default: "", there are none.
	Hired string
	// Owner is the principal of hired workers without keys; a key's name wins.
	// Default: "".
	Owner string
	// Foreign is called before the first worker that was not hired takes part,
	// which has to ask again if it fails. Called from the hub's loop. Default: nil.
	Foreign func() error
	// Logger takes what nobody is told otherwise. Default: slog.Default().
	Logger *slog.Logger
}

func (c HubConfig) withDefaults() HubConfig {
	c.Bind = cmp.Or(c.Bind, "127.0.0.1")
	c.Beat = cmp.Or(c.Beat, time.Second)
	c.LostAfter = cmp.Or(c.LostAfter, 1500*time.Millisecond)
	c.Park = cmp.Or(c.Park, 10*time.Second)
	c.Forget = cmp.Or(c.Forget, time.Minute)
	c.MaxPayload = cmp.Or(c.MaxPayload, core.MaxPayload)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	return c
}

func (c HubConfig) address() (string, error) {
	if c.Port < 0 || c.Port > 65535 {
		return "", core.Errorf(core.ErrInvalid, "", "%d is no port", c.Port)
	}
	port := "*"
	if c.Port > 0 {
		port = strconv.Itoa(c.Port)
	}
	ip, err := zmqloop.Bindable(c.Bind)
	if err != nil {
		return "", err
	}
	address := "tcp://" + net.JoinHostPort(ip.String(), port)
	return address, zmqloop.CheckReach(address, c.Curve != nil, c.Insecure)
}

// Talk is how one mode carries messages between a Hub and its workers. Its
// methods are called from the hub's loop.
type Talk interface {
	// Receive takes what came along a route; it calls Hub.Take.
	Receive(h *Hub, route, user string, frames [][]byte)
	// Moves says whether a worker may be heard along a route other than that of
	// its registration.
	Moves() bool
	// Flush sends what it can of m.Out.
	Flush(h *Hub, m *Member)
	// Beat is called once per Beat for every member.
	Beat(h *Hub, m *Member, now time.Time)
}

// Hub is the dispatcher's end: a core.Transport over one ROUTER socket. Deliver
// leaves messages in the workers' boxes; one goroutine does the rest.
type Hub struct {
	cfg    HubConfig
	mode   core.Mode
	talk   Talk
	id     core.DispatcherID
	listen string
	limits wire.Limits
	loop   *zmqloop.Loop
	ready  chan struct{}
	at     string // set before ready is closed

	mu    sync.Mutex
	boxes map[core.WorkerID]*box
	dirty []core.WorkerID // whose boxes have something new

	// Owned by the loop.
	socket   *zmqloop.Socket
	up       chan<- core.Signal
	members  map[core.WorkerID]*Member
	bodies   bodies
	revision int       // of the keys, as last seen
	foreign  bool      // a worker that was not hired has come, and Foreign knows
	nextBeat time.Time //
	nextLook time.Time // when a lost worker's time is over
	retry    time.Time // when a full peer is tried again
	refused  time.Time // of the last log line about a revoked key
	strayed  time.Time // of the last log line about a worker of the other mode
}

// box is what Deliver has for a worker and the loop has not encoded yet.
type box struct {
	words   []any // core.Down, or welcome
	joining int   // joins that the dispatcher's loop has not seen yet
	lost    bool  // its connection is broken
}

// boxSize bounds the words that wait for one worker; its window bounds the tasks
// in them.
const boxSize = 1024

var _ core.Transport = (*Hub)(nil)

// NewHub returns a hub that Serve sets going.
func NewHub(mode core.Mode, cfg HubConfig, talk Talk) (*Hub, error) {
	cfg = cfg.withDefaults()
	listen, err := cfg.address()
	if err != nil {
		return nil, err
	}
	cfg.Logger = cfg.Logger.With("mode", mode) // a dispatcher may have hubs of both modes
	h := &Hub{
		cfg: cfg, mode: mode, talk: talk, id: core.NewDispatcherID(), listen: listen, limits: wire.Limits{Payload: cfg.MaxPayload},
		ready: make(chan struct{}), boxes: map[core.WorkerID]*box{}, members: map[core.WorkerID]*Member{}, bodies: newBodies(),
	}
	h.loop, err = zmqloop.New(zmqloop.Config{
		Owner: owner{h}, MaxFrame: h.limits.Frame(), MaxFrames: 3*wire.MaxMessages + 8, Server: cfg.Curve, Logger: cfg.Logger,
	})
	return h, err
}

// Mode implements core.Transport.
func (h *Hub) Mode() core.Mode { return h.mode }

// Name says which dispatcher the hub belongs to: workers are told when they
// register. Call it before Serve. Default: an id of its own.
func (h *Hub) Name(id core.DispatcherID) { h.id = id }

// Ready is closed once the hub listens.
func (h *Hub) Ready() <-chan struct{} { return h.ready }

// Address is where the hub listens, such as tcp://127.0.0.1:5555; "" before
// Ready.
func (h *Hub) Address() string {
	select {
	case <-h.ready:
		return h.at
	default:
		return ""
	}
}

// Serve implements core.Transport.
func (h *Hub) Serve(ctx context.Context, up chan<- core.Signal) error {
	h.up = up
	return h.loop.Run(ctx)
}

// Deliver implements core.Transport. For a worker whose connection is broken it
// keeps what is not a task: the worker may come back and has to hear it.
func (h *Hub) Deliver(worker core.WorkerID, msg core.Down) error {
	_, tasks := msg.(core.DownTasks)
	_, register := msg.(core.DownRegister)
	h.mu.Lock()
	b := h.boxes[worker]
	switch {
	case b == nil || b.lost && tasks:
		h.mu.Unlock()
		return core.ErrGone
	case register && b.joining > 0: // it already has, the dispatcher will see
		h.mu.Unlock()
		return nil
	case len(b.words) >= boxSize:
		h.mu.Unlock()
		return core.ErrFull
	}
	h.post(worker, b, msg)
	h.mu.Unlock()
	h.loop.Ring()
	return nil
}

// post puts a word into a box. h.mu is held.
func (h *Hub) post(worker core.WorkerID, b *box, word any) {
	b.words = append(b.words, word)
	h.dirty = append(h.dirty, worker)
}

// welcome is the answer to a registration on its way through a box.
type welcome struct{ number uint64 }

// barrier finds out when the dispatcher's loop has seen a registration: it is the
// sender of a word that follows the registration and comes from a worker that
// nobody knows, so that the loop tells that worker to register. Thereby the
// welcome is in order with everything else that the loop says.
type barrier struct {
	hub    *Hub
	worker core.WorkerID
	number uint64
}

func (b barrier) Mode() core.Mode                                 { return b.hub.mode }
func (b barrier) Serve(context.Context, chan<- core.Signal) error { return nil }
func (b barrier) Deliver(_ core.WorkerID, _ core.Down) error {
	b.hub.mu.Lock()
	if box := b.hub.boxes[b.worker]; box != nil {
		box.joining--
		b.hub.post(b.worker, box, welcome{b.number})
	}
	b.hub.mu.Unlock()
	b.hub.loop.Ring()
	return nil
}

// owner is the hub as its loop sees it.
type owner struct{ h *Hub }

func (o owner) Open(l *zmqloop.Loop) (err error) {
	h := o.h
	if h.socket, err = l.Router(h.listen); err != nil {
		return err
	}
	if h.at, err = h.socket.Address(); err != nil {
		return err
	}
	h.nextBeat = time.Now().Add(h.cfg.Beat)
	close(h.ready)
	return nil
}

func (o owner) Close() {}

func (o owner) Receive(_ *zmqloop.Socket, m zmqloop.Message) {
	if _, ok := o.h.loop.Principal(m.User); !ok {
		// Its key was revoked after it had connected: it is told nothing.
		if now := time.Now(); now.Sub(o.h.refused) > 10*time.Second {
			o.h.refused = now
			o.h.cfg.Logger.Warn("a message with a revoked key was refused", "key", m.User)
		}
		return
	}
	o.h.talk.Receive(o.h, m.Route, m.User, m.Frames)
}

func (o owner) Work(now time.Time) (time.Time, error) {
	h := o.h
	if h.revision != h.loop.Revision() {
		h.revision = h.loop.Revision()
		h.revoke()
	}
	h.mu.Lock()
	dirty := h.dirty
	h.dirty = nil
	h.mu.Unlock()
	for _, id := range dirty {
		if m := h.members[id]; m != nil {
			h.talk.Flush(h, m)
		}
	}
	if !h.retry.IsZero() && !now.Before(h.retry) {
		h.retry = time.Time{}
		for _, m := range h.members {
			if len(m.Out) > 0 {
				h.talk.Flush(h, m)
			}
		}
	}
	if !now.Before(h.nextBeat) {
		h.nextBeat = now.Add(h.cfg.Beat)
		for _, m := range h.members {
			h.talk.Beat(h, m, now)
		}
		h.look(now)
	}
	if !h.nextLook.IsZero() && !now.Before(h.nextLook) {
		h.look(now)
	}
	next := h.nextBeat
	for _, t := range []time.Time{h.nextLook, h.retry} {
		if !t.IsZero() && t.Before(next) {
			next = t
		}
	}
	return next, nil
}

// look gives up workers that did not come back, or were not heard of for long.
func (h *Hub) look(now time.Time) {
	h.nextLook = time.Time{}
	for _, m := range h.members {
		over := m.lostAt.Add(h.cfg.LostAfter)
		switch {
		case !m.lostAt.IsZero() && !now.Before(over), now.Sub(m.heard) > h.cfg.Forget:
			h.forward(m, core.UpLeave{Lost: true})
			h.remove(m)
		case !m.lostAt.IsZero() && (h.nextLook.IsZero() || over.Before(h.nextLook)):
			h.nextLook = over
		}
	}
}

// revoke ends the membership of workers whose keys are not allowed any more.
func (h *Hub) revoke() {
	for _, m := range h.members {
		if name, ok := h.loop.Principal(m.user); !ok || name != m.key {
			h.cfg.Logger.Warn("a worker's key was revoked; its tasks are queued again", "worker", m.ID, "principal", m.key)
			h.forward(m, core.UpLeave{Lost: true})
			h.remove(m)
		}
	}
}

// Send sends frames along a route; the errors are those of zmqloop.
func (h *Hub) Send(route string, frames [][]byte) error {
	err := h.socket.Send(route, frames)
	if err != nil && !errors.Is(err, core.ErrGone) && !errors.Is(err, core.ErrFull) {
		h.cfg.Logger.Error("a message was not sent", "error", err)
	}
	return err
}

// Park is how long a pull worker's request may go unanswered.
func (h *Hub) Park() time.Duration { return h.cfg.Park }

// Retry has everything that is left in outboxes tried again soon.
func (h *Hub) Retry() {
	if h.retry.IsZero() {
		h.retry = time.Now().Add(5 * time.Millisecond)
	}
}
