package chaos

import (
	"time"

	"faasctl/core"
)

// Kind says what a call does, and so how its task has to end.
type Kind string

const (
	Work    Kind = "work"    // returns what names its execution
	Later   Kind = "later"   // the same, handed in with a delay
	Raises  Kind = "raises"  // raises each time: FAILED(exception) after all its attempts
	Unloved Kind = "unloved" // takes long, and is cancelled
	Crash   Kind = "crash"   // ends its process: FAILED(crash)
	Hang    Kind = "hang"    // never returns: FAILED(timeout)
	Memory  Kind = "memory"  // asks for more memory than it may have: FAILED(memory), a MemoryError
	Flood   Kind = "flood"   // prints without end and returns: COMPLETED, output cut
)

// Healthy says that nothing but a cancel may keep the task from completing.
func (k Kind) Healthy() bool { return k == Work || k == Later || k == Flood }

// Call is one thing that a client wanted done, known by its number X.
type Call struct {
	X       int
	Kind    Kind
	Delay   time.Duration // of Later
	Retries int
	Tries   int    // requests that asked for it
	Keyed   bool   // they carried the same idempotency key
	Answers []Mark // tasks that were acknowledged for it; often the same again
	Cancels []Cancelled
}

// Mark is a task and when it was acknowledged.
type Mark struct {
	Task core.TaskID
	At   time.Time
}

// Cancelled is the answer to a cancel that was asked for.
type Cancelled struct {
	Task    core.TaskID
	Verdict core.CancelVerdict // "" when the answer was lost
	At      time.Time
}

// Execution is one run of a function's body. Name is what it returns: no other
// execution has it.
type Execution struct {
	X     int
	Name  string
	Ended bool
}

// Grant is a claim as its dispatcher got it.
type Grant struct {
	core.Lease
	At time.Time
}

// Verdict is what a dispatcher asked to settle and what it was told; Verdict is ""
// when it did not live to hear it.
type Verdict struct {
	core.Lease
	State   core.State
	Name    string // of the execution, for one that completed
	Verdict core.Verdict
}

// Fault is one thing that was broken on purpose.
type Fault struct {
	Kind   string // such as kill-redis
	Target string
	At     time.Time
	Until  time.Time // when it was whole again
}

// Ended is a task at the end: its record and what is stored as its result.
type Ended struct {
	core.Task
	Name string        // what a completed call returned
	Fail *core.Failure // of one that failed
	Cut  int64         // bytes of output that were left out
}

// History is all that was seen of a run.
type History struct {
	Calls      []*Call
	Tasks      map[core.TaskID]Ended               // all tasks that the store has a record of
	Of         map[core.TaskID]int                 // X of each of these, from its arguments
	Listed     map[core.State]map[core.TaskID]bool // listings by state
	All        map[core.TaskID]bool                // the listing of all
	Stats      core.Stats                          // at the end
	Depths     int64                               // of all queues, at the end
	Events     []core.Event                        // the stream at the end, from its beginning
	Live       []core.Event                        // what a client was told as it happened
	Executions []Execution
	Grants     []Grant
	Verdicts   []Verdict
	Faults     []Fault

	Lossy bool          // Redis may lose what it acknowledged within two seconds before a kill
	Lease time.Duration // of the dispatchers
}

// kills returns when Redis was killed.
func (h *History) kills() (at []time.Time) {
	for _, f := range h.Faults {
		if f.Kind == "kill-redis" {
			at = append(at, f.At)
		}
	}
	return at
}
