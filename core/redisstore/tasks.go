package redisstore

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/redis/go-redis/v9"

	"faasctl/core"
)

// Submit implements core.TaskStore.
func (s *Store) Submit(ctx context.Context, batch []core.Submission) ([]error, error) {
	const op = "submit"
	refused := make([]error, len(batch))
	size := func(i int) int { return len(batch[i].Spec.Args) + 512 }
	err := parcels(len(batch), size, func(from, to int) error {
		args := make([]any, 2, 2+4*(to-from))
		args[0] = s.cfg.KeepEvents
		var forms forms[submitForm]
		var sealer sealer
		asked := make([]int, 0, to-from)
		for i := from; i < to; i++ {
			item, priority := batch[i], batch[i].Spec.Priority
			if priority < 0 || priority > 9 {
				refused[i] = core.Errorf(core.ErrInvalid, op, "priority %d is not between 0 and 9", priority)
				continue
			}
			if item.ID == "" || short(string(item.ID)) != string(item.ID) {
				refused[i] = core.Errorf(core.ErrInvalid, op, "%q cannot be a task id", item.ID)
				continue
			}
			var err error
			if args, err = appendSubmission(args, item, &sealer, &forms); err != nil {
				return err
			}
			asked = append(asked, i)
		}
		if len(asked) == 0 {
			return nil
		}
		var err error
		if args[1], err = forms.json(submitForm.fields); err != nil {
			return err
		}
		answer, err := s.run(ctx, op, s.scripts.submit, args...)
		if err != nil {
			return err
		}
		codes, ok := answer.([]any)
		if !ok || len(codes) != len(asked) {
			return broken(op, "the script answered %d items with %T", len(asked), answer)
		}
		for i, code := range codes {
			refused[asked[i]] = refusal(op, code, batch[asked[i]])
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return refused, nil
}

// refusal reads what submit.lua answered to one task.
func refusal(op string, code any, item core.Submission) error {
	switch code := code.(type) {
	case int64:
		switch code {
		case 1:
			return nil
		case 2:
			return core.PastDue(item.At)
		}
	case string:
		if len(code) > 1 {
			return &core.KeyUsed{Task: core.TaskID(code[1:]), Same: code[0] == '='}
		}
	}
	return core.Errorf(core.ErrNotFound, op, "there is no function %s", item.Spec.Function)
}

// dueAt is a time as scripts take it; 0 when none was named.
func dueAt(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return max(1, at.UnixMilli())
}

// Once implements core.TaskStore.
func (s *Store) Once(ctx context.Context, tokens []string, ids []core.TaskID, keep time.Duration) ([]core.TaskID, error) {
	known := make([]*redis.StringCmd, len(tokens))
	for {
		_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, token := range tokens {
				p.SetNX(ctx, s.keys.once(token), string(ids[i]), keep)
				known[i] = p.Get(ctx, s.keys.once(token))
			}
			return nil
		})
		if errors.Is(err, redis.Nil) { // one was forgotten between the two
			continue
		}
		if err != nil {
			return nil, s.failed("begin a request", ctx, err)
		}
		found := make([]core.TaskID, len(tokens))
		for i, one := range known {
			found[i] = core.TaskID(one.Val())
		}
		return found, nil
	}
}

// submitForm is what many submissions may have in common: see scripts/submit.lua.
type submitForm struct {
	function      core.FunctionID
	codec         core.Codec
	queue         string
	priority      int
	delay         int64
	again         string
	retries       int
	first, latest int64
	on            string
	key           core.Key
	expires, at   int64
}

func (f submitForm) fields() []any {
	return []any{
		f.function, f.codec, f.queue, f.priority, f.delay, f.again, f.retries, f.first, f.latest, f.on, f.key.Name, f.key.Body, f.expires, f.at,
	}
}

// appendSubmission adds what scripts/submit.lua takes of one task.
func appendSubmission(args []any, item core.Submission, sealer *sealer, forms *forms[submitForm]) ([]any, error) {
	envelope, apart, err := sealer.sealSpec(item.Spec)
	if err != nil {
		return nil, err
	}
	spec := item.Spec
	form := submitForm{
		function: spec.Function, codec: spec.Codec, queue: spec.Queue, priority: spec.Priority, delay: max(0, millis(item.Delay)),
		again: short(string(spec.RetryOf)), key: core.Key{Name: short(item.Key.Name), Body: short(item.Key.Body)},
		expires: millis(spec.Expires), at: dueAt(item.At),
	}
	if spec.Retries > 0 {
		form.retries, form.on = spec.Retries, spec.RetryOn.String()
		form.first, form.latest = millis(spec.Backoff.Wait(1, 0)), millis(spec.Backoff.Wait(core.MaxRetries, 0))
	}
	return append(args, string(item.ID), envelope, apart, forms.number(form)), nil
}

// Tasks implements core.TaskStore.
func (s *Store) Tasks(ctx context.Context, ids []core.TaskID) ([]core.Task, error) {
	return s.records(ctx, "read tasks", ids)
}

// Spec implements core.TaskStore.
func (s *Store) Spec(ctx context.Context, id core.TaskID) (core.Spec, error) {
	const op = "read a task"
	envelope, err := s.client.Get(ctx, s.keys.spec(id)).Bytes()
	if errors.Is(err, redis.Nil) {
		return core.Spec{}, core.Errorf(core.ErrNotFound, op, "there is no task %s", id)
	}
	if err != nil {
		return core.Spec{}, s.failed(op, ctx, err)
	}
	spec, apart, err := openSpec(envelope)
	if err != nil || apart == 0 {
		return spec, err
	}
	if spec.Args, err = s.client.Get(ctx, s.keys.args(id)).Bytes(); errors.Is(err, redis.Nil) {
		return core.Spec{}, broken(op, "the arguments of task %s are missing", id)
	}
	return spec, s.failed(op, ctx, err)
}

// Specs implements core.TaskStore. An envelope holds at most outOfLine bytes of
// arguments, so that many can be asked for at once; larger arguments come alone.
func (s *Store) Specs(ctx context.Context, ids []core.TaskID, maxBytes int) ([]core.Spec, error) {
	const op, atOnce = "read tasks", 128
	specs := make([]core.Spec, 0, len(ids))
	for bytes := 0; len(specs) < len(ids) && bytes < maxBytes; {
		part := ids[len(specs):min(len(specs)+atOnce, len(ids))]
		names := make([]string, len(part))
		for i, id := range part {
			names[i] = s.keys.spec(id)
		}
		values, err := s.client.MGet(ctx, names...).Result()
		if err != nil {
			return nil, s.failed(op, ctx, err)
		}
		for i := 0; i < len(values) && bytes < maxBytes; i++ {
			envelope, _ := values[i].(string)
			if envelope == "" {
				specs = append(specs, core.Spec{})
				continue
			}
			spec, apart, err := openSpec([]byte(envelope))
			if err == nil && apart > 0 {
				spec, err = s.Spec(ctx, part[i])
			}
			if err != nil && !errors.Is(err, core.ErrNotFound) {
				return nil, err
			}
			bytes += len(spec.Args)
			specs = append(specs, spec)
		}
	}
	return specs, nil
}

// Results implements core.TaskStore.
func (s *Store) Results(ctx context.Context, ids []core.TaskID) ([]*core.Result, error) {
	return s.ResultsUpTo(ctx, ids, math.MaxInt)
}

// ResultsUpTo implements core.TaskStore. The sizes are not known beforehand, and each
// result may have 8 MiB: the first part of each comes in one round trip for many, and
// is all of almost every one; the larger ones come alone.
func (s *Store) ResultsUpTo(ctx context.Context, ids []core.TaskID, maxBytes int) ([]*core.Result, error) {
	const op, atOnce, part = "read results", 256, firstPart
	found := make([]*core.Result, 0, len(ids))
	for bytes := 0; len(found) < len(ids); {
		some := ids[len(found):min(len(found)+atOnce, len(ids))]
		starts := make([]*redis.StringCmd, len(some))
		_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, id := range some {
				starts[i] = p.GetRange(ctx, s.keys.result(id), 0, part-1)
			}
			return nil
		})
		if err != nil {
			return nil, s.failed(op, ctx, err)
		}
		for i, start := range starts {
			if bytes >= maxBytes {
				return found, nil
			}
			envelope, err := start.Bytes()
			if err == nil && len(envelope) == part {
				envelope, err = s.client.Get(ctx, s.keys.result(some[i])).Bytes()
				if errors.Is(err, redis.Nil) { // forgotten meanwhile
					envelope, err = nil, nil
				}
			}
			if err != nil {
				return nil, s.failed(op, ctx, err)
			}
			var r *core.Result
			if len(envelope) > 0 {
				if r, err = openResult(envelope); err != nil {
					return nil, err
				}
			}
			bytes += len(envelope)
			found = append(found, r)
		}
	}
	return found, nil
}

