package core

import (
	"maps"
	"reflect"
	"slices"
	"time"
)

// Top is a picture of the whole system, or, as a delta, those parts of one that
// have changed. Its size depends on how many workers and functions there are, not
// on how many tasks run.
type Top struct {
	Now         time.Time         `json:"now"`               // by the store's clock
	Trouble     string            `json:"trouble,omitempty"` // why there is no newer picture; "" when all is well
	Numbers     *TopNumbers       `json:"numbers,omitempty"`
	Wait        Histogram         `json:"wait,omitempty"` // of a delta: buckets that have changed
	Run         Histogram         `json:"run,omitempty"`
	Workers     *[]Worker         `json:"workers,omitempty"`
	Dispatchers *[]DispatcherInfo `json:"dispatchers,omitempty"`
	Functions   []FunctionStats   `json:"functions,omitempty"` // of a delta: those that have changed
	Queues      *[]QueueInfo      `json:"queues,omitempty"`
	Operations  *[]Operation      `json:"operations,omitempty"` // that go on, or have ended within the last minute; newest first
	Store       *StoreInfo        `json:"store,omitempty"`
}

// TopNumbers are the totals and depths of a picture.
type TopNumbers struct {
	Totals     Totals `json:"totals"`
	Queued     int64  `json:"queued"`
	Delayed    int64  `json:"delayed"`
	Running    int64  `json:"running"`
	Slots      int    `json:"slots"`
	Busy       int    `json:"busy"`
	OldestWait int64  `json:"oldest_wait_ms"`
	Repaired   int64  `json:"repaired"`
	Through    string `json:"through"`
}

// QueueInfo is one queue that holds tasks or is paused.
type QueueInfo struct {
	Name   string    `json:"name"`
	Queued int64     `json:"queued"`
	Oldest time.Time `json:"oldest,omitzero"` // since when the oldest of its tasks waits; zero when none was found
	Paused time.Time `json:"paused,omitzero"` // since when; zero when it is not
}

// Waits is how long the oldest task of the queue has waited at a moment of the
// store's clock; 0 when none was found.
func (q QueueInfo) Waits(now time.Time) time.Duration {
	if q.Oldest.IsZero() {
		return 0
	}
	return max(0, now.Sub(q.Oldest))
}

// FailureGroup is a number of failed tasks that died of the same.
type FailureGroup struct {
	Kind     FailureKind `json:"kind"`
	Type     string      `json:"type,omitempty"` // Python class
	Message  string      `json:"message"`        // of the newest, its first line
	Function FunctionID  `json:"function_id"`
	Name     string      `json:"function,omitempty"` // name@version
	Count    int         `json:"count"`
	Dead     int         `json:"dead"` // of them, how many are dead letters: the others were run again, or have expired
	Newest   TaskID      `json:"newest"`
	Last     time.Time   `json:"last"` // when the newest ended
}

// How much of the journal a picture shows.
const (
	shownOperations = 10          // the newest at most
	shownEnded      = time.Minute // after their end
)

// pictureOf makes a picture of what was read of the system.
func pictureOf(s Stats, functions []FunctionStats, queues []QueueInfo, journal []Operation) Top {
	operations := []Operation{}
	for _, op := range journal {
		if !op.State.Ended() || s.Now.Sub(op.Ended) < shownEnded {
			operations = append(operations, op)
		}
	}
	store := s.Store
	store.Memory = 0 // changes all the time and says little; /v1/stats has it
	return Top{
		Now: s.Now,
		Numbers: &TopNumbers{
			Totals: s.Totals, Queued: s.Queued, Delayed: s.Delayed, Running: s.Running,
			Slots: s.Slots, Busy: s.Busy, OldestWait: s.OldestWait, Repaired: s.Repaired, Through: s.Through,
		},
		Wait: s.Wait, Run: s.Run, Workers: &s.Workers, Dispatchers: &s.Dispatchers, Store: &store,
		Functions: functions, Queues: &queues, Operations: &operations,
	}
}

