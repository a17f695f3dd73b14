package agent

import (
	"slices"
	"sync"
	"time"

	"faasctl/core"
)

// sink is how the runner reports; its calls come from the runner's goroutines.
type sink struct{ a *Agent }

func (s sink) Started(lease core.Lease, at time.Time) { s.a.inbox.start(lease, at) }
func (s sink) Ended(o core.Outcome)                   { s.a.inbox.end(o) }
func (s sink) Printed(lease core.Lease, ran time.Duration, pieces []core.Piece) {
	s.a.inbox.print(lease, ran, pieces)
}
func (s sink) Progressed(lease core.Lease, p core.Progress) { s.a.inbox.progress(lease, p) }

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
	printed  []core.Printed
	bytes    int // of printed
	progress map[core.Lease]core.Progress
	prepared []core.Preparation // the latest of each function
	fenced   bool
}

// printedRoom bounds the output that waits for the agent, in bytes. What comes
// while there is no room is not sent; it is kept with the outcome.
const printedRoom = 1 << 20

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

func (i inbox) print(lease core.Lease, ran time.Duration, pieces []core.Piece) {
	i.put(func() {
		for _, p := range pieces {
			if i.box.bytes+len(p.Data) <= printedRoom {
				i.box.printed = append(i.box.printed, core.Printed{Lease: lease, Piece: p, Ran: ran})
				i.box.bytes += len(p.Data)
			}
		}
	}, true)
}

// progress is told with the next beat, and at once of a followed task.
func (i inbox) progress(lease core.Lease, p core.Progress) {
	i.put(func() {
		if i.box.progress == nil {
			i.box.progress = map[core.Lease]core.Progress{}
		}
		i.box.progress[lease] = p
	}, true)
}

func (i inbox) prepare(p core.Preparation) {
	i.put(func() {
		i.box.prepared = slices.DeleteFunc(i.box.prepared, func(old core.Preparation) bool { return old.Same(p) })
		i.box.prepared = append(i.box.prepared, p)
	}, true)
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

func (i inbox) take() box {
	i.mu.Lock()
	defer i.mu.Unlock()
	full := *i.box
	*i.box = box{}
	return full
}
