package core

import (
	"encoding/binary"
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// TaskID is a UUID version 7 in canonical text form: ids sort by submission.
// Its last hex digit is reserved for a shard number and always 0 today.
type TaskID string

// NewTaskID returns a fresh id.
func NewTaskID() TaskID {
	id := uuid.Must(uuid.NewV7())
	id[15] &= 0xf0
	return TaskID(id.String())
}

// Time is when the id was made, to the millisecond; ok is false for a UUID of
// another version, which cannot tell.
func (id TaskID) Time() (at time.Time, ok bool) {
	parsed, err := uuid.Parse(string(id))
	if err != nil || parsed.Version() != 7 {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(append([]byte{0, 0}, parsed[:6]...)))), true
}

// ParseTaskID reads an id in canonical or upper-case form.
func ParseTaskID(text string) (TaskID, error) {
	id, err := parseUUID(text)
	if err != nil {
		return "", Errorf(ErrMalformed, "", "%q is not a task id", clip(text, 64)).
			WithHint("a task id is a UUID, as run printed it; faasctl task ls lists them")
	}
	return TaskID(id), nil
}

// parseUUID accepts the 36-character form only: uuid.Parse also takes braces,
// URNs and bare hex, which would give one task several names.
func parseUUID(text string) (string, error) {
	if len(text) != 36 {
		return "", ErrMalformed
	}
	id, err := uuid.Parse(text)
	if err != nil {
		return "", err
	}
	return id.String(), nil
}

// Spec is what a client asks for. It never changes once accepted.
type Spec struct {
	Function FunctionID        `json:"function_id"`
	Codec    Codec             `json:"codec"` // of Args, and so of the result: json or dill
	Args     []byte            `json:"-"`     // json: [args, kwargs]; dill: a pickled (args, kwargs)
	Timeout  time.Duration     `json:"timeout,omitempty"`
	Retries  int               `json:"retries,omitempty"`  // further attempts after a failed one
	Backoff  Backoff           `json:"backoff,omitzero"`   // wait before each of them; zero = exp:1s:60s
	RetryOn  RetryOn           `json:"retry_on,omitempty"` // which failures are worth one; empty = every
	Expires  time.Duration     `json:"expires,omitempty"`  // FAILED(expired) when not claimed so long after it was submitted or due; 0 = never
	Queue    string            `json:"queue,omitempty"`
	Priority int               `json:"priority,omitempty"` // 0–9, 9 first
	Labels   map[string]string `json:"labels,omitempty"`
	Group    string            `json:"group,omitempty"`
	RetryOf  TaskID            `json:"retry_of,omitempty"`
	Env      Env               `json:"env,omitempty"` // likewise
	Limits                     // the function's, when it was accepted
}

// Defaults of a Spec.
const (
	DefaultQueue    = "default"
	DefaultPriority = 5
	DefaultTimeout  = 300 * time.Second
	MaxPayload      = 8 << 20 // bytes, decoded; default of --max-payload
	MaxDeliveries   = 10      // vanished workers or dispatchers before a task is FAILED(lost)
	MaxBatch        = 1000    // items in one batch that crosses to the store

	// Ageing is how long the calls of a function at a priority may go without a
	// turn while others of their queue are served: then one goes before all others.
	Ageing = time.Minute
)

// Task is the record of one call: who, where it stands, and when. Times are
// the store's, and zero until reached.
type Task struct {
	ID         TaskID      `json:"id"`
	Function   FunctionID  `json:"function_id"`
	Name       string      `json:"function,omitempty"` // name@version, filled in by the Service
	State      State       `json:"state"`
	Codec      Codec       `json:"codec"`
	Queue      string      `json:"queue"`
	Priority   int         `json:"priority"`
	Attempt    int         `json:"attempt"`              // times it was started
	Deliveries int         `json:"deliveries,omitempty"` // times its worker or dispatcher vanished
	Worker     WorkerID    `json:"worker,omitempty"`
	Cancelling bool        `json:"cancelling,omitempty"`   // a cancel was asked for and has not taken effect
	Failure    FailureKind `json:"failure,omitempty"`      // kind alone; the whole is in its Result
	Type       string      `json:"failure_type,omitempty"` // class of what a FAILED task raised, such as "ValueError"; at most 64 bytes
	RetriedAs  TaskID      `json:"retried_as,omitempty"`   // the newest task that runs an ended one again; its Spec points back
	Submitted  time.Time   `json:"submitted,omitzero"`
	Due        time.Time   `json:"due,omitzero"`     // of a DELAYED task
	Expires    time.Time   `json:"expires,omitzero"` // it is not run when it still waits then
	Claimed    time.Time   `json:"claimed,omitzero"`
	Started    time.Time   `json:"started,omitzero"`
	Finished   time.Time   `json:"finished,omitzero"`
	Progress   *Progress   `json:"progress,omitempty"` // what the present or last attempt said last

	Epoch int64  `json:"-"` // raised by every claim
	Claim string `json:"-"` // random, per claim
}

