package cli

import (
	"context"
	"encoding/json"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"faasctl/core"
	"faasctl/httpapi/wire"
)

// benchStub is a server that answers the calls of a bench without running them.
type benchStub struct {
	*stub
	mu      sync.Mutex
	results map[string]wire.Ending // by task
	// answer is what call n ends with.
	answer func(n int) (core.Task, wire.Result)
	// accept is called with the number of each call before it is accepted.
	accept func(n int)
}

func newBenchStub(t *testing.T) *benchStub {
	b := &benchStub{stub: newStub(t), results: map[string]wire.Ending{}, accept: func(int) {}}
	b.answer = func(n int) (core.Task, wire.Result) {
		return ended(core.Completed, ""), wire.Result{Value: strconv.AppendInt(nil, int64(n)+1, 10)}
	}
	b.says("POST /v1/functions", 200, wire.Registration{Function: wire.Function{Function: core.Function{ID: core.NewFunctionID(), Name: "f", Version: 1}}})
	b.on("POST /v1/tasks", func(w http.ResponseWriter, r *http.Request) {
		var call wire.Call
		_ = json.NewDecoder(r.Body).Decode(&call)
		n := b.number(call)
		b.accept(n)
		task, result := b.answer(n)
		b.mu.Lock()
		b.results[string(task.ID)] = wire.Ending{ID: task.ID, State: task.State, Value: result.Value, Failure: result.Failure}
		b.mu.Unlock()
		b.says("GET /v1/tasks/"+string(task.ID), 200, task)
		_ = json.NewEncoder(w).Encode(wire.Submitted{ID: task.ID})
	})
	b.on("POST /v1/tasks:results", b.gather)
	return b
}

// gather answers as the server does, but that it does not wait.
func (b *benchStub) gather(w http.ResponseWriter, r *http.Request) {
	var asked wire.Gather
	_ = json.NewDecoder(r.Body).Decode(&asked)
	b.mu.Lock()
	defer b.mu.Unlock()
	var answer wire.Endings
	for _, id := range asked.IDs {
		answer.Results = append(answer.Results, b.results[id])
	}
	if r.Header.Get("Accept") == "application/json" {
		_ = json.NewEncoder(w).Encode(answer)
		return
	}
	for _, one := range answer.Results {
		_ = json.NewEncoder(w).Encode(one)
	}
}

// number is which call it is.
func (b *benchStub) number(call wire.Call) int {
	var args []int
	if err := json.Unmarshal(call.Args, &args); err != nil || len(args) != 2 {
		return -1
	}
	return args[0]
}

func (b *benchStub) bench(t *testing.T, words ...string) (*fake, int) {
	t.Helper()
	return b.to(t, "", append([]string{"bench", "--warm-up", "0", "--batch", "1"}, words...)...)
}

// A wrong, a failed and a missing result are told, and are exit code 1.
func TestBenchSeesWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		task   core.Task
		result wire.Result
		says   string
	}{
		"wrong":   {ended(core.Completed, ""), wire.Result{Value: json.RawMessage("9")}, "returned 9 instead of 4"},
		"failed":  {ended(core.Failed, core.KindException), wire.Result{Failure: &core.Failure{Kind: core.KindException, Message: "no luck"}}, "FAILED (exception) no luck"},
		"missing": {core.Task{ID: core.NewTaskID(), State: wire.Pending}, wire.Result{}, "no result; it has not ended"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBenchStub(t)
			right := b.answer
			b.answer = func(n int) (core.Task, wire.Result) {
				if n == 3 {
					return c.task, c.result
				}
				return right(n)
			}
			f, code := b.bench(t, "--tasks", "5", "--give-up", "30ms", "-o", "json")
			if code != core.ExitFailed || !strings.Contains(f.out.String(), `"right":4,"wrong":1,`) {
				t.Errorf("exit code %d, %s", code, f.out.String())
			}
			if want := "call 3, task " + string(c.task.ID) + ": " + c.says; !strings.Contains(f.err.String(), want) {
				t.Errorf("it said %q, not %q", f.err.String(), want)
			}
		})
	}
}

