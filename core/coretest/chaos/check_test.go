package chaos

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"faasctl/core"
)

var noon = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

// second is n seconds after the beginning of a made-up run.
func second(n float64) time.Time { return noon.Add(time.Duration(n * float64(time.Second))) }

// sound is the history of a run in which all went well: call 0 was done, 1 was
// claimed again after its worker had been killed, 2 was cancelled, 3 raised twice and
// 4 was delayed.
func sound() *History {
	h := &History{
		Tasks: map[core.TaskID]Ended{}, Of: map[core.TaskID]int{}, All: map[core.TaskID]bool{},
		Listed: map[core.State]map[core.TaskID]bool{}, Lease: 5 * time.Second,
		Faults: []Fault{{"kill-worker", "worker-1", second(1), second(2)}, {"kill-redis", "redis", second(10), second(11)}},
	}
	for _, state := range core.States {
		h.Listed[state] = map[core.TaskID]bool{}
	}
	submitted, claimed, started := core.TaskSubmitted, core.TaskClaimed, core.TaskStarted
	h.add(Call{Kind: Work}, core.Completed, "", submitted, claimed, started, core.TaskCompleted)
	h.add(Call{Kind: Work}, core.Completed, "", submitted, claimed, core.TaskLost, claimed, started, core.TaskCompleted)
	h.add(Call{Kind: Unloved}, core.Cancelled, core.KindCancelled, submitted, claimed, started, core.TaskCancelled)
	h.Calls[2].Cancels = []Cancelled{{"t2", core.CancelRequested, second(2)}}
	h.add(Call{Kind: Raises, Retries: 1}, core.Failed, core.KindException, submitted, claimed, started, core.TaskRetried, claimed, started, core.TaskFailed)
	h.add(Call{Kind: Later, Delay: 500 * time.Millisecond}, core.Completed, "", submitted, claimed, started, core.TaskCompleted)
	h.Live = slices.Clone(h.Events)
	return h
}

// add adds a call whose task went through these events, one a second.
func (h *History) add(call Call, state core.State, kind core.FailureKind, events ...core.EventKind) {
	call.X, call.Tries = len(h.Calls), 1
	id := core.TaskID(fmt.Sprintf("t%d", call.X))
	call.Answers = []Mark{{id, second(0.1)}}
	task := core.Task{ID: id, State: state, Failure: kind}
	for i, e := range events {
		h.Events = append(h.Events, core.Event{ID: fmt.Sprintf("%d-%d", call.X, i), At: second(float64(i)), Kind: e, Task: id})
		switch e {
		case core.TaskClaimed:
			task.Epoch++
			task.Claim = fmt.Sprintf("%s-%d", id, task.Epoch)
			h.Grants = append(h.Grants, Grant{core.Lease{Task: id, Epoch: task.Epoch, Claim: task.Claim}, second(float64(i))})
		case core.TaskStarted:
			task.Attempt++
			h.Executions = append(h.Executions, Execution{X: call.X, Name: fmt.Sprintf("%d:%d", call.X, task.Attempt), Ended: true})
		}
	}
	ended := Ended{Task: task}
	if state == core.Completed {
		ended.Name = fmt.Sprintf("%d:%d", call.X, task.Attempt)
	}
	h.Verdicts = append(h.Verdicts, Verdict{core.Lease{Task: id, Epoch: task.Epoch, Claim: task.Claim}, state, ended.Name, core.VerdictOK})
	h.Calls, h.Tasks[id], h.Of[id] = append(h.Calls, &call), ended, call.X
	h.All[id], h.Listed[state][id] = true, true
	t := &h.Stats.Totals
	t.Submitted++
	*map[core.State]*int64{core.Completed: &t.Completed, core.Failed: &t.Failed, core.Cancelled: &t.Cancelled}[state]++
}

// change edits a task.
func (h *History) change(id core.TaskID, edit func(*Ended)) {
	task := h.Tasks[id]
	edit(&task)
	h.Tasks[id] = task
}

func (h *History) event(id core.TaskID, at float64, kind core.EventKind) {
	e := core.Event{ID: fmt.Sprintf("99-%d", len(h.Events)), At: second(at), Kind: kind, Task: id}
	h.Events, h.Live = append(h.Events, e), append(h.Live, e)
}

func TestASoundHistoryIsSound(t *testing.T) {
	violations, numbers := Check(sound())
	fail(t, violations)
	if numbers.Accepted != 5 || numbers.Tasks != 5 || numbers.Ended[core.Completed] != 3 || numbers.Mean != 1 || len(numbers.Recoveries) != 1 {
		t.Errorf("%+v", numbers)
	}
}

