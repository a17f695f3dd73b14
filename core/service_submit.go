package core

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"
)

// SubmitRequest asks for one call.
type SubmitRequest struct {
	Function string         // any reference
	Codec    Codec          // of Args
	Args     []byte         // JSON: [args, kwargs]; Dill: pickled (args, kwargs)
	Timeout  time.Duration  // 0 = the function's, then the server's
	Retries  *int           // nil = the function's
	Expires  *time.Duration // nil = the function's
	Queue    string
	Priority *int // nil = DefaultPriority
	Labels   map[string]string
	Delay    time.Duration // > 0: queued only then
	// At, unless zero, is when it is queued, by the store's clock; it excludes Delay.
	At time.Time `json:",omitzero"`
	// Key makes all requests with it for one function one task, for as long as
	// the task is kept; "" = none. New fields are part of the call that a key stands for:
	// give them omitzero, or the keys of an older version fit no more.
	Key string `json:",omitzero"`
}

// Submitted is the answer to one SubmitRequest: the task's id, or why it was
// not accepted.
type Submitted struct {
	ID       TaskID
	Function FunctionID
	Name     string // name@version
	Repeated bool   // an earlier request with the same key made it
	Err      error
}

// Submit accepts one call. The calls of many clients become one write to the store.
func (s *Service) Submit(ctx context.Context, r SubmitRequest) (Submitted, error) {
	return s.SubmitOne(ctx, "", r)
}

// SubmitOne is Submit under a token: see SubmitOnce.
func (s *Service) SubmitOne(ctx context.Context, token string, r SubmitRequest) (Submitted, error) {
	if len(r.Args) > together {
		answers, err := s.SubmitOnce(ctx, token, []SubmitRequest{r})
		if err != nil {
			return Submitted{}, err
		}
		return answers[0], answers[0].Err
	}
	return s.collect.submit(ctx, token, r)
}

// together is how large the arguments are at most of a call that waits for others and
// lets them wait.
const together = 64 << 10

// SubmitBatch accepts many calls in the order given. An error means that none
// was surely accepted; an item of its own may be refused in its answer.
func (s *Service) SubmitBatch(ctx context.Context, requests []SubmitRequest) ([]Submitted, error) {
	return s.SubmitOnce(ctx, "", requests)
}

// SubmitOnce is SubmitBatch under a token that the client drew for this request:
// the same request that comes again within five minutes, as its answer was lost,
// accepts nothing twice.
func (s *Service) SubmitOnce(ctx context.Context, token string, requests []SubmitRequest) ([]Submitted, error) {
	newID, err := s.ids(ctx, token)
	if err != nil {
		return nil, err
	}
	return s.accept(ctx, requests, newID, s.resolver(ctx))
}

