package wire

import (
	"encoding/json"
	"time"

	"faasctl/core"
)

// Problem is an error as RFC 9457 writes it.
type Problem struct {
	Type     string `json:"type" doc:"where the class is explained, relative to the server" example:"/docs#not-found"`
	Title    string `json:"title" doc:"the class in words" example:"Not Found"`
	Status   int    `json:"status" doc:"the HTTP status" example:"404"`
	Detail   string `json:"detail" doc:"what went wrong"`
	Code     string `json:"code" doc:"the class: malformed, invalid, not-found, conflict, stale, gone, full, too-large, media-type, no-token, forbidden, unavailable or internal" example:"not-found"`
	Hint     string `json:"hint,omitempty" doc:"what to do next"`
	Instance string `json:"instance,omitempty" doc:"names an internal error in the server's log"`
}

// Register asks for a function to be stored.
type Register struct {
	Name         string            `json:"name" doc:"letters, digits, _ . -; at most 128" example:"double"`
	Codec        core.Codec        `json:"codec,omitempty" doc:"what the body is: source (default) or dill" enum:"source,dill"`
	Body         string            `json:"body" doc:"source: the text of a Python file; dill: base64 of dill.dumps(function)"`
	Entry        string            `json:"entry,omitempty" doc:"source: the function's name in the file; default: name"`
	File         string            `json:"file,omitempty" doc:"base name of the file, for tracebacks" example:"fn.py"`
	Signature    string            `json:"signature,omitempty" example:"(a, b=10)"`
	Doc          string            `json:"doc,omitempty"`
	Dependencies []string          `json:"dependencies,omitempty" doc:"packages it needs, as pip takes them, beside those that its text says" example:"numpy>=2"`
	Python       string            `json:"python,omitempty" doc:"versions of Python it needs: 3.11, or a range such as >=3.10,<3.13; of a pickle the one that made it" example:"3.11"`
	Labels       map[string]string `json:"labels,omitempty"`
	Policy
}

// Policy states what may change of a function: how its calls are run, tried again
// and limited. What is absent stays as it is.
type Policy struct {
	Timeout     *Duration     `json:"timeout,omitempty" doc:"how long a call may run: 1m30s or seconds; 0 = the server's"`
	Retries     *int          `json:"retries,omitempty" doc:"further attempts of a call that failed" minimum:"0" maximum:"1000"`
	Backoff     *core.Backoff `json:"backoff,omitempty" doc:"wait before each of them, a tenth more or less: exp:FIRST:LAST or fixed:WAIT; default exp:1s:60s" example:"exp:1s:60s"`
	RetryOn     *core.RetryOn `json:"retry_on,omitempty" doc:"which failures are worth one: exact names of exception classes, with module or without, and kinds of failure; empty = every" example:"[\"ValueError\",\"timeout\"]"`
	Concurrency *int          `json:"concurrency,omitempty" doc:"calls that run at once, over all workers; 0 = no cap" minimum:"0" maximum:"1000000"`
	Rate        *core.Rate    `json:"rate,omitempty" doc:"calls handed out per time: 100/s, 30/m, 5/h or 1/d; 0 = no limit" example:"100/s"`
	Expires     *Duration     `json:"expires,omitempty" doc:"how long a call may wait before it is run: 1m30s or seconds; 0 = for ever"`

	Env        *core.Env       `json:"env,omitempty" doc:"variables that a call finds: NAME=value, or NAME alone for the worker's own value, if its operator passes it on (--pass-env)" example:"[\"MODE=fast\",\"API_KEY\"]"`
	Memory     *int64          `json:"memory,omitempty" doc:"bytes that a call's processes may have together; 0 = no limit" minimum:"0"`
	CPUSeconds *float64        `json:"cpu_seconds,omitempty" doc:"processor time that a call's processes may use; 0 = no limit" minimum:"0"`
	Processes  *int            `json:"processes,omitempty" doc:"processes and threads that a call may have at once; 0 = no limit" minimum:"0"`
	Isolation  *core.Isolation `json:"isolation,omitempty" doc:"warm: a process that has run other calls; fork: a fork of one that has only imported; fresh: an interpreter of its own" enum:"warm,fork,fresh"`
}

