package core

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// EventKind names what happened.
type EventKind string

const (
	TaskSubmitted EventKind = "task.submitted"
	TaskClaimed   EventKind = "task.claimed"
	TaskStarted   EventKind = "task.started"
	TaskCompleted EventKind = "task.completed"
	TaskFailed    EventKind = "task.failed"  // Detail: the failure's kind
	TaskRetried   EventKind = "task.retried" // Detail: the failure's kind
	TaskReleased  EventKind = "task.released"
	TaskCancelled EventKind = "task.cancelled"
	TaskLost      EventKind = "task.lost" // a lease lapsed or its holder vanished; the task is queued again

	FunctionRegistered EventKind = "function.registered"
	FunctionChanged    EventKind = "function.changed" // its policy was set
	FunctionRemoved    EventKind = "function.removed"

	QueuePaused  EventKind = "queue.paused"  // Detail: its name
	QueueResumed EventKind = "queue.resumed" // Detail: its name

	WorkerJoined   EventKind = "worker.joined"
	WorkerDrains   EventKind = "worker.draining"
	WorkerLeft     EventKind = "worker.left"
	WorkerVanished EventKind = "worker.lost"
	DispatcherUp   EventKind = "dispatcher.up"
	DispatcherDown EventKind = "dispatcher.down"
)

// Event is one thing that happened. It never carries a payload.
type Event struct {
	// ID is <stream-id>.<index>: a batch of transitions is one entry of the
	// stream, and resuming re-reads that entry and skips.
	ID         string       `json:"id,omitempty"`
	At         time.Time    `json:"at"`
	Kind       EventKind    `json:"kind"`
	Task       TaskID       `json:"task,omitempty"`
	Function   FunctionID   `json:"function_id,omitempty"`
	Name       string       `json:"function,omitempty"` // name@version, filled in by the Service
	Worker     WorkerID     `json:"worker,omitempty"`
	Dispatcher DispatcherID `json:"dispatcher,omitempty"`
	Attempt    int          `json:"attempt,omitempty"`
	Detail     string       `json:"detail,omitempty"`  // short; never user text
	RunMS      float64      `json:"run_ms,omitempty"`  // of an ended task: start to end
	WaitMS     float64      `json:"wait_ms,omitempty"` // of an ended task: submission to start
}

// EventFilter selects events; zero fields select all.
type EventFilter struct {
	Kinds    []EventKind
	Task     TaskID
	Function FunctionID
	Worker   WorkerID
}

// Match reports whether the filter selects e.
func (f EventFilter) Match(e Event) bool {
	return (len(f.Kinds) == 0 || slices.Contains(f.Kinds, e.Kind)) &&
		(f.Task == "" || f.Task == e.Task) && (f.Function == "" || f.Function == e.Function) && (f.Worker == "" || f.Worker == e.Worker)
}

// EventID joins the id of a stream entry ("<ms>-<seq>") and an index in it.
func EventID(entry string, index int) string { return entry + "." + strconv.Itoa(index) }

// SplitEventID is the reverse of EventID. An id without an index means the
// whole entry was seen; "" means from the beginning.
func SplitEventID(id string) (entry string, index int, err error) {
	bad := Errorf(ErrMalformed, "", "%q is not an event id", clip(id, 64)).
		WithHint("use the id of an event as it was received, such as 1700000000000-0.3")
	if id == "" {
		return "0-0", -1, nil
	}
	entry, tail, indexed := strings.Cut(id, ".")
	ms, seq, ok := strings.Cut(entry, "-")
	if !ok || !digits(ms) || !digits(seq) {
		return "", 0, bad
	}
	if !indexed {
		return entry, 1 << 30, nil
	}
	if index, err = strconv.Atoi(tail); err != nil || index < 0 || !digits(tail) {
		return "", 0, bad
	}
	return entry, index, nil
}

// digits reports whether text is a number as a stream id has them: 1 to 20
// decimal digits.
func digits(text string) bool {
	if len(text) == 0 || len(text) > 20 {
		return false
	}
	for _, r := range text {
		if r < '0' || r > '9' {
			return false
		}
	}
	return true
}
