package zmqloop

import (
	"log/slog"
	"time"

	"github.com/pebbe/zmq4"
)

// refusals notes who did not get through the handshake, without a line for each
// try: whoever is refused goes on trying.
type refusals struct {
	log   *slog.Logger
	keyed bool // this side has keys
	notes map[string]note
}

// note is what was noted of one reason.
type note struct {
	at    time.Time // of the last line
	times int       // since
}

// noteEvery is how long a reason is not logged again.
const noteEvery = 10 * time.Minute

func (r *refusals) note(now time.Time, reason string) {
	n := r.notes[reason]
	n.times++
	if n.at.IsZero() || now.Sub(n.at) >= noteEvery {
		r.log.Warn(reason, "times", n.times)
		n = note{at: now}
	}
	r.notes[reason] = n
}

// hear takes what libzmq tells of a handshake that failed. The gate logs unknown
// keys itself.
func (r *refusals) hear(value int) {
	switch {
	case value == errCryptographic:
		r.note(time.Now(), "somebody with another server's public key was refused; at workers, --server-key is the .pub of this side's key")
	case value == errMechanism && r.keyed:
		r.note(time.Now(), "somebody without a key was refused; workers need --curve and --server-key")
	case value == errMechanism:
		r.note(time.Now(), "somebody with a key was refused, as this side has none; give it --curve and --allow, or workers none")
	}
}

// countRefusals notes who is refused at a socket that will be bound.
func (l *Loop) countRefusals(s *Socket) error {
	if !tellsHandshakes() {
		return nil
	}
	r := &refusals{log: l.cfg.Logger, keyed: l.gate != nil, notes: map[string]note{}}
	return l.watch(s, zmq4.EVENT_HANDSHAKE_FAILED_PROTOCOL, func(_ zmq4.Event, value int) { r.hear(value) })
}