// Change is p as the core takes it.
func (p Policy) Change() core.PolicyChange {
	return core.PolicyChange{
		Timeout: (*time.Duration)(p.Timeout), Retries: p.Retries, Backoff: p.Backoff, RetryOn: p.RetryOn,
		Concurrency: p.Concurrency, Rate: p.Rate, Expires: (*time.Duration)(p.Expires),
		Env: p.Env, Memory: p.Memory, CPUSeconds: p.CPUSeconds, Processes: p.Processes, Isolation: p.Isolation,
	}
}

// PolicyOf is the reverse of Change.
func PolicyOf(c core.PolicyChange) Policy {
	if c.Env != nil && *c.Env == nil {
		c.Env = &core.Env{}
	}
	if c.RetryOn != nil && *c.RetryOn == nil {
		c.RetryOn = &core.RetryOn{} // nil would be written as null, which states nothing
	}
	return Policy{
		Timeout: (*Duration)(c.Timeout), Retries: c.Retries, Backoff: c.Backoff, RetryOn: c.RetryOn,
		Concurrency: c.Concurrency, Rate: c.Rate, Expires: (*Duration)(c.Expires),
		Env: c.Env, Memory: c.Memory, CPUSeconds: c.CPUSeconds, Processes: c.Processes, Isolation: c.Isolation,
	}
}

// FunctionOf is a function on the wire, without its body.
func FunctionOf(f core.Function) Function {
	return Function{Function: f, Timeout: Duration(f.Timeout), Expires: Duration(f.Expires)}
}

// Changed is a function whose policy was set.
type Changed struct {
	Function Function `json:"function"`
	Changed  []string `json:"changed" doc:"which of the fields that were stated are others now"`
}

// Function is a function on the wire: times as text, the body where it was
// asked for.
type Function struct {
	core.Function
	Timeout Duration `json:"timeout,omitzero" doc:"how long a call may run; absent = the server's"`
	Expires Duration `json:"expires,omitzero" doc:"how long a call may wait before it is run; absent = for ever"`
	Body    *string  `json:"body,omitempty" doc:"source text, or base64 of the pickle"`
}

// Registration is the answer to Register.
type Registration struct {
	Function Function        `json:"function"`
	Outcome  core.Registered `json:"outcome" doc:"registered: a new version; unchanged: equal to the latest; back: equal to an older version, which is the latest again" enum:"registered,unchanged,back"`
	Changed  []string        `json:"changed,omitempty" doc:"what of the policy of a known function is another one now"`
	Unfit    string          `json:"unfit,omitempty" doc:"why none of the workers that are there can run it; calls wait for one that can"`
}

// Check asks workers about a function that need not be registered.
type Check struct {
	Codec        core.Codec `json:"codec,omitempty" enum:"source,dill" doc:"how it would be registered; default: source"`
	Python       string     `json:"python,omitempty" doc:"versions of Python it needs" example:">=3.10"`
	Dependencies []string   `json:"dependencies,omitempty" doc:"packages it needs"`
	Imports      []string   `json:"imports,omitempty" doc:"top-level modules it imports" example:"numpy"`
}

// Checked are the answers, one per worker that takes tasks.
type Checked struct {
	Workers []core.WorkerCheck `json:"workers"`
}

// Functions is a listing, or what a removal removed.
type Functions struct {
	Functions []Function `json:"functions"`
}

