package httpapi

import (
	"sync"
	"time"

	"faasctl/core"
)

// polls knows who polls without pause. A client that asks for a result again within
// pollAgain of its last question, or of the submission, does nothing but wait for it: his
// question is answered when the task ends, or after pollHold. That costs him nothing, and
// the server a fraction of what many questions do. Who looks at many tasks in turn,
// or now and then, is answered at once.
type polls struct {
	mu   sync.Mutex
	last map[core.TaskID]time.Time // when a task was asked about and had not ended
}

const (
	pollAgain = 20 * time.Millisecond
	pollHold  = 10 * time.Millisecond
	maxPolls  = 4096 // tasks in last
)

func newPolls() *polls { return &polls{last: map[core.TaskID]time.Time{}} }

// hold says how long a question may wait for a task's end.
func (p *polls) hold(id core.TaskID, now time.Time) time.Duration {
	p.mu.Lock()
	before := p.last[id]
	p.mu.Unlock()
	// The id holds the time of the submission, by the clock of who took it: a guess.
	submitted, _ := id.Time()
	if now.Sub(before) <= pollAgain || now.Sub(submitted).Abs() <= pollAgain {
		return pollHold
	}
	return 0
}

// answered notes that a question was answered, and whether with the task's end.
func (p *polls) answered(id core.TaskID, ended bool, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ended {
		delete(p.last, id)
		return
	}
	if len(p.last) >= maxPolls { // those of whom nobody asks any more
		for other, at := range p.last {
			if now.Sub(at) > pollAgain {
				delete(p.last, other)
			}
		}
		if len(p.last) >= maxPolls {
			clear(p.last)
		}
	}
	p.last[id] = now
}
