package tui

import (
	"container/list"
	"slices"
	"time"

	"faasctl/core"
)

// keepTasks is how many of the latest tasks are remembered.
const keepTasks = 200

// taskRow is what is known of one task.
type taskRow struct {
	id        core.TaskID
	function  string
	state     core.State
	retried   bool             // DELAYED because it failed
	failure   core.FailureKind // why it failed, for good or this time
	attempt   int
	worker    core.WorkerID
	submitted time.Time // zero: unknown
	started   time.Time // of a running task: its claim until the start is known; zero: unknown
	run       float64   // ms; below 0: unknown
	changed   time.Time // when it got into its state, by the store's clock
}

// taskList holds the tasks that changed last, the latest first. The zero value
// is empty and ready.
type taskList struct {
	rows  map[core.TaskID]*list.Element // of *taskRow
	order *list.List
}

// latest returns up to n rows, the latest change first.
func (l *taskList) latest(n int) []taskRow {
	if l.order == nil {
		return nil
	}
	out := make([]taskRow, 0, min(n, l.order.Len()))
	for e := l.order.Front(); e != nil && len(out) < n; e = e.Next() {
		out = append(out, *e.Value.(*taskRow))
	}
	return out
}

func (l *taskList) len() int { return len(l.rows) }

// row finds the task or makes room for it; fresh says which.
func (l *taskList) row(id core.TaskID) (r *taskRow, fresh bool) {
	if l.rows == nil {
		l.rows, l.order = map[core.TaskID]*list.Element{}, list.New()
	}
	if e, ok := l.rows[id]; ok {
		return e.Value.(*taskRow), false
	}
	r = &taskRow{id: id, run: -1}
	l.rows[id] = l.order.PushFront(r)
	return r, true
}

// trim forgets the tasks that changed longest ago.
func (l *taskList) trim() {
	for l.order != nil && l.order.Len() > keepTasks {
		last := l.order.Back()
		delete(l.rows, last.Value.(*taskRow).id)
		l.order.Remove(last)
	}
}

// apply folds one event of the stream.
func (l *taskList) apply(e core.Event) {
	state, known := stateAfter(e.Kind)
	if e.Task == "" || !known {
		return
	}
	r, fresh := l.row(e.Task)
	r.learn(e)
	if !fresh && (r.state.Terminal() || e.At.Before(r.changed)) {
		return // a listing was ahead of the stream
	}
	r.state, r.changed = state, e.At
	r.retried = e.Kind == core.TaskRetried
	switch e.Kind {
	case core.TaskClaimed, core.TaskReleased, core.TaskLost, core.TaskSubmitted:
		r.started, r.run = time.Time{}, -1
		if e.Kind == core.TaskClaimed {
			r.started = e.At
		} else {
			r.worker = ""
		}
	case core.TaskStarted: // told some seconds late, on a beat: the claim is nearer
		if r.run, r.failure = -1, ""; r.started.IsZero() {
			r.started = e.At
		}
	case core.TaskFailed, core.TaskRetried:
		r.failure = core.FailureKind(e.Detail)
	case core.TaskCompleted:
		r.failure = ""
	}
	l.order.MoveToFront(l.rows[e.Task])
	l.trim()
}

// learn takes from an event what does not depend on its order.
func (r *taskRow) learn(e core.Event) {
	if e.Name != "" {
		r.function = e.Name
	} else if r.function == "" {
		r.function = string(e.Function)
	}
	if e.Worker != "" {
		r.worker = e.Worker
	}
	r.attempt = max(r.attempt, e.Attempt)
	switch e.Kind {
	case core.TaskSubmitted:
		r.submitted = e.At
	case core.TaskCompleted, core.TaskFailed, core.TaskCancelled, core.TaskRetried:
		if e.RunMS > 0 || e.Kind == core.TaskCompleted {
			r.run = e.RunMS
		}
		if r.submitted.IsZero() && e.RunMS+e.WaitMS > 0 && e.Kind != core.TaskRetried {
			r.submitted = e.At.Add(-time.Duration((e.RunMS + e.WaitMS) * float64(time.Millisecond)))
		}
	}
}

// stateAfter is the state that an event leaves its task in.
func stateAfter(kind core.EventKind) (core.State, bool) {
	switch kind {
	case core.TaskSubmitted, core.TaskReleased, core.TaskLost:
		return core.Queued, true
	case core.TaskClaimed, core.TaskStarted:
		return core.Running, true
	case core.TaskRetried:
		return core.Delayed, true
	case core.TaskCompleted:
		return core.Completed, true
	case core.TaskFailed:
		return core.Failed, true
	case core.TaskCancelled:
		return core.Cancelled, true
	}
	return "", false
}

// merge folds a listing. A row that the stream brought further stays.
func (l *taskList) merge(tasks []core.Task) {
	tasks = slices.Clone(tasks)
	slices.SortStableFunc(tasks, func(a, b core.Task) int { return changed(a).Compare(changed(b)) })
	for _, task := range tasks {
		r, fresh := l.row(task.ID)
		if fresh || !changed(task).Before(r.changed) && (task.State.Terminal() || !r.state.Terminal()) {
			r.take(task)
		}
	}
	if l.order == nil {
		return
	}
	rows := l.latest(l.order.Len())
	slices.SortStableFunc(rows, func(a, b taskRow) int { return b.changed.Compare(a.changed) })
	l.order.Init()
	for _, r := range rows {
		l.rows[r.id] = l.order.PushBack(&r)
	}
	l.trim()
}

// take copies the record of a task.
func (r *taskRow) take(task core.Task) {
	retried := task.State == core.Delayed && task.Attempt > 0
	r.function, r.state, r.retried = task.Name, task.State, retried
	if r.function == "" {
		r.function = string(task.Function)
	}
	r.failure, r.attempt, r.worker = task.Failure, task.Attempt, task.Worker
	r.submitted, r.started, r.changed, r.run = task.Submitted, time.Time{}, changed(task), -1
	switch {
	case task.State == core.Running && task.Started.IsZero():
		r.started = task.Claimed
	case task.State == core.Running:
		r.started = task.Started
	case task.Started.IsZero():
	case !task.Finished.IsZero():
		r.run = float64(task.Finished.Sub(task.Started)) / float64(time.Millisecond)
	}
}

// changed is the latest time in the record of a task.
func changed(task core.Task) time.Time {
	latest := task.Submitted
	for _, at := range []time.Time{task.Claimed, task.Started, task.Finished} {
		if at.After(latest) {
			latest = at
		}
	}
	return latest
}
