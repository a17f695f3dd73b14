package link

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"faasctl/core"
	"faasctl/workers/wire"
	"faasctl/workers/zmqloop"
)

// DialConfig describes the worker's end of a socket mode. URLs is required.
type DialConfig struct {
	// URLs are the dispatchers. The worker is with one of them at a time, and
	// tries the next when that one is silent.
	URLs []string
	// Curve is the worker's key. Required beyond the loopback, unless Insecure
	// is set.
	Curve *zmqloop.ClientCurve
	// Insecure connects beyond the loopback without keys. Default: false.
	Insecure bool
	// Silence is how long nothing may come from a dispatcher before another
	// connection is tried, give or take a tenth; more than two beats. Default: 3 s.
	Silence time.Duration
	// Fence is how long nothing may come from any dispatcher before the worker
	// kills what it runs, as it will be others' soon. Default: 25 s.
	Fence time.Duration
	// Farewell is how long the last words may take at the end. Default: 1 s.
	Farewell time.Duration
	// Token is shown to the dispatcher, whose own process has started the worker
	// and given it: see HubConfig.Hired. Default: "".
	Token string
	// MaxPayload bounds one payload, in bytes. The dispatcher's word counts, if
	// it is less. Default: core.MaxPayload.
	MaxPayload int
	// Logger takes what nobody is told otherwise. Default: slog.Default().
	Logger *slog.Logger
}

func (c DialConfig) withDefaults() DialConfig {
	c.Silence = cmp.Or(c.Silence, 3*time.Second)
	c.Fence = cmp.Or(c.Fence, 25*time.Second)
	c.Farewell = cmp.Or(c.Farewell, time.Second)
	c.MaxPayload = cmp.Or(c.MaxPayload, core.MaxPayload)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	return c
}

// Agent is what a Conn carries; agent.Agent is one.
type Agent interface {
	// Run registers the worker and serves; it registers again for each
	// DownRegister.
	Run(ctx context.Context, up func(core.Up)) error
	// Deliver takes a word of the dispatcher; it never blocks.
	Deliver(msg core.Down)
	// Fence kills what runs and forgets what waits.
	Fence()
}

// Line is how one mode carries messages from a Conn. Its methods are called from
// the conn's loop.
type Line interface {
	// Open connects to an address.
	Open(l *zmqloop.Loop, address string) error
	// Receive takes what came in, and calls Conn.Take.
	Receive(c *Conn, s *zmqloop.Socket, frames [][]byte)
	// Flush sends what it can of c.Out, and says when it wants to be called again
	// at the latest. ErrSilent has the Conn try another connection.
	Flush(c *Conn, now time.Time) (next time.Time, err error)
	// Stage is how far the connection has got.
	Stage() zmqloop.Stage
	// Idle says that nothing that was sent awaits an answer.
	Idle() bool
	// Close ends the connection; what was sent lingers for a while, if it shall.
	Close(linger bool)
}

// ErrSilent says that the other end does not answer.
var ErrSilent = core.Errorf(core.ErrUnavailable, "", "the dispatcher is silent")

// Conn is the worker's end: it carries the words of one agent to one dispatcher
// at a time, for ever. One goroutine does all but Run's waiting.
type Conn struct {
	cfg    DialConfig
	agent  Agent
	line   Line
	loop   *zmqloop.Loop
	limits wire.Limits

	mu     sync.Mutex
	room   *sync.Cond // told when said was taken
	said   []core.Up
	closed bool // nothing is taken any more
	ended  bool // the agent has

	// Owned by the loop, and used by the Line.
	Worker core.WorkerID
	Out    []wire.Message // to be sent, in order
	Park   time.Duration  // as the dispatcher says

	// Owned by the loop.
	asked    int    // registrations that the agent was asked for and has not made
	number   uint64 // of the last one
	welcomed uint64 // the last one that was answered
	limit    int    // bytes that one result may have, as the dispatcher says
	url      int
	quiet    time.Duration // Silence, jittered for this connection
	dialled  time.Time     // when this connection was begun
	joinedAt time.Time     // when it registered
	heard    time.Time     // when anything came from any dispatcher, but for refusals
	fenced   bool
	outage   outage
	left     bool // the agent has said goodbye
	byeAt    time.Time
	bodies   bodies
	parked   map[string][]core.Assignment // tasks that wait for the body of that hash
}

