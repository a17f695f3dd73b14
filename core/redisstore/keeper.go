package redisstore

import (
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"faasctl/core"
)

const (
	// outageAfter is the part of the grace time after which a silence of all
	// reapers tells of an outage: 6 s of a lease of 30 s, three rounds of a
	// reaper. It scales with the grace so that tests can be short.
	outageAfter = 5
	// sweepEvery is how often each process forgets old tasks, and sweepFor for
	// how long at most it does so at a stretch.
	sweepEvery = 30 * time.Second
	sweepFor   = 200 * time.Millisecond
)

// Promote implements core.KeeperStore.
func (s *Store) Promote(ctx context.Context) (int, time.Duration, error) {
	return s.keep(ctx, "promote", s.scripts.promote, core.MaxBatch)
}

// Expire implements core.KeeperStore.
func (s *Store) Expire(ctx context.Context) (int, time.Duration, error) {
	return s.keep(ctx, "expire", s.scripts.expire, core.MaxBatch, expiredWaiting)
}

// keep runs a script that answers how many it moved and how long it is until the
// next.
func (s *Store) keep(ctx context.Context, op string, script *redis.Script, args ...any) (int, time.Duration, error) {
	answer, err := s.run(ctx, op, script, append([]any{s.cfg.KeepEvents}, args...)...)
	if err != nil {
		return 0, 0, err
	}
	pair, ok := answer.([]any)
	if !ok || len(pair) != 2 {
		return 0, 0, broken(op, "the script answered with %T", answer)
	}
	return int(asNumber(pair[0])), time.Duration(asNumber(pair[1])) * time.Millisecond, nil
}

// Reap implements core.KeeperStore. It also forgets old tasks now and then, as
// it is what every dispatcher calls for ever.
func (s *Store) Reap(ctx context.Context, grace time.Duration) (int, error) {
	args := append(s.givebackArgs(), millis(grace), core.MaxBatch, millis(grace/outageAfter), uuid.NewString())
	answer, err := s.run(ctx, "reap", s.scripts.reap, args...)
	if err != nil {
		return 0, err
	}
	fields, ok := answer.([]any)
	if !ok || len(fields) != 3 {
		return 0, broken("reap", "the script answered with %T", answer)
	}
	released := int(asNumber(fields[0]))
	s.present.saw(ctx, s, fields[1], fields[2])
	now, last := time.Now().UnixMilli(), s.swept.Load()
	if now-last >= sweepEvery.Milliseconds() && s.swept.CompareAndSwap(last, now) {
		if _, more, err := s.Sweep(ctx, sweepFor); err != nil {
			return released, err
		} else if more {
			s.swept.Store(0) // go on with the next reap
		}
	}
	return released, nil
}

// Sweep forgets tasks that ended longer ago than they are to be kept, for about
// so long, and says how many and whether there are more.
func (s *Store) Sweep(ctx context.Context, about time.Duration) (forgotten int, more bool, err error) {
	deadline := time.Now().Add(about)
	for _, line := range []struct {
		state core.State
		keep  time.Duration
	}{{core.Completed, s.cfg.KeepCompleted}, {core.Failed, s.cfg.KeepFailed}} {
		for {
			n, err := s.number(ctx, "sweep", s.scripts.gc, s.cfg.KeepEvents, string(line.state), millis(line.keep), core.MaxBatch)
			forgotten += n
			if err != nil {
				return forgotten, false, err
			}
			if n < core.MaxBatch {
				break
			}
			if time.Now().After(deadline) {
				return forgotten, true, nil
			}
		}
	}
	_, err = s.number(ctx, "sweep", s.scripts.forgetFunction, s.cfg.KeepEvents, millis(s.cfg.KeepFailed), functionsAtOnce)
	return forgotten, false, err
}

// functionsAtOnce is how many removed functions are forgotten in one sweep: for each,
// the bodies of all others are looked at.
const functionsAtOnce = 10

// Orphan implements core.KeeperStore. Nobody renews the leases of the dead, so
// the running tasks can be listed first and looked at batch by batch.
func (s *Store) Orphan(ctx context.Context, dead []core.DispatcherID, principal string) (int, error) {
	const op = "release orphans"
	if len(dead) == 0 {
		return 0, nil
	}
	running, err := s.client.ZRange(ctx, s.keys.index(core.Running), 0, -1).Result()
	if err != nil {
		return 0, s.failed(op, ctx, err)
	}
	// Each batch goes to the front of the lines: the last first, so that the
	// earliest stands first in the end.
	released := 0
	for to := len(running); to > 0; to -= core.MaxBatch {
		args := append(s.givebackArgs(), len(dead), short(principal))
		for _, id := range dead {
			args = append(args, string(id))
		}
		for _, id := range running[max(0, to-core.MaxBatch):to] {
			args = append(args, id)
		}
		n, err := s.number(ctx, op, s.scripts.orphan, args...)
		released += n
		if err != nil {
			return released, err
		}
	}
	return released, nil
}

// asNumber reads a number that Redis answered as integer or as text.
func asNumber(value any) int64 {
	switch v := value.(type) {
	case int64:
		return v
	case string:
		n, _ := strconv.ParseInt(v, 10, 64)
		return n
	}
	return 0
}
