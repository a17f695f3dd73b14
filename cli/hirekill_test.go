package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"faasctl/core"
	"faasctl/httpapi/client"
)

// bereaved is an up whose workers run gated tasks, and what those leave behind: each
// execution writes its Python's pid into runs.
type bereaved struct {
	*stack
	env        []string
	home, runs string
	words      []string
	ctx        context.Context
}

func newBereaved(t *testing.T, mode string) *bereaved {
	t.Helper()
	if testing.Short() {
		t.Skip("starts whole stacks")
	}
	home := t.TempDir()
	b := &bereaved{home: home, runs: filepath.Join(home, "runs"), env: cleanEnv(t, home)}
	b.words = []string{"up", "-m", mode, "-w", "1", "-p", "0", "--listen", "127.0.0.1:0", "--data", filepath.Join(home, "data")}
	var stop context.CancelFunc
	b.ctx, stop = context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(stop)
	b.start(t)
	file := write(t, home, "fn.py", "import os, time\n"+
		"def slow(gate, runs, x):\n"+
		"    with open(runs, 'a') as f: f.write(f'{x} {os.getpid()}\\n')\n"+
		"    while not os.path.exists(gate): time.sleep(0.01)\n"+
		"    return x\n")
	if _, said, code := command(t, append(b.env, "FAASCTL_URL="+b.url), home, "", "register", file+"::slow"); code != 0 {
		t.Fatal(said)
	}
	t.Cleanup(func() {
		if err := b.stop(syscall.SIGTERM); err != nil {
			t.Errorf("stopping: %v", err)
		}
	})
	return b
}

func (b *bereaved) start(t *testing.T) {
	t.Helper()
	var err error
	if b.stack, err = startStack(b.env, b.home, b.words...); err != nil {
		t.Fatal(err)
	}
}

// kill kills the up, and nothing else.
func (b *bereaved) kill(t *testing.T) {
	t.Helper()
	if err := b.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-b.ended
	b.api.Close()
}

func (b *bereaved) submit(t *testing.T, n int) []core.TaskID {
	t.Helper()
	return submitAll(t, b.ctx, b.api, n, func(i int) client.Call {
		return client.Call{Function: "slow", Args: json.RawMessage(fmt.Sprintf("[%q, %q, %d]", filepath.Join(b.home, "gate"), b.runs, i))}
	})
}

// begun waits until so many executions have begun, and returns their pids.
func (b *bereaved) begun(t *testing.T, n int) (pids []int) {
	t.Helper()
	if err := poll(b.ctx, func() bool {
		text, _ := os.ReadFile(b.runs)
		pids = pids[:0]
		for line := range strings.Lines(string(text)) {
			var x, pid int
			if _, err := fmt.Sscan(line, &x, &pid); err == nil {
				pids = append(pids, pid)
			}
		}
		return len(pids) >= n
	}); err != nil {
		t.Fatalf("%d executions have begun, want %d; up said:\n%s", len(pids), n, b.output())
	}
	return pids
}

// An up is killed, and its hired workers with it: what they held runs again as soon
// as the next up is there, and not beside them. No lease has to lapse, also for
// tasks that no worker was known to have.
func TestKilledUpWithHiredWorkers(t *testing.T) {
	for _, mode := range []string{"push", "pull", "local,push,pull"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			b := newBereaved(t, mode)
			slots := len(strings.Split(mode, ","))
			ids := b.submit(t, slots+2)
			before := b.begun(t, slots)
			b.kill(t)
			again := time.Now()
			b.start(t)
			for _, pid := range before {
				if alive(pid) {
					t.Errorf("process %d runs its task beside the new up", pid)
				}
			}
			b.begun(t, 2*slots)
			if took := time.Since(again); took > slowAfter {
				t.Errorf("the tasks that ran took %s to start again", took)
			}
			write(t, b.home, "gate", "")
			endedWell(t, b, ids)
		})
	}
}

// Beside the hired one there is a worker that somebody has added. It outlives the
// up and keeps what it runs; what the hired one ran starts again at once.
func TestKilledUpWithOthersWorkers(t *testing.T) {
	for _, mode := range []string{"push", "pull"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			b := newBereaved(t, mode)
			address := b.sockets[mode]
			port := address[strings.LastIndexByte(address, ':')+1:]
			guest, err := startStack(b.env, b.home, "worker", mode, "1", address)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { guest.stop(syscall.SIGTERM) })
			if err := poll(b.ctx, func() bool { return strings.Contains(guest.output(), "registered") }); err != nil {
				t.Fatal(guest.output())
			}
			ids := b.submit(t, 2)
			b.begun(t, 2)
			if err := poll(b.ctx, func() bool { return countIn(t, b.ctx, b.api, ids, started) == 2 }); err != nil {
				t.Fatal("it is not known that both run")
			}
			b.kill(t)
			again := time.Now()
			b.words = append(b.words, "-p", port)
			b.start(t)
			b.begun(t, 3)
			if took := time.Since(again); took > slowAfter {
				t.Errorf("the hired worker's task took %s to start again", took)
			}
			if err := poll(b.ctx, func() bool { return countIn(t, b.ctx, b.api, ids, started) == 2 }); err != nil {
				t.Fatal("it is not known that both run again")
			}
			write(t, b.home, "gate", "")
			attempts := 0
			for _, task := range endedWell(t, b, ids) {
				attempts += task.Attempt
			}
			if n := len(b.begun(t, 3)); n != 3 || attempts != 3 {
				t.Errorf("%d executions in %d attempts; only the hired worker's task was to run again", n, attempts)
			}
		})
	}
}

// endedWell waits for all to end well, once.
func endedWell(t *testing.T, b *bereaved, ids []core.TaskID) (tasks []core.Task) {
	t.Helper()
	want := map[core.TaskID]string{}
	for i, id := range ids {
		task, result, err := b.api.Result(b.ctx, id, time.Minute)
		if err != nil || result == nil || string(result.JSON) != fmt.Sprint(i) {
			t.Fatalf("task %d is %s: %v, %v", i, task.State, result, err)
		}
		want[id] = fmt.Sprint(i)
		tasks = append(tasks, task)
	}
	settledOnce(t, b.ctx, b.api, want)
	return tasks
}

// alive reports whether a process runs.
func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	state := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))[0]
	return state != "Z" && state != "X"
}