// Dead reports whether the task is a dead letter: it has FAILED, nothing will
// try it again, and nobody has run it again by hand. One that expired is none:
// its client did not want it run so late.
func (t Task) Dead() bool { return t.State == Failed && t.Failure != KindExpired && t.RetriedAs == "" }

// Result is what a task ended with. JSON is set for every completed task;
// Pickle for one submitted with dill: the value, or an exception object.
type Result struct {
	JSON    json.RawMessage `json:"json,omitempty"`
	Pickle  []byte          `json:"pickle,omitempty"`
	Repr    string          `json:"repr,omitempty"` // at most 4 KiB
	Failure *Failure        `json:"failure,omitempty"`
}

// FailureKind says why a task failed.
type FailureKind string

const (
	KindException      FailureKind = "exception"        // the function raised
	KindUnserializable FailureKind = "unserializable"   // its result cannot be pickled
	KindUnloadable     FailureKind = "unloadable"       // body or arguments cannot be loaded
	KindResultTooLarge FailureKind = "result_too_large" // above --max-payload
	KindTimeout        FailureKind = "timeout"          // ran longer than allowed
	KindMemory         FailureKind = "memory"           // used more memory than allowed
	KindCrash          FailureKind = "crash"            // its process ended
	KindLost           FailureKind = "lost"             // its workers vanished, again and again
	KindExpired        FailureKind = "expired"          // waited too long
	KindCancelled      FailureKind = "cancelled"        // somebody asked
)

// Exit is the exit code that a command waiting for such a task ends with.
func (k FailureKind) Exit() int {
	switch k {
	case "":
		return ExitOK
	case KindTimeout:
		return ExitTimeout
	case KindCancelled:
		return ExitCancelled
	case KindCrash, KindMemory, KindLost:
		return ExitCrashed
	case KindExpired:
		return ExitExpired
	default:
		return ExitFailed
	}
}

// Failure tells why a task has no result.
type Failure struct {
	Kind      FailureKind `json:"kind"`
	Type      string      `json:"type,omitempty"`        // Python class, such as "ValueError"
	Message   string      `json:"message"`               // at most 4 KiB
	Traceback string      `json:"traceback,omitempty"`   // with the user's own source lines; at most 64 KiB
	Exception *Exception  `json:"exception,omitempty"`   // the same as data
	Exit      *int        `json:"exit,omitempty"`        // status of a process that ended
	Signal    string      `json:"signal,omitempty"`      // such as "SIGSEGV"
	Last      string      `json:"last,omitempty"`        // last output lines; at most 4 KiB
	Fault     string      `json:"fault,omitempty"`       // of a crash: Python's stack as its fault handler wrote it; at most 16 KiB
	Peak      int64       `json:"peak_memory,omitempty"` // of a process that ended: the most bytes it ever had in memory
}

// Output is what a task and its child processes printed: the first and the
// last bytes of each stream, and how many were cut out between.
type Output struct {
	Stdout Stream `json:"stdout"`
	Stderr Stream `json:"stderr"`
}

// Stream is one captured stream. Tail is empty while everything fits in Head.
type Stream struct {
	Head []byte `json:"head,omitempty"`
	Tail []byte `json:"tail,omitempty"`
	Cut  int64  `json:"cut,omitempty"` // bytes left out between Head and Tail
	// Times says when which part was printed; empty when all of it came within the
	// attempt's first millisecond.
	Times []Tick `json:"times,omitempty"`
}

// Empty reports whether nothing was printed.
func (o Output) Empty() bool { return len(o.Stdout.Head) == 0 && len(o.Stderr.Head) == 0 }

// Lease names one claim of one task. Settle, renew and release compare all of
// it: an epoch alone could repeat after a lossy restart of the store.
type Lease struct {
	Task  TaskID `json:"task"`
	Epoch int64  `json:"epoch"`
	Claim string `json:"claim"`
}

// Assignment is a claimed task on its way to a worker.
type Assignment struct {
	Lease
	Attempt  int       // of this run, from 1
	Function *Function // with its Body; shared, read only
	Codec    Codec     // of Args
	Args     []byte
	Timeout  time.Duration
	Env      Env
	Limits   // of the Spec; the worker's ceilings come on top
}

// Outcome is what became of an Assignment.
type Outcome struct {
	Lease
	State   State         // Completed, Failed or Cancelled
	Started bool          // the function was entered, or its child died trying
	Elapsed time.Duration // from start to end, by the worker's monotonic clock
	Result  Result
	Output  Output
}
