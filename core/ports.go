package core

import (
	"context"
	"time"
)

// Store is all that a backend offers. Nobody takes the whole of it: each part
// is declared by the side that uses it, and memstore and redisstore implement
// every part behind one conformance suite (coretest).
//
// Every method may fail with ErrUnavailable while the store is out of reach;
// the caller may repeat the call, and a repetition changes nothing more. Batches hold at most
// MaxBatch items; answers stand in the order of the questions.
type Store interface {
	FunctionStore
	TaskStore
	QueueStore
	OperationStore
	LeaseStore
	KeeperStore
	RosterStore
	EventStore
	HintStore
	LiveStore
}

// FunctionStore keeps functions and their bodies.
type FunctionStore interface {
	// PutFunction stores f, which has no id or version yet, or finds the equal
	// one by f.Identity(). Either way the returned function is the latest of
	// its name afterwards. f.Body is stored once under its hash, and f.Policy with
	// a new one; the equal one keeps its own.
	PutFunction(ctx context.Context, f Function) (Function, Registered, error)
	// FunctionByID returns a function with its Body; ErrNotFound if there is none.
	// A removed function is still found by its id, as its tasks need it.
	FunctionByID(ctx context.Context, id FunctionID) (Function, error)
	// FunctionByName returns one version, without its Body; version 0 is the
	// latest. ErrNotFound if there is none.
	FunctionByName(ctx context.Context, name string, version int) (Function, error)
	// FunctionNamed returns the id of what FunctionByName finds, for less; "" if there
	// is none.
	FunctionNamed(ctx context.Context, name string, version int) (FunctionID, error)
	// Prepare asks all dispatchers, by a hint, for what their workers are to do before
	// a function is called.
	Prepare(ctx context.Context, r PrepareRequest) error
	// SetPolicy replaces the policy of a function; ErrNotFound if there is none or
	// it was removed. Claims look at the new one from then on.
	SetPolicy(ctx context.Context, id FunctionID, policy Policy) error
	// ListFunctions returns every version of every function that was not
	// removed, by name and version, without bodies.
	ListFunctions(ctx context.Context) ([]Function, error)
	// RemovedFunctions returns those that were removed and are not forgotten, by
	// name and version, without bodies: they may have tasks.
	RemovedFunctions(ctx context.Context) ([]Function, error)
	// RemoveFunction takes a function out of names and listings. If it was
	// the latest of its name, the highest remaining version becomes that.
	// Tasks that were accepted before still run; later submits get ErrNotFound.
	RemoveFunction(ctx context.Context, id FunctionID) error
}

// PrepareRequest asks workers to make the environment of a function, or, without any,
// to answer a Check.
type PrepareRequest struct {
	Function FunctionID `json:"function,omitempty"`
	Check    *Check     `json:"check,omitempty"`
}

// Submission is one task to accept. Its ID is made by the caller, so that a
// submit whose answer was lost can be repeated.
type Submission struct {
	ID    TaskID
	Spec  Spec
	Delay time.Duration // > 0: DELAYED for that long
	At    time.Time     // not zero: DELAYED until then by the store's clock; Delay is 0
	Key   Key           // makes submissions one task; zero = none
}

