package core

import (
	"strings"
	"time"
	"unicode/utf8"
)

// Attempt is one start of a task: who ran it, when, and what came of it. Times
// are the store's. What is not known is zero: a worker that vanished does not
// say how long it ran.
type Attempt struct {
	Number    int             `json:"attempt"` // from 1; 0 for one that failed before it could start
	End       AttemptEnd      `json:"end"`
	Worker    WorkerID        `json:"worker,omitempty"`
	Claimed   time.Time       `json:"claimed,omitzero"`
	Started   time.Time       `json:"started,omitzero"`
	Ended     time.Time       `json:"ended,omitzero"`       // zero while it runs
	ElapsedMS float64         `json:"elapsed_ms,omitempty"` // by its worker's clock; of the one that a task ended with by the store's
	Failure   *AttemptFailure `json:"failure,omitempty"`    // of one that failed
	Output    bool            `json:"output,omitempty"`     // what it printed is kept
}

// AttemptFailure is the short form of a Failure that a history keeps.
type AttemptFailure struct {
	Kind    FailureKind `json:"kind"`
	Type    string      `json:"type,omitempty"`    // at most 64 bytes
	Message string      `json:"message,omitempty"` // at most 300 bytes
	Exit    *int        `json:"exit,omitempty"`    // status of a process that ended
	Signal  string      `json:"signal,omitempty"`  // such as "SIGSEGV"; at most 16 bytes
}

// AttemptEnd says what became of an attempt.
type AttemptEnd string

const (
	AttemptRunning   AttemptEnd = "running"   // it has not ended
	AttemptCompleted AttemptEnd = "completed" // its result is the task's
	AttemptFailed    AttemptEnd = "failed"    // its failure is the task's
	AttemptRetried   AttemptEnd = "retried"   // it failed, and the task was tried again
	AttemptLost      AttemptEnd = "lost"      // its worker or dispatcher vanished
	AttemptReleased  AttemptEnd = "released"  // its worker gave it back after the start
	AttemptCancelled AttemptEnd = "cancelled" // somebody asked
)

// Bounds of a history.
const (
	KeepAttempts       = 20       // attempts before the present one; older ones are forgotten
	KeepAttemptOutputs = 3        // of these, so many of the last have their output kept
	KeepAttemptStream  = 16 << 10 // bytes of each stream of such an output
	keepAttemptType    = 64       // bytes; a record stays compact with it
	keepAttemptMessage = 300      // bytes
	keepAttemptSignal  = 16       // bytes
)

// ShortFailure is what a history keeps of a failure; nil of nil.
func ShortFailure(f *Failure) *AttemptFailure {
	if f == nil {
		return nil
	}
	return &AttemptFailure{Kind: f.Kind, Type: FailureType(f), Message: clipText(f.Message, keepAttemptMessage), Exit: f.Exit, Signal: clipText(f.Signal, keepAttemptSignal)}
}

// FailureType is a failure's type as a record keeps it; "" of nil.
func FailureType(f *Failure) string {
	if f == nil {
		return ""
	}
	return clipText(f.Type, keepAttemptType)
}

// clipText shortens text to at most n bytes of valid UTF-8.
func clipText(text string, n int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= n {
		return text
	}
	const mark = "…"
	cut := n - len(mark)
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + mark
}

// Clip shortens each stream to about n bytes: its beginning and its end.
func (o Output) Clip(n int) Output {
	return Output{Stdout: o.Stdout.clip(n), Stderr: o.Stderr.clip(n)}
}

func (s Stream) clip(n int) Stream {
	if len(s.Head)+len(s.Tail) <= n {
		return s
	}
	head, tail := s.Head, s.Tail
	if len(tail) == 0 { // everything is in the head: the end of it becomes the tail
		tail = head[len(head)/2:]
		head = head[:len(head)/2]
	}
	keep := func(part []byte, other int) int { return min(len(part), max(n/2, n-other)) }
	h := keep(head, len(tail))
	t := min(len(tail), n-h)
	return Stream{Head: head[:h:h], Tail: tail[len(tail)-t:], Cut: s.Cut + int64(len(head)-h+len(tail)-t), Times: s.Times}
}

// last is the attempt that a record tells of by itself: the one that runs, or
// the one that the task ended with. ok is false when there is none, or when the
// history has it.
func (t Task) last(result *Result) (a Attempt, ok bool) {
	entered := !t.Started.IsZero()
	if !entered && (t.State != Failed || t.Claimed.IsZero() || t.Failure == KindLost) {
		return a, false
	}
	a = Attempt{Worker: t.Worker, Claimed: t.Claimed, Started: t.Started, Ended: t.Finished}
	if entered {
		a.Number = t.Attempt
	}
	switch t.State {
	case Running:
		a.End = AttemptRunning
	case Completed:
		a.End = AttemptCompleted
	case Cancelled:
		a.End = AttemptCancelled
	case Failed:
		if a.End = AttemptFailed; t.Failure == KindLost {
			a.End = AttemptLost
		}
	default:
		return a, false
	}
	if a.End == AttemptFailed {
		a.Failure = &AttemptFailure{Kind: t.Failure}
		if result != nil && result.Failure != nil {
			a.Failure = ShortFailure(result.Failure)
		}
	}
	if entered && !a.Ended.IsZero() {
		a.ElapsedMS = float64(max(0, a.Ended.Sub(a.Started)).Microseconds()) / 1000
	}
	return a, true
}
