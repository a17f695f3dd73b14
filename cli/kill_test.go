package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"faasctl/core"
	"faasctl/httpapi/client"
)

// TestKillEverything kills the whole stack, Redis and Python included, with 200
// tasks queued and 2 running, and starts it again: all 202 end with the right
// result, none is settled twice, and those that ran start again within 5 s.
func TestKillEverything(t *testing.T) {
	if testing.Short() {
		t.Skip("starts whole stacks")
	}
	const quick, slow = 200, 2
	home := t.TempDir()
	env := cleanEnv(t, home)
	words := []string{"up", "-w", "2", "--listen", "127.0.0.1:0", "--data", filepath.Join(home, "data")}
	s, err := startStack(env, home, words...)
	if err != nil {
		t.Fatal(err)
	}
	file := write(t, home, "fn.py", "import os, time\n"+
		"def slow(gate, x):\n    while not os.path.exists(gate): time.sleep(0.01)\n    return x\n"+
		"def square(x):\n    return x * x\n")
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for _, name := range []string{"slow", "square"} {
		if _, said, code := command(t, append(env, "FAASCTL_URL="+s.url), home, "", "register", file+"::"+name); code != 0 {
			t.Fatal(said)
		}
	}
	gate := filepath.Join(home, "gate")
	want := map[core.TaskID]string{}
	slowIDs := submitAll(t, ctx, s.api, slow, func(i int) client.Call {
		return client.Call{Function: "slow", Args: json.RawMessage(fmt.Sprintf("[%q, %d]", gate, i))}
	})
	for i, id := range slowIDs {
		want[id] = strconv.Itoa(i)
	}
	if err := poll(ctx, func() bool { return countIn(t, ctx, s.api, slowIDs, started) == slow }); err != nil {
		t.Fatal("the slow tasks do not run")
	}
	for i, id := range submitAll(t, ctx, s.api, quick, func(i int) client.Call {
		return client.Call{Function: "square", Args: json.RawMessage(fmt.Sprintf("[%d]", i))}
	}) {
		want[id] = strconv.Itoa(i * i)
	}
	killTree(t, s.cmd.Process.Pid)
	<-s.ended
	s.api.Close()

	again := time.Now()
	if s, err = startStack(env, home, words...); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.stop(syscall.SIGTERM); err != nil {
			t.Errorf("stopping: %v", err)
		}
	}()
	if err := poll(ctx, func() bool {
		return countIn(t, ctx, s.api, slowIDs, func(task core.Task) bool { return started(task) && task.Attempt == 2 }) == slow
	}); err != nil {
		t.Fatalf("the tasks that ran did not start again; up said:\n%s", s.output())
	}
	if took := time.Since(again); took > 5*time.Second && !raceOn {
		t.Errorf("the tasks that ran took %v to start again", took)
	}
	write(t, home, "gate", "")
	for id, value := range want {
		task, result, err := s.api.Result(ctx, id, time.Minute)
		if err != nil || result == nil || string(result.JSON) != value {
			t.Fatalf("task %s is %s: %v, want %s, %v", id, task.State, result, value, err)
		}
	}
	settledOnce(t, ctx, s.api, want)
}

func started(task core.Task) bool { return task.State == core.Running && !task.Started.IsZero() }

func submitAll(t *testing.T, ctx context.Context, api *client.Client, n int, call func(i int) client.Call) []core.TaskID {
	t.Helper()
	calls := make([]client.Call, n)
	for i := range calls {
		calls[i] = call(i)
	}
	answers, err := api.SubmitBatch(ctx, calls)
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]core.TaskID, n)
	for i, answer := range answers {
		if answer.Err != nil {
			t.Fatal(answer.Err)
		}
		ids[i] = answer.ID
	}
	return ids
}

func countIn(t *testing.T, ctx context.Context, api *client.Client, ids []core.TaskID, is func(core.Task) bool) (n int) {
	t.Helper()
	for _, id := range ids {
		if task, err := api.Task(ctx, id, 0); err == nil && is(task) {
			n++
		}
	}
	return n
}

// settledOnce counts the events of completion of each task, as far as the stream goes
// back, which keeps about 100,000; the totals count all of them.
func settledOnce(t *testing.T, ctx context.Context, api *client.Client, want map[core.TaskID]string) {
	t.Helper()
	completed, whole := map[core.TaskID]int{}, map[core.TaskID]bool{} // whole: the stream still has all of its events
	for after := ""; ; {
		events, err := api.EventsOnce(ctx, after, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(events) == 0 {
			break
		}
		for _, event := range events {
			switch event.Kind {
			case core.TaskSubmitted:
				whole[event.Task] = true
			case core.TaskCompleted:
				completed[event.Task]++
			}
		}
		after = events[len(events)-1].ID
	}
	for id := range want {
		if n := completed[id]; n > 1 || n == 0 && whole[id] {
			t.Errorf("task %s was completed %d times", id, completed[id])
		}
	}
	stats, err := api.Stats(ctx)
	if err != nil || stats.Totals.Completed != int64(len(want)) {
		t.Errorf("%d tasks were completed, want %d (%v)", stats.Totals.Completed, len(want), err)
	}
}

// killTree kills a process and all that descend from it, at once.
func killTree(t *testing.T, root int) {
	t.Helper()
	children := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		// The name, in parentheses, may hold anything.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if parent, err := strconv.Atoi(fields[1]); err == nil {
			children[parent] = append(children[parent], pid)
		}
	}
	doomed := []int{root}
	for i := 0; i < len(doomed); i++ {
		doomed = append(doomed, children[doomed[i]]...)
	}
	if len(doomed) < 4 { // faasctl, Redis and two Python children
		t.Fatalf("only %d processes", len(doomed))
	}
	for _, pid := range doomed {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}
