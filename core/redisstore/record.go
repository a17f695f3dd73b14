package redisstore

import (
	"context"
	"strconv"
	"strings"
	"time"

	"faasctl/core"
)

// recordHead are the fields at the head of a record, recordTail those at the beginning of
// its tail; others follow by name. scripts/parts/record.lua tells how they are parted.
var (
	recordHead = []string{"st", "ep", "cl", "di", "tc", "at", "tb", "wo", "tf", "ts"}
	recordTail = []string{"fn", "co", "q", "pr"}
	recordText = strings.NewReplacer(`\\`, `\`, `\t`, "\t", `\n`, "\n")
)

// openRecord takes a record apart. It returns nil for what is none.
func openRecord(record string) map[string]string {
	head, tail, ok := strings.Cut(record, "\n")
	first, rest := strings.Split(head, "\t"), strings.Split(tail, "\t")
	if !ok || len(first) != len(recordHead) || len(rest) < len(recordTail) || (len(rest)-len(recordTail))%2 != 0 {
		return nil
	}
	fields := make(map[string]string, len(first)+len(rest))
	for i, value := range first {
		fields[recordHead[i]] = recordText.Replace(value)
	}
	for i, name := range recordTail {
		fields[name] = recordText.Replace(rest[i])
	}
	for i := len(recordTail); i < len(rest); i += 2 {
		fields[rest[i]] = recordText.Replace(rest[i+1])
	}
	return fields
}

// readRecord makes a Task of a record; its ID is "" when there is no such record.
func readRecord(id core.TaskID, value any) core.Task {
	record, _ := value.(string)
	f := openRecord(record)
	number := func(name string) int64 { n, _ := strconv.ParseInt(f[name], 10, 64); return n }
	at := func(name string) time.Time { return instant(number(name)) }
	if f["st"] == "" {
		return core.Task{}
	}
	t := core.Task{
		ID: id, State: core.State(f["st"]), Function: core.FunctionID(f["fn"]), Codec: core.Codec(f["co"]),
		Queue: f["q"], Priority: int(number("pr")), Epoch: number("ep"), Claim: f["cl"], Attempt: int(number("at")),
		Deliveries: int(number("de")), Worker: core.WorkerID(f["wo"]), Failure: core.FailureKind(f["fk"]),
		Submitted: at("ts"), Claimed: at("tc"), Started: at("tb"), Finished: at("tf"), Type: f["ft"], RetriedAs: core.TaskID(f["ra"]), Expires: at("tx"),
	}
	t.Progress = readProgress(f["pg"])
	t.Cancelling = f["ca"] == "1" && !t.State.Terminal()
	if t.State == core.Delayed {
		t.Due = at("td")
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
		values, err := s.client.MGet(ctx, s.recordKeys(ids[from:to])...).Result()
		if err != nil {
			return s.failed(op, ctx, err)
		}
		for i, value := range values {
			tasks[from+i] = readRecord(ids[from+i], value)
		}
		return nil
	})
	return tasks, err
}

func (s *Store) recordKeys(ids []core.TaskID) []string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = s.keys.task(id)
	}
	return names
}
