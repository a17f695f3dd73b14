package core

// State is where a task stands. The values are the words of the API, the CLI
// and the store.
type State string

const (
	Queued    State = "QUEUED"    // waits for a worker
	Delayed   State = "DELAYED"   // waits for its time, then is queued
	Running   State = "RUNNING"   // claimed by a dispatcher
	Completed State = "COMPLETED" // ended with a result
	Failed    State = "FAILED"    // ended without one; see Failure
	Cancelled State = "CANCELLED" // ended because somebody asked
)

// States lists every state in the order of a task's life.
var States = []State{Queued, Delayed, Running, Completed, Failed, Cancelled}

// Terminal reports whether a task in this state has ended. Such a task never
// changes again.
func (s State) Terminal() bool { return s == Completed || s == Failed || s == Cancelled }

// Valid reports whether s is one of States.
func (s State) Valid() bool {
	for _, known := range States {
		if s == known {
			return true
		}
	}
	return false
}

// Verb names a transition.
type Verb string

const (
	VerbSubmit  Verb = "submit"  // a client hands the task in
	VerbDelay   Verb = "delay"   // a client hands it in for later
	VerbPromote Verb = "promote" // its time has come
	VerbClaim   Verb = "claim"   // a dispatcher takes it
	VerbRelease Verb = "release" // a dispatcher gives it back, or its lease lapsed
	VerbRetry   Verb = "retry"   // it failed and has attempts left
	VerbSettle  Verb = "settle"  // it completed
	VerbFail    Verb = "fail"    // it failed for good
	VerbExpire  Verb = "expire"  // it waited too long
	VerbCancel  Verb = "cancel"  // somebody asked for its end
)

// Transition is one row of the state machine: From × Verb → To.
type Transition struct {
	From State // "" before the task exists
	Verb Verb
	To   State
}

// Transitions is the whole state machine. Whatever is not listed is refused by
// every store, and the conformance suite tries each pair.
var Transitions = []Transition{
	{"", VerbSubmit, Queued},
	{"", VerbDelay, Delayed},
	{Delayed, VerbPromote, Queued},
	{Queued, VerbClaim, Running},
	{Running, VerbRelease, Queued},
	{Running, VerbRetry, Delayed},
	{Running, VerbSettle, Completed},
	{Running, VerbFail, Failed},
	{Queued, VerbExpire, Failed},
	{Delayed, VerbExpire, Failed},
	{Queued, VerbCancel, Cancelled},
	{Delayed, VerbCancel, Cancelled},
	{Running, VerbCancel, Cancelled},
}

// Next returns the state that verb leads to from s, and whether the state
// machine allows it.
func (s State) Next(verb Verb) (State, bool) {
	for _, t := range Transitions {
		if t.From == s && t.Verb == verb {
			return t.To, true
		}
	}
	return s, false
}
