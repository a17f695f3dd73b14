package pull

import (
	"errors"
	"time"

	"faasctl/core"
	"faasctl/workers/link"
	"faasctl/workers/wire"
)

// Config describes the dispatcher's end.
type Config = link.HubConfig

// Transport is the dispatcher's end.
type Transport = link.Hub

// New returns a transport that Serve sets going.
func New(cfg Config) (*Transport, error) { return link.NewHub(core.Pull, cfg, talk{}) }

// talk plays REP for many REQs at a time: an answer goes back along the route of
// its request, inside the request's envelope.
type talk struct{}

// Moves implements link.Talk. A worker has two sockets, hence two routes; both
// connect again by themselves.
func (talk) Moves() bool { return true }

// asker is where an answer goes.
type asker struct {
	route    string
	envelope [][]byte // up to and with the empty frame
	old      bool     // the worker has registered since, maybe along another connection
}

// state is what the talk knows of a worker.
type state struct {
	parked *asker // the request for work that is not answered yet
	until  time.Time
	report string // the route of its last other request: where it is probed
	broken bool   // a connection of its broke since it registered
	counts bool   // it says which answers arrived
	number uint64 // of the last answer to a request for work
	last   []wire.Message
}

func of(m *link.Member) *state {
	if m.State == nil {
		m.State = &state{}
	}
	return m.State.(*state)
}

func (t talk) Receive(h *link.Hub, route, user string, frames [][]byte) {
	if link.Bare(frames) { // a push worker, which understands no envelope
		_ = h.Send(route, wire.Frames([]wire.Message{h.Stray()}))
		return
	}
	end, ok := link.Envelope(frames)
	if !ok {
		return // no REQ sends that
	}
	from := asker{route: route, envelope: frames[:end+1]}
	taken := h.Take(route, user, frames[end+1:])
	m := taken.Member
	if m != nil && taken.Joined {
		s := of(m)
		if s.broken = false; s.parked != nil {
			s.parked.old = true
		}
	}
	switch {
	case taken.Reply != nil:
		_ = t.send(h, from, *taken.Reply)
	case m == nil:
		_ = t.send(h, from, wire.Note(wire.Nothing{}))
	case of(m).broken:
		// One of its sockets has connected again, and does not know what was lost:
		// the other's request, and tasks that could not be delivered.
		_ = t.send(h, from, wire.Down(core.DownRegister{}, nil)[0])
	case m.Single:
		t.single(h, m, from, taken.Work)
	case taken.Work != nil:
		t.work(h, m, from, *taken.Work)
	default:
		of(m).report = route
		h.Fill(m)
		notes := m.Notes[:min(len(m.Notes), wire.MaxMessages)]
		if len(notes) == 0 {
			_ = t.send(h, from, wire.Note(wire.Nothing{}))
		} else if t.send(h, from, notes...) == nil {
			m.Notes = append([]wire.Message(nil), m.Notes[len(notes):]...)
		}
		t.Flush(h, m)
	}
}

func (t talk) send(h *link.Hub, to asker, messages ...wire.Message) error {
	frames := append(make([][]byte, 0, len(to.envelope)+3*len(messages)), to.envelope...)
	return h.Send(to.route, append(frames, wire.Frames(messages)...))
}

// work parks a request until there is something to say.
func (t talk) work(h *link.Hub, m *link.Member, from asker, w wire.Work) {
	s := of(m)
	s.parked, s.until, s.counts = &from, time.Now().Add(h.Park()), w.Counts
	if w.Counts && s.last != nil && w.Seen != s.number {
		if t.send(h, from, s.last...) == nil { // the answer was lost
			s.parked = nil
		}
		return
	}
	s.last = nil
	t.Flush(h, m)
}

// single answers a worker with one socket. While it holds tasks it has to be able
// to talk, so its request is parked only when it holds none and asks for work.
func (t talk) single(h *link.Hub, m *link.Member, from asker, w *wire.Work) {
	s := of(m)
	s.report, s.parked, s.until = from.route, &from, time.Now().Add(h.Park())
	t.Flush(h, m)
	if s.parked != nil && (w == nil || len(m.Holds) > 0) {
		t.answer(h, m, wire.Note(wire.Nothing{}))
	}
}

func (t talk) Flush(h *link.Hub, m *link.Member) {
	h.Fill(m)
	if of(m).parked == nil || len(m.Out) == 0 && !(m.Single && len(m.Notes) > 0) {
		return
	}
	m.Out, m.Notes = append(m.Out, m.Notes...), nil
	n := min(wire.Split(m.Out), wire.MaxMessages-1) // room for a number
	if t.answer(h, m, m.Out[:n]...) == nil {
		if m.Out = m.Out[n:]; len(m.Out) == 0 {
			m.Out = nil
		}
	}
}

// answer answers the parked request. What cannot be sent stays where it is: the
// worker will ask again, or is lost.
func (t talk) answer(h *link.Hub, m *link.Member, messages ...wire.Message) error {
	s := of(m)
	to := *s.parked
	s.parked = nil
	if s.counts {
		numbered := make([]wire.Message, 0, 1+len(messages))
		numbered = append(numbered, wire.Note(wire.Reply{Number: s.number + 1}))
		messages = append(numbered, messages...)
	}
	err := t.send(h, to, messages...)
	if err == nil && s.counts {
		s.number++
		s.last = messages
	}
	if errors.Is(err, core.ErrGone) && !to.old {
		t.gone(h, m)
	}
	return err
}

// gone notes that a connection broke. The worker is not lost if it is heard of
// again, but has to register.
func (t talk) gone(h *link.Hub, m *link.Member) {
	of(m).broken = true
	h.Gone(m)
}

// probe is what a REQ drops without a word: the answer to a request that it has
// never made. A peer that is gone makes its sending fail.
var probe = append([][]byte{{0xff, 0xff, 0xff, 0xff}, {}}, wire.Frames([]wire.Message{wire.ProbeMessage()})...)

// Beat answers requests that were parked for long enough, and probes workers that
// hold tasks: one that died would not be asked for anything otherwise.
func (t talk) Beat(h *link.Hub, m *link.Member, now time.Time) {
	s := of(m)
	if s.parked != nil && !now.Before(s.until) {
		_ = t.answer(h, m, wire.Note(wire.Nothing{}))
	}
	if len(m.Holds) > 0 && s.report != "" && errors.Is(h.Send(s.report, probe), core.ErrGone) {
		t.gone(h, m)
	}
}
