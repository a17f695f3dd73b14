package redisstore

import (
	"context"
	"strconv"
	"strings"
	"time"

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
		oldest = p.ZRange(ctx, s.keys.index(core.Queued), 0, lookedAt-1)
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
	waits, err := s.longestWait(ctx, oldest.Val(), clock.Val())
	stats.OldestWait = waits.Milliseconds()
	return stats, s.failed(op, ctx, err)
}

// lookedAt is among how many of the queued tasks that were submitted first the
// one is looked for that has waited longest.
const lookedAt = 16

// longestWait is how long the first of ids has waited for a worker. A delayed task
// waits only since it was due, so that the lowest id need not be the first.
func (s *Store) longestWait(ctx context.Context, ids []string, now time.Time) (time.Duration, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	records, err := s.client.MGet(ctx, s.recordKeys(taskIDs(ids))...).Result()
	if err != nil {
		return 0, err
	}
	longest := time.Duration(0)
	for _, one := range records {
		record, _ := one.(string)
		f := openRecord(record)
		if since := max(asNumber(f["ts"]), asNumber(f["td"])); since > 0 {
			longest = max(longest, now.Sub(time.UnixMilli(since)))
		}
	}
	return longest, nil
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