// TaskStore accepts tasks and tells of them.
type TaskStore interface {
	// Submit accepts a batch. The answer holds an error per item: nil, or
	// ErrNotFound for an unknown or removed function, PastDue for an At that is
	// not in the future, or a *KeyUsed when another task, whose record is still
	// kept, has the key. An id that exists already is left alone and answered nil.
	Submit(ctx context.Context, batch []Submission) ([]error, error)
	// Once remembers an id under each token for so long, and returns what it remembers:
	// another id when the token was used before, also among these.
	Once(ctx context.Context, tokens []string, ids []TaskID, keep time.Duration) ([]TaskID, error)
	// Tasks returns the records of ids; a task that does not exist has ID "".
	Tasks(ctx context.Context, ids []TaskID) ([]Task, error)
	// Spec returns what the client asked for; ErrNotFound if there is no task.
	Spec(ctx context.Context, id TaskID) (Spec, error)
	// Specs returns many, without a Function where there is no task. It may
	// stop, with at least one, when they hold about maxBytes of arguments.
	Specs(ctx context.Context, ids []TaskID, maxBytes int) ([]Spec, error)
	// Ended returns for each task the state in which it has ended, QUEUED for one
	// that has not ended, and "" for one that does not exist: all that somebody has to
	// know who waits for many, at little cost.
	Ended(ctx context.Context, ids []TaskID) ([]State, error)
	// Outcomes returns records as Tasks does, with the results of those that have ended,
	// in one round trip: for a few tasks. A result of more than 16 KiB may be left out
	// (nil): Results has it.
	Outcomes(ctx context.Context, ids []TaskID) ([]Task, []*Result, error)
	// Results returns what tasks ended with, nil for one that has not ended.
	Results(ctx context.Context, ids []TaskID) ([]*Result, error)
	// ResultsUpTo is Results for many: it may stop, with at least one, when they hold
	// about maxBytes.
	ResultsUpTo(ctx context.Context, ids []TaskID, maxBytes int) ([]*Result, error)
	// Output returns what an ended task printed; empty if nothing.
	Output(ctx context.Context, id TaskID) (Output, error)
	// Attempts returns the attempts before the present one, oldest first, at
	// most KeepAttempts; ErrNotFound if there is no task. The present or last
	// one is in the record.
	Attempts(ctx context.Context, id TaskID) ([]Attempt, error)
	// AttemptOutput returns what one of these attempts printed; empty if
	// nothing, or if it is not kept any more.
	AttemptOutput(ctx context.Context, id TaskID, number int) (Output, error)
	// Standing tells where a task stands and what bears on it; ErrNotFound if
	// there is no task.
	Standing(ctx context.Context, id TaskID) (Standing, error)
	// List returns tasks newest first.
	List(ctx context.Context, filter TaskFilter) (TaskPage, error)
	// Cancel ends QUEUED and DELAYED tasks at once and asks for the end of
	// RUNNING ones: a durable mark that claim, renew and settle look at, with the
	// grace that their calls have, 0 for their dispatcher's. Of several cancels the
	// last one's grace is kept.
	Cancel(ctx context.Context, ids []TaskID, grace time.Duration) ([]CancelVerdict, error)
}

// QueueStore tells of queues, and stops and resumes them.
type QueueStore interface {
	// Queues returns the queues that hold tasks or are paused, by name.
	Queues(ctx context.Context) ([]QueueInfo, error)
	// PauseQueue stops the handing out of a queue's tasks, or resumes it. Tasks
	// are accepted meanwhile, and what runs goes on. changed is false when it was so
	// already.
	PauseQueue(ctx context.Context, name string, paused bool) (changed bool, err error)
}

// TaskFilter selects tasks; zero fields select all.
type TaskFilter struct {
	State    State
	Dead     bool // only dead letters; State must be FAILED or ""
	Function FunctionID
	Before   TaskID // only tasks submitted before this one: the next page
	Limit    int    // 1–1,000; default 100
}

// TaskPage is one page of a listing.
type TaskPage struct {
	Tasks []Task `json:"tasks"`
	// Next is the Before of the next page, "" at the end.
	Next TaskID `json:"next,omitempty"`
	// Scanned > 0 says that the filter has no index and that only so many of
	// the newest tasks were looked at.
	Scanned int `json:"scanned,omitempty"`
}

// CancelVerdict says what a cancel did to one task.
type CancelVerdict string

const (
	CancelDone      CancelVerdict = "cancelled"  // it was waiting and is CANCELLED now
	CancelRequested CancelVerdict = "cancelling" // it runs; its worker is told
	CancelTooLate   CancelVerdict = "ended"      // it had ended before
	CancelUnknown   CancelVerdict = "unknown"    // there is no such task
)

