package redisstore

import (
	"context"
	"strconv"
	"time"

	"faasctl/core"
)

// Standing implements core.TaskStore.
func (s *Store) Standing(ctx context.Context, id core.TaskID) (core.Standing, error) {
	const op, answers = "look at a task", 14
	args := []any{s.cfg.KeepEvents, string(id), core.LookAhead}
	answer, err := s.run(ctx, op, s.scripts.standing, args...)
	if err != nil {
		return core.Standing{}, err
	}
	a, ok := answer.([]any)
	if ok && len(a) == 0 {
		return core.Standing{}, core.Errorf(core.ErrNotFound, op, "there is no task %s", id)
	}
	if !ok || len(a) != answers {
		return core.Standing{}, broken(op, "the script answered with %T", answer)
	}
	counters := pairs(a[12])
	task := readRecord(id, a[1])
	envelope, ok := a[13].(string)
	if !ok {
		return core.Standing{}, broken(op, "the spec of task %s is missing", id)
	}
	spec, _, err := openSpec([]byte(envelope))
	if err != nil {
		return core.Standing{}, err
	}
	spec.Args = nil
	st := core.Standing{
		Task: task, Spec: spec, Now: instant(asNumber(a[0])), Due: instant(asNumber(a[2])), Lease: scored(a[4]),
		Paused: instant(asNumber(a[9])), Running: int(asNumber(a[10])), Full: scored(a[11]),
		Function: core.FunctionStats{
			Function: task.Function, Totals: totalsOf(counters), Wait: histogramOf(counters, "w:"), Run: histogramOf(counters, "r:"),
		},
	}
	if holder, ok := a[3].(string); ok {
		st.Holder = core.DispatcherID(holder)
	}
	if !st.Full.After(st.Now) {
		st.Full = time.Time{}
	}
	if task.State == core.Queued {
		st.Place = core.Place{Ahead: int(asNumber(a[5])), More: asNumber(a[6]) == 1, Rivals: int(asNumber(a[7])), Queued: asNumber(a[8])}
	}
	return st, nil
}

// pairs reads what HGETALL answers within a script.
func pairs(answer any) map[string]string {
	list, _ := answer.([]any)
	fields := make(map[string]string, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		name, _ := list[i].(string)
		value, _ := list[i+1].(string)
		fields[name] = value
	}
	return fields
}

// scored is a time that may have a fraction of a millisecond; zero for none.
func scored(value any) time.Time {
	text, _ := value.(string)
	ms, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms))
}