// Dial returns a Conn that Run sets going.
func Dial(cfg DialConfig, line Line, agent Agent) (*Conn, error) {
	cfg = cfg.withDefaults()
	if len(cfg.URLs) == 0 {
		return nil, core.Errorf(core.ErrInvalid, "worker", "the address of a dispatcher is needed").WithHint("such as tcp://127.0.0.1:5555")
	}
	urls := make([]string, len(cfg.URLs))
	for i, url := range cfg.URLs {
		address, err := zmqloop.Address(url)
		if err != nil {
			return nil, err
		}
		if err := zmqloop.CheckReach(address, cfg.Curve != nil, cfg.Insecure); err != nil {
			return nil, err
		}
		urls[i] = address
	}
	cfg.URLs = urls
	c := &Conn{
		cfg: cfg, agent: agent, line: line, limits: wire.Limits{Payload: cfg.MaxPayload}, limit: cfg.MaxPayload, asked: 1,
		Park: 10 * time.Second, bodies: newBodies(), parked: map[string][]core.Assignment{},
	}
	c.outage.over()
	c.room = sync.NewCond(&c.mu)
	var err error
	c.loop, err = zmqloop.New(zmqloop.Config{
		Owner: connOwner{c}, MaxFrame: c.limits.Frame(), MaxFrames: 3*wire.MaxMessages + 8, Linger: 2 * cfg.Farewell, Client: cfg.Curve, Logger: cfg.Logger,
	})
	return c, err
}

// Run carries the agent until it has left or ctx is done. At the end the
// dispatcher is told, so that what was held is queued again at once.
func (c *Conn) Run(ctx context.Context) error {
	var group errgroup.Group
	looping, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	serving, stopServing := context.WithCancel(ctx)
	defer stopServing()
	group.Go(func() error {
		defer stopServing()
		defer c.shut()
		return c.loop.Run(looping)
	})
	group.Go(func() error {
		err := c.agent.Run(serving, c.up)
		c.mu.Lock()
		c.ended = true
		c.mu.Unlock()
		c.loop.Ring()
		return err
	})
	return group.Wait()
}

// queueSize bounds the agent's words that wait for the loop.
const queueSize = 1024

// outputQueue is how many messages may wait when one with live output is added:
// it is the first to be left out.
const outputQueue = 64

// up takes a word of the agent; it blocks while the loop does not keep up.
func (c *Conn) up(word core.Up) {
	c.mu.Lock()
	for len(c.said) >= queueSize && !c.closed {
		c.room.Wait()
	}
	c.said = append(c.said, word)
	c.mu.Unlock()
	c.loop.Ring()
}

func (c *Conn) shut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.room.Broadcast()
}

// connOwner is the conn as its loop sees it.
type connOwner struct{ *Conn }

func (o connOwner) Open(l *zmqloop.Loop) error {
	c := o.Conn
	c.heard = time.Now()
	c.url = rand.IntN(len(c.cfg.URLs)) // many workers do not all fall on the first
	return c.dial()
}

func (o connOwner) Close() { o.line.Close(true) }

func (o connOwner) Receive(s *zmqloop.Socket, m zmqloop.Message) { o.line.Receive(o.Conn, s, m.Frames) }