// ClaimRequest asks for tasks to run.
type ClaimRequest struct {
	ID         string // random; repeating it after a lost answer gives the same tasks
	Dispatcher DispatcherID
	Max        int           // at most so many
	Lease      time.Duration // until they are given to somebody else unless renewed
	// Classes says what the tasks will run on: each takes at most its N, and only
	// what it fits. What fits several counts for the first of them. Nil: whatever
	// waits can be run.
	Classes []ClaimClass
}

// ClaimClass is free room on workers that can run the same functions.
type ClaimClass struct {
	Interpreters []Interpreter // what these workers have; none = they fit all
	N            int           // tasks that they can take
}

// Fits reports whether these workers can run what has such needs.
func (c ClaimClass) Fits(n Needs) bool { return n.Choose(c.Interpreters) >= 0 }

// MaxClaimClasses bounds the classes of one claim.
const MaxClaimClasses = 64

// Claimed is a task that the caller now holds.
type Claimed struct {
	Lease
	Attempt int // starts so far
	Spec    Spec
}

// Verdict is the store's answer to one item of a batch about leases.
type Verdict string

const (
	VerdictOK         Verdict = "ok"         // done
	VerdictAlready    Verdict = "already"    // this very lease was settled before
	VerdictStale      Verdict = "stale"      // the task is somebody else's, or gone
	VerdictCancelling Verdict = "cancelling" // renewed, but its end is asked for; read it with Cancelling
)

// Renewal prolongs one lease and tells what is known of its run.
type Renewal struct {
	Lease
	Worker     WorkerID      // "" while it has not been handed to one
	Principal  string        // whose worker that is; VerdictStale if the lease is another's
	Dispatcher DispatcherID  // who adopts the lease; "" = it stays with whom it was
	Started    bool          // the function was entered
	StartedAgo time.Duration // how long ago; meaningful when Started
	Progress   *Progress     // what it said last; nil = nothing new
}

// Settlement ends one lease with what came of it.
type Settlement struct {
	Outcome
	Worker WorkerID
	// Jitter, from -1 to 1, says where in the spread of its back-off a FAILED
	// outcome is tried again, if it is: see Spec.RetryIn.
	Jitter float64
}

// ReleaseReason says why a lease is given back.
type ReleaseReason string

const (
	ReleaseGraceful ReleaseReason = "graceful" // its holder says so and did not start it: charges nothing
	ReleaseVanished ReleaseReason = "vanished" // its worker is gone: charges a delivery if it was started
)

// LeaseStore is what a dispatcher does with tasks it holds.
type LeaseStore interface {
	// Claim takes up to Max queued tasks, raises their epochs and leases them. It may
	// take fewer than there are, but none only when none fits.
	Claim(ctx context.Context, request ClaimRequest) ([]Claimed, error)
	// Renew prolongs leases to the given term from now and records starts.
	Renew(ctx context.Context, batch []Renewal, lease time.Duration) ([]Verdict, error)
	// Settle ends leases. A task whose cancel was asked for becomes CANCELLED
	// whatever the outcome says. A FAILED outcome of a started task becomes
	// DELAYED when Spec.RetryIn says so.
	Settle(ctx context.Context, batch []Settlement) ([]Verdict, error)
	// Release gives leases back: the tasks are QUEUED again, before all others of their
	// kind, or CANCELLED if that was asked for, or FAILED(lost) when their
	// deliveries are spent. VerdictStale for a task that another dispatcher than
	// by has adopted; "" is whoever asks.
	Release(ctx context.Context, batch []Lease, reason ReleaseReason, by DispatcherID) ([]Verdict, error)
}

