package redisstore

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"faasctl/core"
)

func TestScriptsAreLoadedAgainAfterAFlush(t *testing.T) {
	b := newBench(t)
	b.submit(2)
	b.must(b.raw().ScriptFlush(b.ctx).Err())
	claimed := b.claim(2)
	b.must(b.raw().ScriptFlush(b.ctx).Err())
	if got := b.settle(outcome(claimed[0].Lease, core.Completed)); got[0] != core.VerdictOK {
		t.Fatalf("settle after a flush: %v", got)
	}
}

func TestSubmitAgainChangesNothing(t *testing.T) {
	b := newBench(t)
	one := core.Submission{ID: core.NewTaskID(), Spec: b.spec()}
	for range 2 {
		refused, err := b.Submit(b.ctx, []core.Submission{one, one}) // twice in a batch as well
		b.must(err)
		if refused[0] != nil || refused[1] != nil {
			t.Fatal(refused)
		}
	}
	if got := b.claim(10); len(got) != 1 {
		t.Fatalf("claimed %d tasks, want 1", len(got))
	}
	stats, err := b.Stats(b.ctx)
	b.must(err)
	if stats.Totals.Submitted != 1 {
		t.Fatalf("counted %d", stats.Totals.Submitted)
	}
}

func TestClaimAgainGivesTheSameStillHeld(t *testing.T) {
	b := newBench(t)
	b.submit(5)
	request := core.ClaimRequest{ID: "again", Dispatcher: "d-1", Max: 3, Lease: time.Minute}
	first, err := b.Claim(b.ctx, request)
	b.must(err)
	b.settle(outcome(first[0].Lease, core.Completed))
	second, err := b.Claim(b.ctx, request)
	b.must(err)
	if len(first) != 3 || len(second) != 2 || second[0].Lease != first[1].Lease || second[1].Lease != first[2].Lease {
		t.Fatalf("first %v, again %v", first, second)
	}
	if ttl := b.raw().PTTL(b.ctx, b.keys.base+"claim:again").Val(); ttl <= 0 || ttl > rememberClaim {
		t.Fatalf("remembered for %v", ttl)
	}
}

