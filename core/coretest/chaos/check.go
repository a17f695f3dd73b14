package chaos

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"faasctl/core"
)

// Rule names a promise.
type Rule string

const (
	Lost        Rule = "lost"        // an accepted task is not there any more
	Stuck       Rule = "stuck"       // a task has not ended
	Twice       Rule = "twice"       // a task ended more than once, or changed after its end
	Ending      Rule = "ending"      // a task ended as it must not
	WrongResult Rule = "result"      // the stored result is not that of the settled lease
	Epochs      Rule = "epochs"      // epochs did not rise
	Index       Rule = "index"       // indexes, counters and records disagree
	Idempotency Rule = "idempotency" // one key, two tasks
	Cancel      Rule = "cancel"      // a cancel was not honoured, or came from nowhere
	Early       Rule = "early"       // a delayed task was handed out too soon
	Grace       Rule = "grace"       // work was taken away although only the store was gone
	Stream      Rule = "stream"      // events were shown that the stream does not have
)

// Violation is a broken promise.
type Violation struct {
	Rule Rule
	Task core.TaskID
	Text string
}

func (v Violation) String() string { return fmt.Sprintf("%s: %s %s", v.Rule, v.Task, v.Text) }

// lossWindow is how old an acknowledgement may be that a lossy Redis forgets.
const lossWindow = 2 * time.Second

// checker goes through a history once per rule.
type checker struct {
	*History
	found  []Violation
	call   map[int]*Call
	life   map[core.TaskID][]core.Event // events of each task, in order
	lapses []Mark                       // acknowledgements that a lossy Redis forgot
}

// Check returns what is wrong with a history, and its numbers.
func Check(h *History) ([]Violation, Numbers) {
	c := &checker{History: h, call: map[int]*Call{}, life: map[core.TaskID][]core.Event{}}
	for _, call := range h.Calls {
		c.call[call.X] = call
	}
	for _, e := range h.Events {
		if e.Task != "" {
			c.life[e.Task] = append(c.life[e.Task], e)
		}
	}
	c.accepted()
	c.lives()
	c.endings()
	c.results()
	c.epochs()
	c.indexes()
	c.cancels()
	c.delays()
	c.grace()
	c.stream()
	return c.found, c.numbers()
}

func (c *checker) bad(rule Rule, task core.TaskID, format string, args ...any) {
	c.found = append(c.found, Violation{rule, task, fmt.Sprintf(format, args...)})
}

// forgiven says whether a lossy Redis may have forgotten what happened then.
func (c *checker) forgiven(at time.Time) bool {
	return c.Lossy && slices.ContainsFunc(c.kills(), func(kill time.Time) bool {
		return at.Before(kill.Add(time.Second)) && kill.Sub(at) <= lossWindow
	})
}

// accepted: what was acknowledged is there, and one key has one task.
func (c *checker) accepted() {
	made := map[int][]core.TaskID{}
	for id, x := range c.Of {
		made[x] = append(made[x], id)
	}
	for _, call := range c.Calls {
		for _, mark := range call.Answers {
			if _, there := c.Tasks[mark.Task]; there {
				continue
			}
			if c.forgiven(mark.At) {
				c.lapses = append(c.lapses, mark)
				continue
			}
			c.bad(Lost, mark.Task, "call %d was acknowledged at %s and has no record", call.X, mark.At.Format(time.TimeOnly))
		}
		if most := call.most(); len(made[call.X]) > most {
			c.bad(Idempotency, "", "call %d became %d tasks %v, at most %d are right", call.X, len(made[call.X]), made[call.X], most)
		}
	}
	for id, x := range c.Of {
		if c.call[x] == nil {
			c.bad(Idempotency, id, "nobody asked for call %d", x)
		}
	}
}

// most is how many tasks a call may become.
func (c *Call) most() int {
	if c.Keyed {
		return 1
	}
	return c.Tries
}

// after lists what may follow an event in a task's life.
var after = map[core.EventKind][]core.EventKind{
	"":                 {core.TaskSubmitted},
	core.TaskSubmitted: {core.TaskClaimed, core.TaskCancelled, core.TaskFailed},
	core.TaskClaimed:   {core.TaskStarted, core.TaskReleased, core.TaskLost, core.TaskCancelled, core.TaskFailed},
	core.TaskStarted:   {core.TaskCompleted, core.TaskFailed, core.TaskRetried, core.TaskReleased, core.TaskLost, core.TaskCancelled},
	core.TaskReleased:  {core.TaskClaimed, core.TaskCancelled, core.TaskFailed},
	core.TaskLost:      {core.TaskClaimed, core.TaskCancelled, core.TaskFailed},
	core.TaskRetried:   {core.TaskClaimed, core.TaskCancelled, core.TaskFailed},
	core.TaskCompleted: nil,
	core.TaskFailed:    nil,
	core.TaskCancelled: nil,
}

// terminal says which event ends a task how.
var terminal = map[core.EventKind]core.State{
	core.TaskCompleted: core.Completed, core.TaskFailed: core.Failed, core.TaskCancelled: core.Cancelled,
}

