package redisstore

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"faasctl/core"
)

// Stats implements core.EventStore. Counters and depths are read in one
// transaction, so that they fit each other.
func (s *Store) Stats(ctx context.Context) (core.Stats, error) {
	const op = "read the stats"
	var clock *redis.TimeCmd
	var counters *redis.MapStringStringCmd
	var depths [3]*redis.IntCmd
	var oldest *redis.StringSliceCmd
	var memory *redis.StringCmd
	var life *redis.SliceCmd
	_, err := s.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		clock = p.Time(ctx)
		counters = p.HGetAll(ctx, s.keys.counters())
		for i, state := range []core.State{core.Queued, core.Delayed, core.Running} {
			depths[i] = p.ZCard(ctx, s.keys.index(state))
		}
		oldest = p.ZRange(ctx, s.keys.index(core.Queued), 0, 0)
		memory = p.Info(ctx, "memory")
		life = p.HMGet(ctx, s.keys.reap(), "gen", "since")
		return nil
	})
	if err != nil && (clock.Err() != nil || counters.Err() != nil) {
		return core.Stats{}, s.failed(op, ctx, err)
	}
	since := s.present.since(s, life.Val())
	used, _ := strconv.ParseInt(parseInfo(memory.Val())["used_memory"], 10, 64)
	stats := core.Stats{
		Totals: totalsOf(counters.Val()), Wait: histogramOf(counters.Val(), "w:"), Run: histogramOf(counters.Val(), "r:"),
		Now:    clock.Val(),
		Queued: depths[0].Val(), Delayed: depths[1].Val(), Running: depths[2].Val(),
		Store:   core.StoreInfo{Kind: "redis", Version: s.server.version, Durability: s.server.durability, Memory: used, Since: since},
		Through: counters.Val()["through"], Repaired: asNumber(counters.Val()["repaired"]),
	}
	if ids := oldest.Val(); len(ids) > 0 {
		// The lowest id is the one submitted first. A delayed one waits only
		// since it was due.
		times, err := s.client.HMGet(ctx, s.keys.task(core.TaskID(ids[0])), "ts", "td").Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return core.Stats{}, s.failed(op, ctx, err)
		}
		if since := max(asNumber(times[0]), asNumber(times[1])); since > 0 {
			stats.OldestWait = max(0, clock.Val().UnixMilli()-since)
		}
	}
	return stats, nil
}

// FunctionStats implements core.EventStore.
func (s *Store) FunctionStats(ctx context.Context) ([]core.FunctionStats, error) {
	const op = "read the stats of functions"
	ids, err := s.client.HKeys(ctx, s.keys.functions()).Result()
	if err != nil {
		return nil, s.failed(op, ctx, err)
	}
	all := make([]core.FunctionStats, 0, len(ids))
	for from := 0; from < len(ids); from += core.MaxBatch {
		some := ids[from:min(from+core.MaxBatch, len(ids))]
		counters := make([]*redis.MapStringStringCmd, len(some))
		_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, id := range some {
				counters[i] = p.HGetAll(ctx, s.keys.countersOf(core.FunctionID(id)))
			}
			return nil
		})
		if err != nil {
			return nil, s.failed(op, ctx, err)
		}
		for i, id := range some {
			if fields := counters[i].Val(); len(fields) > 0 {
				all = append(all, core.FunctionStats{
					Function: core.FunctionID(id), Totals: totalsOf(fields), Wait: histogramOf(fields, "w:"), Run: histogramOf(fields, "r:"),
				})
			}
		}
	}
	return all, nil
}

func totalsOf(fields map[string]string) core.Totals {
	count := func(name string) int64 { return asNumber(fields[name]) }
	return core.Totals{
		Submitted: count("submitted"), Started: count("started"), Completed: count("completed"), Failed: count("failed"),
		Cancelled: count("cancelled"), Retried: count("retried"), Released: count("released"), Lost: count("lost"),
	}
}

// histogramOf gathers the buckets that the scripts count under a prefix.
func histogramOf(fields map[string]string, prefix string) core.Histogram {
	h := core.Histogram{}
	for name, n := range fields {
		if number, ok := strings.CutPrefix(name, prefix); ok {
			if bucket, err := strconv.Atoi(number); err == nil {
				h[bucket] = asNumber(n)
			}
		}
	}
	return h
}
