package core

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// The command that helps after a failure raises the limit that was reached, or shows
// what there is to see.
func TestWhyRemedies(t *testing.T) {
	began := time.Unix(1_700_000_000, 0)
	id := NewTaskID()
	for name, c := range map[string]struct {
		kind FailureKind
		ran  time.Duration
		spec Spec
		want string
	}{
		"time-out":             {KindTimeout, 10 * time.Second, Spec{Timeout: 10 * time.Second}, "faasctl fn set '<lambda>@2' --timeout 20s"},
		"processor time":       {KindTimeout, 3 * time.Second, Spec{Timeout: 10 * time.Second, Limits: Limits{CPUSeconds: 1.5}}, "faasctl fn set '<lambda>@2' --cpu-seconds 3"},
		"another time-out":     {KindTimeout, 3 * time.Second, Spec{Timeout: 10 * time.Second}, "faasctl result " + string(id)},
		"memory":               {KindMemory, time.Second, Spec{Limits: Limits{Memory: 100<<20 + 1}}, "faasctl fn set '<lambda>@2' --memory 201MiB"},
		"memory of the worker": {KindMemory, time.Second, Spec{}, "faasctl logs " + string(id)},
		"crash":                {KindCrash, time.Second, Spec{}, "faasctl logs " + string(id)},
		"exception":            {KindException, time.Second, Spec{}, "faasctl result " + string(id)},
	} {
		why := explain(whyInput{
			Standing: Standing{Now: began.Add(time.Hour), Spec: c.spec, Task: Task{
				ID: id, State: Failed, Failure: c.kind, Attempt: 1, Started: began, Finished: began.Add(c.ran),
			}},
			function: &Function{Name: "<lambda>", Version: 2},
		})
		if why.Command != c.want {
			t.Errorf("%s: %q, want %q", name, why.Command, c.want)
		}
	}
	gone := explain(whyInput{Standing: Standing{Task: Task{ID: id, State: Failed, Failure: KindTimeout}, Spec: Spec{Timeout: 1}}})
	if gone.Command != "faasctl result "+string(id) {
		t.Errorf("a function that is forgotten is to be changed: %q", gone.Command)
	}
}

// What is said of the workers counts each once, and says why some do not count.
func TestWhyCountsHands(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	with := func(id WorkerID, state WorkerState, slots, busy int, dill string) Worker {
		return Worker{ID: id, State: state, Slots: slots, Busy: busy, Seen: now, Interpreters: []Interpreter{{Version: "3.11.2", Dill: dill}}}
	}
	silent := with("w-5", WorkerRunning, 4, 0, "0.4")
	silent.Seen = now.Add(-time.Minute)
	why := explain(whyInput{
		Standing: Standing{Now: now, Task: Task{State: Queued, Queue: "q"}},
		function: &Function{Name: "f", Version: 1, Codec: Dill},
		roster: Roster{Now: now, Dispatchers: []DispatcherInfo{{ID: "d-1", Seen: now}, {ID: "d-2", Seen: now.Add(-time.Minute)}}, Workers: []Worker{
			with("w-1", WorkerRunning, 4, 1, "0.4"), with("w-2", WorkerRunning, 4, 6, "0.4"), with("w-3", WorkerRunning, 4, 0, ""),
			with("w-4", WorkerDraining, 4, 0, "0.4"), silent, with("w-6", WorkerGone, 4, 0, "0.4"), with("w-7", WorkerLost, 4, 0, "0.4"),
		}},
	})
	if want := (Hands{Dispatchers: 1, Workers: 2, Slots: 8, Free: 3, Unfit: 1, Draining: 1, Lost: 2}); why.Hands == nil || *why.Hands != want {
		t.Fatalf("%+v, want %+v", why.Hands, want)
	}
	const want = "2 workers could run it, with 3 of 8 slots free; 1 worker cannot; 1 worker drains; nothing is heard of 2 workers"
	if !slices.ContainsFunc(why.Findings, func(f Finding) bool { return f.Code == WhyHands && f.Text == want }) {
		t.Fatalf("%+v", why.Findings)
	}
}

// A bucket is read as the claim script reads it.
func TestRateRoom(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	fast, slow := Rate{10, time.Second}, Rate{2, time.Hour}
	for name, c := range map[string]struct {
		rate Rate
		full time.Duration // from now
		free int
		next time.Duration
	}{
		"full":        {fast, 0, 10, 0},
		"one taken":   {fast, 100 * time.Millisecond, 9, 100 * time.Millisecond},
		"one left":    {fast, 900 * time.Millisecond, 1, 100 * time.Millisecond},
		"half of one": {fast, 950 * time.Millisecond, 0, 50 * time.Millisecond},
		"none":        {fast, time.Second, 0, 100 * time.Millisecond},
		"debts":       {fast, 3 * time.Second, 0, 2100 * time.Millisecond},
		"slow, none":  {slow, 20 * time.Minute, 0, 20 * time.Minute},
		"no limit":    {Rate{}, 0, 0, 0},
	} {
		full := now.Add(c.full)
		if c.full == 0 {
			full = time.Time{}
		}
		free, next := c.rate.room(now, full)
		if free != c.free || c.free < c.rate.Burst() && (next-c.next).Abs() > time.Microsecond {
			t.Errorf("%s: %d and %s, want %d and %s", name, free, next, c.free, c.next)
		}
	}
}

func TestWhyWords(t *testing.T) {
	for got, want := range map[string]string{
		grouped(0): "0", grouped(999): "999", grouped(1000): "1,000", grouped(-1234567): "-1,234,567", grouped(123456): "123,456",
		counted(1, "call"): "1 call", counted(1204, "call"): "1,204 calls",
		roughly(0): "1 ms", roughly(1500 * time.Microsecond): "1 ms", roughly(9900 * time.Millisecond): "9.9 s", roughly(99 * time.Second): "99 s",
		roughly(100 * time.Second): "1 min 40 s", roughly(25 * time.Hour): "25 h 0 min", roughly(50 * time.Hour): "2 days",
		command("fn", "set", "f@1"): "faasctl fn set f@1", command("x", "a b", "it's", ""): `faasctl x 'a b' 'it'\''s' ''`,
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	status := 3
	for _, c := range []struct {
		f    AttemptFailure
		want string
	}{
		{AttemptFailure{Kind: KindException, Type: "ValueError", Message: "no\nsuch"}, "ValueError: no"},
		{AttemptFailure{Kind: KindException}, "exception"},
		{AttemptFailure{Kind: KindCrash, Message: "it ended", Exit: &status}, "crash: it ended (exit status 3)"},
		{AttemptFailure{Kind: KindCrash, Message: "killed by SIGKILL", Signal: "SIGKILL"}, "crash: killed by SIGKILL"},
		{AttemptFailure{Kind: KindCrash, Message: "it ended", Signal: "SIGSEGV"}, "crash: it ended (SIGSEGV)"},
		{AttemptFailure{Kind: KindTimeout, Type: "TimeoutError", Message: "ran longer than 1s"}, "timeout, TimeoutError: ran longer than 1s"},
	} {
		if got := c.f.line(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	if strings.Contains(roughly(time.Hour), "60") {
		t.Error(roughly(time.Hour))
	}
}