// lives: each task goes its way from submit to one end, and nothing follows.
func (c *checker) lives() {
	for id, task := range c.Tasks {
		var last core.EventKind
		var ends int
		for _, e := range c.life[id] {
			if _, known := after[e.Kind]; !known {
				continue // news of a kind that is no transition
			}
			switch _, over := terminal[last]; {
			case over:
				c.bad(Twice, id, "%s after %s", e.Kind, last)
			case !slices.Contains(after[last], e.Kind):
				c.bad(Stream, id, "%s after %q", e.Kind, last)
			}
			if _, end := terminal[e.Kind]; end {
				ends++
			}
			last = e.Kind
		}
		switch {
		case !task.State.Terminal():
			c.bad(Stuck, id, "it is %s for ever; its last event is %s", task.State, last)
		case ends > 1:
			c.bad(Twice, id, "it ended %d times", ends)
		case terminal[last] != task.State:
			c.bad(Twice, id, "it is %s, and its last event is %q", task.State, last)
		}
	}
	for id := range c.life {
		if _, there := c.Tasks[id]; !there {
			c.bad(Lost, id, "it has events and no record")
		}
	}
}

// endings: each task ended as its kind has to.
func (c *checker) endings() {
	for id, task := range c.Tasks {
		call := c.call[c.Of[id]]
		if call == nil || !task.State.Terminal() || task.State == core.Cancelled {
			continue
		}
		state, kind := core.Failed, core.FailureKind("")
		switch call.Kind {
		case Work, Later, Flood:
			state = core.Completed
		case Unloved: // it may win the race against its cancel
			state = core.Completed
		case Raises:
			kind = core.KindException
		case Memory:
			kind = core.KindMemory
		case Crash:
			kind = core.KindCrash
		case Hang:
			kind = core.KindTimeout
		}
		if task.State != state || task.Failure != kind {
			c.bad(Ending, id, "a %s is %s %s (%+v)", call.Kind, task.State, task.Failure, task.Fail)
			continue
		}
		switch {
		case call.Kind == Raises && task.Attempt < call.Retries+1:
			c.bad(Ending, id, "it was tried %d times and has %d retries", task.Attempt, call.Retries)
		case call.Kind == Memory && (task.Fail == nil || task.Fail.Type != "MemoryError"):
			c.bad(Ending, id, "it died of %+v", task.Fail)
		case call.Kind == Flood && task.Cut == 0:
			c.bad(Ending, id, "all that it printed was kept")
		}
	}
}

// results: what is stored is what an execution of that very call returned, and came
// in under the lease that the record names.
func (c *checker) results() {
	ran := map[string]Execution{}
	for _, e := range c.Executions {
		ran[e.Name] = e
	}
	settled := map[core.Lease][]Verdict{}
	for _, v := range c.Verdicts {
		settled[v.Lease] = append(settled[v.Lease], v)
	}
	for id, task := range c.Tasks {
		if task.State != core.Completed {
			continue
		}
		if e, there := ran[task.Name]; !there || e.X != c.Of[id] || !e.Ended {
			c.bad(WrongResult, id, "the stored result %q is of no execution of call %d", task.Name, c.Of[id])
		}
		lease := core.Lease{Task: id, Epoch: task.Epoch, Claim: task.Claim}
		if !slices.ContainsFunc(settled[lease], func(v Verdict) bool { return v.State == core.Completed && v.Name == task.Name }) {
			c.bad(WrongResult, id, "nobody handed in %q under epoch %d, which the record names", task.Name, task.Epoch)
		}
	}
	for lease, list := range settled {
		agreed := 0
		for _, v := range list {
			if v.Verdict == core.VerdictOK {
				agreed++
			}
		}
		if agreed > 1 && !c.Lossy {
			c.bad(Twice, lease.Task, "epoch %d was settled %d times", lease.Epoch, agreed)
		}
	}
}

// epochs: every claim raised them by one, and no two claims have the same.
func (c *checker) epochs() {
	type epoch struct {
		task core.TaskID
		n    int64
	}
	given := map[epoch]Grant{}
	for _, g := range c.Grants {
		old, seen := given[epoch{g.Task, g.Epoch}]
		if seen && old.Claim != g.Claim && !c.between(old.At, g.At) {
			c.bad(Epochs, g.Task, "epoch %d was given out twice: %s and %s", g.Epoch, old.Claim, g.Claim)
		}
		given[epoch{g.Task, g.Epoch}] = g
		if task, there := c.Tasks[g.Task]; there && g.Epoch > task.Epoch && !c.Lossy {
			c.bad(Epochs, g.Task, "epoch %d was given out, and the record has %d", g.Epoch, task.Epoch)
		}
	}
	for id, task := range c.Tasks {
		claims, starts := 0, 0
		for _, e := range c.life[id] {
			switch e.Kind {
			case core.TaskClaimed:
				claims++
			case core.TaskStarted:
				starts++
			}
		}
		if int64(claims) != task.Epoch {
			c.bad(Epochs, id, "it was claimed %d times and has epoch %d", claims, task.Epoch)
		}
		if starts != task.Attempt {
			c.bad(Epochs, id, "it was started %d times and has attempt %d", starts, task.Attempt)
		}
	}
}