// KeeperStore moves tasks along when time passes. Any number of dispatchers
// may call it at once.
type KeeperStore interface {
	// Promote queues DELAYED tasks that are due, at most MaxBatch, lets functions
	// take part again whose rate allows that, and says how long it is until the
	// next of either; 0 when there is none.
	Promote(ctx context.Context) (moved int, next time.Duration, err error)
	// Expire ends tasks that waited longer than they may as FAILED(expired), at
	// most MaxBatch, and says how long it is until the next; 0 when there is none.
	// Claim does not hand out such a task either.
	Expire(ctx context.Context) (expired int, next time.Duration, err error)
	// Reap releases (vanished) tasks whose lease has lapsed, at most MaxBatch. After an outage
	// of the store it holds back for grace, so that holders can renew first.
	Reap(ctx context.Context, grace time.Duration) (released int, err error)
	// Reconcile takes one step of a pass that compares all indexes with the
	// records and repairs them, and says how many repairs it made and whether the
	// pass is through. In health there is nothing to repair.
	Reconcile(ctx context.Context) (repaired int, whole bool, err error)
	// Orphan releases (vanished) at once tasks that one of these dispatchers
	// claimed: the caller knows that they are dead. With a principal, only
	// tasks that workers of that principal are known to hold; the workers of
	// others may be alive. "" is all.
	Orphan(ctx context.Context, dead []DispatcherID, principal string) (released int, err error)
}

// Announcement is what a dispatcher tells the store about itself and its
// workers, once a beat.
type Announcement struct {
	Dispatcher DispatcherInfo
	Workers    []Worker // all of them, with today's numbers
	Events     []Event  // joins, drains, losses since the last announcement
	Leaving    bool     // the dispatcher is going away: forget it
}

// RosterStore knows who is there.
type RosterStore interface {
	// Announce also answers which of a.Workers somebody wants drained.
	Announce(ctx context.Context, a Announcement) (drain []WorkerID, err error)
	// DrainWorker asks for a worker's drain: a durable mark that announcements
	// are answered with. ErrNotFound if the roster does not show the worker.
	DrainWorker(ctx context.Context, id WorkerID) error
	// Roster returns dispatchers and workers with their Seen times by the
	// store's clock, and that clock. Those that are gone stay for a minute.
	Roster(ctx context.Context) (Roster, error)
}

// Roster is who is there.
type Roster struct {
	Now         time.Time
	Dispatchers []DispatcherInfo
	Workers     []Worker
}

// EventStore tells what happened and how much of it.
type EventStore interface {
	// Events returns up to max events after the one with id after ("" = from
	// the oldest kept, "$" = none but those to come), waiting up to wait for
	// the first. ErrGone when events after that id were trimmed away.
	Events(ctx context.Context, after string, max int, wait time.Duration) ([]Event, error)
	// LastEvent returns the id of the newest stream entry, "" before the first.
	LastEvent(ctx context.Context) (string, error)
	// Stats fills in Totals, depths, Store and Through; not the roster.
	Stats(ctx context.Context) (Stats, error)
	// FunctionStats returns the numbers of every function that was not removed
	// and was called at least once, in no order.
	FunctionStats(ctx context.Context) ([]FunctionStats, error)
	// Ping fails unless the store can take and hand out tasks now.
	Ping(ctx context.Context) error
}

// HintKind says what a hint is about.
type HintKind string

const (
	HintWork    HintKind = "work"    // tasks were queued
	HintEnded   HintKind = "ended"   // Tasks have ended
	HintCancel  HintKind = "cancel"  // the end of running Tasks was asked for
	HintFollow  HintKind = "follow"  // somebody follows Tasks, for FollowFor
	HintPrinted HintKind = "printed" // followed Tasks have printed something, or got on
	HintReset   HintKind = "reset"   // hints may have been lost: look again
	HintPrepare HintKind = "prepare" // workers are to do something before a function is called
)

// Hint is a wake-up call. Hints may be lost; the record is the truth.
type Hint struct {
	Kind    HintKind
	Prepare PrepareRequest // of HintPrepare
	Tasks   []TaskID
	Grace   time.Duration // of HintCancel; 0 is the dispatcher's
}

// HintStore delivers hints.
type HintStore interface {
	// Listen calls hear for each hint of these kinds, or of all if none is named, until
	// ctx is done, and with HintReset whenever it begins to hear (again). It
	// reconnects by itself; hear must not block.
	Listen(ctx context.Context, hear func(Hint), kinds ...HintKind) error
}

// Signal is one message from a worker to the dispatcher's loop.
type Signal struct {
	Worker WorkerID
	From   Transport // where Deliver reaches the worker
	Up     Up
}

// Up is what a worker can say.
type Up interface{ up() }

