package cli

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"faasctl/core"
)

// painted is when a dashboard showed things, after the server had sent the
// snapshot.
type painted struct {
	start   time.Duration // from the start of the program to the snapshot
	numbers time.Duration // until the first frame with its numbers and workers
	tasks   time.Duration // until the list of tasks, which is asked for then
}

// watchPaint starts the program on a terminal and watches it paint.
func watchPaint(t testing.TB, server *topServer) painted {
	t.Helper()
	sent := make(chan time.Time, 1)
	server.mu.Lock()
	server.sent = func() {
		select {
		case sent <- time.Now():
		default: // deltas
		}
	}
	server.mu.Unlock()
	top := exec.Command(program(t), "top", "--url", server.url())
	top.Env = []string{"TERM=xterm-256color", "LC_ALL=C.UTF-8"}
	began := time.Now()
	terminal, err := pty.StartWithSize(top, &pty.Winsize{Rows: 40, Cols: 120})
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	watchdog := time.AfterFunc(time.Minute, func() { _ = top.Process.Kill() })
	defer watchdog.Stop()
	var shown strings.Builder
	var numbers, tasks time.Time
	part := make([]byte, 64<<10)
	for {
		n, err := terminal.Read(part)
		now := time.Now()
		shown.Write(part[:n])
		if err != nil { // EIO: the program has ended
			break
		}
		if numbers.IsZero() && strings.Contains(shown.String(), "w-0123456789ab") {
			numbers = now
		}
		if tasks.IsZero() && strings.Contains(shown.String(), "resize@3") {
			tasks = now
			_, _ = terminal.Write([]byte("q"))
		}
	}
	if err := top.Wait(); err != nil || numbers.IsZero() || tasks.IsZero() {
		t.Fatalf("%v: it never showed all: %q", err, shown.String())
	}
	snapshot := <-sent
	return painted{snapshot.Sub(began), numbers.Sub(snapshot), tasks.Sub(snapshot)}
}

// manyThere fills the picture: what a snapshot weighs depends on who is there.
func (s *topServer) manyThere(workers, functions int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Clone(*s.top.Workers)
	run := core.Histogram{}
	for i := range 100 {
		run[i] = int64(i)
	}
	for range workers {
		all = append(all, core.Worker{ID: core.NewWorkerID(), Mode: core.Push, Host: "pier", State: core.WorkerRunning, Slots: 8, Joined: time.Now(), Seen: time.Now()})
	}
	for range functions {
		s.top.Functions = append(s.top.Functions, core.FunctionStats{Function: core.NewFunctionID(), Name: "f@1", Totals: core.Totals{Submitted: 7}, Wait: run, Run: run})
	}
	s.top.Workers = &all
}

// TestTopFirstPaint: the first frame after the snapshot has its numbers, and the
// list of tasks follows by itself. How fast, BenchmarkTopFirstPaint tells.
func TestTopFirstPaint(t *testing.T) {
	server := newTopServer(t)
	server.start(t)
	seen := watchPaint(t, server)
	t.Logf("%.0f ms after the snapshot the numbers, %.0f ms the tasks", seen.numbers.Seconds()*1000, seen.tasks.Seconds()*1000)
}

// BenchmarkTopFirstPaint measures from the snapshot to the frame on the terminal,
// with the real program, a hundred workers and three hundred functions. Target:
// < 150 ms.
func BenchmarkTopFirstPaint(b *testing.B) {
	server := newTopServer(b)
	server.manyThere(100, 300)
	server.start(b)
	var all [3][]float64
	for b.Loop() {
		seen := watchPaint(b, server)
		for i, d := range []time.Duration{seen.start, seen.numbers, seen.tasks} {
			all[i] = append(all[i], d.Seconds()*1000)
		}
	}
	for i, name := range []string{"ms-start", "ms-paint", "ms-tasks"} {
		slices.Sort(all[i])
		b.ReportMetric(all[i][len(all[i])/2], name+"-p50")
		b.ReportMetric(all[i][len(all[i])-1], name+"-max")
	}
	b.ReportMetric(0, "ns/op")
}