// Since returns what has changed in t since an earlier picture, and whether
// anything but the clock has.
func (t Top) Since(earlier Top) (Top, bool) {
	delta := Top{Now: t.Now, Trouble: t.Trouble}
	changed := t.Trouble != earlier.Trouble
	if earlier.Numbers == nil || t.Numbers != nil && *t.Numbers != *earlier.Numbers {
		delta.Numbers, changed = t.Numbers, true
	}
	delta.Wait, delta.Run = changedBuckets(t.Wait, earlier.Wait), changedBuckets(t.Run, earlier.Run)
	if differ(t.Workers, earlier.Workers, func(w Worker) Worker { w.Seen = time.Time{}; return w }) {
		delta.Workers, changed = t.Workers, true
	}
	if differ(t.Dispatchers, earlier.Dispatchers, func(d DispatcherInfo) DispatcherInfo { d.Seen = time.Time{}; return d }) {
		delta.Dispatchers, changed = t.Dispatchers, true
	}
	if differ(t.Queues, earlier.Queues, func(q QueueInfo) QueueInfo { return q }) {
		delta.Queues, changed = t.Queues, true
	}
	if differ(t.Operations, earlier.Operations, func(op Operation) Operation { return op }) {
		delta.Operations, changed = t.Operations, true
	}
	if t.Store != nil && (earlier.Store == nil || *t.Store != *earlier.Store) {
		delta.Store, changed = t.Store, true
	}
	old := map[FunctionID]Totals{}
	for _, f := range earlier.Functions {
		old[f.Function] = f.Totals
	}
	for _, f := range t.Functions {
		if totals, known := old[f.Function]; !known || totals != f.Totals {
			delta.Functions, changed = append(delta.Functions, f), true
		}
	}
	return delta, changed || len(delta.Wait)+len(delta.Run) > 0
}

// differ compares two lists but for what same takes out of each item.
func differ[T any](now, before *[]T, same func(T) T) bool {
	if now == nil {
		return false
	}
	if before == nil || len(*now) != len(*before) {
		return true
	}
	for i := range *now {
		if !reflect.DeepEqual(same((*now)[i]), same((*before)[i])) {
			return true
		}
	}
	return false
}

func changedBuckets(now, before Histogram) Histogram {
	changed := Histogram{}
	for bucket, n := range now {
		if before[bucket] != n {
			changed[bucket] = n
		}
	}
	if len(changed) == 0 {
		return nil
	}
	return changed
}

// Merge returns the picture that a delta makes of t. Neither is changed.
func (t Top) Merge(delta Top) Top {
	t.Now, t.Trouble = delta.Now, delta.Trouble
	if delta.Numbers != nil {
		t.Numbers = delta.Numbers
	}
	t.Wait, t.Run = mergedBuckets(t.Wait, delta.Wait), mergedBuckets(t.Run, delta.Run)
	if delta.Workers != nil {
		t.Workers = delta.Workers
	}
	if delta.Dispatchers != nil {
		t.Dispatchers = delta.Dispatchers
	}
	if delta.Queues != nil {
		t.Queues = delta.Queues
	}
	if delta.Operations != nil {
		t.Operations = delta.Operations
	}
	if delta.Store != nil {
		t.Store = delta.Store
	}
	if len(delta.Functions) > 0 {
		t.Functions = slices.Clone(t.Functions)
		for _, f := range delta.Functions {
			i := slices.IndexFunc(t.Functions, func(o FunctionStats) bool { return o.Function == f.Function })
			if i < 0 {
				t.Functions = append(t.Functions, f)
			} else {
				t.Functions[i] = f
			}
		}
	}
	return t
}

func mergedBuckets(old, changed Histogram) Histogram {
	if len(changed) == 0 {
		return old
	}
	merged := maps.Clone(old)
	if merged == nil {
		merged = Histogram{}
	}
	maps.Copy(merged, changed)
	return merged
}
