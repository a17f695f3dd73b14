package redisstore

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"faasctl/core"
)

// Attempts implements core.TaskStore.
func (s *Store) Attempts(ctx context.Context, id core.TaskID) ([]core.Attempt, error) {
	const op = "read attempts"
	var lines, kept *redis.StringSliceCmd
	var there *redis.IntCmd
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		there = p.Exists(ctx, s.keys.task(id))
		lines = p.LRange(ctx, s.keys.history(id), 0, -1)
		kept = p.HKeys(ctx, s.keys.outputs(id))
		return nil
	})
	if err != nil {
		return nil, s.failed(op, ctx, err)
	}
	if there.Val() == 0 {
		return nil, core.Errorf(core.ErrNotFound, op, "there is no task %s", id)
	}
	outputs := map[string]bool{}
	for _, number := range kept.Val() {
		outputs[number] = true
	}
	var all []core.Attempt
	for _, line := range lines.Val() {
		a, err := readAttempt(line)
		if err != nil {
			return nil, err
		}
		a.Output = outputs[strconv.Itoa(a.Number)]
		all = append(all, a)
	}
	return all, nil
}

// readAttempt reads a line that scripts/parts/history.lua wrote: end,
// attempt, worker, claimed, started, ended, elapsed in microseconds, failure.
func readAttempt(line string) (core.Attempt, error) {
	fields := strings.SplitN(line, "\t", 8)
	if len(fields) != 8 {
		return core.Attempt{}, broken("read attempts", "an entry has %d fields", len(fields))
	}
	a := core.Attempt{
		End: core.AttemptEnd(fields[0]), Number: int(asNumber(fields[1])), Worker: core.WorkerID(fields[2]),
		Claimed: instant(asNumber(fields[3])), Started: instant(asNumber(fields[4])), Ended: instant(asNumber(fields[5])),
		ElapsedMS: float64(asNumber(fields[6])) / 1000,
	}
	if fields[7] != "" {
		if err := json.Unmarshal([]byte(fields[7]), &a.Failure); err != nil {
			return a, &core.Error{Class: core.ErrInternal, Op: "read attempts", Detail: "an entry is damaged", Err: err}
		}
	}
	return a, nil
}

// AttemptOutput implements core.TaskStore.
func (s *Store) AttemptOutput(ctx context.Context, id core.TaskID, number int) (core.Output, error) {
	return s.outputOf(ctx, id, s.client.HGet(ctx, s.keys.outputs(id), strconv.Itoa(number)))
}
