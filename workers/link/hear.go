package link

import (
	"slices"
	"time"

	"faasctl/core"
	"faasctl/workers/wire"
)

// Take hears what one multipart of the dispatcher says, and returns the number of
// the answer if it has one.
func (c *Conn) Take(frames [][]byte) (number uint64, numbered bool) {
	messages, err := wire.Unpack(frames, c.limits)
	for _, m := range messages {
		var word any
		if word, err = wire.ReadDown(m, c.limits); err != nil {
			if m.Kind == wire.KindTasks && c.Registered() {
				c.register() // so that they do not count as held here
			}
			break
		}
		if reply, ok := word.(wire.Reply); ok {
			number, numbered = reply.Number, true
		}
		if p, ok := word.(*wire.Problem); ok && c.isRefusal(p) {
			c.outage.refuse(p)
			continue
		}
		c.heard = time.Now()
		c.fenced = false
		c.hear(word)
	}
	if err != nil {
		c.cfg.Logger.Warn("the dispatcher was not understood", "error", err)
	}
	return number, numbered
}

// isRefusal says whether a dispatcher will not have this worker at all.
func (c *Conn) isRefusal(p *wire.Problem) bool {
	return !c.Registered() && (p.Code == wire.WrongMode || p.Code == wire.BadVersion || p.Code == wire.Forbidden)
}

// Registered says that the dispatcher has answered the latest registration.
func (c *Conn) Registered() bool { return c.asked == 0 && c.welcomed == c.number }

func (c *Conn) hear(word any) {
	switch word := word.(type) {
	case wire.Welcome:
		if word.Number == c.number && c.asked == 0 {
			c.cfg.Logger.Info("registered", "worker", c.Worker, "dispatcher", word.Dispatcher)
			c.welcomed, c.Park, c.limit = word.Number, word.Park, min(c.cfg.MaxPayload, word.MaxPayload)
			c.outage.over()
		}
	case core.DownRegister:
		if c.Registered() { // else it was said before the registration arrived
			c.register()
		}
	case core.DownTasks:
		if c.Registered() {
			c.deliver(word.Tasks)
		}
	case wire.Body:
		c.learn(word.Hash, word.Bytes)
	case *wire.Problem:
		c.trouble(word)
	case core.DownCancel:
		c.unpark(func(a core.Assignment) bool { return slices.Contains(word.Tasks, a.Task) })
		c.agent.Deliver(word)
	case core.DownLost:
		c.unpark(func(a core.Assignment) bool { return slices.Contains(word.Leases, a.Lease) })
		c.agent.Deliver(word)
	case core.Down:
		c.agent.Deliver(word)
	}
}

// deliver hands tasks to the agent; those whose body is missing wait for it.
func (c *Conn) deliver(tasks []core.Assignment) {
	ready := tasks[:0]
	var missing []string
	for _, a := range tasks {
		f := a.Function
		if f.Body != nil {
			c.learn(f.BodyHash, f.Body)
		} else if body, ok := c.bodies.get(f.BodyHash); ok {
			f.Body = body
		}
		if f.Body != nil {
			ready = append(ready, a)
			continue
		}
		if len(c.parked[f.BodyHash]) == 0 {
			missing = append(missing, f.BodyHash)
		}
		c.parked[f.BodyHash] = append(c.parked[f.BodyHash], a)
	}
	if len(ready) > 0 {
		c.agent.Deliver(core.DownTasks{Tasks: ready})
	}
	if len(missing) > 0 {
		c.Out = append(c.Out, wire.NeedBodyMessage(c.Worker, missing))
	}
}

// learn remembers a body, and starts what waited for it. One that is not what its
// hash says is not believed.
func (c *Conn) learn(hash string, body []byte) {
	if _, known := c.bodies.get(hash); !known {
		if core.HashBody(body) != hash {
			c.cfg.Logger.Warn("a function's body is not what its hash says", "hash", hash)
			c.giveBack(hash)
			return
		}
		c.bodies.put(hash, body)
	}
	waiting := c.parked[hash]
	delete(c.parked, hash)
	for i := range waiting {
		waiting[i].Function.Body = body
	}
	if len(waiting) > 0 {
		c.agent.Deliver(core.DownTasks{Tasks: waiting})
	}
}

// giveBack returns tasks whose body cannot be had.
func (c *Conn) giveBack(hash string) {
	var leases []core.Lease
	for _, a := range c.parked[hash] {
		leases = append(leases, a.Lease)
	}
	delete(c.parked, hash)
	if len(leases) > 0 && c.asked == 0 {
		c.Out = append(c.Out, wire.Up(c.Worker, core.UpReturn{Leases: leases})...)
	}
}

// unpark takes back tasks that wait for a body; the agent does not know them.
func (c *Conn) unpark(doomed func(core.Assignment) bool) {
	var back []core.Lease
	for hash, waiting := range c.parked {
		c.parked[hash] = slices.DeleteFunc(waiting, func(a core.Assignment) bool {
			if doomed(a) {
				back = append(back, a.Lease)
			}
			return doomed(a)
		})
	}
	if len(back) > 0 && c.asked == 0 {
		c.Out = append(c.Out, wire.Up(c.Worker, core.UpReturn{Leases: back})...)
	}
}

func (c *Conn) trouble(p *wire.Problem) {
	if p.Code == wire.NoBody {
		c.giveBack(p.Text)
		return
	}
	c.cfg.Logger.Error("the dispatcher refused a message", "code", p.Code, "text", p.Text)
}