// Each promise that is broken in an otherwise sound history is found, and named.
func TestEveryBrokenPromiseIsFound(t *testing.T) {
	for _, c := range []struct {
		what   string
		breach func(*History)
		rule   Rule
	}{
		{"an accepted task has no record", func(h *History) { delete(h.Tasks, "t0"); delete(h.Of, "t0") }, Lost},
		{"a task runs for ever", func(h *History) { h.change("t0", func(e *Ended) { e.State = core.Running }) }, Stuck},
		{"a task completes twice", func(h *History) { h.event("t0", 5, core.TaskCompleted) }, Twice},
		{"a task is claimed after its end", func(h *History) { h.event("t0", 5, core.TaskClaimed) }, Twice},
		{"the record contradicts the last event", func(h *History) { h.change("t0", func(e *Ended) { e.State, e.Failure = core.Failed, core.KindCrash }) }, Twice},
		{"one lease is settled twice", func(h *History) { h.Verdicts = append(h.Verdicts, h.Verdicts[0]) }, Twice},
		{"a task is started unclaimed", func(h *History) { h.Events = slices.Delete(h.Events, 1, 2) }, Stream},
		{"a healthy task fails", func(h *History) { h.change("t0", func(e *Ended) { e.State, e.Failure = core.Failed, core.KindLost }) }, Ending},
		{"a retry is left out", func(h *History) { h.Calls[3].Retries = 2 }, Ending},
		{"a crash is called a timeout", func(h *History) {
			h.Calls[3].Kind = Crash
			h.change("t3", func(e *Ended) { e.Failure = core.KindTimeout })
		}, Ending},
		{"the result is another call's", func(h *History) { h.change("t0", func(e *Ended) { e.Name = "1:1" }) }, WrongResult},
		{"the result is of an execution that did not end", func(h *History) { h.Executions[0].Ended = false }, WrongResult},
		{"the result came in under an older lease", func(h *History) { h.Verdicts[1].Lease = h.Grants[1].Lease }, WrongResult},
		{"an epoch is given out twice", func(h *History) { h.Grants[2].Epoch = h.Grants[1].Epoch }, Epochs},
		{"a claim does not raise the epoch", func(h *History) { h.change("t1", func(e *Ended) { e.Epoch = 1 }) }, Epochs},
		{"an attempt is not counted", func(h *History) { h.change("t3", func(e *Ended) { e.Attempt = 1 }) }, Epochs},
		{"an entry had to be repaired", func(h *History) { h.Stats.Repaired = 1 }, Index},
		{"a listing misses a task", func(h *History) { delete(h.Listed[core.Completed], "t0") }, Index},
		{"a listing keeps a task", func(h *History) { h.Listed[core.Queued]["t0"] = true }, Index},
		{"the listing of all misses a task", func(h *History) { delete(h.All, "t0") }, Index},
		{"a queue is deeper than it is", func(h *History) { h.Depths = 1 }, Index},
		{"an index of running tasks is not empty", func(h *History) { h.Stats.Running = 1 }, Index},
		{"a counter is wrong", func(h *History) { h.Stats.Totals.Completed++ }, Index},
		{"one key becomes two tasks", func(h *History) {
			h.Calls[0].Keyed, h.Calls[0].Tries = true, 2
			h.Tasks["t9"], h.Of["t9"] = h.Tasks["t0"], 0
		}, Idempotency},
		{"one request becomes two tasks", func(h *History) { h.Of["t9"] = 0 }, Idempotency},
		{"a cancel is overtaken", func(h *History) { h.change("t2", func(e *Ended) { e.State, e.Failure = core.Completed, "" }) }, Cancel},
		{"a cancel that nobody asked for", func(h *History) { h.Calls[2].Cancels = nil }, Cancel},
		{"a delayed task is handed out early", func(h *History) { h.Calls[4].Delay = 2 * time.Second }, Early},
		{"work is taken away after an outage of the store", func(h *History) { h.Faults = h.Faults[1:] }, Grace},
		{"a client is told what never was", func(h *History) { h.Live[0].ID = "77-0" }, Stream},
		{"a client is told the same twice", func(h *History) { h.Live = append(h.Live, h.Live[0]) }, Stream},
	} {
		t.Run(c.what, func(t *testing.T) {
			h := sound()
			c.breach(h)
			violations, _ := Check(h)
			if !slices.ContainsFunc(violations, func(v Violation) bool { return v.Rule == c.rule }) {
				t.Errorf("not found; these are: %v", violations)
			}
		})
	}
}

// What a Redis that writes its log every second forgets is counted, and forgiven only
// within two seconds before it was killed.
func TestLossesOfALossyRedisAreBounded(t *testing.T) {
	for _, c := range []struct {
		acknowledged float64
		lapses, lost int
	}{{9, 1, 0}, {7, 0, 1}} {
		h := sound()
		h.Lossy = true
		h.Calls = append(h.Calls, &Call{X: 5, Kind: Work, Tries: 1, Answers: []Mark{{"t5", second(c.acknowledged)}}})
		violations, numbers := Check(h)
		if numbers.Lapses != c.lapses || numbers.Lost != c.lost || len(violations) != c.lost {
			t.Errorf("acknowledged at %v: %+v %v", c.acknowledged, numbers, violations)
		}
	}
}