func TestClaimRefusesAnIDThatCannotBeAKey(t *testing.T) {
	b := newBench(t)
	for _, id := range []string{"", "a,b", strings.Repeat("x", 65), "a b"} {
		if _, err := b.Claim(b.ctx, core.ClaimRequest{ID: id, Max: 1, Lease: time.Second}); !errors.Is(err, core.ErrInvalid) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// TestOldestLooksBehindCancelledTasks, as far as its bound goes, and then says
// nothing rather than something wrong.
func TestOldestLooksBehindCancelledTasks(t *testing.T) {
	b := newBench(t)
	oldest := func() time.Time {
		all, err := b.Queues(b.ctx)
		b.must(err)
		return all[0].Oldest
	}
	_, err := b.Cancel(b.ctx, b.submit(900), 0)
	b.must(err)
	want, err := b.Tasks(b.ctx, b.submit(1))
	b.must(err)
	if got := oldest(); !got.Equal(want[0].Submitted) {
		t.Errorf("the oldest waits since %v, not %v", got, want[0].Submitted)
	}
	b = newBench(t)
	_, err = b.Cancel(b.ctx, b.submit(1000), 0)
	b.must(err)
	_, err = b.Cancel(b.ctx, b.submit(200), 0)
	b.must(err)
	b.submit(1)
	if got := oldest(); !got.IsZero() {
		t.Errorf("it waits since %v", got)
	}
}

func TestClaimSkipsAFloodOfCancelledTasks(t *testing.T) {
	b := newBench(t)
	for range 4 {
		_, err := b.Cancel(b.ctx, b.submit(1000), 0)
		b.must(err)
	}
	want := b.submit(1)[0]
	if got := b.claim(10); len(got) != 1 || got[0].Task != want {
		t.Fatalf("claimed %v", got)
	}
	if n := b.raw().Exists(b.ctx, b.keys.base+"queues").Val(); n != 0 {
		t.Fatal("an empty queue is still in turn")
	}
}

func TestRecordStaysCompact(t *testing.T) {
	b := newBench(t)
	id := b.submit(1, func(s *core.Submission) { s.Spec.Retries = 3 })[0]
	c := b.claim(1)[0]
	_, err := b.Renew(b.ctx, []core.Renewal{{Lease: c.Lease, Worker: core.NewWorkerID(), Started: true}}, time.Minute)
	b.must(err)
	_, err = b.Cancel(b.ctx, []core.TaskID{id}, 0)
	b.must(err)
	s := outcome(c.Lease, core.Failed)
	s.Result.Failure.Kind = core.FailureKind(strings.Repeat("very long ", 20)) // only a broken worker says so
	b.settle(s)
	if n := b.raw().StrLen(b.ctx, b.keys.task(id)).Val(); n == 0 || n > 320 {
		t.Fatalf("a record takes %d bytes", n)
	}
}

// What the record says of the only attempt of a task is written nowhere else.
func TestAFirstAttemptLeavesNoHistory(t *testing.T) {
	b := newBench(t)
	ids := b.submit(3)
	c := b.claim(3)
	failing := outcome(c[1].Lease, core.Failed)
	failing.Output.Stdout.Head = []byte("words")
	b.settle(outcome(c[0].Lease, core.Completed), failing)
	for _, id := range ids {
		if n := b.raw().Exists(b.ctx, b.keys.history(id), b.keys.outputs(id)).Val(); n != 0 {
			t.Fatalf("%d keys hold the history of one attempt", n)
		}
	}
}

func TestManyClassesAreServedInOrder(t *testing.T) {
	b := newBench(t)
	// More classes than claim.lua loads at once, so that it has to go on.
	const functions, each = 150, 4
	for i := range functions {
		fn := b.function(fmt.Sprintf("f%d", i)).ID
		b.submit(each, func(s *core.Submission) { s.Spec.Function = fn })
	}
	seen := map[core.FunctionID]int{}
	for n := 1; n <= functions*each; n++ {
		claimed := b.claim(1)
		if len(claimed) != 1 {
			t.Fatalf("claim %d gave %d tasks", n, len(claimed))
		}
		fn := claimed[0].Spec.Function
		if seen[fn]++; seen[fn] > (n-1)/functions+1 {
			t.Fatalf("function %s was served %d times in %d claims", fn, seen[fn], n)
		}
	}
}

func TestClaimsOfAnySizeServeTheSameOrder(t *testing.T) {
	order := func(size int) []int {
		b := newBench(t)
		var prepared []core.Submission
		number := map[core.TaskID]int{}
		fns := []core.FunctionID{b.fn, b.function("g").ID}
		for i := range 300 {
			s := core.Submission{ID: core.NewTaskID(), Spec: b.spec()}
			s.Spec.Function, s.Spec.Priority = fns[0], 3+i%4
			prepared, number[s.ID] = append(prepared, s), i
		}
		_, err := b.Submit(b.ctx, prepared)
		b.must(err)
		var got []int
		for len(got) < len(prepared) {
			for _, c := range b.claim(size) {
				got = append(got, number[c.Task])
			}
		}
		return got
	}
	one, many := order(1), order(300)
	for i := range one {
		if one[i] != many[i] {
			t.Fatalf("place %d: task %d one by one, task %d in a batch", i, one[i], many[i])
		}
	}
}

func TestQueuesShare(t *testing.T) {
	b := newBench(t)
	b.submit(900, func(s *core.Submission) { s.Spec.Queue = "flood" })
	b.submit(20, func(s *core.Submission) { s.Spec.Queue = "a queue with spaces {and} braces" })
	n := 0
	for _, c := range b.claim(40) {
		if c.Spec.Queue != "flood" {
			n++
		}
	}
	if n != 20 {
		t.Fatalf("%d of 40 were of the small queue", n)
	}
	if got := len(b.claim(1000)); got != 880 {
		t.Fatalf("%d left, want 880", got)
	}
}

func TestLargeArgumentsTravelApart(t *testing.T) {
	b := newBench(t)
	large := []byte(strings.Repeat("x", outOfLine+1))
	ids := b.submit(3, func(s *core.Submission) { s.Spec.Args = large })
	if n := b.raw().Exists(b.ctx, b.keys.args(ids[0]), b.keys.args(ids[1]), b.keys.args(ids[2])).Val(); n != 3 {
		t.Fatalf("%d of 3 argument strings", n)
	}
	spec, err := b.Spec(b.ctx, ids[0])
	b.must(err)
	claimed := b.claim(3)
	if len(spec.Args) != len(large) || len(claimed) != 3 || len(claimed[2].Spec.Args) != len(large) {
		t.Fatal("arguments were lost")
	}
	// A task whose arguments are gone does not keep the others from running.
	b.submit(2, func(s *core.Submission) { s.Spec.Args = large })
	gone := b.submit(1, func(s *core.Submission) { s.Spec.Args = large })[0]
	b.raw().Del(b.ctx, b.keys.args(gone))
	if got := b.claim(3); len(got) != 2 {
		t.Fatalf("claimed %d, want 2", len(got))
	}
}

func TestFullServerRefusesNewWorkButEndsOld(t *testing.T) {
	dir, child := startChild(t, DurabilityMemory)
	_ = dir
	b := childBench(t, child)
	ids := b.submit(3)
	b.must(b.raw().ConfigSet(b.ctx, "maxmemory", "1mb").Err())
	_, err := b.Submit(b.ctx, []core.Submission{{ID: core.NewTaskID(), Spec: b.spec()}})
	if !errors.Is(err, core.ErrUnavailable) || core.HintOf(err) == "" {
		t.Fatalf("submit: %v", err)
	}
	if err := b.Ping(b.ctx); !errors.Is(err, core.ErrUnavailable) {
		t.Fatalf("ping: %v", err)
	}
	claimed := b.claim(2)
	if len(claimed) != 2 {
		t.Fatalf("claimed %d", len(claimed))
	}
	for _, verdict := range b.settle(outcome(claimed[0].Lease, core.Completed), outcome(claimed[1].Lease, core.Failed)) {
		if verdict != core.VerdictOK {
			t.Fatal(verdict)
		}
	}
	verdicts, err := b.Cancel(b.ctx, ids[2:], 0)
	if err != nil || verdicts[0] != core.CancelDone {
		t.Fatalf("cancel: %v %v", verdicts, err)
	}
}

func TestReapWaitsAfterTheServerWasRestarted(t *testing.T) {
	b := newBench(t)
	b.submit(1)
	const grace = 400 * time.Millisecond
	_, err := b.Claim(b.ctx, core.ClaimRequest{ID: "x", Dispatcher: "d-1", Max: 1, Lease: time.Millisecond})
	b.must(err)
	reap := func() int { n, err := b.Reap(b.ctx, grace); b.must(err); return n }
	wait := func(what string) time.Duration {
		began := time.Now()
		for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
			if reap() > 0 {
				return time.Since(began)
			}
			if time.Since(began) > time.Minute {
				t.Fatal(what)
			}
		}
	}
	if got := wait("the first reaping"); got < grace-20*time.Millisecond {
		t.Fatalf("the first reaping came after %v", got)
	}
	claimed := b.claim(1)
	b.must(b.raw().HSet(b.ctx, b.keys.base+"reap", "run", "another").Err())
	if n, err := b.Reap(b.ctx, time.Hour); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	if at := b.raw().HGet(b.ctx, b.keys.base+"reap", "floor").Val(); asNumber(at) < time.Now().Add(50*time.Minute).UnixMilli() {
		t.Fatalf("the floor is %s", at)
	}
	if got := b.settle(outcome(claimed[0].Lease, core.Completed)); got[0] != core.VerdictOK {
		t.Fatal(got)
	}
}

func TestSweepForgetsInOrderOfTheEnd(t *testing.T) {
	b := newBench(t, func(c *Config) { c.KeepCompleted, c.KeepFailed = time.Millisecond, time.Hour })
	ids := b.submit(4, func(s *core.Submission) { s.Spec.Args = []byte(strings.Repeat("x", outOfLine+1)) })
	claimed := b.claim(3)
	b.settle(outcome(claimed[0].Lease, core.Completed), outcome(claimed[1].Lease, core.Failed), outcome(claimed[2].Lease, core.Completed))
	_, err := b.Cancel(b.ctx, ids[3:], 0)
	b.must(err)
	forgotten := 0
	for tick := time.NewTicker(time.Millisecond); forgotten < 3; <-tick.C {
		n, more, err := b.Sweep(b.ctx, time.Second)
		b.must(err)
		if forgotten += n; more || forgotten > 3 {
			t.Fatalf("forgot %d, more %v", forgotten, more)
		}
	}
	page, err := b.List(b.ctx, core.TaskFilter{})
	b.must(err)
	if len(page.Tasks) != 1 || page.Tasks[0].ID != ids[1] {
		t.Fatalf("left: %v", page.Tasks)
	}
	left, _, err := b.raw().Scan(b.ctx, 0, b.keys.base+"*"+string(ids[0])+"*", 100_000).Result()
	if b.must(err); len(left) != 0 {
		t.Fatalf("keys of a forgotten task: %v", left)
	}
}

func TestEveryKeyHasTheHashTag(t *testing.T) {
	b := newBench(t)
	for _, name := range []string{b.keys.task("t"), b.keys.spec("t"), b.keys.args("t"), b.keys.result("t"), b.keys.output("t"), b.keys.index("S"),
		b.keys.failedOf("f"), b.keys.body("h"), b.keys.all(), b.keys.workersSeen()} {
		found := false
		for _, ending := range keyEndings {
			found = found || strings.HasPrefix(name, b.fixed[0]+ending)
		}
		if !found {
			t.Errorf("Go's name %q is none that the scripts know", name)
		}
	}
}
