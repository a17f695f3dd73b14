package redisstore

import (
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
	return all, nil
}

// PauseQueue implements core.QueueStore.
func (s *Store) PauseQueue(ctx context.Context, name string, paused bool) (bool, error) {
	n, err := s.number(ctx, "pause a queue", s.scripts.pauseQueue, s.cfg.KeepEvents, name, flag(paused))
	return n == 1, err
}
