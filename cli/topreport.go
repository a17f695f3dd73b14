package cli

import (
	"fmt"
	"strings"
	"time"

	"faasctl/core"
)

// topReport is what `top -o json` prints, one object a line. Its shape is a
// promise: fields are added, never renamed or taken away. docs/MONITORING.md
// describes it.
type topReport struct {
	At         time.Time             `json:"at"`     // by the store's clock
	Totals     core.Totals           `json:"totals"` // since the store was made, as in /v1/stats
	Queued     int64                 `json:"queued"`
	Delayed    int64                 `json:"delayed"`
	Running    int64                 `json:"running"`
	Slots      int                   `json:"slots"`
	Busy       int                   `json:"busy"`
	OldestWait int64                 `json:"oldest_wait_ms"` // of the oldest queued task; 0 when none is
	Rates      *topRates             `json:"rates,omitempty"`
	Latency    topLatency            `json:"latency"`
	Repaired   int64                 `json:"repaired"` // index entries that were wrong, since the store was made; 0 in health
	Queues     []topQueue            `json:"queues"`   // those that hold tasks or are paused
	Workers    []core.Worker         `json:"workers"`
	Functions  []topFunction         `json:"functions"` // those that were called
	Dispatch   []core.DispatcherInfo `json:"dispatchers"`
	Store      core.StoreInfo        `json:"store"`
	Stale      float64               `json:"stale_s,omitempty"` // the server is silent since so many seconds
	Trouble    string                `json:"trouble,omitempty"` // why there is no newer picture
}

// topRates are tasks per second, as averages of the last Window seconds.
type topRates struct {
	Window    float64 `json:"window_s"`
	Submitted float64 `json:"submitted"`
	Ended     float64 `json:"ended"`
	Failed    float64 `json:"failed"`
}

// topLatency is how long tasks waited (submission to start) and ran.
type topLatency struct {
	Window float64  `json:"window_s,omitempty"` // of the last so many seconds; absent = since the store was made
	Wait   topSpans `json:"wait"`
	Run    topSpans `json:"run"`
}

// topSpans are quantiles of durations in milliseconds, each off by at most 9 %;
// 0 when Count is 0.
type topSpans struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50_ms"`
	P95   float64 `json:"p95_ms"`
	P99   float64 `json:"p99_ms"`
}

// topQueue is one queue.
type topQueue struct {
	Name       string    `json:"name"`
	Queued     int64     `json:"queued"`
	OldestWait int64     `json:"oldest_wait_ms"`  // of its oldest task; 0 when it has none
	Paused     time.Time `json:"paused,omitzero"` // since when
}

// topFunction are the numbers of one function since the store was made.
type topFunction struct {
	Function core.FunctionID `json:"function_id"`
	Name     string          `json:"function"` // name@version
	Totals   core.Totals     `json:"totals"`
	Latency  topLatency      `json:"latency"`
}

// reportOf is the report of one whole picture.
func reportOf(t core.Top) topReport {
	r := topReport{At: t.Now, Trouble: t.Trouble, Queues: []topQueue{}, Workers: []core.Worker{}, Functions: []topFunction{}, Dispatch: []core.DispatcherInfo{}}
	if n := t.Numbers; n != nil {
		r.Totals, r.Queued, r.Delayed, r.Running = n.Totals, n.Queued, n.Delayed, n.Running
		r.Slots, r.Busy, r.OldestWait, r.Repaired = n.Slots, n.Busy, n.OldestWait, n.Repaired
	}
	r.Latency = topLatency{Wait: spansOf(t.Wait), Run: spansOf(t.Run)}
	r.Workers, r.Dispatch = orNone(r.Workers, t.Workers), orNone(r.Dispatch, t.Dispatchers)
	for _, q := range orNone(nil, t.Queues) {
		r.Queues = append(r.Queues, topQueue{q.Name, q.Queued, q.Waits(t.Now).Milliseconds(), q.Paused})
	}
	if t.Store != nil {
		r.Store = *t.Store
	}
	for _, f := range t.Functions {
		r.Functions = append(r.Functions, topFunction{f.Function, f.Name, f.Totals, topLatency{Wait: spansOf(f.Wait), Run: spansOf(f.Run)}})
	}
	return r
}

// orNone is the list, or none when it is null: JSON shows none as [].
func orNone[T any](none []T, list *[]T) []T {
	if list == nil || len(*list) == 0 {
		return none
	}
	return *list
}

func spansOf(h core.Histogram) topSpans {
	millis := func(q float64) float64 {
		return float64(h.Quantile(q).Round(time.Microsecond)) / float64(time.Millisecond)
	}
	return topSpans{Count: h.Count(), P50: millis(0.5), P95: millis(0.95), P99: millis(0.99)}
}

// since adds rates and replaces latencies by those of the time after an earlier
// picture, which arrived seconds before t did.
func (r *topReport) since(t, earlier core.Top, seconds float64) {
	wait, run := t.Wait.Since(earlier.Wait), t.Run.Since(earlier.Run)
	r.Latency = topLatency{Window: tenths(seconds), Wait: spansOf(wait), Run: spansOf(run)}
	before := reportOf(earlier).Totals
	rate := func(now, then int64) float64 { return tenths(float64(max(0, now-then)) / seconds) }
	r.Rates = &topRates{
		Window: tenths(seconds), Submitted: rate(r.Totals.Submitted, before.Submitted),
		Ended: rate(r.Totals.Ended(), before.Ended()), Failed: rate(r.Totals.Failed, before.Failed),
	}
}

func tenths(x float64) float64 { return float64(int64(x*10+0.5)) / 10 }

// line is the report in one line for people and for grep: words with their
// numbers, two blanks between them, in an order that does not change.
func (r topReport) line(now time.Time) string {
	words := []string{now.Format(time.TimeOnly)}
	say := func(format string, args ...any) { words = append(words, fmt.Sprintf(format, args...)) }
	if r.Stale > 0 {
		say("stale %.0fs  %s", r.Stale, r.Trouble)
		return cleanLine(strings.Join(words, "  "))
	}
	if r.Rates == nil {
		say("in -/s  out -/s  failed -/s")
	} else {
		say("in %.1f/s  out %.1f/s  failed %.1f/s", r.Rates.Submitted, r.Rates.Ended, r.Rates.Failed)
	}
	running := 0
	for _, w := range r.Workers {
		if w.State == core.WorkerRunning {
			running++
		}
	}
	say("queued %d  running %d  delayed %d  slots %d/%d  workers %d", r.Queued, r.Running, r.Delayed, r.Busy, r.Slots, running)
	lately := r.Latency
	if r.Rates == nil {
		lately = topLatency{} // of the whole past, and would be taken for one of now
	}
	say("wait p50 %s p99 %s", lately.Wait.text(0.5), lately.Wait.text(0.99))
	say("run p50 %s p99 %s", lately.Run.text(0.5), lately.Run.text(0.99))
	if r.Trouble != "" {
		say("trouble: %s", r.Trouble)
	}
	return cleanLine(strings.Join(words, "  "))
}

// text is one of the quantiles for people.
func (s topSpans) text(q float64) string {
	if s.Count == 0 {
		return "-"
	}
	ms := s.P50
	if q > 0.5 {
		ms = s.P99
	}
	return span(time.Duration(ms * float64(time.Millisecond)))
}