// Call asks for one run of a function.
type Call struct {
	Function string            `json:"function" doc:"name, name@version, an id or a unique prefix of one" example:"double"`
	Args     json.RawMessage   `json:"args,omitempty" doc:"positional arguments: an array"`
	Kwargs   json.RawMessage   `json:"kwargs,omitempty" doc:"keyword arguments: an object"`
	Pickle   []byte            `json:"pickle,omitempty" doc:"in place of args and kwargs: base64 of the pickled tuple (args, kwargs)"`
	Timeout  Duration          `json:"timeout,omitzero" doc:"how long it may run: 1m30s or seconds; default: the function's, then the server's"`
	Retries  *int              `json:"retries,omitempty" doc:"further attempts after a failed one; default: the function's" minimum:"0" maximum:"1000"`
	Expires  *Duration         `json:"expires,omitempty" doc:"not run, but failed as expired, when it waited longer than this since it was submitted or due; 0 = never; default: the function's"`
	Queue    string            `json:"queue,omitempty" doc:"default: default"`
	Priority *int              `json:"priority,omitempty" doc:"0 to 9, 9 first; default 5" minimum:"0" maximum:"9"`
	Labels   map[string]string `json:"labels,omitempty"`
	Delay    Duration          `json:"delay,omitzero" doc:"how long to wait before it is queued"`
	At       time.Time         `json:"at,omitzero" doc:"when it is queued, by the store's clock; excludes delay"`
	Key      string            `json:"key,omitempty" doc:"idempotency key: calls of one function name with the same key are one task, as long as that is kept; another body with it is a conflict" maxLength:"256" example:"order-42"`
}

// Submitted is the answer to one Call: ids, or the problem with it.
type Submitted struct {
	ID         core.TaskID     `json:"id,omitempty"`
	FunctionID core.FunctionID `json:"function_id,omitempty"`
	Function   string          `json:"function,omitempty" doc:"name@version"`
	Repeated   bool            `json:"repeated,omitempty" doc:"an earlier request with the same key and body made this task"`
	Problem    *Problem        `json:"problem,omitempty" doc:"why this call was not accepted; the other fields are absent then"`
}

// SubmittedBatch answers a batch in the order of its calls.
type SubmittedBatch struct {
	Tasks []Submitted `json:"tasks"`
}

// StreamedLine answers one line of a stream of calls, or says that the stream ended
// before its last line.
type StreamedLine struct {
	Line int `json:"line" doc:"number of the line, from 1"`
	Submitted
	Broken *Broken `json:"broken,omitempty" doc:"the last answer of a stream that was not read to its end; problem says why"`
}

// Broken tells of a stream that ended before its last line.
type Broken struct {
	From     int `json:"from" doc:"the first line without an answer: it may be sent again, with those behind it, under the same token"`
	Accepted int `json:"accepted" doc:"how many lines of this body have been accepted and answered"`
	Refused  int `json:"refused" doc:"how many have been refused and answered"`
}

// Result is what a task ended with.
type Result struct {
	Task    core.Task       `json:"task"`
	Value   json.RawMessage `json:"value,omitempty" doc:"the return value in JSON, of a completed task"`
	Repr    string          `json:"repr,omitempty" doc:"repr() of the return value, clipped"`
	Failure *core.Failure   `json:"failure,omitempty" doc:"why it failed"`
	Pickle  []byte          `json:"pickle,omitempty" doc:"base64 of the pickled value or exception; for dill calls and ?format=dill"`
}

// Spec is what was asked for, with the arguments in the encoding of the call.
type Spec struct {
	core.Spec
	Timeout Duration        `json:"timeout,omitzero" doc:"how long it may run"`
	Expires Duration        `json:"expires,omitzero" doc:"how long it may wait"`
	Args    json.RawMessage `json:"args,omitempty" doc:"of a JSON call"`
	Kwargs  json.RawMessage `json:"kwargs,omitempty" doc:"of a JSON call"`
	Pickle  []byte          `json:"pickle,omitempty" doc:"of a dill call: base64 of the pickled (args, kwargs)"`
}

