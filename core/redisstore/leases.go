package redisstore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"faasctl/core"
)

const (
	// rememberClaim is how long a claim can be repeated.
	rememberClaim = time.Minute
	// claimSlack is how many entries of the queues one claim may skip because
	// they were cancelled.
	claimSlack = 2000
	// freeReleases is from which vanished release on an unstarted task is
	// charged a delivery.
	freeReleases = 10
)

// Claim implements core.LeaseStore.
func (s *Store) Claim(ctx context.Context, request core.ClaimRequest) ([]core.Claimed, error) {
	const op = "claim"
	if request.ID == "" || short(request.ID) != request.ID {
		return nil, core.Errorf(core.ErrInvalid, op, "%q cannot be a claim id", request.ID).
			WithHint("use a UUID; up to 64 letters, digits, - . _")
	}
	most := min(request.Max, core.MaxBatch)
	if most <= 0 || request.Classes != nil && len(request.Classes) == 0 {
		return nil, nil
	}
	for lessons := 0; ; {
		args := append([]any{s.cfg.KeepEvents, request.ID, string(request.Dispatcher), most,
			millis(request.Lease), rememberClaim.Milliseconds(), most + claimSlack, expiredWaiting, millis(s.cfg.Ageing)}, s.needs.fits(request.Classes)...)
		answer, err := s.run(ctx, op, s.scripts.claim, args...)
		if err != nil {
			return nil, err
		}
		items, ok := answer.([]any)
		if !ok || len(items)%4 != 2 {
			return nil, broken(op, "the script answered with %T", answer)
		}
		unknown, _ := items[1].([]any)
		s.needs.learn(unknown)
		if len(items) == 2 && items[0] == int64(1) {
			continue // thousands of cancelled tasks stood in front; they are gone now
		}
		if lessons++; len(items) == 2 && len(unknown) > 0 && lessons < 4 {
			continue // now we know whom they fit
		}
		return s.claimed(ctx, request.ID, items[2:])
	}
}

// claimed reads what claim.lua answered and fetches large arguments.
func (s *Store) claimed(ctx context.Context, claim string, items []any) ([]core.Claimed, error) {
	const op = "claim"
	all := make([]core.Claimed, 0, len(items)/4)
	var apart, sizes []int
	var opener opener
	for i := 0; i < len(items); i += 4 {
		id, _ := items[i].(string)
		envelope, _ := items[i+3].(string)
		spec, size, err := opener.openSpec([]byte(envelope))
		if err != nil {
			// One damaged task must not keep all others from running. Nobody
			// renews its lease, so it ends as lost.
			s.cfg.Logger.Error("a claimed task cannot be read", keyTask, id, keyError, err)
			continue
		}
		if size > 0 {
			apart, sizes = append(apart, len(all)), append(sizes, size)
		}
		lease := core.Lease{Task: core.TaskID(id), Epoch: asNumber(items[i+1]), Claim: claim}
		all = append(all, core.Claimed{Lease: lease, Attempt: int(asNumber(items[i+2])), Spec: spec})
	}
	err := parcels(len(apart), func(i int) int { return sizes[i] }, func(from, to int) error {
		answers := make([]*redis.StringCmd, to-from)
		_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := range answers {
				answers[i] = p.Get(ctx, s.keys.args(all[apart[from+i]].Task))
			}
			return nil
		})
		if err != nil && !errors.Is(err, redis.Nil) {
			return s.failed(op, ctx, err)
		}
		for i, answer := range answers {
			c := &all[apart[from+i]]
			if c.Spec.Args, err = answer.Bytes(); err != nil {
				s.cfg.Logger.Error("the arguments of a claimed task are missing", keyTask, c.Task, keyError, err)
				c.Task = ""
			}
		}
		return nil
	})
	return slices.DeleteFunc(all, func(c core.Claimed) bool { return c.Task == "" }), err
}

