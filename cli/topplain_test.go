package cli

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"faasctl/core"
)

// TestTopReportShape holds what docs/MONITORING.md promises about the names in
// the JSON: those of its example, and no others.
func TestTopReportShape(t *testing.T) {
	whole := core.Top{
		Now: time.Unix(1_800_000_000, 0).UTC(), Numbers: &core.TopNumbers{}, Store: &core.StoreInfo{Kind: "redis", Version: "7.2.4", Durability: "everysec"},
		Wait: core.Histogram{80: 3}, Run: core.Histogram{40: 3}, Queues: &[]core.QueueInfo{{Name: "default", Queued: 2}},
		Workers: &[]core.Worker{{ID: "w-0123456789ab"}}, Dispatchers: &[]core.DispatcherInfo{{ID: "d-0123456789ab"}},
		Functions: []core.FunctionStats{{Function: "f", Name: "add@1", Run: core.Histogram{40: 3}}},
	}
	r := reportOf(whole)
	r.since(whole, core.Top{}, 10)
	encoded, err := encodeJSON(r)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../docs/MONITORING.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(text), "```json\n")
	example, _, _ = strings.Cut(example, "\n```")
	if want, got := names(t, []byte(example)), names(t, encoded); !reflect.DeepEqual(want, got) {
		t.Errorf("the document promises\n%v\nand the program writes\n%v", want, got)
	}
}

// names lists every name of a JSON object with the way to it; what a worker and
// a dispatcher have is told elsewhere.
func names(t *testing.T, encoded []byte) (all []string) {
	t.Helper()
	var value any
	if err := json.Unmarshal(encoded, &value); err != nil {
		t.Fatalf("%v: %s", err, encoded)
	}
	var walk func(way string, value any)
	walk = func(way string, value any) {
		switch v := value.(type) {
		case map[string]any:
			for name, inner := range v {
				if full := way + "." + name; !strings.HasPrefix(way, ".workers[]") && !strings.HasPrefix(way, ".dispatchers[]") {
					all = append(all, full)
					walk(full, inner)
				}
			}
		case []any:
			for _, inner := range v {
				walk(way+"[]", inner)
			}
		}
	}
	walk("", value)
	slices.Sort(all)
	return slices.Compact(all)
}

func TestTopReportNumbers(t *testing.T) {
	earlier := core.Top{Numbers: &core.TopNumbers{Totals: core.Totals{Submitted: 100, Completed: 80, Failed: 5}}, Run: core.Histogram{40: 85}}
	now := core.Top{
		Numbers: &core.TopNumbers{Totals: core.Totals{Submitted: 150, Completed: 125, Failed: 10, Cancelled: 5}, Queued: 7, Running: 3, Slots: 4, Busy: 3},
		Run:     core.Histogram{40: 85, 80: 50}, Workers: &[]core.Worker{{State: core.WorkerRunning}, {State: core.WorkerGone}},
	}
	r := reportOf(now)
	at := time.Date(2026, 1, 31, 12, 0, 0, 0, time.Local)
	if got := r.line(at); got != "12:00:00  in -/s  out -/s  failed -/s  queued 7  running 3  delayed 0  slots 3/4  workers 1  wait p50 - p99 -  run p50 - p99 -" {
		t.Error(got)
	}
	r.since(now, earlier, 10)
	if *r.Rates != (topRates{Window: 10, Submitted: 5, Ended: 5.5, Failed: 0.5}) || r.Latency.Run.Count != 50 || r.Latency.Wait.Count != 0 {
		t.Errorf("%+v %+v", r.Rates, r.Latency)
	}
	if got := r.line(at); got != "12:00:00  in 5.0/s  out 5.5/s  failed 0.5/s  queued 7  running 3  delayed 0  slots 3/4  workers 1  wait p50 - p99 -  run p50 1ms p99 1ms" {
		t.Error(got)
	}
	r.Trouble = "the store\x1b[2J\nis gone"
	if got := r.line(at); !strings.HasSuffix(got, "  trouble: the store is gone") {
		t.Errorf("%q", got)
	}
	r.Stale = 4.2
	if got := r.line(at); got != "12:00:00  stale 4s  the store is gone" {
		t.Errorf("%q", got)
	}
}

// TestTopPictures: rates are those of the window, and begin anew with a store.
func TestTopPictures(t *testing.T) {
	var past pictures
	began := time.Now()
	top := func(submitted int64) core.Top {
		return core.Top{Numbers: &core.TopNumbers{Totals: core.Totals{Submitted: submitted}}}
	}
	if _, _, ok := past.add(top(0), began); ok {
		t.Error("one picture makes no rate")
	}
	for second := 1; second <= 60; second++ {
		earlier, seconds, ok := past.add(top(int64(100*second)), began.Add(time.Duration(second)*time.Second))
		window := min(second, 10)
		if !ok || seconds != float64(window) || earlier.Numbers.Totals.Submitted != int64(100*(second-window)) {
			t.Fatalf("second %d: %v, %v s, %v", second, earlier.Numbers, seconds, ok)
		}
	}
	if _, _, ok := past.add(top(3), began.Add(61*time.Second)); ok || len(past) != 1 {
		t.Error("the numbers of two stores were compared")
	}
}

// TestTopPlain is a server that goes and comes back, as lines tell of it, and
// SIGTERM, which is no failure.
func TestTopPlain(t *testing.T) {
	server := newTopServer(t)
	server.start(t)
	watch := exec.Command(os.Args[0], "--plain", "--url", server.url())
	watch.Env = []string{topRole + "=1"}
	out, err := watch.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(time.Minute, func() { _ = watch.Process.Kill() })
	defer late.Stop()
	lines := bufio.NewScanner(out)
	until := func(text string) {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), text) {
				return
			}
		}
		t.Fatalf("it ended before it said %q", text)
	}
	until("slots 1/2  workers 1")
	until("in 0.0/s")
	server.happen(core.Task{ID: core.NewTaskID(), State: core.Queued, Submitted: time.Now()})
	until("in 0.")
	server.stop()
	until("  stale ")
	server.start(t)
	until("slots 1/2")
	_ = watch.Process.Signal(syscall.SIGTERM)
	for lines.Scan() {
	}
	if err := watch.Wait(); err != nil {
		t.Error(err)
	}
}
