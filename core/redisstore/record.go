package redisstore

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"faasctl/core"
)

// recordFields are the fields of a record that a core.Task shows, in the order
// in which readRecord takes them. scripts/parts/base.lua names them all.
var recordFields = []string{"st", "fn", "co", "q", "pr", "ep", "cl", "at", "de", "wo", "ca", "fk", "ts", "td", "tc", "tb", "tf", "ft", "ra", "tx", "pg"}

// readRecord makes a Task of the values of recordFields; its ID is "" when
// there is no such record.
func readRecord(id core.TaskID, values []any) core.Task {
	text := func(i int) string { word, _ := values[i].(string); return word }
	number := func(i int) int64 { n, _ := strconv.ParseInt(text(i), 10, 64); return n }
	at := func(i int) time.Time { return instant(number(i)) }
	if len(values) != len(recordFields) || text(0) == "" {
		return core.Task{}
	}
	t := core.Task{
		ID: id, State: core.State(text(0)), Function: core.FunctionID(text(1)), Codec: core.Codec(text(2)),
		Queue: text(3), Priority: int(number(4)), Epoch: number(5), Claim: text(6), Attempt: int(number(7)),
		Deliveries: int(number(8)), Worker: core.WorkerID(text(9)), Failure: core.FailureKind(text(11)),
		Submitted: at(12), Claimed: at(14), Started: at(15), Finished: at(16), Type: text(17), RetriedAs: core.TaskID(text(18)), Expires: at(19),
	}
	t.Progress = readProgress(text(20))
	t.Cancelling = text(10) == "1" && !t.State.Terminal()
	if t.State == core.Delayed {
		t.Due = at(13)
	}
	return t
}

// writeProgress is how a record holds a progress: done, total and note, with
// tabs between; "" for none.
func writeProgress(p *core.Progress) string {
	if p == nil {
		return ""
	}
	number := func(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
	return number(p.Done) + "\t" + number(p.Total) + "\t" + p.Note
}

// readProgress is the reverse.
func readProgress(text string) *core.Progress {
	parts := strings.SplitN(text, "\t", 3)
	if len(parts) != 3 {
		return nil
	}
	done, err1 := strconv.ParseFloat(parts[0], 64)
	total, err2 := strconv.ParseFloat(parts[1], 64)
	if err1 != nil || err2 != nil {
		return nil
	}
	return &core.Progress{Done: done, Total: total, Note: parts[2]}
}

// instant is the time that a script wrote; 0 stands for none.
func instant(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// records reads tasks, at most core.MaxBatch per round trip.
func (s *Store) records(ctx context.Context, op string, ids []core.TaskID) ([]core.Task, error) {
	tasks := make([]core.Task, len(ids))
	err := parcels(len(ids), small, func(from, to int) error {
		answers := make([]*redis.SliceCmd, to-from)
		_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := range answers {
				answers[i] = p.HMGet(ctx, s.keys.task(ids[from+i]), recordFields...)
			}
			return nil
		})
		if err != nil {
			return s.failed(op, ctx, err)
		}
		for i, answer := range answers {
			tasks[from+i] = readRecord(ids[from+i], answer.Val())
		}
		return nil
	})
	return tasks, err
}