// firstPart is how much of a result is read before its size is known.
const firstPart = 16 << 10

// Outcomes implements core.TaskStore. A record is read before its result, so that the
// result of what has ended by then is there.
func (s *Store) Outcomes(ctx context.Context, ids []core.TaskID) ([]core.Task, []*core.Result, error) {
	const op = "read results"
	if len(ids) == 0 {
		return nil, nil, nil
	}
	var records *redis.SliceCmd
	starts := make([]*redis.StringCmd, len(ids))
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		records = p.MGet(ctx, s.recordKeys(ids)...)
		for i, id := range ids {
			starts[i] = p.GetRange(ctx, s.keys.result(id), 0, firstPart-1)
		}
		return nil
	})
	if err != nil {
		return nil, nil, s.failed(op, ctx, err)
	}
	tasks, results := make([]core.Task, len(ids)), make([]*core.Result, len(ids))
	for i, id := range ids {
		tasks[i] = readRecord(id, records.Val()[i])
		envelope, err := starts[i].Bytes()
		if err != nil {
			return nil, nil, s.failed(op, ctx, err)
		}
		if !tasks[i].State.Terminal() || len(envelope) == 0 || len(envelope) == firstPart {
			continue
		}
		if results[i], err = openResult(envelope); err != nil {
			return nil, nil, err
		}
	}
	return tasks, results, nil
}

