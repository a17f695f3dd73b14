package redisstore

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"faasctl/core"
)

// operationFields are what readOperation takes; scripts/journal.lua names them.
var operationFields = []string{"doc", "st", "cr", "du", "en", "at", "n", "sk", "un", "sd"}

// operationDocument is what of an operation never changes.
type operationDocument struct {
	Kind    core.OperationKind `json:"kind"`
	Filter  core.BulkFilter    `json:"filter"`
	By      string             `json:"by,omitempty"`
	GraceMS int64              `json:"grace_ms,omitempty"`
	Planned int                `json:"planned"`
	More    bool               `json:"more,omitempty"`
}

// PutOperation implements core.OperationStore.
func (s *Store) PutOperation(ctx context.Context, op core.Operation, wait time.Duration) (core.Operation, error) {
	const verb = "write an operation"
	if short(string(op.ID)) != string(op.ID) || op.ID == "" {
		return op, core.Errorf(core.ErrInvalid, verb, "%q cannot be an operation's id", op.ID)
	}
	document, err := json.Marshal(operationDocument{op.Kind, op.Filter, op.By, op.GraceMS, op.Planned, op.More})
	if err != nil {
		return op, err
	}
	err = s.scripts.putOperation.Run(ctx, s.client, s.fixed, s.cfg.KeepEvents, string(op.ID), string(op.Kind), document,
		millis(wait), core.KeepOperations).Err()
	if err != nil && err != redis.Nil {
		return op, s.failed(verb, ctx, err)
	}
	return s.Operation(ctx, op.ID)
}

// Operation implements core.OperationStore.
func (s *Store) Operation(ctx context.Context, id core.OperationID) (core.Operation, error) {
	found, err := s.operations(ctx, []string{short(string(id))})
	if err != nil {
		return core.Operation{}, err
	}
	if len(found) == 0 {
		return core.Operation{}, core.Errorf(core.ErrNotFound, "read an operation", "there is no operation %s", id)
	}
	return found[0], nil
}

// operations reads those of ids that there are.
func (s *Store) operations(ctx context.Context, ids []string) ([]core.Operation, error) {
	const op = "read operations"
	answers := make([]*redis.SliceCmd, len(ids))
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, id := range ids {
			answers[i] = p.HMGet(ctx, s.keys.operation(core.OperationID(id)), operationFields...)
		}
		return nil
	})
	if err != nil {
		return nil, s.failed(op, ctx, err)
	}
	found := make([]core.Operation, 0, len(ids))
	for i, answer := range answers {
		values := answer.Val()
		text := func(n int) string { word, _ := values[n].(string); return word }
		at := func(n int) time.Time { return instant(asNumber(text(n))) }
		count := func(n int) int { return int(asNumber(text(n))) }
		if len(values) != len(operationFields) || text(1) == "" {
			continue
		}
		var document operationDocument
		if err := json.Unmarshal([]byte(text(0)), &document); err != nil {
			return nil, &core.Error{Class: core.ErrInternal, Op: op, Detail: "an entry of the journal is damaged", Err: err}
		}
		found = append(found, core.Operation{
			ID: core.OperationID(ids[i]), Kind: document.Kind, State: core.OperationState(text(1)), Filter: document.Filter,
			By: document.By, GraceMS: document.GraceMS, Planned: document.Planned, More: document.More, Created: at(2), Due: at(3), Ended: at(4),
			At: text(5), Applied: count(6), Skipped: count(7), Undone: count(8), Started: count(9),
		})
	}
	return found, nil
}

// Operations implements core.OperationStore.
func (s *Store) Operations(ctx context.Context, limit int) ([]core.Operation, error) {
	if limit <= 0 {
		return []core.Operation{}, nil
	}
	ids, err := s.client.ZRevRange(ctx, s.keys.operationsAll(), 0, int64(limit)-1).Result()
	if err != nil || len(ids) == 0 {
		return []core.Operation{}, s.failed("list operations", ctx, err)
	}
	return s.operations(ctx, ids)
}

// dueAtOnce is how many operations are told of as due at once.
const dueAtOnce = 16

