package core

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"time"
)

// ServiceStore is the part of a Store that the Service needs.
type ServiceStore interface {
	FunctionStore
	TaskStore
	EventStore
	HintStore
	Roster(ctx context.Context) (Roster, error)
}

// ServiceConfig tells a Service how to behave. Only Store is required.
type ServiceConfig struct {
	Store ServiceStore

	// MaxPayload bounds bodies and arguments, in decoded bytes.
	// Default: MaxPayload (8 MiB).
	MaxPayload int
	// Timeout is given to calls of functions that state none.
	// Default: DefaultTimeout (300 s).
	Timeout time.Duration
	// Python is the minor version assumed of a pickle whose maker did not
	// say, such as "3.11". Default: "" (unknown).
	Python string
	// Recheck is how often a waiter looks at the record although no hint
	// came. Default: 2 s.
	Recheck time.Duration
	// Logger takes what nobody is told otherwise. Default: slog.Default().
	Logger *slog.Logger
}

func (c ServiceConfig) withDefaults() ServiceConfig {
	if c.MaxPayload == 0 {
		c.MaxPayload = MaxPayload
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Recheck == 0 {
		c.Recheck = 2 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func (c ServiceConfig) validate() error {
	if c.Store == nil {
		return Errorf(ErrInternal, "service", "no store was configured")
	}
	if c.MaxPayload < 0 || c.Timeout < 0 || c.Recheck < 0 {
		return Errorf(ErrInvalid, "service", "sizes and times must be positive")
	}
	return nil
}

// Service is what clients talk to: register, submit, look, wait, cancel. It
// holds no state of its own beyond caches, so any number of them may run.
type Service struct {
	cfg   ServiceConfig
	store ServiceStore
	wake  *waiters
	known *functionCache
}

// NewService returns a Service; Run must be called for waits to end promptly.
func NewService(cfg ServiceConfig) (*Service, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Service{cfg: cfg, store: cfg.Store, wake: newWaiters(), known: newFunctionCache(cfg.Store)}, nil
}

// Run listens for hints on behalf of all waiters until ctx is done.
func (s *Service) Run(ctx context.Context) error {
	return s.store.Listen(ctx, s.wake.hear)
}

// MaxPayload is the bound on one body or one set of arguments, in bytes.
func (s *Service) MaxPayload() int { return s.cfg.MaxPayload }

// RegisterRequest describes a function to register.
type RegisterRequest struct {
	Name      string
	Codec     Codec  // Source or Dill
	Body      []byte // file text or pickle
	Entry     string // Source: the function's name in the file
	File      string // base name of the file, for tracebacks
	Signature string
	Doc       string
	Python    string // minor version it needs or was pickled by; "" = not said
	Timeout   time.Duration
	Labels    map[string]string
}

// Registration is the answer to a registration.
type Registration struct {
	Function Function   `json:"function"`
	Outcome  Registered `json:"outcome"`
}

// Register stores a function, or finds the equal one.
func (s *Service) Register(ctx context.Context, r RegisterRequest) (Registration, error) {
	f := Function{
		Name: r.Name, Codec: r.Codec, Body: r.Body, Entry: r.Entry, File: r.File, Signature: r.Signature,
		Doc: r.Doc, Python: r.Python, Timeout: r.Timeout, Labels: r.Labels,
		BodyHash: HashBody(r.Body), BodySize: len(r.Body),
	}
	if err := s.checkFunction(f); err != nil {
		return Registration{}, err
	}
	if f.Codec == Dill && f.Python == "" {
		f.Python, f.Assumed = s.cfg.Python, s.cfg.Python != ""
	}
	stored, outcome, err := s.store.PutFunction(ctx, f)
	return Registration{Function: stored, Outcome: outcome}, err
}

func (s *Service) checkFunction(f Function) error {
	if err := CheckName(f.Name); err != nil {
		return err
	}
	if len(f.Body) > s.cfg.MaxPayload {
		return tooLarge("function body", len(f.Body), s.cfg.MaxPayload)
	}
	if f.Timeout < 0 {
		return Errorf(ErrInvalid, "", "the time-out must not be negative")
	}
	switch f.Codec {
	case Dill:
		return CheckPickle("function payload", f.Body)
	case Source:
		if f.Entry == "" || len(f.Body) == 0 {
			return Errorf(ErrInvalid, "", "a source function needs its text and the name of its entry")
		}
		return nil
	}
	return Errorf(ErrInvalid, "", "codec %q cannot hold a function", f.Codec).WithHint("use source or dill")
}

// CheckPickle looks at the outline of a pickle: protocol 2 or later begins
// with 0x80 and every pickle ends with a full stop. Nothing is decoded.
func CheckPickle(what string, data []byte) error {
	if len(data) < 3 || data[0] != 0x80 || data[len(data)-1] != '.' {
		return Errorf(ErrMalformed, "", "the %s is not a pickle", what).
			WithHint("send base64 of dill.dumps(...)")
	}
	return nil
}

func tooLarge(what string, size, most int) error {
	return Errorf(ErrTooLarge, "", "the %s is %d bytes, above the limit of %d", what, size, most).
		WithHint("pass a path or a key to the data instead, or start the server with a larger --max-payload")
}

// Function finds one function by any reference, without its body.
func (s *Service) Function(ctx context.Context, text string) (Function, error) {
	ref, err := ParseFunctionRef(text)
	if err != nil {
		return Function{}, err
	}
	if ref.Name != "" {
		f, err := s.store.FunctionByName(ctx, ref.Name, ref.Version)
		if err == nil || ref.Prefix == "" || ClassOf(err) != ErrNotFound {
			return f, explainUnknown(err, text)
		}
	}
	if len(ref.Prefix) == 36 {
		f, err := s.store.FunctionByID(ctx, FunctionID(ref.Prefix))
		return f, explainUnknown(err, text)
	}
	return s.functionByPrefix(ctx, ref)
}

func (s *Service) functionByPrefix(ctx context.Context, ref FunctionRef) (Function, error) {
	all, err := s.store.ListFunctions(ctx)
	if err != nil {
		return Function{}, err
	}
	var found []Function
	for _, f := range all {
		if strings.HasPrefix(string(f.ID), ref.Prefix) {
			found = append(found, f)
		}
	}
	switch len(found) {
	case 0:
		return Function{}, explainUnknown(ErrNotFound, ref.Text)
	case 1:
		return found[0], nil
	}
	return Function{}, Errorf(ErrInvalid, "", "%q fits %d functions, %s and %s among them", ref.Text, len(found), found[0].Ref(), found[1].Ref()).
		WithHint("write more of the id, or the name")
}

func explainUnknown(err error, text string) error {
	if err == nil || ClassOf(err) != ErrNotFound {
		return err
	}
	return Errorf(ErrNotFound, "", "there is no function %q", clip(text, 128)).
		WithHint("faasctl fn ls lists the registered ones; faasctl register FILE adds one")
}

// FunctionBody returns a function together with its body.
func (s *Service) FunctionBody(ctx context.Context, text string) (Function, error) {
	f, err := s.Function(ctx, text)
	if err != nil {
		return f, err
	}
	return s.store.FunctionByID(ctx, f.ID)
}

// Functions lists every version of every function.
func (s *Service) Functions(ctx context.Context) ([]Function, error) {
	return s.store.ListFunctions(ctx)
}

// RemoveFunction takes a version (name@version, id), or with a bare name all
// versions, out of service and returns them. Accepted tasks still run.
func (s *Service) RemoveFunction(ctx context.Context, text string) ([]Function, error) {
	f, err := s.Function(ctx, text)
	if err != nil {
		return nil, err
	}
	doomed := []Function{f}
	if text == f.Name {
		all, err := s.store.ListFunctions(ctx)
		if err != nil {
			return nil, err
		}
		doomed = doomed[:0]
		for _, other := range all {
			if other.Name == f.Name {
				doomed = append(doomed, other)
			}
		}
	}
	for _, f := range doomed {
		if err := s.store.RemoveFunction(ctx, f.ID); err != nil {
			return nil, err
		}
	}
	return doomed, nil
}

// SubmitRequest asks for one call.
type SubmitRequest struct {
	Function string // any reference
	Codec    Codec  // of Args
	Args     []byte // JSON: [args, kwargs]; Dill: pickled (args, kwargs)
	Timeout  time.Duration
	Retries  int
	Queue    string
	Priority *int // nil = DefaultPriority
	Labels   map[string]string
	Delay    time.Duration
}

// Submitted is the answer to one SubmitRequest: the task's id, or why it was
// not accepted.
type Submitted struct {
	ID       TaskID
	Function FunctionID
	Name     string // name@version
	Err      error
}

// Submit accepts one call.
func (s *Service) Submit(ctx context.Context, r SubmitRequest) (Submitted, error) {
	answers, err := s.SubmitBatch(ctx, []SubmitRequest{r})
	if err != nil {
		return Submitted{}, err
	}
	return answers[0], answers[0].Err
}

// SubmitBatch accepts many calls in the order given. An error means that none
// was surely accepted; an item of its own may be refused in its answer.
func (s *Service) SubmitBatch(ctx context.Context, requests []SubmitRequest) ([]Submitted, error) {
	answers := make([]Submitted, len(requests))
	batch := make([]Submission, 0, min(len(requests), MaxBatch))
	place := make([]int, 0, cap(batch))
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		refused, err := s.store.Submit(ctx, batch)
		for i, refusal := range refused {
			answers[place[i]].Err = explainUnknown(refusal, requests[place[i]].Function)
		}
		batch, place = batch[:0], place[:0]
		return err
	}
	resolve := s.resolver(ctx)
	for i, r := range requests {
		spec, name, err := s.spec(r, resolve)
		if err != nil {
			if ClassOf(err) == ErrUnavailable || ctx.Err() != nil {
				return nil, err
			}
			answers[i].Err = err
			continue
		}
		answers[i] = Submitted{ID: NewTaskID(), Function: spec.Function, Name: name}
		batch = append(batch, Submission{ID: answers[i].ID, Spec: spec, Delay: r.Delay})
		if place = append(place, i); len(batch) == MaxBatch {
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	return answers, flush()
}

// resolver looks each reference of one batch up once.
func (s *Service) resolver(ctx context.Context) func(string) (Function, error) {
	type answer struct {
		f   Function
		err error
	}
	seen := map[string]answer{}
	return func(text string) (Function, error) {
		if a, ok := seen[text]; ok {
			return a.f, a.err
		}
		var a answer
		if id, err := ParseFunctionID(text); err == nil {
			var f *Function
			if f, a.err = s.known.get(ctx, id); f != nil {
				a.f = *f
			}
			a.err = explainUnknown(a.err, text)
		} else {
			a.f, a.err = s.Function(ctx, text)
		}
		seen[text] = a
		return a.f, a.err
	}
}

func (s *Service) spec(r SubmitRequest, resolve func(string) (Function, error)) (Spec, string, error) {
	spec := Spec{Codec: r.Codec, Args: r.Args, Timeout: r.Timeout, Retries: r.Retries, Queue: r.Queue, Priority: DefaultPriority, Labels: r.Labels}
	if r.Priority != nil {
		spec.Priority = *r.Priority
	}
	if spec.Queue == "" {
		spec.Queue = DefaultQueue
	}
	if err := s.checkSpec(spec, r.Delay); err != nil {
		return spec, "", err
	}
	f, err := resolve(r.Function)
	if err != nil {
		return spec, "", err
	}
	spec.Function = f.ID
	if spec.Timeout == 0 {
		spec.Timeout = f.Timeout
	}
	if spec.Timeout == 0 {
		spec.Timeout = s.cfg.Timeout
	}
	return spec, f.Ref(), nil
}

func (s *Service) checkSpec(spec Spec, delay time.Duration) error {
	switch {
	case len(spec.Args) > s.cfg.MaxPayload:
		return tooLarge("arguments", len(spec.Args), s.cfg.MaxPayload)
	case spec.Timeout < 0 || delay < 0:
		return Errorf(ErrInvalid, "", "times must not be negative")
	case spec.Retries < 0 || spec.Retries > 1000:
		return Errorf(ErrInvalid, "", "retries must be between 0 and 1000, not %d", spec.Retries)
	case spec.Priority < 0 || spec.Priority > 9:
		return Errorf(ErrInvalid, "", "the priority must be between 0 and 9, not %d", spec.Priority)
	case CheckName(spec.Queue) != nil:
		return Errorf(ErrInvalid, "", "%q cannot name a queue", clip(spec.Queue, 64)).WithHint("use letters, digits, _ . -")
	}
	return CheckArgs(spec.Codec, spec.Args)
}

// CheckArgs looks at the outline of encoded arguments: a pickle, or the JSON
// pair of an array and an object.
func CheckArgs(codec Codec, data []byte) error {
	switch codec {
	case Dill:
		return CheckPickle("arguments payload", data)
	case JSON:
		var pair []json.RawMessage
		if json.Unmarshal(data, &pair) != nil || len(pair) != 2 || pair[0][0] != '[' || pair[1][0] != '{' {
			return Errorf(ErrInvalid, "", "the arguments must be a JSON array and a JSON object").
				WithHint("positional arguments are an array such as [3, 4], keywords an object such as {\"a\": 3}")
		}
		return nil
	}
	return Errorf(ErrInvalid, "", "codec %q cannot hold arguments", codec).WithHint("use json or dill")
}

// Task returns one record.
func (s *Service) Task(ctx context.Context, id TaskID) (Task, error) {
	found, err := s.Tasks(ctx, []TaskID{id})
	if err != nil {
		return Task{}, err
	}
	if found[0].ID == "" {
		return Task{}, unknownTask(id)
	}
	return found[0], nil
}

func unknownTask(id TaskID) error {
	return Errorf(ErrNotFound, "", "there is no task %s", id).
		WithHint("results are kept for a day (failed ones 14); faasctl task ls lists what there is")
}

// Tasks returns many records in the order of ids; one that does not exist has
// ID "".
func (s *Service) Tasks(ctx context.Context, ids []TaskID) ([]Task, error) {
	found, err := s.store.Tasks(ctx, ids)
	for i := range found {
		found[i].Name = s.nameOf(ctx, found[i].Function)
	}
	return found, err
}

// nameOf is name@version of a function, or "" when it cannot be told now.
func (s *Service) nameOf(ctx context.Context, id FunctionID) string {
	if id == "" {
		return ""
	}
	if f, err := s.known.get(ctx, id); err == nil {
		return f.Ref()
	}
	return ""
}

// Spec returns what the client asked for, arguments included.
func (s *Service) Spec(ctx context.Context, id TaskID) (Spec, error) {
	spec, err := s.store.Spec(ctx, id)
	if err != nil && ClassOf(err) == ErrNotFound {
		err = unknownTask(id)
	}
	return spec, err
}

// Result returns a task's record and, when it has ended, what it ended with.
func (s *Service) Result(ctx context.Context, id TaskID) (Task, *Result, error) {
	task, err := s.Task(ctx, id)
	if err != nil || !task.State.Terminal() {
		return task, nil, err
	}
	results, err := s.store.Results(ctx, []TaskID{id})
	if err != nil {
		return task, nil, err
	}
	if results[0] == nil {
		return task, nil, Errorf(ErrGone, "", "the result of task %s is not kept any more", id)
	}
	return task, results[0], nil
}

// Output returns what a task printed, as far as it is known by now.
func (s *Service) Output(ctx context.Context, id TaskID) (Task, Output, error) {
	task, err := s.Task(ctx, id)
	if err != nil {
		return task, Output{}, err
	}
	output, err := s.store.Output(ctx, id)
	return task, output, err
}

// Wait returns as soon as the task has ended, or after patience with its
// record as it then stands.
func (s *Service) Wait(ctx context.Context, id TaskID, patience time.Duration) (Task, error) {
	bell, cancel := s.wake.add(id)
	defer cancel()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		task, err := s.Task(ctx, id)
		if err != nil || task.State.Terminal() {
			return task, err
		}
		recheck := time.NewTimer(s.cfg.Recheck)
		select {
		case <-bell:
		case <-recheck.C:
		case <-deadline.C:
			recheck.Stop()
			return s.Task(ctx, id)
		case <-ctx.Done():
			recheck.Stop()
			return task, context.Cause(ctx)
		}
		recheck.Stop()
	}
}

// Cancel asks for the end of tasks and says what that did to each.
func (s *Service) Cancel(ctx context.Context, ids []TaskID) ([]CancelVerdict, error) {
	return s.store.Cancel(ctx, ids)
}

// List returns one page of tasks, newest first.
func (s *Service) List(ctx context.Context, filter TaskFilter) (TaskPage, error) {
	if filter.Limit == 0 {
		filter.Limit = 100
	}
	if filter.Limit < 0 || filter.Limit > MaxBatch {
		return TaskPage{}, Errorf(ErrInvalid, "", "the limit must be between 1 and %d, not %d", MaxBatch, filter.Limit)
	}
	if filter.State != "" && !filter.State.Valid() {
		return TaskPage{}, Errorf(ErrInvalid, "", "there is no state %q", clip(string(filter.State), 32)).
			WithHint("states are QUEUED, DELAYED, RUNNING, COMPLETED, FAILED, CANCELLED")
	}
	page, err := s.store.List(ctx, filter)
	for i := range page.Tasks {
		page.Tasks[i].Name = s.nameOf(ctx, page.Tasks[i].Function)
	}
	return page, err
}

// Events returns what happened after an event id; see EventStore.
func (s *Service) Events(ctx context.Context, after string, max int, wait time.Duration) ([]Event, error) {
	if after != "$" {
		if _, _, err := SplitEventID(after); err != nil {
			return nil, err
		}
	}
	events, err := s.store.Events(ctx, after, max, wait)
	for i := range events {
		events[i].Name = s.nameOf(ctx, events[i].Function)
	}
	return events, err
}

// LastEvent returns the id of the newest stream entry, "" before the first.
func (s *Service) LastEvent(ctx context.Context) (string, error) { return s.store.LastEvent(ctx) }

// Stats returns the whole system in numbers.
func (s *Service) Stats(ctx context.Context) (Stats, error) {
	stats, err := s.store.Stats(ctx)
	if err != nil {
		return stats, err
	}
	roster, err := s.store.Roster(ctx)
	if err != nil {
		return stats, err
	}
	stats.Workers, stats.Dispatchers = roster.Workers, roster.Dispatchers
	for _, w := range roster.Workers {
		if w.State == WorkerRunning || w.State == WorkerDraining {
			stats.Slots += w.Slots
			stats.Busy += w.Busy
		}
	}
	return stats, nil
}

// Roster returns who is there.
func (s *Service) Roster(ctx context.Context) (Roster, error) { return s.store.Roster(ctx) }

// Ready fails unless a task that is submitted now would be accepted and run:
// the store answers and a dispatcher with at least one slot is there.
func (s *Service) Ready(ctx context.Context) error {
	if err := s.store.Ping(ctx); err != nil {
		return err
	}
	stats, err := s.Stats(ctx)
	if err != nil {
		return err
	}
	if len(stats.Dispatchers) == 0 {
		return Errorf(ErrUnavailable, "", "no dispatcher is connected to the store").WithHint("start one: faasctl dispatcher -m local -w 2")
	}
	if stats.Slots == 0 {
		return Errorf(ErrUnavailable, "", "no worker is connected").WithHint("start a dispatcher with workers: faasctl dispatcher -m local -w 2")
	}
	return nil
}
