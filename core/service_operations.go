package core

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// OperationRequest asks for something to be done to many tasks.
type OperationRequest struct {
	ID     OperationID // so that a request can be repeated; default: a fresh one
	Kind   OperationKind
	Filter BulkFilter    // its Functions are filled in
	Now    bool          // a cancel or purge takes effect at once, and cannot be undone
	By     string        // who asks, for the journal
	Grace  time.Duration // of a cancel: what calls have to end; 0 = their dispatcher's
}

// Plan is what an operation would do now.
type Plan struct {
	Kind   OperationKind `json:"kind"`
	Filter BulkFilter    `json:"filter"`
	Tasks  int           `json:"tasks"`
	// More says that there are more than Tasks: counting stopped at 100,000.
	More bool `json:"more,omitempty"`
	// Oldest is when the oldest of them was submitted.
	Oldest time.Time   `json:"oldest,omitzero"`
	Groups []PlanGroup `json:"groups"` // the largest first; at most 10
	// Wait is how long it would wait before it takes effect, in ms.
	WaitMS int64 `json:"wait_ms"`
}

// PlanGroup is a part of a plan.
type PlanGroup struct {
	Function FunctionID `json:"function_id"`
	Name     string     `json:"function,omitempty"` // name@version
	State    State      `json:"state"`
	Error    string     `json:"error,omitempty"` // class or kind of a failure
	Count    int        `json:"tasks"`
}

const (
	maxPlanned    = 100_000
	maxPlanGroups = 10
)

// prepare checks a request and turns it into an operation that is not yet in the
// journal.
func (s *Service) prepare(ctx context.Context, r OperationRequest) (Operation, error) {
	op := Operation{ID: cmp.Or(r.ID, NewOperationID()), Kind: r.Kind, Filter: r.Filter, By: clipText(r.By, 128), GraceMS: r.Grace.Milliseconds()}
	f := &op.Filter
	if err := checkGrace(r.Grace); err != nil {
		return op, err
	}
	switch {
	case r.Kind != OperationCancel && r.Kind != OperationRetry && r.Kind != OperationPurge:
		return op, Errorf(ErrInvalid, "", "there is no operation %q", clip(string(r.Kind), 32)).WithHint("choose cancel, retry or purge")
	case r.Kind == OperationCancel && f.Error != "":
		return op, Errorf(ErrInvalid, "", "a task that has not ended has no error to select it by")
	case r.Kind == OperationCancel && f.State != "" && (!f.State.Valid() || f.State.Terminal()):
		return op, Errorf(ErrInvalid, "", "tasks that are %s cannot be cancelled", clip(string(f.State), 32)).WithHint("choose QUEUED, DELAYED or RUNNING")
	case r.Kind != OperationCancel && f.State != "" && f.State != Failed:
		return op, Errorf(ErrInvalid, "", "dead letters are FAILED, not %s", clip(string(f.State), 32))
	case f.Queue != "" && CheckName(f.Queue) != nil:
		return op, Errorf(ErrInvalid, "", "%q cannot name a queue", clip(f.Queue, 64))
	case r.Kind != OperationCancel && r.Grace != 0:
		return op, Errorf(ErrInvalid, "", "only a cancel has a grace")
	case len(f.Error) > keepAttemptType:
		return op, Errorf(ErrInvalid, "", "%q is too long for the class of an error", clip(f.Error, 64)).WithHint("failures are known by the first %d bytes of their class", keepAttemptType)
	}
	if r.Kind != OperationCancel {
		f.State = ""
	}
	var err error
	f.Functions, err = s.versions(ctx, f.Function)
	return op, err
}

// versions are the functions that a reference of a filter stands for: of a bare
// name all versions, also those that were removed, as these still have tasks. A whole
// id stands for itself.
func (s *Service) versions(ctx context.Context, text string) ([]FunctionID, error) {
	if text == "" {
		return nil, nil
	}
	if id, err := ParseFunctionID(text); err == nil {
		return []FunctionID{id}, nil
	}
	f, unknown := s.Function(ctx, text)
	if unknown != nil && ClassOf(unknown) != ErrNotFound || unknown == nil && f.Name != text {
		return []FunctionID{f.ID}, unknown
	}
	var ids []FunctionID
	for _, list := range []func(context.Context) ([]Function, error){s.store.ListFunctions, s.store.RemovedFunctions} {
		all, err := list(ctx)
		if err != nil {
			return nil, err
		}
		for _, f := range all {
			if f.Name == text || f.Ref() == text {
				ids = append(ids, f.ID)
			}
		}
	}
	if len(ids) == 0 {
		return nil, unknown
	}
	return ids, nil
}

// PlanOperation says what an operation would do if it was asked for now.
func (s *Service) PlanOperation(ctx context.Context, r OperationRequest) (Plan, error) {
	op, err := s.prepare(ctx, r)
	if err != nil {
		return Plan{}, err
	}
	return s.plan(ctx, op, s.regret(r))
}

