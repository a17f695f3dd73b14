package agent

import (
	"sync"
	"time"

	"faasctl/core"
)

// sink is how the runner reports; its calls come from the runner's goroutines.
type sink struct{ a *Agent }

func (s sink) Started(lease core.Lease, at time.Time) { s.a.inbox.start(lease, at) }
func (s sink) Ended(o core.Outcome)                   { s.a.inbox.end(o) }

// inbox gathers what others say to the agent. It is bounded by the credit that
// the agent gave out, and by what runs.
type inbox struct {
	bell chan struct{} // capacity 1
	mu   *sync.Mutex
	box  *box
}

type box struct {
	messages []core.Down
	starts   []started
	ends     []core.Outcome
	fenced   bool
}

type started struct {
	lease core.Lease
	at    time.Time
}

func newInbox() inbox {
	return inbox{bell: make(chan struct{}, 1), mu: &sync.Mutex{}, box: &box{}}
}

func (i inbox) down(msg core.Down) {
	i.put(func() { i.box.messages = append(i.box.messages, msg) }, true)
}
func (i inbox) end(o core.Outcome) { i.put(func() { i.box.ends = append(i.box.ends, o) }, true) }

// start rings no bell: starts are told with the next beat.
func (i inbox) start(lease core.Lease, at time.Time) {
	i.put(func() { i.box.starts = append(i.box.starts, started{lease, at}) }, false)
}

func (i inbox) fence() { i.put(func() { i.box.fenced = true }, true) }

func (i inbox) put(add func(), ring bool) {
	i.mu.Lock()
	add()
	i.mu.Unlock()
	if !ring {
		return
	}
	select {
	case i.bell <- struct{}{}:
	default:
	}
}

func (i inbox) take() ([]core.Down, []started, []core.Outcome, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	full := *i.box
	*i.box = box{}
	return full.messages, full.starts, full.ends, full.fenced
}
