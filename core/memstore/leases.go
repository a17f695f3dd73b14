package memstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"faasctl/core"
)

// unchargedReleases is how often the holder of an unstarted task may vanish
// before that counts as a delivery.
const unchargedReleases = 10

// claimed tells of those of ids that are still held under claim.
func (s *Store) claimed(ids []core.TaskID, claim string) []core.Claimed {
	var all []core.Claimed
	for _, id := range ids {
		if r := s.tasks[id]; r != nil && r.task.State == core.Running && r.task.Claim == claim {
			all = append(all, core.Claimed{Lease: r.lease(), Attempt: r.task.Attempt, Spec: r.spec})
		}
	}
	return all
}

func (r *record) lease() core.Lease {
	return core.Lease{Task: r.task.ID, Epoch: r.task.Epoch, Claim: r.task.Claim}
}

// check compares a lease with the record: ok when it holds, already when it was
// the one settled last, stale otherwise.
func (s *Store) check(lease core.Lease) (*record, core.Verdict) {
	r := s.tasks[lease.Task]
	switch {
	case r == nil:
		return nil, core.VerdictStale
	case r.task.State == core.Running && r.lease() == lease:
		return r, core.VerdictOK
	case r.settled == lease:
		return r, core.VerdictAlready
	}
	return r, core.VerdictStale
}

// start records the first entry into the function under this lease.
func (s *Store) start(r *record, worker core.WorkerID, at time.Time) (core.Event, bool) {
	if worker != "" {
		r.task.Worker = worker
	}
	if r.started {
		return core.Event{}, false
	}
	r.started = true
	if r.task.Started = at; at.Before(r.task.Claimed) {
		r.task.Started = r.task.Claimed
	}
	r.task.Attempt++
	s.count(r, func(t *core.Totals) { t.Started++ })
	return s.event(r, core.TaskStarted), true
}

// Renew implements core.LeaseStore.
func (s *Store) Renew(ctx context.Context, batch []core.Renewal, lease time.Duration) ([]core.Verdict, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now()
	verdicts := make([]core.Verdict, len(batch))
	var events []core.Event
	for i, item := range batch {
		r, verdict := s.check(item.Lease)
		verdicts[i] = verdict
		if verdict != core.VerdictOK {
			continue
		}
		if item.Principal != "" {
			if r.owned != "" && r.owned != item.Principal {
				verdicts[i] = core.VerdictStale
				continue
			}
			r.owned = item.Principal
		}
		if r.expiry = now.Add(lease); item.Dispatcher != "" {
			r.owner = item.Dispatcher
		}
		if item.Worker != "" {
			r.task.Worker = item.Worker
		}
		if item.Started {
			if event, first := s.start(r, item.Worker, now.Add(-item.StartedAgo)); first {
				events = append(events, event)
			}
		}
		if item.Progress != nil {
			r.task.Progress = item.Progress
			if l := s.live[item.Task]; l != nil && now.Before(l.until) {
				s.hint(core.Hint{Kind: core.HintPrinted, Tasks: []core.TaskID{item.Task}})
			}
		}
		if r.task.Cancelling {
			verdicts[i] = core.CancellingWithin(r.grace)
		}
	}
	s.publish(now, events...)
	return verdicts, nil
}

// Settle implements core.LeaseStore.
func (s *Store) Settle(ctx context.Context, batch []core.Settlement) ([]core.Verdict, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now()
	verdicts := make([]core.Verdict, len(batch))
	var events []core.Event
	var ended []core.TaskID
	for i, item := range batch {
		r, verdict := s.check(item.Lease)
		verdicts[i] = verdict
		if verdict != core.VerdictOK {
			continue
		}
		if item.Started {
			if event, first := s.start(r, item.Worker, now.Add(-item.Elapsed)); first {
				events = append(events, event)
			}
		}
		events = append(events, s.settle(r, item, now))
		if r.task.State.Terminal() {
			ended = append(ended, item.Task)
		}
	}
	s.publish(now, events...)
	s.hint(core.Hint{Kind: core.HintEnded, Tasks: ended})
	return verdicts, nil
}