// Renew implements core.LeaseStore.
func (s *Store) Renew(ctx context.Context, batch []core.Renewal, lease time.Duration) ([]core.Verdict, error) {
	verdicts := make([]core.Verdict, 0, len(batch))
	err := parcels(len(batch), small, func(from, to int) error {
		args := append(make([]any, 0, 2+9*(to-from)), s.cfg.KeepEvents, millis(lease))
		for _, r := range batch[from:to] {
			args = append(args, string(r.Task), r.Epoch, r.Claim, string(r.Worker), flag(r.Started), max(0, r.StartedAgo.Milliseconds()),
				short(r.Principal), string(r.Dispatcher), writeProgress(r.Progress))
		}
		some, err := words[core.Verdict](ctx, s, "renew", s.scripts.renew, to-from, args)
		verdicts = append(verdicts, some...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return verdicts, nil
}

// Settle implements core.LeaseStore.
func (s *Store) Settle(ctx context.Context, batch []core.Settlement) ([]core.Verdict, error) {
	verdicts := make([]core.Verdict, 0, len(batch))
	size := func(i int) int { return 1024 + len(batch[i].Result.JSON) + len(batch[i].Result.Pickle) }
	err := parcels(len(batch), size, func(from, to int) error {
		args := append(make([]any, 0, 3+4*(to-from)), s.cfg.KeepEvents, cancelledDuring, nil)
		var forms forms[settleForm]
		var sealer sealer
		for _, item := range batch[from:to] {
			result, err := sealer.sealResult(item.Result)
			if err != nil {
				return &core.Error{Class: core.ErrInvalid, Op: "settle", Detail: "a result cannot be stored", Err: err}
			}
			output, err := sealOutput(item.Output)
			if err != nil {
				return err
			}
			var detail, clipped []byte // of a failure, which may be tried again
			if item.State == core.Failed {
				if detail, err = json.Marshal(core.ShortFailure(item.Result.Failure)); err != nil {
					return err
				}
				if clipped, err = sealOutput(item.Output.Clip(core.KeepAttemptStream)); err != nil {
					return err
				}
				if bytes.Equal(clipped, output) {
					clipped = nil
				}
			}
			if !item.State.Terminal() {
				return core.Errorf(core.ErrInvalid, "settle", "a task cannot be settled as %q", item.State)
			}
			form := settleFormOf(item, len(output) > 0)
			args = append(args, string(item.Task), max(0, item.Elapsed.Microseconds()), result, forms.number(form))
			if form.more {
				args = append(args, output, detail, clipped)
			}
		}
		var err error
		if args[2], err = forms.json(settleForm.fields); err != nil {
			return err
		}
		some, err := words[core.Verdict](ctx, s, "settle", s.scripts.settle, to-from, args)
		verdicts = append(verdicts, some...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return verdicts, nil
}

// settleForm is what many settlements may have in common: see scripts/settle.lua.
type settleForm struct {
	epoch       int64
	claim       string
	worker      core.WorkerID
	state       core.State
	started     bool
	jitter      float64
	kind        string
	kept, class string // of the failure's type: as the record keeps it, as it is
	more        bool
}

func (f settleForm) fields() []any {
	return []any{strconv.FormatInt(f.epoch, 10), f.claim, f.worker, f.state, f.started, f.jitter, f.kind, f.kept, f.class, f.more}
}

func settleFormOf(item core.Settlement, printed bool) settleForm {
	form := settleForm{
		epoch: item.Epoch, claim: item.Claim, worker: item.Worker, state: item.State, started: item.Started,
		kept: core.FailureType(item.Result.Failure), more: printed || item.State == core.Failed,
	}
	if item.State == core.Failed {
		form.jitter = item.Jitter
	}
	if item.Result.Failure != nil && item.State != core.Completed {
		form.kind, form.class = short(string(item.Result.Failure.Kind)), item.Result.Failure.Type
	}
	if item.State == core.Cancelled {
		form.kind = string(core.KindCancelled)
	}
	return form
}

// givebackArgs are the first arguments of every script that gives leases back.
func (s *Store) givebackArgs() []any {
	return []any{s.cfg.KeepEvents, core.MaxDeliveries, freeReleases, cancelledGone, lostForGood}
}

// Release implements core.LeaseStore.
func (s *Store) Release(ctx context.Context, batch []core.Lease, reason core.ReleaseReason, by core.DispatcherID) ([]core.Verdict, error) {
	verdicts := make([]core.Verdict, 0, len(batch))
	err := parcels(len(batch), small, func(from, to int) error {
		args := append(s.givebackArgs(), flag(reason == core.ReleaseVanished), string(by))
		for _, lease := range batch[from:to] {
			args = append(args, string(lease.Task), lease.Epoch, lease.Claim)
		}
		some, err := words[core.Verdict](ctx, s, "release", s.scripts.release, to-from, args)
		verdicts = append(verdicts, some...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return verdicts, nil
}
