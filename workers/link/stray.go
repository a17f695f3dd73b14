package link

import (
	"time"

	"faasctl/core"
	"faasctl/workers/wire"
)

// maxEnvelope is how many frames may stand before the empty one: a request id,
// and a few devices on the way.
const maxEnvelope = 4

// Envelope finds the message in what a REQ sends: end is where its empty frame
// stands. A DEALER's message has none before its first.
func Envelope(frames [][]byte) (end int, ok bool) {
	for end < len(frames) && end <= maxEnvelope && len(frames[end]) > 0 {
		end++
	}
	return end, end < len(frames) && end <= maxEnvelope
}

// Bare reports whether a message stands at the beginning, without an envelope: a
// kind and a version, then a JSON array.
func Bare(frames [][]byte) bool {
	return len(frames) >= 3 && len(frames[0]) == 2 && len(frames[1]) > 0 && frames[1][0] == '['
}

// strayEvery is how long no other stray is logged.
const strayEvery = 10 * time.Minute

// Stray is the answer to a worker of the other mode, which has come to the wrong
// port.
func (h *Hub) Stray() wire.Message {
	other := core.Push
	if h.mode == core.Push {
		other = core.Pull
	}
	if now := time.Now(); h.strayed.IsZero() || now.Sub(h.strayed) >= strayEvery {
		h.strayed = now
		h.cfg.Logger.Warn("a " + string(other) + " worker has come to this port, and was told that it is for " + string(h.mode))
	}
	return wire.Note(&wire.Problem{
		Code: wire.WrongMode,
		Text: "this port is for " + string(h.mode) + " workers: type faasctl worker " + string(h.mode) + " N URL, or take the dispatcher's port for " + string(other),
	})
}
