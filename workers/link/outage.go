package link

import (
	"time"

	"faasctl/workers/wire"
	"faasctl/workers/zmqloop"
)

// outage is what keeps a worker from being with a dispatcher, and what the log
// has of it. Owned by the conn's loop.
type outage struct {
	told     string            // why this connection's dispatcher does not want the worker; "" if it has not said
	logged   map[string]logged // by URL, the last reason that the log has
	refusals int               // connections that ended in a refusal, one after another
	until    time.Time         // when the next connection is begun; zero: there is one
}

// logged is a reason, and the stage that it came from.
type logged struct {
	reason string
	stage  zmqloop.Stage
}

// refuse notes that the dispatcher does not want this worker.
func (o *outage) refuse(p *wire.Problem) { o.told = p.Text }

// over is the end of all outages: a registration has been answered.
func (o *outage) over() { *o = outage{logged: map[string]logged{}} }

// refused reports whether waiting on this connection is in vain.
func (c *Conn) refused() bool { return c.outage.told != "" || c.line.Stage().Final() }

// reason says for people why there is no dispatcher on this connection. What a
// broken handshake means depends on the keys that this worker has.
func (c *Conn) reason() string {
	if c.outage.told != "" {
		return "refused: " + c.outage.told
	}
	keyed := c.cfg.Curve != nil
	switch stage := c.line.Stage(); {
	case stage == zmqloop.Unreached:
		return "nobody answers there: is the dispatcher up? a firewall may be in between, too"
	case stage == zmqloop.Mute:
		return "nothing there speaks ZeroMQ: is it the port of a dispatcher? (5555 unless its banner says otherwise)"
	case stage == zmqloop.BrokenOff && keyed:
		return "the handshake was broken off: --server-key is not the .pub of the dispatcher's key, or the dispatcher has no keys, or it is not its port"
	case stage == zmqloop.BrokenOff:
		return "the handshake was broken off: the dispatcher demands keys (--curve, --server-key), or it is not its port"
	case stage == zmqloop.Mismatch && keyed:
		return "refused: the dispatcher has no keys; start it with --curve and --allow, or this worker without --curve and --server-key"
	case stage == zmqloop.Mismatch:
		return "refused: the dispatcher demands keys; faasctl keys new NAME makes one, NAME.pub goes into its --allow directory, and --curve NAME.key --server-key server.pub belong here"
	case stage == zmqloop.Refused:
		return "refused: the dispatcher does not know this worker's key; put the .pub of it into its --allow directory"
	}
	return "the dispatcher is silent"
}

// complain logs why a connection is given up, once per dispatcher until that
// changes or the worker has registered somewhere.
func (c *Conn) complain() {
	url, now := c.at(), logged{c.reason(), c.line.Stage()}
	before := c.outage.logged[url]
	if before.reason == now.reason || before.stage == zmqloop.Mismatch && now.stage == zmqloop.BrokenOff {
		return // which end finds out first that only one has keys, and hangs up, is chance
	}
	c.outage.logged[url] = now
	c.cfg.Logger.Warn("still trying: "+now.reason, "url", url)
}

// slowest is how many times Silence passes between two tries of a worker that all
// its dispatchers refuse.
const slowest = 5

// pause is how long to wait before the next connection. One that nobody answered
// is followed at once, as the dispatcher may be back any moment and what the
// worker holds counts on that. Who was refused by all comes back more and more
// slowly: people have to do something before that changes.
func (c *Conn) pause() time.Duration {
	if !c.refused() {
		c.outage.refusals = 0
		return 0
	}
	c.outage.refusals++
	return time.Duration(min(c.outage.refusals/len(c.cfg.URLs), slowest)) * c.quiet
}
