package cli

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"faasctl/core"
	"faasctl/httpapi/client"
)

// twoWorkers is a stack of two workers, with a home and an environment to talk to it.
func twoWorkers(b *testing.B) (s *stack, home string, env []string) {
	b.Helper()
	home = b.TempDir()
	env = cleanEnv(b, home)
	s, err := startStack(env, home, "up", "-w", "2", "--listen", "127.0.0.1:0", "--data", filepath.Join(home, "data"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.stop(syscall.SIGTERM) })
	return s, home, append(env, "FAASCTL_URL="+s.url)
}

// BenchmarkRunWarm is what `faasctl run` on a warm function adds to the
// function's own time: start of the process, HTTP, Redis, dispatcher, Python
// and back. The function tells how long it took itself. Target: p50 < 15 ms.
func BenchmarkRunWarm(b *testing.B) {
	_, home, env := twoWorkers(b)
	file := write(b, home, "work.py", "import time\ndef work(n):\n    t = time.perf_counter()\n    sum(range(n))\n    return time.perf_counter() - t\n")
	if _, said, code := command(b, env, home, "", "run", file, "--args", "[20000]"); code != 0 {
		b.Fatal(said)
	}
	var added []float64
	for b.Loop() {
		cmd := exec.Command(program(b), "run", "work", "--args", "[20000]")
		cmd.Env = env
		began := time.Now()
		out, err := cmd.Output()
		took := time.Since(began)
		if err != nil {
			b.Fatal(err)
		}
		own, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
		if err != nil {
			b.Fatal(err)
		}
		added = append(added, took.Seconds()*1000-own*1000)
	}
	slices.Sort(added)
	b.ReportMetric(added[len(added)/2], "ms-added-p50")
	b.ReportMetric(added[len(added)*99/100], "ms-added-p99")
}

// BenchmarkFlood is what 20,000 waiting calls of one function add to the wait of
// another's, from its submission to its start, on a whole stack. Target for the
// p99: at most twice the unloaded one plus one call of the flood (20 ms).
func BenchmarkFlood(b *testing.B) {
	s, home, env := twoWorkers(b)
	file := write(b, home, "calls.py", "import time\ndef flood(n):\n    time.sleep(0.02)\ndef probe():\n    time.sleep(0.001)\n")
	for _, name := range []string{"flood", "probe"} {
		if _, said, code := command(b, env, home, "", "register", file+"::"+name); code != 0 {
			b.Fatal(said)
		}
	}
	const flood, probes = 20_000, 300
	wait := func() (p50, p99 float64) {
		var waits []float64
		for range probes {
			submitted, err := s.api.Submit(b.Context(), client.Call{Function: "probe"})
			if err != nil {
				b.Fatal(err)
			}
			task, err := s.api.Task(b.Context(), submitted.ID, time.Minute)
			if err != nil || task.State != core.Completed {
				b.Fatal(task, err)
			}
			waits = append(waits, float64(task.Started.Sub(task.Submitted).Microseconds())/1000)
		}
		slices.Sort(waits)
		return waits[probes/2], waits[probes*99/100]
	}
	wait() // it learns what a probe costs
	for b.Loop() {
		p50, p99 := wait()
		b.ReportMetric(p50, "ms-unloaded-p50")
		b.ReportMetric(p99, "ms-unloaded-p99")
		calls := make([]client.Call, flood)
		for i := range calls {
			calls[i] = client.Call{Function: "flood", Args: []byte("[" + strconv.Itoa(i) + "]")}
		}
		if _, err := s.api.SubmitBatch(b.Context(), calls); err != nil {
			b.Fatal(err)
		}
		stats, err := s.api.Stats(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		loaded50, loaded99 := wait()
		ahead := overtaken(b, s.api, stats.Through, "probe@1")
		b.ReportMetric(ahead[len(ahead)*99/100], "calls-ahead-p99")
		b.ReportMetric(loaded50, "ms-flooded-p50")
		b.ReportMetric(loaded99, "ms-flooded-p99")
		b.ReportMetric(2*p99+20, "ms-allowed-p99")
		if stats, err = s.api.Stats(b.Context()); err != nil || stats.Queued < flood/4 {
			b.Fatalf("the flood was over: %d wait, %v", stats.Queued, err)
		}
	}
}

// overtaken tells, in order, how many calls of others were handed out between the
// submission and the claim of each call of a function: a figure that does not depend
// on how fast the machine is.
func overtaken(b *testing.B, api *client.Client, after, function string) []float64 {
	b.Helper()
	var ahead []float64
	waiting, others := map[core.TaskID]int{}, 0 // of others at its submission
	kinds := core.EventFilter{Kinds: []core.EventKind{core.TaskSubmitted, core.TaskClaimed}}
	for {
		events, err := api.EventsOnceWhere(b.Context(), kinds, after, 1000)
		if err != nil {
			b.Fatal(err)
		}
		for _, e := range events {
			after = e.ID
			at, mine := waiting[e.Task]
			switch {
			case e.Kind == core.TaskSubmitted && e.Name == function:
				waiting[e.Task] = others
			case e.Kind == core.TaskClaimed && mine:
				ahead = append(ahead, float64(others-at))
				delete(waiting, e.Task)
			case e.Kind == core.TaskClaimed:
				others++
			}
		}
		if len(events) == 0 {
			slices.Sort(ahead)
			return ahead
		}
	}
}
