package core

import (
	"time"

	"github.com/google/uuid"
)

// WorkerID is fresh for every start of a worker process: "w-" and 12 hex
// digits.
type WorkerID string

// NewWorkerID returns a fresh id.
func NewWorkerID() WorkerID { return WorkerID("w-" + shortID()) }

// DispatcherID is fresh for every start of a dispatcher.
type DispatcherID string

// NewDispatcherID returns a fresh id.
func NewDispatcherID() DispatcherID { return DispatcherID("d-" + shortID()) }

func shortID() string {
	text := uuid.NewString()
	return text[:8] + text[9:13]
}

// WorkerState only ever moves forward: running, draining, gone. Lost is gone
// without a farewell.
type WorkerState string

const (
	WorkerRunning  WorkerState = "running"
	WorkerDraining WorkerState = "draining"
	WorkerGone     WorkerState = "gone"
	WorkerLost     WorkerState = "lost"
)

// Mode is how a worker is connected.
type Mode string

const (
	Local Mode = "local" // in the dispatcher's own process
	Push  Mode = "push"  // ZeroMQ DEALER
	Pull  Mode = "pull"  // ZeroMQ REQ
)

// Worker is what the system knows of one worker process.
type Worker struct {
	ID           WorkerID          `json:"id"`
	Principal    string            `json:"principal,omitempty"` // whose it is: a key's name, or the data directory's id for local ones
	Mode         Mode              `json:"mode"`
	Host         string            `json:"host"`
	PID          int               `json:"pid"`
	Version      string            `json:"version,omitempty"` // of faasctl
	Interpreters []Interpreter     `json:"interpreters,omitempty"`
	Labels       map[string]string `json:"labels,omitempty"`
	Enforces     *Enforcement      `json:"enforces,omitempty"` // nil: it does not say
	State        WorkerState       `json:"state"`
	Slots        int               `json:"slots"` // what may execute at once
	Busy         int               `json:"busy"`  // what executes
	Held         int               `json:"held"`  // what it holds: executing, waiting, or unsettled
	Done         int64             `json:"done"`
	Failures     int64             `json:"failures"`
	Rate         float64           `json:"rate"`                   // tasks it ended per second, over the last RateWindow
	P95          float64           `json:"p95_ms,omitempty"`       // 95 of 100 of its last tasks ran no longer, ms; 0 before the first
	Preparations []Preparation     `json:"preparations,omitempty"` // of environments, the latest at the end
	Dispatcher   DispatcherID      `json:"dispatcher,omitempty"`
	Joined       time.Time         `json:"joined,omitzero"`
	Seen         time.Time         `json:"seen,omitzero"` // when its dispatcher last heard of it
	// Unheard is how long the dispatcher had not heard of the worker when it
	// announced it: the store takes it off Seen, so that no host's clock is
	// compared with another. Only in an Announcement.
	Unheard time.Duration `json:"unheard,omitempty"`
}

// Preparation is how far a worker is with the environment of a function, which holds
// the packages that it depends on.
type Preparation struct {
	Function FunctionID       `json:"function_id,omitempty"`
	State    PreparationState `json:"state"`
	Text     string           `json:"text,omitempty"`    // what is being done, or why it cannot be made
	Python   string           `json:"python,omitempty"`  // version of the interpreter that it is for
	Took     time.Duration    `json:"took_ns,omitempty"` // to make it
	Missing  []string         `json:"missing,omitempty"` // of a Check: imports that were not found
	// Interpreter is the path of one that does not start (failed), or starts again
	// (ready), where it is not a function's environment that is told of.
	Interpreter string `json:"interpreter,omitempty"`
}

// Same reports whether both tell of the same environment, or interpreter.
func (p Preparation) Same(other Preparation) bool {
	return p.Function == other.Function && p.Interpreter == other.Interpreter
}

// PreparationState says how a Preparation stands.
type PreparationState string

const (
	Preparing  PreparationState = "preparing"
	Prepared   PreparationState = "ready"
	Unprepared PreparationState = "failed"
)

// KeepPreparations is how many preparations a worker is shown with, the latest.
const KeepPreparations = 8

// Interpreter is a Python that a worker can run functions with.
type Interpreter struct {
	Path     string `json:"path"`
	Version  string `json:"version"`        // such as "3.11.7"
	Dill     string `json:"dill,omitempty"` // its version; "" when it cannot be imported
	Platform string `json:"platform,omitempty"`
}

// DispatcherInfo is what the system knows of one dispatcher process.
type DispatcherInfo struct {
	ID        DispatcherID `json:"id"`
	Principal string       `json:"principal,omitempty"` // the data directory's id
	Host      string       `json:"host"`
	PID       int          `json:"pid"`
	Modes     []Mode       `json:"modes"`
	Started   time.Time    `json:"started,omitzero"`
	Seen      time.Time    `json:"seen,omitzero"`
}
