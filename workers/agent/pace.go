package agent

import (
	"time"

	"faasctl/core"
)

const (
	quantum  = 5 * time.Millisecond // work that a slot may hold in advance
	maxDepth = 256                  // calls that a slot may hold
	memory   = 1024                 // functions whose cost is remembered
)

// pace remembers what a call of each function costs, so that cheap calls can be
// held and run in batches and dear ones are never queued behind one another.
type pace struct {
	cost map[core.FunctionID]time.Duration
}

func newPace() pace { return pace{cost: map[core.FunctionID]time.Duration{}} }

// learn takes one call's time in: a moving average that rises at once and falls
// slowly, as one dear call does more harm in a batch than a cheap one does good.
func (p pace) learn(id core.FunctionID, took time.Duration) {
	old, known := p.cost[id]
	if !known && len(p.cost) >= memory {
		for other := range p.cost {
			delete(p.cost, other)
			break
		}
	}
	switch {
	case !known || took > 2*old:
		p.cost[id] = max(took, time.Microsecond)
	default:
		p.cost[id] = max(old+(took-old)/8, time.Microsecond)
	}
}

// depth is how many calls of a function a slot may hold: 1 until measured.
func (p pace) depth(id core.FunctionID) int {
	cost, known := p.cost[id]
	if !known {
		return 1
	}
	return min(max(1, int(quantum/cost)), maxDepth)
}

// work hands waiting calls to free slots. A batch holds about one quantum of
// work, and no more than an even share of what waits.
func (a *Agent) work() {
	for free := a.cfg.Worker.Slots - a.busy; free > 0 && len(a.waiting) > 0; free-- {
		share := (len(a.waiting) + free - 1) / free
		n := a.pace.fit(a.waiting, share)
		batch := a.waiting[:n:n]
		a.waiting = a.waiting[n:]
		left := n
		for _, w := range batch {
			a.active[w.Task] = &call{lease: w.Lease, function: w.Function.ID, attempt: w.Attempt, batch: &left}
			a.uncount(w.Function.ID)
		}
		a.busy++
		a.followStarted(batch)
		a.cfg.Runner.Start(batch, sink{a})
	}
	if len(a.waiting) == 0 {
		a.waiting = nil // lets go of the arguments that the array still holds
	}
}

// fit says how many calls from the head of waiting make one batch: at least one,
// at most share.
func (p pace) fit(waiting []core.Assignment, share int) int {
	const dust = 1e-9 // of adding fractions
	n, left := 0, 1.0
	for n < min(share, maxDepth, len(waiting)) {
		left -= 1 / float64(p.depth(waiting[n].Function.ID))
		if n > 0 && left < -dust {
			break
		}
		n++
		if left <= dust {
			break
		}
	}
	return max(1, n)
}

// stateWindow tells the dispatcher how much the worker can hold when that has
// changed: slots × the depth of the dearest function at hand. When that is so dear
// that nothing should wait behind it, what was held in advance goes back, so that
// others can run it.
func (a *Agent) stateWindow() {
	size := a.cfg.Worker.Slots * a.depth()
	if a.cautious {
		size = min(size, a.ceiling())
	}
	if a.draining {
		size = 0
	}
	if size == a.window {
		return
	}
	dear := size < a.window && size <= a.cfg.Worker.Slots
	a.window = size
	a.seq++
	a.up(core.UpWindow{Seq: a.seq, Size: size})
	if dear {
		a.giveBack(max(0, size-len(a.active)))
	}
}

// growth is how many tasks have to end before a worker that had to give tasks back
// holds one more. While cheap calls and dear ones come by turns, a large window would
// be filled and given back with each dear call: the tasks would be handed round. So what
// goes back is a fraction of what is done; and when the dear calls have ended, the
// window is its full size after a few tens of round trips.
const growth = 8

// ceiling bounds the window after a return.
func (a *Agent) ceiling() int {
	most := a.cfg.Worker.Slots + a.calm/growth
	a.cautious = most < a.cfg.Worker.Slots*maxDepth
	return most
}

// depth is the smallest depth of the functions that wait; when none does, of
// those that ended last.
func (a *Agent) depth() int {
	if a.cfg.NoPrefetch {
		return 1
	}
	if len(a.kinds) == 0 {
		return a.recent
	}
	depth := maxDepth
	for id := range a.kinds {
		depth = min(depth, a.pace.depth(id))
	}
	return depth
}