func (o connOwner) Work(now time.Time) (time.Time, error) {
	c := o.Conn
	ended := c.gather()
	if !c.fenced && !now.Before(c.heard.Add(c.cfg.Fence)) {
		c.fence(ended)
	}
	next, err := c.flush(now)
	if due := c.dueAt(); err != nil || c.refused() || !now.Before(due) {
		if ended {
			return now, zmqloop.ErrDone
		}
		c.giveUp(now)
		if next, err = c.flush(now); err != nil {
			next = now.Add(c.quiet)
		}
	}
	due := c.dueAt()
	if !c.fenced {
		due = earlier(due, c.heard.Add(c.cfg.Fence))
	}
	if ended {
		if c.byeAt.IsZero() {
			c.byeAt = now.Add(c.cfg.Farewell)
		}
		if len(c.Out) == 0 && c.line.Idle() || !now.Before(c.byeAt) {
			return now, zmqloop.ErrDone
		}
		due = earlier(due, c.byeAt)
	}
	return earlier(next, due), nil
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// dueAt is when this connection will have been silent for too long: it has been
// heard, or it is young; and its registration is answered in time. Without a
// connection it is when the next one is begun.
func (c *Conn) dueAt() time.Time {
	if !c.outage.until.IsZero() {
		return c.outage.until
	}
	at := c.dialled
	if c.heard.After(at) {
		at = c.heard
	}
	at = at.Add(c.quiet)
	if c.asked == 0 && c.welcomed != c.number {
		at = earlier(at, c.joinedAt.Add(c.quiet))
	}
	return at
}

// at is the dispatcher of this connection.
func (c *Conn) at() string { return c.cfg.URLs[c.url%len(c.cfg.URLs)] }

func (c *Conn) dial() error {
	c.dialled, c.outage.until, c.outage.told = time.Now(), time.Time{}, ""
	c.quiet = c.cfg.Silence - c.cfg.Silence/10 + rand.N(c.cfg.Silence/5+1)
	return c.line.Open(c.loop, c.at())
}

// flush has the line send, if there is one.
func (c *Conn) flush(now time.Time) (time.Time, error) {
	if !c.outage.until.IsZero() {
		return time.Time{}, nil
	}
	return c.line.Flush(c, now)
}

// giveUp ends a connection that leads nowhere, and begins the next, at once or
// after a pause.
func (c *Conn) giveUp(now time.Time) {
	if c.outage.until.IsZero() {
		c.complain()
		pause := c.pause()
		c.line.Close(false)
		c.url++
		if pause > 0 {
			c.outage.until, c.outage.told = now.Add(pause), ""
			return
		}
	}
	c.redial()
}

// redial begins the next connection with a registration.
func (c *Conn) redial() {
	c.line.Close(false)
	c.Out = nil
	c.register()
	if err := c.dial(); err != nil {
		c.line.Close(false)
		c.outage.until = time.Now().Add(c.quiet)
		c.cfg.Logger.Error("no connection can be made now", "error", err)
	}
}

// fence has the agent kill what runs. A registration that is on its way names it
// still, so that another one has to follow.
func (c *Conn) fence(ended bool) {
	c.fenced = true
	c.cfg.Logger.Error("no dispatcher was heard for long; what runs is killed, as others will run it", "after", c.cfg.Fence)
	c.agent.Fence()
	if !ended {
		c.url++
		c.redial()
	}
}

// register has the agent introduce itself. Until that is answered tasks are
// dropped: they were sent before, and the agent does not name them.
func (c *Conn) register() {
	c.asked++
	clear(c.parked)
	c.agent.Deliver(core.DownRegister{})
}

// gather takes what the agent has said, and tells whether it has ended.
func (c *Conn) gather() bool {
	c.mu.Lock()
	said, ended := c.said, c.ended
	c.said = nil
	c.room.Broadcast()
	c.mu.Unlock()
	for _, word := range said {
		c.say(word)
	}
	if ended && !c.left {
		c.say(core.UpLeave{})
	}
	return ended
}

func (c *Conn) say(word core.Up) {
	switch word := word.(type) {
	case core.UpJoin:
		if c.asked--; c.asked == 0 {
			c.number++
			c.joinedAt = time.Now()
			c.Worker = word.Worker.ID
			c.Out = append(c.Out, wire.JoinMessage(wire.Join{UpJoin: word, Number: c.number, Token: c.cfg.Token}))
		}
		return
	case core.UpFinish:
		c.shrink(word.Outcomes)
	case core.UpLeave:
		c.left = true
	case core.UpBeat:
		if len(c.Out) >= queueSize && len(word.Started) == 0 {
			return
		}
	case core.UpOutput:
		if len(c.Out) >= outputQueue {
			return
		}
	}
	if c.asked == 0 { // else it is said again with the registration
		c.Out = append(c.Out, wire.Up(c.Worker, word)...)
	}
}

// shrink replaces results that the dispatcher would not take in.
func (c *Conn) shrink(outcomes []core.Outcome) {
	for i, o := range outcomes {
		if size := max(len(o.Result.JSON), len(o.Result.Pickle)); size > c.limit {
			outcomes[i].State = core.Failed
			outcomes[i].Result = core.Result{Failure: &core.Failure{
				Kind: core.KindResultTooLarge, Message: "the result is larger than the dispatcher accepts",
			}}
		}
	}
}
