package redisstore

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/redis/go-redis/v9"

	"faasctl/core"
)

// Queues implements core.QueueStore.
func (s *Store) Queues(ctx context.Context) ([]core.QueueInfo, error) {
	var depths, paused *redis.MapStringStringCmd
	_, err := s.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		depths, paused = p.HGetAll(ctx, s.keys.depths()), p.HGetAll(ctx, s.keys.paused())
		return nil
	})
	if err != nil {
		return nil, s.failed("read the queues", ctx, err)
	}
	names := map[string]bool{}
	for _, of := range []map[string]string{depths.Val(), paused.Val()} {
		for name := range of {
			names[name] = true
		}
	}
	all := []core.QueueInfo{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		all = append(all, core.QueueInfo{Name: name, Queued: asNumber(depths.Val()[name]), Paused: instant(asNumber(paused.Val()[name]))})
	}
	return all, s.date(ctx, all)
}

// How far a look for the oldest tasks of queues goes.
const (
	datedQueues  = 1000 // the deepest
	datedAtOnce  = 100  // by one script
	datedClasses = 256  // of one queue
	datedEntries = 1000 // of one class
	datedRecords = 5000 // by one script
)

// date fills in since when the oldest tasks of queues wait. What lies beyond the
// bounds is left undated.
func (s *Store) date(ctx context.Context, all []core.QueueInfo) error {
	var deep []*core.QueueInfo
	for i := range all {
		if all[i].Queued > 0 {
			deep = append(deep, &all[i])
		}
	}
	slices.SortStableFunc(deep, func(a, b *core.QueueInfo) int { return cmp.Compare(b.Queued, a.Queued) })
	for some := range slices.Chunk(deep[:min(len(deep), datedQueues)], datedAtOnce) {
		args := []any{s.cfg.KeepEvents, datedClasses, datedEntries, datedRecords}
		for _, q := range some {
			args = append(args, q.Name)
		}
		answer, err := s.run(ctx, "read the queues", s.scripts.oldest, args...)
		if err != nil {
			return err
		}
		since, ok := answer.([]any)
		if !ok || len(since) != len(some) {
			return broken("read the queues", "the script answered %d queues with %T", len(some), answer)
		}
		for i, q := range some {
			q.Oldest = instant(asNumber(since[i]))
		}
	}
	return nil
}

// PauseQueue implements core.QueueStore.
func (s *Store) PauseQueue(ctx context.Context, name string, paused bool) (bool, error) {
	n, err := s.number(ctx, "pause a queue", s.scripts.pauseQueue, s.cfg.KeepEvents, name, flag(paused))
	return n == 1, err
}
