package push

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
func New(cfg Config) (*Transport, error) { return link.NewHub(core.Push, cfg, talk{}) }

// talk carries messages between a ROUTER and DEALERs: no envelope, no turns.
type talk struct{}

// Moves implements link.Talk. A DEALER that has connected again may have missed
// something, and must register.
func (talk) Moves() bool { return false }

func (t talk) Receive(h *link.Hub, route, user string, frames [][]byte) {
	if end, ok := link.Envelope(frames); ok && link.Bare(frames[end+1:]) && !link.Bare(frames) {
		// A pull worker hears only what comes in its envelope.
		answer := append(frames[:end+1:end+1], wire.Frames([]wire.Message{h.Stray()})...)
		_ = h.Send(route, answer)
		return
	}
	taken := h.Take(route, user, frames)
	if taken.Reply != nil {
		// Whoever is gone or full by now is not waited for.
		_ = h.Send(route, wire.Frames([]wire.Message{*taken.Reply}))
	}
}

func (t talk) Flush(h *link.Hub, m *link.Member) {
	h.Fill(m)
	m.Out, m.Notes = append(m.Out, m.Notes...), nil
	for len(m.Out) > 0 {
		n := wire.Split(m.Out)
		err := h.Send(m.Route, wire.Frames(m.Out[:n]))
		switch {
		case errors.Is(err, core.ErrGone):
			h.Gone(m)
			return
		case errors.Is(err, core.ErrFull):
			h.Retry()
			return
		}
		if m.Out = m.Out[n:]; len(m.Out) == 0 {
			m.Out = nil
			h.Fill(m)
		}
	}
}

// Beat says to every worker that the dispatcher lives; to one that holds nothing
// every other time only.
func (t talk) Beat(h *link.Hub, m *link.Member, _ time.Time) {
	rested, _ := m.State.(bool)
	rests := len(m.Holds) == 0 && !rested
	m.State = rests
	if len(m.Out) == 0 && !rests {
		m.Out = append(m.Out, wire.Note(wire.Alive{}))
	}
	t.Flush(h, m)
}