// Attempts is a task's history.
type Attempts struct {
	Attempts []core.Attempt `json:"attempts" doc:"oldest first: at most the last 20 before the present one, and that"`
}

// Queues is a listing of queues that hold tasks or are paused.
type Queues struct {
	Queues []core.QueueInfo `json:"queues"`
}

// PausedQueue says what a pause or a resume did.
type PausedQueue struct {
	Name    string `json:"name"`
	Paused  bool   `json:"paused" doc:"whether it is paused now"`
	Changed bool   `json:"changed" doc:"false: it was so already"`
}

// IDs names tasks.
type IDs struct {
	IDs []string `json:"ids" doc:"task ids, at most 1000"`
}

// Cancel asks for the end of many tasks.
type Cancel struct {
	IDs   []string  `json:"ids" doc:"task ids, at most 1000"`
	Grace *Duration `json:"grace,omitempty" doc:"what calls that run have to end after a polite signal, before they are killed: 5s or seconds, at most 1h; absent: their dispatcher's. Of several cancels of a task the shortest holds"`
}

// Gather asks for the results of many tasks.
type Gather struct {
	IDs  []string `json:"ids" doc:"task ids, at most 1000"`
	Wait Duration `json:"wait,omitzero" doc:"how long to wait for their ends: 30s or a number of seconds; 60s at most; default: not at all"`
	Need int      `json:"need,omitempty" doc:"answer as soon as so many have ended; default: all" minimum:"0" maximum:"1000"`
}

// Ending is how one of many tasks stands. Without a state it is unknown, and the
// problem says so.
type Ending struct {
	ID      core.TaskID     `json:"id"`
	State   core.State      `json:"state,omitempty" doc:"COMPLETED, FAILED or CANCELLED when it has ended; PENDING while it has not" enum:"COMPLETED,FAILED,CANCELLED,PENDING"`
	Value   json.RawMessage `json:"value,omitempty" doc:"the return value in JSON, of a completed task"`
	Repr    string          `json:"repr,omitempty" doc:"repr() of the return value, clipped"`
	Failure *core.Failure   `json:"failure,omitempty" doc:"why it failed"`
	Pickle  []byte          `json:"pickle,omitempty" doc:"base64 of the pickled value or exception, of a dill call"`
	Later   bool            `json:"later,omitempty" doc:"it has ended, and its result did not fit into this answer: ask again"`
	Problem *Problem        `json:"problem,omitempty" doc:"there is no such task, or its result is not kept any more"`
}

// Pending is the State of a task that has not ended, in an Ending.
const Pending core.State = "PENDING"

// Endings answers a Gather in the order of its ids.
type Endings struct {
	Results []Ending `json:"results"`
}

// Cancelled says what a cancel did to one task.
type Cancelled struct {
	ID      core.TaskID        `json:"id"`
	Verdict core.CancelVerdict `json:"verdict" doc:"cancelled: it was waiting; cancelling: its worker is told; ended: too late; unknown: no such task" enum:"cancelled,cancelling,ended,unknown"`
}

// CancelledBatch answers a cancel in the order of its ids.
type CancelledBatch struct {
	Tasks []Cancelled `json:"tasks"`
}

// Failures is what failed tasks died of.
type Failures struct {
	Groups []core.FailureGroup `json:"groups"`
}

// Workers is who is there.
type Workers struct {
	Now         time.Time             `json:"now" doc:"the store's clock, which all times are by"`
	Workers     []core.Worker         `json:"workers"`
	Dispatchers []core.DispatcherInfo `json:"dispatchers"`
}

// Status answers the health routes.
type Status struct {
	Status   string   `json:"status" example:"ok"`
	Warnings []string `json:"warnings,omitempty" doc:"what whoever runs the server should know"`
}

// Version names the server.
type Version struct {
	Version string `json:"version"`
	Go      string `json:"go" doc:"the Go version it was built with"`
}
