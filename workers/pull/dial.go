package pull

import (
	"time"

	"faasctl/core"
	"faasctl/workers/link"
	"faasctl/workers/wire"
	"faasctl/workers/zmqloop"
)

// Dial returns the worker's end, which carries one agent.
func Dial(cfg link.DialConfig, agent link.Agent) (*link.Conn, error) {
	return link.Dial(cfg, &line{silence: cfg.Silence}, agent)
}

// NewWorker returns a whole worker: Python children, agent and connection.
func NewWorker(cfg link.WorkerConfig) (*link.Worker, error) {
	return link.NewWorker(core.Pull, cfg, Dial)
}

// line carries messages over two REQs: work has a request out all the time,
// report has one out for each batch of words.
type line struct {
	silence time.Duration // that a request for work may go unanswered, beyond its parking

	work, report *zmqloop.Socket
	asking       bool      // work has a request out
	askedAt      time.Time // since when
	telling      bool      // report has one out
	toldAt       time.Time
	joins        bool   // the report that is out registers the worker
	known        bool   // a registration got through on this connection
	seen         uint64 // the last answer to work that arrived
}

func (d *line) Open(l *zmqloop.Loop, address string) (err error) {
	if d.silence == 0 {
		d.silence = 3 * time.Second
	}
	*d = line{silence: d.silence}
	if d.work, err = l.Req(address); err != nil {
		return err
	}
	d.report, err = l.Req(address)
	return err
}

func (d *line) Close(linger bool) {
	for _, s := range []*zmqloop.Socket{d.work, d.report} {
		if s != nil {
			_ = s.Close(linger) // it has nothing to say any more
		}
	}
	d.work, d.report = nil, nil
}

func (d *line) Idle() bool { return !d.telling }

func (d *line) Stage() zmqloop.Stage {
	if d.report == nil {
		return zmqloop.Unknown
	}
	return d.report.Stage()
}

func (d *line) Receive(c *link.Conn, s *zmqloop.Socket, frames [][]byte) {
	number, numbered := c.Take(frames)
	switch {
	case s == d.report:
		d.telling = false
		if d.joins {
			// What was asked for before may have been asked of a dispatcher that
			// is gone: ask again.
			d.joins, d.known, d.asking = false, true, false
		}
	case numbered:
		d.asking, d.seen = false, number
	default:
		d.asking = false
		if !c.Registered() {
			d.known = false // told to register: ask for work after that
		}
	}
}

// patience is how long a report may go unanswered: it is answered at once, so that
// its connection must have broken. The worker has to be back before the dispatcher
// takes it for lost, 1.5 s after that.
func (d *line) patience() time.Duration { return d.silence * 2 / 5 }

func (d *line) Flush(c *link.Conn, now time.Time) (next time.Time, err error) {
	if d.telling && !now.Before(d.toldAt.Add(d.patience())) {
		return now, link.ErrSilent
	}
	if !d.telling && len(c.Out) > 0 {
		n := wire.Split(c.Out)
		if err := d.report.Send("", wire.Frames(c.Out[:n])); err != nil {
			return now, link.ErrSilent
		}
		d.telling, d.toldAt = true, now
		for _, m := range c.Out[:n] {
			d.joins = d.joins || m.Kind == wire.KindJoin
		}
		if c.Out = c.Out[n:]; len(c.Out) == 0 {
			c.Out = nil
		}
	}
	late := d.askedAt.Add(c.Park + d.silence)
	if d.known && (!d.asking || !now.Before(late)) {
		if err := d.work.Send("", wire.Frames([]wire.Message{wire.WorkMessage(c.Worker, d.seen)})); err != nil {
			return now, link.ErrSilent
		}
		d.asking, d.askedAt = true, now
		late = now.Add(c.Park + d.silence)
	}
	if d.telling {
		next = d.toldAt.Add(d.patience())
	}
	if d.asking && (next.IsZero() || late.Before(next)) {
		next = late
	}
	return next, nil
}
