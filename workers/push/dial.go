package push

import (
	"errors"
	"time"

	"faasctl/core"
	"faasctl/workers/link"
	"faasctl/workers/wire"
	"faasctl/workers/zmqloop"
)

// Dial returns the worker's end, which carries one agent.
func Dial(cfg link.DialConfig, agent link.Agent) (*link.Conn, error) {
	return link.Dial(cfg, &line{}, agent)
}

// NewWorker returns a whole worker: Python children, agent and connection.
func NewWorker(cfg link.WorkerConfig) (*link.Worker, error) {
	return link.NewWorker(core.Push, cfg, Dial)
}

// line carries messages over a DEALER.
type line struct{ socket *zmqloop.Socket }

func (d *line) Open(l *zmqloop.Loop, address string) (err error) {
	d.socket, err = l.Dealer(address)
	return err
}

func (d *line) Close(linger bool) {
	if d.socket != nil {
		_ = d.socket.Close(linger) // it has nothing to say any more
	}
	d.socket = nil
}

func (d *line) Idle() bool { return true }

func (d *line) Stage() zmqloop.Stage {
	if d.socket == nil {
		return zmqloop.Unknown
	}
	return d.socket.Stage()
}

func (d *line) Receive(c *link.Conn, _ *zmqloop.Socket, frames [][]byte) { c.Take(frames) }

// full is after what time a socket that was full is tried again.
const full = 10 * time.Millisecond

func (d *line) Flush(c *link.Conn, now time.Time) (time.Time, error) {
	for len(c.Out) > 0 {
		n := wire.Split(c.Out)
		err := d.socket.Send("", wire.Frames(c.Out[:n]))
		if errors.Is(err, core.ErrFull) {
			return now.Add(full), nil
		}
		if err != nil && !errors.Is(err, core.ErrTooLarge) {
			return now, link.ErrSilent
		}
		c.Out = c.Out[n:]
	}
	c.Out = nil
	return time.Time{}, nil
}