// accept hands calls to the store; newID names the tasks.
func (s *Service) accept(ctx context.Context, requests []SubmitRequest, newID func(i int) TaskID, resolve func(string) (Function, error)) ([]Submitted, error) {
	answers := make([]Submitted, len(requests))
	batch := make([]Submission, 0, min(len(requests), MaxBatch))
	place := make([]int, 0, cap(batch))
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		refused, err := s.store.Submit(ctx, batch)
		for i, refusal := range refused {
			at := place[i]
			s.answer(&answers[at], refusal, &requests[at])
		}
		batch, place = batch[:0], place[:0]
		return err
	}
	for i, r := range requests {
		spec, name, err := s.spec(r, resolve)
		if err != nil {
			if ClassOf(err) == ErrUnavailable || ctx.Err() != nil {
				return nil, err
			}
			answers[i].Err = err
			continue
		}
		answers[i] = Submitted{ID: newID(i), Function: spec.Function, Name: name}
		batch = append(batch, Submission{ID: answers[i].ID, Spec: spec, Delay: r.Delay, At: r.At, Key: r.key(nameOnly(name))})
		if place = append(place, i); len(batch) == MaxBatch {
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	if err := flush(); err != nil {
		return nil, err
	}
	return answers, s.nameRepeated(ctx, answers)
}

// answer completes the answer to one request with what the store said of it.
func (s *Service) answer(a *Submitted, refusal error, r *SubmitRequest) {
	var used *KeyUsed
	switch {
	case !errors.As(refusal, &used):
		a.Err = explainUnknown(refusal, r.Function)
	case used.Same:
		a.ID, a.Repeated = used.Task, true
	default:
		a.Err = Errorf(ErrConflict, "", "the key %q of %s belongs to task %s, which was asked for with another body", clip(r.Key, 64), nameOnly(a.Name), used.Task).
			WithHint("faasctl task show %s shows that call; give another call another key", used.Task)
	}
}

// nameRepeated fills in the function of tasks that earlier requests made: it may
// be another version.
func (s *Service) nameRepeated(ctx context.Context, answers []Submitted) error {
	var ids []TaskID
	var place []int
	for i, a := range answers {
		if a.Repeated {
			ids, place = append(ids, a.ID), append(place, i)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	tasks, err := s.Tasks(ctx, ids)
	for i, task := range tasks {
		if task.ID != "" {
			answers[place[i]].Function, answers[place[i]].Name = task.Function, task.Name
		}
	}
	return err
}

// nameOnly is the name of name@version.
func nameOnly(ref string) string {
	name, _, _ := strings.Cut(ref, "@")
	return name
}

// resolver looks each reference of one batch up once; many may use it at once.
func (s *Service) resolver(ctx context.Context) func(string) (Function, error) {
	type answer struct {
		f   Function
		err error
	}
	var mu sync.Mutex
	seen := map[string]answer{}
	return func(text string) (Function, error) {
		mu.Lock()
		a, ok := seen[text]
		mu.Unlock()
		if ok {
			return a.f, a.err
		}
		a.f, a.err = s.callee(ctx, text)
		mu.Lock()
		seen[text] = a
		mu.Unlock()
		return a.f, a.err
	}
}

// callee is the function that a call names. A name is looked up each time, so that a
// new version is called at once; what is known of a version may be policyAge old.
func (s *Service) callee(ctx context.Context, text string) (Function, error) {
	id, err := ParseFunctionID(text)
	if err != nil {
		ref, err := ParseFunctionRef(text)
		if err != nil {
			return Function{}, err
		}
		if ref.Name != "" {
			if id, err = s.store.FunctionNamed(ctx, ref.Name, ref.Version); err != nil {
				return Function{}, err
			}
		}
		if id == "" { // the beginning of an id, or nothing
			return s.Function(ctx, text)
		}
	}
	f, err := s.known.fresh(ctx, id)
	if err != nil {
		return Function{}, explainUnknown(err, text)
	}
	return *f, nil
}

func (s *Service) spec(r SubmitRequest, resolve func(string) (Function, error)) (Spec, string, error) {
	spec := Spec{Codec: r.Codec, Args: r.Args, Timeout: r.Timeout, Queue: r.Queue, Priority: DefaultPriority, Labels: r.Labels}
	state(&spec.Priority, r.Priority)
	state(&spec.Retries, r.Retries)
	state(&spec.Expires, r.Expires)
	if spec.Queue == "" {
		spec.Queue = DefaultQueue
	}
	if err := CheckKey(r.Key); err != nil {
		return spec, "", err
	}
	if !r.At.IsZero() && r.Delay != 0 {
		return spec, "", Errorf(ErrInvalid, "", "state a delay or a time, not both")
	}
	wait := r.Delay
	if !r.At.IsZero() {
		wait = max(0, time.Until(r.At)) // about, for the bound; the store's clock decides
	}
	if err := s.checkSpec(spec, wait); err != nil {
		return spec, "", err
	}
	f, err := resolve(r.Function)
	if err != nil {
		return spec, "", err
	}
	spec.Function = f.ID
	spec.inherit(f.Policy, r)
	if spec.Timeout == 0 {
		spec.Timeout = s.cfg.Timeout
	}
	return spec, f.Ref(), nil
}

// PastDue refuses a task that was to wait until a time which is over.
func PastDue(at time.Time) error {
	return Errorf(ErrInvalid, "", "%s is in the past", at.Format(time.RFC3339)).
		WithHint("name a time to come, or leave it out to have the task queued at once")
}

// inherit takes from the function's policy what the call does not state. Back-off
// and retry-on mean nothing to a call that is run once.
func (s *Spec) inherit(p Policy, r SubmitRequest) {
	if s.Timeout == 0 {
		s.Timeout = p.Timeout
	}
	if r.Retries == nil {
		s.Retries = p.Retries
	}
	if r.Expires == nil {
		s.Expires = p.Expires
	}
	s.Limits, s.Env = p.Limits, p.Env
	if s.Retries > 0 {
		s.Backoff, s.RetryOn = p.Backoff, p.RetryOn
	}
}

func (s *Service) checkSpec(spec Spec, delay time.Duration) error {
	switch {
	case len(spec.Args) > s.cfg.MaxPayload:
		return tooLarge("arguments", len(spec.Args), s.cfg.MaxPayload)
	case spec.Timeout < 0 || delay < 0:
		return Errorf(ErrInvalid, "", "times must not be negative")
	case delay > MaxWait:
		return Errorf(ErrInvalid, "", "a task cannot wait for more than a hundred years")
	case spec.Expires < 0 || spec.Expires > MaxWait:
		return Errorf(ErrInvalid, "", "expires must be between 0 (never) and a hundred years, not %s", spec.Expires)
	case spec.Retries < 0 || spec.Retries > MaxRetries:
		return Errorf(ErrInvalid, "", "retries must be between 0 and %d, not %d", MaxRetries, spec.Retries)
	case spec.Priority < 0 || spec.Priority > 9:
		return Errorf(ErrInvalid, "", "the priority must be between 0 and 9, not %d", spec.Priority)
	}
	if err := checkQueue(spec.Queue); err != nil {
		return err
	}
	return CheckArgs(spec.Codec, spec.Args)
}

func checkQueue(name string) error {
	if CheckName(name) != nil {
		return Errorf(ErrInvalid, "", "%q cannot name a queue", clip(name, 64)).WithHint("use letters, digits, _ . -")
	}
	return nil
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