type (
	// UpJoin registers a worker, or registers it again after a loss of contact.
	UpJoin struct {
		Worker Worker
		Holds  []Held // tasks it has, also those whose results are not settled: these are sent again after the join
	}
	// UpWindow states how many tasks the worker can hold in all: slots × depth.
	// Older sequence numbers are ignored.
	UpWindow struct {
		Seq  uint64
		Size int
	}
	// UpBeat proves that the worker lives, and reports starts in passing.
	UpBeat struct {
		Busy     int
		Started  []Start
		Progress []TaskProgress // what has changed since the last beat
	}
	// UpOutput carries what followed tasks print, about ten times a second. It may
	// be lost: the whole output, as far as it is kept, comes with the outcome.
	UpOutput struct{ Printed []Printed }
	// UpFinish hands in outcomes. The worker keeps each until it is settled.
	UpFinish struct{ Outcomes []Outcome }
	// UpReturn gives back tasks that the worker did not start.
	UpReturn struct{ Leases []Lease }
	// UpDrain says that the worker takes no more tasks but ends what it has.
	UpDrain struct{}
	// UpPrepared says how far the worker is with a function's environment.
	UpPrepared struct{ Preparation }
	// UpLeave says that the worker is gone. Lost means without a farewell.
	UpLeave struct{ Lost bool }
)

// Held is a task that a worker holds when it registers, and what a dispatcher
// that adopts it has to know.
type Held struct {
	Lease
	Attempt int           // of this run, from 1
	Started bool          // it was entered
	Ago     time.Duration // how long ago
}

// Start says that a task's function was entered so long ago.
type Start struct {
	Task TaskID
	Ago  time.Duration
}

func (UpJoin) up()     {}
func (UpWindow) up()   {}
func (UpBeat) up()     {}
func (UpOutput) up()   {}
func (UpFinish) up()   {}
func (UpReturn) up()   {}
func (UpDrain) up()    {}
func (UpLeave) up()    {}
func (UpPrepared) up() {}

// Down is what the dispatcher can say to a worker.
type Down interface{ down() }

type (
	// DownTasks hands out tasks.
	DownTasks struct{ Tasks []Assignment }
	// DownSettled names results that the worker may forget.
	DownSettled struct{ Leases []Lease }
	// DownCancel asks for the end of tasks: a polite signal, and after Grace a kill.
	// Of two that name a task the earlier kill holds.
	DownCancel struct {
		Tasks []TaskID
		Grace time.Duration
	}
	// DownLost names tasks that are somebody else's by now: kill, forget.
	DownLost struct{ Leases []Lease }
	// DownDrain asks the worker to finish and leave.
	DownDrain struct{}
	// DownStore tells whether the store can be reached.
	DownStore struct{ Up bool }
	// DownFollow says that somebody follows tasks, or that nobody does any more.
	// The worker sends what these have printed so far, and what they print.
	DownFollow struct {
		Tasks []TaskID
		On    bool
	}
	// DownPrepare asks for the environment of a function before its first call, or,
	// with Imports, whether its interpreter finds these modules. The function has no
	// Body.
	DownPrepare struct {
		Function *Function
		Imports  []string
	}
	// DownRegister tells a worker that the dispatcher does not know it.
	DownRegister struct{}
)

func (DownTasks) down()    {}
func (DownSettled) down()  {}
func (DownCancel) down()   {}
func (DownLost) down()     {}
func (DownDrain) down()    {}
func (DownStore) down()    {}
func (DownFollow) down()   {}
func (DownPrepare) down()  {}
func (DownRegister) down() {}

// Transport connects the dispatcher with workers of one mode.
type Transport interface {
	// Mode names the transport.
	Mode() Mode
	// Serve carries signals up until ctx is done and returns after its last send. The receiver reads until Serve has returned.
	Serve(ctx context.Context, up chan<- Signal) error
	// Deliver hands msg to a worker. It never blocks: ErrGone if the worker is
	// not connected, ErrFull if it cannot take more now.
	Deliver(worker WorkerID, msg Down) error
}