// DueOperations implements core.OperationStore.
func (s *Store) DueOperations(ctx context.Context) (due []core.Operation, next time.Duration, err error) {
	var first *redis.ZSliceCmd
	var clock *redis.TimeCmd
	if _, err = s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		first, clock = p.ZRangeWithScores(ctx, s.keys.operationsDue(), 0, dueAtOnce), p.Time(ctx)
		return nil
	}); err != nil {
		return nil, 0, s.failed("read due operations", ctx, err)
	}
	var ids []string
	for _, z := range first.Val() {
		wait := instant(int64(z.Score)).Sub(clock.Val())
		if wait > 0 {
			next = wait
			break
		}
		if id, ok := z.Member.(string); ok && len(ids) < dueAtOnce {
			ids = append(ids, id)
		}
	}
	if len(ids) > 0 {
		due, err = s.operations(ctx, ids)
	}
	return due, next, err
}

// StepOperation implements core.OperationStore.
func (s *Store) StepOperation(ctx context.Context, step core.OperationStep) (core.Operation, error) {
	op, err := s.Operation(ctx, step.ID)
	if err != nil {
		return op, err
	}
	args := []any{s.cfg.KeepEvents, string(step.ID), step.From, step.To, flag(step.Last)}
	script := s.scripts.stepPurge
	switch op.Kind {
	case core.OperationCancel:
		script = s.scripts.stepCancel
		states := make([]string, len(step.States))
		for i, state := range step.States {
			states[i] = string(state)
		}
		args = append(args, cancelledBefore, strings.Join(states, ","), graceArg(step.Grace))
	case core.OperationRetry:
		script = s.scripts.stepRetry
		if args, err = retryArgs(args, step.Retries); err != nil {
			return op, err
		}
	}
	if op.Kind != core.OperationRetry {
		for _, id := range step.Tasks {
			args = append(args, string(id))
		}
	}
	answer, err := s.run(ctx, "carry out "+string(step.ID), script, args...)
	if err != nil {
		return op, err
	}
	return s.after(ctx, step.ID, answer)
}

// retryArgs adds what scripts/stepretry.lua takes.
func retryArgs(args []any, retries []core.Submission) ([]any, error) {
	args = append(args, core.KeepUndo.Milliseconds(), len(retries))
	for _, item := range retries {
		args = append(args, short(string(item.Spec.RetryOf)))
	}
	var forms forms[submitForm]
	var sealer sealer
	var err error
	place := len(args)
	args = append(args, nil)
	for _, item := range retries {
		if args, err = appendSubmission(args, item, &sealer, &forms); err != nil {
			return nil, err
		}
	}
	args[place], err = forms.json(submitForm.fields)
	return args, err
}

// after reads an operation after a step, which was somebody else's when the
// script answered 0.
func (s *Store) after(ctx context.Context, id core.OperationID, answer any) (core.Operation, error) {
	op, err := s.Operation(ctx, id)
	if err == nil && answer == int64(0) {
		err = core.Errorf(core.ErrStale, "", "%s goes on elsewhere", id)
	}
	return op, err
}

// UndoOperation implements core.OperationStore.
func (s *Store) UndoOperation(ctx context.Context, id core.OperationID) (core.Operation, error) {
	answer, err := s.run(ctx, "undo", s.scripts.undoOperation, s.cfg.KeepEvents, short(string(id)))
	if err != nil {
		return core.Operation{}, err
	}
	op, err := s.Operation(ctx, id)
	switch {
	case err != nil:
	case answer == "late":
		err = core.TooLateToUndo(op)
	case answer == "old":
		err = core.TooOldToUndo(op)
	}
	return op, err
}

// UndoStep implements core.OperationStore.
func (s *Store) UndoStep(ctx context.Context, id core.OperationID, max int) (core.Operation, error) {
	if _, err := s.Operation(ctx, id); err != nil {
		return core.Operation{}, err
	}
	answer, err := s.run(ctx, "undo", s.scripts.undoStep, s.cfg.KeepEvents, short(string(id)), min(max, core.MaxBatch), cancelledBefore)
	if err != nil {
		return core.Operation{}, err
	}
	return s.after(ctx, id, answer)
}
