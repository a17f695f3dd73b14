package cli

import (
	"bufio"
	"context"
	"fmt"
	"os"
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

// pair is two dispatchers with workers of their own, and one API, over one Redis.
type pair struct {
	home string
	env  []string
	api  *client.Client
}

func newPair(t *testing.T, slots int) *pair {
	t.Helper()
	home, redis := t.TempDir(), redisServerFor(t)
	p := &pair{home: home, env: cleanEnv(t, home)}
	begin := func(words ...string) *stack {
		s, err := startStack(p.env, home, append(words, "--redis", redis.url())...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.stop(syscall.SIGTERM); err != nil && !t.Failed() {
				t.Error(err)
			}
		})
		return s
	}
	for range 2 {
		begin("dispatcher", "-m", "local", "-w", strconv.Itoa(slots))
	}
	serve := begin("serve", "--listen", "127.0.0.1:0")
	p.api, p.env = serve.api, append(p.env, "FAASCTL_URL="+serve.url)
	return p
}

// calls makes n calls of a function, waits for their end, and returns their records.
func (p *pair) calls(t *testing.T, function string, n int) []core.Task {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	answers, err := p.api.SubmitBatch(ctx, slices.Repeat([]client.Call{{Function: function}}, n))
	if err != nil {
		t.Fatal(err)
	}
	tasks := make([]core.Task, n)
	for i, a := range answers {
		if a.Err != nil {
			t.Fatal(a.Err)
		}
		if tasks[i], err = p.api.Task(ctx, a.ID, 3*time.Minute); err != nil || tasks[i].State != core.Completed {
			t.Fatal(tasks[i], err)
		}
	}
	return tasks
}

// shared fails unless workers of both dispatchers ran tasks.
func (p *pair) shared(t *testing.T, tasks []core.Task) {
	t.Helper()
	all, err := p.api.Workers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	of := map[core.WorkerID]core.DispatcherID{}
	for _, w := range all {
		of[w.ID] = w.Dispatcher
	}
	ran := map[core.DispatcherID]int{}
	for _, task := range tasks {
		ran[of[task.Worker]]++
	}
	if len(ran) != 2 || ran[""] != 0 {
		t.Fatalf("tasks by dispatcher: %v", ran)
	}
}

// A cap holds over two dispatchers: never do more calls run at once, by what the
// calls themselves write down, and so many do.
func TestACapHoldsOverTwoDispatchers(t *testing.T) {
	if testing.Short() {
		t.Skip("starts whole stacks")
	}
	const most, n = 3, 60
	p := newPair(t, 4)
	marks := filepath.Join(p.home, "marks")
	file := write(t, p.home, "fn.py", "import os, time\n"+
		"def mark(sign):\n    f = os.open("+strconv.Quote(marks)+", os.O_WRONLY | os.O_CREAT | os.O_APPEND)\n    os.write(f, sign)\n    os.close(f)\n"+
		"def nap():\n    mark(b'+\\n')\n    time.sleep(0.05)\n    mark(b'-\\n')\n")
	if _, said, code := command(t, p.env, p.home, "", "register", file+"::nap", "--concurrency", strconv.Itoa(most)); code != 0 {
		t.Fatal(said)
	}
	tasks := p.calls(t, "nap", n)
	// Each mark is one write to the end of one file: they stand in the order in which
	// they were made.
	text, err := os.ReadFile(marks)
	if err != nil {
		t.Fatal(err)
	}
	now, highest, begun := 0, 0, 0
	for lines := bufio.NewScanner(strings.NewReader(string(text))); lines.Scan(); {
		if lines.Text() == "-" {
			now--
			continue
		}
		now, begun = now+1, begun+1
		highest = max(highest, now)
	}
	if highest != most || begun != n || now != 0 {
		t.Errorf("%d ran at once, want %d; %d began, want %d; %d did not end", highest, most, begun, n, now)
	}
	p.shared(t, tasks)
}

// A rate holds over two dispatchers: in no span of time are more calls handed out
// than the bucket held and was given.
func TestARateHoldsOverTwoDispatchers(t *testing.T) {
	if testing.Short() {
		t.Skip("starts whole stacks")
	}
	const perSecond, n = 20, 100
	p := newPair(t, 4)
	file := write(t, p.home, "fn.py", "import time\ndef blink():\n    time.sleep(0.01)\n")
	if _, said, code := command(t, p.env, p.home, "", "register", file, "--rate", fmt.Sprintf("%d/s", perSecond)); code != 0 {
		t.Fatal(said)
	}
	tasks := p.calls(t, "blink", n)
	at := make([]time.Time, n)
	for i, task := range tasks {
		at[i] = task.Claimed // by the clock of Redis, which the bucket goes by
	}
	slices.SortFunc(at, time.Time.Compare)
	for i := range at {
		for j := i; j < n; j++ {
			span := at[j].Sub(at[i]).Seconds() + 0.001 // times are cut to milliseconds
			if most := perSecond + perSecond*span; float64(j-i+1) > most+1e-6 {
				t.Fatalf("%d calls within %.3f s, at most %.1f may be", j-i+1, span, most)
			}
		}
	}
	p.shared(t, tasks)
}
