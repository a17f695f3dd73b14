package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"faasctl/core"
)

// Numbers sum up a run.
type Numbers struct {
	Calls, Accepted, Tasks            int
	Lost, Twice, Stuck, HealthyFailed int
	Ended                             map[core.State]int
	Refused                           int     // late results that the store did not take
	Mean                              float64 // executions of a healthy task
	Most                              int
	Recoveries                        []time.Duration // of each fault, sorted
	Faults                            map[string]int
	Lapses                            int // acknowledgements that a lossy Redis forgot
	LongestLapse                      time.Duration
	Submits                           int // requests that asked for a call, repetitions included
}

func (c *checker) numbers() Numbers {
	n := Numbers{Calls: len(c.Calls), Tasks: len(c.Tasks), Lapses: len(c.lapses), Ended: map[core.State]int{}, Faults: map[string]int{}}
	for _, call := range c.Calls {
		n.Submits += call.Tries
		if len(call.Answers) > 0 {
			n.Accepted++
		}
	}
	tasks := map[Rule]map[core.TaskID]bool{Lost: {}, Twice: {}, Stuck: {}}
	for _, v := range c.found {
		if tasks[v.Rule] != nil {
			tasks[v.Rule][v.Task] = true
		}
	}
	n.Lost, n.Twice, n.Stuck = len(tasks[Lost]), len(tasks[Twice]), len(tasks[Stuck])
	for id, task := range c.Tasks {
		n.Ended[task.State]++
		if call := c.call[c.Of[id]]; call != nil && call.Kind.Healthy() && task.State == core.Failed {
			n.HealthyFailed++
		}
	}
	for _, v := range c.Verdicts {
		if v.Verdict == core.VerdictStale {
			n.Refused++
		}
	}
	c.count(&n)
	for _, mark := range c.lapses {
		for _, kill := range c.kills() {
			if gap := kill.Sub(mark.At); gap <= lossWindow {
				n.LongestLapse = max(n.LongestLapse, gap)
			}
		}
	}
	for _, f := range c.Faults {
		n.Faults[f.Kind]++
		if gap, ok := c.recovery(f); ok {
			n.Recoveries = append(n.Recoveries, gap)
		}
	}
	slices.Sort(n.Recoveries)
	return n
}

// count fills in how often each healthy task was executed.
func (c *checker) count(n *Numbers) {
	runs := map[int]int{}
	for _, e := range c.Executions {
		if call := c.call[e.X]; call != nil && call.Kind.Healthy() {
			runs[e.X]++
		}
	}
	tasks := map[int]int{}
	for _, x := range c.Of {
		tasks[x]++
	}
	sum, all := 0, 0
	for x, k := range runs {
		sum, all = sum+k, all+tasks[x]
		if tasks[x] == 1 {
			n.Most = max(n.Most, k)
		}
	}
	if all > 0 {
		n.Mean = float64(sum) / float64(all)
	}
}

// recovery is the time from a fault to the next completion.
func (c *checker) recovery(f Fault) (time.Duration, bool) {
	for _, e := range c.Events {
		if e.Kind == core.TaskCompleted && e.At.After(f.At) {
			return e.At.Sub(f.At), true
		}
	}
	return 0, false
}

// percentile of sorted durations.
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, len(sorted)*p/100)]
}

func (n Numbers) String() string {
	var b strings.Builder
	count := 0
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(n.Faults)) {
		count += n.Faults[kind]
		kinds = append(kinds, fmt.Sprintf("%s %d", kind, n.Faults[kind]))
	}
	fmt.Fprintf(&b, "  faults      %d: %s\n", count, strings.Join(kinds, ", "))
	fmt.Fprintf(&b, "  calls       %d, asked for %d times; accepted %d, tasks %d\n", n.Calls, n.Submits, n.Accepted, n.Tasks)
	fmt.Fprintf(&b, "  ended       completed %d, failed %d, cancelled %d\n", n.Ended[core.Completed], n.Ended[core.Failed], n.Ended[core.Cancelled])
	fmt.Fprintf(&b, "  broken      lost %d, settled twice %d, stuck %d, healthy FAILED %d\n", n.Lost, n.Twice, n.Stuck, n.HealthyFailed)
	if n.Lapses > 0 {
		fmt.Fprintf(&b, "  forgotten   %d acknowledgements, the oldest %s before the kill\n", n.Lapses, n.LongestLapse.Round(time.Millisecond))
	}
	fmt.Fprintf(&b, "  late        %d results were refused\n", n.Refused)
	fmt.Fprintf(&b, "  executions  %.4f per task, at most %d\n", n.Mean, n.Most)
	fmt.Fprintf(&b, "  recovery    p50 %s, p99 %s from a fault to the next completion", percentile(n.Recoveries, 50).Round(time.Millisecond), percentile(n.Recoveries, 99).Round(time.Millisecond))
	return b.String()
}
