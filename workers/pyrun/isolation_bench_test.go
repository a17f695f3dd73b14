package pyrun

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"faasctl/core"
)

// The price of keeping calls apart, by isolation and sandbox: docs/RUNNING.md
// has the figures. They are compared with each other, so they run side by side:
//
//	go test -run '^$' -bench 'FirstCall|ChildStart|Isolated|IdleChild' ./workers/pyrun
func eachIsolation(b *testing.B, run func(b *testing.B, c Config, i core.Isolation)) {
	for _, sandbox := range []string{NoSandbox, Bwrap} {
		for _, isolation := range core.Isolations {
			b.Run(sandbox+"/"+string(isolation), func(b *testing.B) {
				if sandbox == Bwrap {
					needBwrap(b)
				}
				run(b, Config{Rules: Rules{Sandbox: sandbox, Ceiling: core.Limits{Isolation: isolation}}}, isolation)
			})
		}
	}
}

// BenchmarkFirstCall is the first call of a function that its worker has never
// seen, on a worker that has nothing else to do.
func BenchmarkFirstCall(b *testing.B) {
	eachIsolation(b, func(b *testing.B, c Config, i core.Isolation) {
		log := &logged{}
		c.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		r := newRig(b, c)
		r.fine()
		for n := 0; b.Loop(); n++ {
			b.StopTimer()
			f := source("f", fmt.Sprintf("def f():\n    return %d\n", n))
			if i == core.Fresh {
				// Its process is started in advance: one at first, and one after each call.
				r.until(b, "a process to be ready", func() bool { return strings.Count(log.String(), "a Python child is ready") > n+1 })
			}
			b.StartTimer()
			if o := r.call(f, none); o.State != core.Completed {
				b.Fatal(o.Result.Failure)
			}
		}
	})
}

// BenchmarkChildStart is the time from nothing to a result: an interpreter is
// started, imports dill, and runs a call that ends it.
func BenchmarkChildStart(b *testing.B) {
	for _, sandbox := range []string{NoSandbox, Bwrap} {
		b.Run(sandbox, func(b *testing.B) {
			if sandbox == Bwrap {
				needBwrap(b)
			}
			r := newRig(b, Config{Rules: Rules{Sandbox: sandbox}})
			r.fine()
			die := source("f", "import os\ndef f():\n    os._exit(0)\n")
			for b.Loop() {
				r.call(die, none)
			}
		})
	}
}

// BenchmarkIsolated is what one child gets done, in batches of 64.
func BenchmarkIsolated(b *testing.B) {
	const batch = 64
	eachIsolation(b, func(b *testing.B, c Config, _ core.Isolation) {
		r := newRig(b, c)
		r.fine()
		sink := counter{make(chan core.State, batch)}
		calls := make([]core.Assignment, batch)
		for i := range calls {
			calls[i] = assign(double, "[[21], {}]")
		}
		r.again(b, calls, sink)
	})
}

// BenchmarkIdleChild is the memory of a child that waits for work, with its
// sandbox: resident, and with what is shared divided among who shares it.
func BenchmarkIdleChild(b *testing.B) {
	const slots = 4
	for _, sandbox := range []string{NoSandbox, Bwrap} {
		b.Run(sandbox, func(b *testing.B) {
			if sandbox == Bwrap {
				needBwrap(b)
			}
			r := newRig(b, Config{Slots: slots, Rules: Rules{Sandbox: sandbox}})
			calls := make([]core.Assignment, slots)
			for i := range calls { // one for each slot
				calls[i] = assign(source("f", "import time\ndef f():\n    time.sleep(0.5)\n"), none)
				r.Start(calls[i:i+1], r)
			}
			for _, a := range calls {
				r.outcome(b, a.Task)
			}
			var rss, pss float64
			for b.Loop() {
				rss, pss = 0, 0
				for _, pid := range below(os.Getpid()) {
					text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
					rss += kib(string(text), "Rss:")
					pss += kib(string(text), "Pss:")
				}
			}
			b.ReportMetric(rss/1024/slots, "MiB-resident/child")
			b.ReportMetric(pss/1024/slots, "MiB-proportional/child")
		})
	}
}

func kib(text, name string) float64 {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			n, _ := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 64)
			return n
		}
	}
	return 0
}

// below lists the processes that a process has started, and theirs.
func below(pid int) (pids []int) {
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	children := map[int][]int{}
	for _, file := range files {
		text, _ := os.ReadFile(file)
		var parent int
		var state string
		if _, rest, ok := strings.Cut(string(text), ") "); ok {
			_, _ = fmt.Sscan(rest, &state, &parent)
		}
		child, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		children[parent] = append(children[parent], child)
	}
	for queue := []int{pid}; len(queue) > 0; queue = queue[1:] {
		pids = append(pids, children[queue[0]]...)
		queue = append(queue, children[queue[0]]...)
	}
	return pids
}