// between says whether a lossy Redis was killed between two moments.
func (c *checker) between(a, b time.Time) bool {
	return c.Lossy && slices.ContainsFunc(c.kills(), func(kill time.Time) bool {
		return kill.After(a.Add(-lossWindow)) && kill.Before(b.Add(lossWindow))
	})
}

// indexes: listings, depths and counters say what the records say.
func (c *checker) indexes() {
	if n := c.Stats.Repaired; n > 0 {
		c.bad(Index, "", "%d entries did not say what the records say, and were repaired", n)
	}
	count := map[core.State]int64{}
	for id, task := range c.Tasks {
		count[task.State]++
		if !c.All[id] {
			c.bad(Index, id, "it is missing from the listing of all")
		}
		if !c.Listed[task.State][id] {
			c.bad(Index, id, "it is %s and missing from that listing", task.State)
		}
		for state := range maps.Keys(c.Listed) {
			if state != task.State && c.Listed[state][id] {
				c.bad(Index, id, "it is %s and listed as %s", task.State, state)
			}
		}
	}
	t := c.Stats.Totals
	for _, pair := range []struct {
		what      string
		got, want int64
	}{
		{"queued", c.Stats.Queued, count[core.Queued]}, {"delayed", c.Stats.Delayed, count[core.Delayed]},
		{"running", c.Stats.Running, count[core.Running]}, {"in queues", c.Depths, count[core.Queued]},
		{"submitted", t.Submitted, int64(len(c.Tasks))}, {"completed", t.Completed, count[core.Completed]},
		{"failed", t.Failed, count[core.Failed]}, {"cancelled", t.Cancelled, count[core.Cancelled]},
	} {
		if pair.got != pair.want {
			c.bad(Index, "", "%d tasks are %s, the records say %d", pair.got, pair.what, pair.want)
		}
	}
}

// cancels: who was told that a task is cancelled or will be, finds it so, and
// nobody else does.
func (c *checker) cancels() {
	asked := map[core.TaskID]bool{}
	for _, call := range c.Calls {
		for _, cancel := range call.Cancels {
			asked[cancel.Task] = true
			task, there := c.Tasks[cancel.Task]
			promised := cancel.Verdict == core.CancelDone || cancel.Verdict == core.CancelRequested
			if there && promised && task.State != core.Cancelled && !c.forgiven(cancel.At) {
				c.bad(Cancel, cancel.Task, "the cancel was answered %q, and it is %s", cancel.Verdict, task.State)
			}
		}
	}
	for id, task := range c.Tasks {
		if task.State == core.Cancelled && !asked[id] {
			c.bad(Cancel, id, "nobody asked for its end")
		}
	}
}

// delays: a delayed task is not claimed before its time, by the store's clock.
func (c *checker) delays() {
	for id := range c.Tasks {
		call := c.call[c.Of[id]]
		if call == nil || call.Kind != Later {
			continue
		}
		var submitted time.Time
		for _, e := range c.life[id] {
			switch {
			case e.Kind == core.TaskSubmitted:
				submitted = e.At
			case e.Kind == core.TaskClaimed && e.At.Sub(submitted) < call.Delay:
				c.bad(Early, id, "it was claimed after %s of %s", e.At.Sub(submitted), call.Delay)
			}
		}
	}
}

// graceSlack is how long after a fault its work may still be taken away, beyond
// one lease: a busy machine is slow.
const graceSlack = 10 * time.Second

// grace: a task is given to somebody else only when something other than the store
// was at fault.
func (c *checker) grace() {
	for _, e := range c.Events {
		if e.Kind != core.TaskLost {
			continue
		}
		explained := slices.ContainsFunc(c.Faults, func(f Fault) bool {
			return !f.storeOnly() && !e.At.Before(f.At.Add(-time.Second)) && !e.At.After(f.Until.Add(c.Lease+graceSlack))
		})
		if !explained {
			c.bad(Grace, e.Task, "its lease was taken away at %s, and nothing but the store had been at fault", e.At.Format(time.TimeOnly))
		}
	}
}

// storeOnly says that a fault left workers, dispatchers and what lies between alone.
func (f Fault) storeOnly() bool {
	return f.Target == "redis" || f.Target == "api" || f.Target == "clients" || f.Target == "api-redis"
}

// stream: what clients were told stands in the stream, in that order.
func (c *checker) stream() {
	place := map[string]int{}
	for i, e := range c.Events {
		place[e.ID] = i + 1
	}
	last := 0
	for _, e := range c.Live {
		if e.ID == "" {
			continue // the client's own word
		}
		at := place[e.ID]
		switch {
		case at == 0 && !c.forgiven(e.At):
			c.bad(Stream, e.Task, "a client was told of %s %s, which never was", e.ID, e.Kind)
		case at != 0 && at <= last && !c.Lossy:
			c.bad(Stream, e.Task, "%s %s was told twice or too late", e.ID, e.Kind)
		}
		last = max(last, at)
	}
}