// Calls that a stalled server made late count as late, also those which it
// answered at once when their turn came.
func TestBenchDoesNotOmitWhatItCouldNotSend(t *testing.T) {
	const stall = 400 * time.Millisecond
	b := newBenchStub(t)
	b.accept = func(n int) {
		if n == 0 {
			<-time.After(stall)
		}
	}
	f, code := b.bench(t, "--tasks", "200", "--rate", "1000", "-o", "json")
	var seen benchDocument
	if err := json.Unmarshal(f.out.Bytes(), &seen); err != nil || code != 0 {
		t.Fatal(err, code, f.err.String())
	}
	// The 200 calls were due within the 400 ms of the stall, so that each waited
	// for 200 ms at the least.
	if l := seen.Latency["submit"]; l.P50 < 200 || l.Max < 400 {
		t.Errorf("the latencies are %+v", l)
	}
}

// Nobody gets more calls than were asked for, and each only once.
func TestBenchSendsEachCallOnce(t *testing.T) {
	b := newBenchStub(t)
	seen := map[int]int{}
	b.accept = func(n int) {
		b.mu.Lock()
		defer b.mu.Unlock()
		seen[n]++
	}
	if f, code := b.bench(t, "--tasks", "57", "--clients", "5"); code != 0 {
		t.Fatal(code, f.err.String())
	}
	for n := range 57 {
		if seen[n] != 1 {
			t.Errorf("call %d was sent %d times", n, seen[n])
		}
	}
	if len(seen) != 57 {
		t.Errorf("calls: %v", seen)
	}
}

func TestBenchEndsWithCtrlC(t *testing.T) {
	b := newBenchStub(t)
	ctx, cancel := context.WithCancel(t.Context())
	b.accept = func(int) { cancel() }
	f := newFake("")
	if code := f.main(ctx, []string{"faasctl", "bench", "--url", b.URL, "--warm-up", "0", "--batch", "1", "--tasks", "9"}); code != core.ExitPending {
		t.Errorf("exit code %d, %s", code, f.err.String())
	}
}

// What the client pickles, Python unpickles.
func TestBenchPickles(t *testing.T) {
	python, err := interpreter()
	if err != nil {
		t.Fatal(err)
	}
	for _, payload := range []int{0, 300} {
		l := &benchLoad{benchPlan: &benchPlan{payload: payload}, data: strings.Repeat("x", payload)}
		cmd := exec.Command(python, "-c", "import pickle, sys; print(pickle.load(sys.stdin.buffer))")
		cmd.Stdin = strings.NewReader(string(l.pickled(70_000)))
		want := "((70000, 1), {})\n"
		if payload > 0 {
			want = "((70000, '" + l.data + "'), {})\n"
		}
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != want {
			t.Errorf("%v, %s", err, out)
		}
	}
}

func TestBenchShowsTheMedianRun(t *testing.T) {
	row := &benchRow{}
	for _, seconds := range []float64{1, 5, 2, 4, 3} {
		row.runs = append(row.runs, &benchRun{tasks: 10, seconds: seconds})
	}
	if m := row.median(); m.seconds != 3 {
		t.Error(m.seconds)
	}
	row.runs = row.runs[:2]
	if m := row.median(); m.seconds != 5 {
		t.Error(m.seconds)
	}
}

// What this process uses is counted to the client, and what it used before is
// not.
func TestBenchUsage(t *testing.T) {
	spin := func() {
		for began := time.Now(); time.Since(began) < 30*time.Millisecond; {
		}
	}
	spin()
	before := readBenchUsage(nil)
	spin()
	used := readBenchUsage(nil).since(before)
	seconds, known := used.cpuOf(benchClient)
	if whole, _ := before.cpuOf(benchClient); !known || seconds <= 0 || whole <= 0 {
		t.Error(seconds, whole)
	}
	if used.peakOf(benchClient) < 1<<20 {
		t.Error(used.peakOf(benchClient))
	}
	if _, known := used.cpuOf(benchRedis); known {
		t.Error("there is no Redis")
	}
}

func TestBenchBar(t *testing.T) {
	f := newFake("")
	f.stderrTTY, f.vars["TERM"] = true, "xterm"
	bar := f.benchBar("local, 2 workers", 200)
	bar.moved(100)
	bar.moved(150) // too soon
	bar.close()
	want := "\rlocal, 2 workers  [###############...............]  50 %\r" + strings.Repeat(" ", 56) + "\r"
	if f.err.String() != want {
		t.Errorf("%q, want %q", f.err.String(), want)
	}
	f = newFake("")
	f.benchBar("x", 1).moved(1)
	if f.err.Len() > 0 {
		t.Errorf("%q", f.err.String())
	}
}