func (s *Store) settle(r *record, item core.Settlement, now time.Time) core.Event {
	r.settled = item.Lease
	if item.Worker != "" {
		r.task.Worker = item.Worker
	}
	result := item.Result
	if item.State == core.Failed && r.started && !r.task.Cancelling {
		if wait, again := r.spec.RetryIn(r.task.Attempt, result.Failure, item.Jitter); again {
			return s.again(r, wait, item, now)
		}
	}
	r.output = item.Output
	switch {
	case r.task.Cancelling && item.State != core.Cancelled:
		return s.end(r, core.VerbCancel, cancelled("while it ran"), now)
	case item.State == core.Cancelled:
		return s.end(r, core.VerbCancel, &result, now)
	case item.State == core.Completed:
		return s.end(r, core.VerbSettle, &result, now)
	}
	return s.end(r, core.VerbFail, &result, now)
}

// again makes a failed task wait for its next attempt.
func (s *Store) again(r *record, wait time.Duration, item core.Settlement, now time.Time) core.Event {
	s.move(r, core.VerbRetry)
	r.task.Due = now.Add(wait)
	r.due = r.task.Due
	s.count(r, func(t *core.Totals) { t.Retried++ })
	event := s.event(r, core.TaskRetried)
	if item.Result.Failure != nil {
		event.Detail = string(item.Result.Failure.Kind)
	}
	item.Output = item.Output.Clip(core.KeepAttemptStream)
	r.remember(core.AttemptRetried, r.started, now, item)
	r.unclaim()
	return event
}

// Release implements core.LeaseStore.
func (s *Store) Release(ctx context.Context, batch []core.Lease, reason core.ReleaseReason, by core.DispatcherID) ([]core.Verdict, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	verdicts := make([]core.Verdict, len(batch))
	var held []*record
	for i, lease := range batch {
		r, verdict := s.check(lease)
		if verdict == core.VerdictOK && by != "" && r.owner != by {
			verdict = core.VerdictStale
		}
		if verdicts[i] = verdict; verdict == core.VerdictOK {
			held = append(held, r)
		}
	}
	s.release(held, reason, s.cfg.Now())
	return verdicts, nil
}

// release gives tasks back, the one that was submitted last first, as each goes to
// the front of its line.
func (s *Store) release(held []*record, reason core.ReleaseReason, now time.Time) {
	events := make([]core.Event, 0, len(held))
	var ended []core.TaskID
	slices.SortFunc(held, func(a, b *record) int { return cmp.Compare(b.task.ID, a.task.ID) })
	for _, r := range held {
		if reason == core.ReleaseVanished {
			s.charge(r)
		}
		r.task.Claim = "" // the lease can neither be renewed nor settled any more
		switch {
		case r.task.Cancelling:
			events = append(events, s.end(r, core.VerbCancel, cancelled("while its worker was gone"), now))
			ended = append(ended, r.task.ID)
		case r.task.Deliveries >= core.MaxDeliveries:
			events = append(events, s.end(r, core.VerbFail, lost(r.task.Deliveries), now))
			ended = append(ended, r.task.ID)
		default:
			events = append(events, s.requeue(r, reason))
		}
	}
	s.publish(now, events...)
	s.hint(core.Hint{Kind: core.HintEnded, Tasks: ended})
	s.hint(core.Hint{Kind: core.HintWork})
}

func (s *Store) charge(r *record) {
	if r.started {
		r.task.Deliveries++
		return
	}
	if r.released++; r.released >= unchargedReleases {
		r.task.Deliveries++
	}
}

func (s *Store) requeue(r *record, reason core.ReleaseReason) core.Event {
	event := s.event(r, core.TaskReleased)
	if reason == core.ReleaseVanished {
		event.Kind = core.TaskLost
		s.count(r, func(t *core.Totals) { t.Lost++ })
	} else {
		s.count(r, func(t *core.Totals) { t.Released++ })
	}
	if r.started {
		end := core.AttemptReleased
		if reason == core.ReleaseVanished {
			end = core.AttemptLost
		}
		r.remember(end, true, s.cfg.Now(), core.Settlement{})
	}
	unstarted := reason == core.ReleaseGraceful && !r.started
	s.move(r, core.VerbRelease)
	r.unclaim()
	s.lineUp(r, true)
	if unstarted {
		s.refund(r.task.Function)
	}
	return event
}

func lost(deliveries int) *core.Result {
	return &core.Result{Failure: &core.Failure{Kind: core.KindLost, Message: fmt.Sprintf("its worker or dispatcher vanished %d times", deliveries)}}
}