// regret is how long an operation waits. A retry does not: its undo cancels what
// has not begun.
func (s *Service) regret(r OperationRequest) time.Duration {
	if r.Now || r.Kind == OperationRetry {
		return 0
	}
	return s.cfg.Regret
}

func (s *Service) plan(ctx context.Context, op Operation, wait time.Duration) (Plan, error) {
	plan := Plan{Kind: op.Kind, Filter: op.Filter, WaitMS: wait.Milliseconds(), Groups: []PlanGroup{}}
	groups := map[PlanGroup]int{}
	seen := map[TaskID]bool{} // one that moves on while we look is met in two listings
	for _, state := range op.states() {
		for at := (walk{state: state}); ; {
			page, err := s.store.List(ctx, op.pageOf(at, MaxBatch))
			if err != nil {
				return plan, err
			}
			for _, t := range page.Tasks {
				if !op.selects(t) || seen[t.ID] {
					continue
				}
				if plan.Tasks == maxPlanned {
					plan.More = true
					break
				}
				seen[t.ID] = true
				plan.add(t, groups)
			}
			if at.before = page.Next; page.Next == "" || plan.More {
				break
			}
		}
	}
	for g, n := range groups {
		g.Count, g.Name = n, s.nameOf(ctx, g.Function)
		plan.Groups = append(plan.Groups, g)
	}
	slices.SortFunc(plan.Groups, func(a, b PlanGroup) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name), cmp.Compare(a.State, b.State), cmp.Compare(a.Error, b.Error))
	})
	plan.Groups = plan.Groups[:min(len(plan.Groups), maxPlanGroups)]
	return plan, nil
}

func (p *Plan) add(t Task, groups map[PlanGroup]int) {
	p.Tasks++
	if p.Oldest.IsZero() || t.Submitted.Before(p.Oldest) {
		p.Oldest = t.Submitted
	}
	groups[PlanGroup{Function: t.Function, State: t.State, Error: cmp.Or(t.Type, string(t.Failure))}]++
}

// promptly is how long a request carries out its operation itself; what is left
// then goes on behind it.
const promptly = 2 * time.Second

// StartOperation writes an operation into the journal. A retry, and a cancel or
// purge that shall not wait, has begun to take effect when it returns, and
// mostly is done; the others take effect after ServiceConfig.Regret. From then on
// nobody need wait: any process with a Service or a dispatcher carries it out.
func (s *Service) StartOperation(ctx context.Context, r OperationRequest) (Operation, error) {
	op, err := s.prepare(ctx, r)
	if err != nil {
		return op, err
	}
	wait := s.regret(r)
	plan, err := s.plan(ctx, op, wait)
	if err != nil {
		return op, err
	}
	op.Planned, op.More = plan.Tasks, plan.More
	if op, err = s.store.PutOperation(ctx, op, wait); err != nil {
		return op, err
	}
	defer s.bulk.ring()
	if wait > 0 {
		return op, nil
	}
	return s.drive(ctx, op)
}

// drive carries out an operation for a moment. Where that fails the operation
// stands in the journal all the same, and goes on.
func (s *Service) drive(ctx context.Context, op Operation) (Operation, error) {
	limited, cancel := context.WithTimeout(ctx, promptly)
	defer cancel()
	_, err := s.bulk.drive(limited, op)
	if err != nil && limited.Err() == nil {
		s.cfg.Logger.Warn("an operation waits to go on", "operation", op.ID, "error", err)
	}
	return s.Operation(ctx, op.ID, 0)
}

// UndoOperation undoes what can be undone: a pending operation never takes
// effect; of a retry the new tasks that were not handed to a worker yet are
// cancelled, and counted beside those that were. ErrConflict when it is too late.
func (s *Service) UndoOperation(ctx context.Context, id OperationID) (Operation, error) {
	op, err := s.store.UndoOperation(ctx, id)
	if err != nil {
		return op, explainOperation(err, id)
	}
	defer s.bulk.ring()
	return s.drive(ctx, op)
}

func explainOperation(err error, id OperationID) error {
	if ClassOf(err) != ErrNotFound {
		return err
	}
	return Errorf(ErrNotFound, "", "there is no operation %s", id).WithHint("faasctl undo lists the last %d", KeepOperations)
}

// Operation returns one as soon as it has ended, or after patience as it then
// stands.
func (s *Service) Operation(ctx context.Context, id OperationID, patience time.Duration) (Operation, error) {
	deadline := time.Now().Add(patience)
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, 500*time.Millisecond) {
		op, err := s.store.Operation(ctx, id)
		if err != nil || op.State.Ended() || !time.Now().Before(deadline) {
			return op, explainOperation(err, id)
		}
		timer := time.NewTimer(min(pause, time.Until(deadline)))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return op, context.Cause(ctx)
		}
	}
}

// Operations returns the newest operations first; limit 0 is 50.
func (s *Service) Operations(ctx context.Context, limit int) ([]Operation, error) {
	if limit < 0 || limit > KeepOperations {
		return nil, Errorf(ErrInvalid, "", "the limit must be between 1 and %d, not %d", KeepOperations, limit)
	}
	return s.store.Operations(ctx, cmp.Or(limit, 50))
}