// Ended implements core.TaskStore: the indexes tell it for many tasks at once. Who is
// asked about has mostly been completed, so that of many that is looked up first, and
// the rest only for those that have not. For a few, a round trip costs more.
func (s *Store) Ended(ctx context.Context, ids []core.TaskID) ([]core.State, error) {
	const few = 16
	found := make([]core.State, len(ids))
	// All tasks first, what has ended later: one that ends meanwhile is not taken for unknown.
	all := []core.State{core.Queued, core.Completed, core.Failed, core.Cancelled}
	if len(ids) <= few {
		return found, s.standIn(ctx, ids, found, all...)
	}
	if err := s.standIn(ctx, ids, found, core.Completed); err != nil {
		return nil, err
	}
	var rest []core.TaskID
	var places []int
	for i, id := range ids {
		if found[i] == "" {
			rest, places = append(rest, id), append(places, i)
		}
	}
	if len(rest) == 0 {
		return found, nil
	}
	states := make([]core.State, len(rest))
	if err := s.standIn(ctx, rest, states, all...); err != nil {
		return nil, err
	}
	for i, place := range places {
		found[place] = states[i]
	}
	return found, nil
}

// standIn writes down which of ids stand in the indexes of states, a later one over an
// earlier one; QUEUED is that of all tasks.
func (s *Store) standIn(ctx context.Context, ids []core.TaskID, found []core.State, states ...core.State) error {
	const op = "look whether tasks have ended"
	return parcels(len(ids), small, func(from, to int) error {
		answers := make([]*redis.Cmd, len(states))
		_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, state := range states {
				words := make([]any, 2, 2+to-from)
				words[0], words[1] = "ZMSCORE", s.keys.index(state)
				if state == core.Queued {
					words[1] = s.keys.all()
				}
				for _, id := range ids[from:to] {
					words = append(words, string(id))
				}
				answers[i] = p.Do(ctx, words...)
			}
			return nil
		})
		if err != nil {
			return s.failed(op, ctx, err)
		}
		for i, state := range states {
			scores, err := answers[i].Slice()
			if err != nil || len(scores) != to-from {
				return broken(op, "the server answered with %T", answers[i].Val())
			}
			for j, score := range scores {
				if score != nil {
					found[from+j] = state
				}
			}
		}
		return nil
	})
}

// Output implements core.TaskStore.
func (s *Store) Output(ctx context.Context, id core.TaskID) (core.Output, error) {
	return s.outputOf(ctx, id, s.client.Get(ctx, s.keys.output(id)))
}

// outputOf opens what a task has printed; a task that is known and has none has printed nothing.
func (s *Store) outputOf(ctx context.Context, id core.TaskID, read *redis.StringCmd) (core.Output, error) {
	const op = "read output"
	envelope, err := read.Bytes()
	switch {
	case err == nil:
		return openOutput(envelope)
	case !errors.Is(err, redis.Nil):
		return core.Output{}, s.failed(op, ctx, err)
	}
	there, err := s.client.Exists(ctx, s.keys.task(id)).Result()
	if err == nil && there == 0 {
		return core.Output{}, core.Errorf(core.ErrNotFound, op, "there is no task %s", id)
	}
	return core.Output{}, s.failed(op, ctx, err)
}

// Cancel implements core.TaskStore.
func (s *Store) Cancel(ctx context.Context, ids []core.TaskID, grace time.Duration) ([]core.CancelVerdict, error) {
	verdicts := make([]core.CancelVerdict, 0, len(ids))
	err := parcels(len(ids), small, func(from, to int) error {
		args := append(make([]any, 0, 3+to-from), s.cfg.KeepEvents, cancelledBefore, graceArg(grace))
		for _, id := range ids[from:to] {
			args = append(args, string(id))
		}
		some, err := words[core.CancelVerdict](ctx, s, "cancel", s.scripts.cancel, to-from, args)
		verdicts = append(verdicts, some...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return verdicts, nil
}

// graceArg is the grace of a cancel as scripts keep it: in ms, ” for the
// dispatcher's.
func graceArg(grace time.Duration) any {
	if grace <= 0 {
		return ""
	}
	return max(1, grace.Milliseconds())
}

// Results that the scripts store on their own.
var (
	expiredWaiting  = fixedResult(core.KindExpired, "waited too long and was not run")
	cancelledBefore = fixedResult(core.KindCancelled, "cancelled before it ran")
	cancelledDuring = fixedResult(core.KindCancelled, "cancelled while it ran")
	cancelledGone   = fixedResult(core.KindCancelled, "cancelled while its worker was gone")
	lostForGood     = fixedResult(core.KindLost, "its worker or dispatcher vanished too often")
)

func fixedResult(kind core.FailureKind, message string) []byte {
	envelope, err := sealResult(core.Result{Failure: &core.Failure{Kind: kind, Message: message}})
	if err != nil {
		panic("redisstore: " + err.Error()) // a constant cannot fail to be encoded
	}
	return envelope
}
