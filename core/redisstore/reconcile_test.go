package redisstore

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"faasctl/core"
)

// pass takes whole passes until one repairs nothing, and returns how many repairs
// there were.
func (b *bench) pass() (repaired int) {
	b.Helper()
	for rounds := 0; ; rounds++ {
		n, whole := 0, false
		for step := 0; !whole; step++ {
			if step > 100_000 {
				b.Fatal("the pass does not end")
			}
			some, ended, err := b.Reconcile(b.ctx)
			b.must(err)
			n, whole = n+some, ended
		}
		if repaired += n; n == 0 {
			return repaired
		}
		if rounds > 5 {
			b.Fatalf("%d repairs in round %d: it does not come to rest", n, rounds)
		}
	}
}

// Each kind of damage is planted, found and repaired; what was damaged works again.
func TestDamageIsRepaired(t *testing.T) {
	type plant struct {
		name    string
		damage  func(b *bench, ids map[core.State]core.TaskID)
		repairs int
	}
	remove := func(key func(b *bench) string, state core.State) func(*bench, map[core.State]core.TaskID) {
		return func(b *bench, ids map[core.State]core.TaskID) {
			if n := b.raw().ZRem(b.ctx, key(b), string(ids[state])).Val(); n != 1 {
				b.Fatal("there was nothing to damage")
			}
		}
	}
	all := func(b *bench) string { return b.keys.all() }
	plants := []plant{
		{"a queued task in all", remove(all, core.Queued), 1},
		{"failed-of", remove(func(b *bench) string { return b.keys.failedOf(b.fn) }, core.Failed), 1},
		{"a dead letter", remove(func(b *bench) string { return b.keys.dead() }, core.Failed), 1},
		{"a dead letter of a function", remove(func(b *bench) string { return b.keys.deadOf(b.fn) }, core.Failed), 1},
		{"expiry", remove(func(b *bench) string { return b.keys.expiry() }, core.Queued), 1},
		{"a queued task's line", func(b *bench, ids map[core.State]core.TaskID) {
			for _, line := range b.raw().Keys(b.ctx, b.keys.base+"q:*").Val() {
				b.raw().LRem(b.ctx, line, 0, string(ids[core.Queued]))
			}
		}, 1},
		{"all lines", func(b *bench, _ map[core.State]core.TaskID) {
			b.must(b.raw().Del(b.ctx, b.raw().Keys(b.ctx, b.keys.base+"q:*").Val()...).Err())
		}, 3},
		{"the class in turn", func(b *bench, _ map[core.State]core.TaskID) {
			b.must(b.raw().Del(b.ctx, b.raw().Keys(b.ctx, b.keys.base+"ready:*").Val()...).Err())
		}, 1},
		{"when the class had its turn", func(b *bench, _ map[core.State]core.TaskID) {
			b.must(b.raw().Del(b.ctx, b.raw().Keys(b.ctx, b.keys.base+"turn:*").Val()...).Err())
		}, 1},
		{"the queue in turn", func(b *bench, _ map[core.State]core.TaskID) { b.must(b.raw().Del(b.ctx, b.keys.base+"queues").Err()) }, 1},
		{"a class parked for nothing", func(b *bench, _ map[core.State]core.TaskID) {
			line := b.raw().Keys(b.ctx, b.keys.base+"q:*").Val()[0]
			_, name := b.keys.kind(line)
			b.must(b.raw().HSet(b.ctx, b.keys.base+"parked", name, core.DefaultQueue).Err())
			b.must(b.raw().Del(b.ctx, b.keys.base+"ready:"+name[:20], b.keys.base+"turn:"+name[:20]).Err())
		}, 1},
		{"a depth too high", func(b *bench, _ map[core.State]core.TaskID) {
			b.must(b.raw().HIncrBy(b.ctx, b.keys.depths(), core.DefaultQueue, 7).Err())
		}, 1},
		{"no depth", func(b *bench, _ map[core.State]core.TaskID) { b.must(b.raw().Del(b.ctx, b.keys.depths()).Err()) }, 1},
		{"a depth of no queue", func(b *bench, _ map[core.State]core.TaskID) {
			b.must(b.raw().HSet(b.ctx, b.keys.depths(), "none", 3).Err())
		}, 1},
		{"running too high", func(b *bench, _ map[core.State]core.TaskID) {
			b.must(b.raw().HIncrBy(b.ctx, b.keys.running(), string(b.fn), 2).Err())
		}, 1},
		{"no running", func(b *bench, _ map[core.State]core.TaskID) { b.must(b.raw().Del(b.ctx, b.keys.running()).Err()) }, 1},
		{"a member without a record", func(b *bench, _ map[core.State]core.TaskID) {
			for _, key := range []string{b.keys.all(), b.keys.index(core.Queued), b.keys.failedOf(b.fn)} {
				b.raw().ZAdd(b.ctx, key, redisZ(core.NewTaskID()))
			}
		}, 3},
	}
	for _, state := range core.States {
		index := func(b *bench) string { return b.keys.index(state) }
		plants = append(plants,
			plant{"the index of " + string(state), remove(index, state), 1},
			plant{string(state) + " in two states", func(b *bench, ids map[core.State]core.TaskID) {
				other := core.Completed
				if state == other {
					other = core.Queued
				}
				b.raw().ZAdd(b.ctx, b.keys.index(other), redisZ(ids[state]))
			}, 1})
	}
	for _, p := range plants {
		t.Run(p.name, func(t *testing.T) {
			b := newBench(t)
			ids := b.oneOfEach()
			if n := b.pass(); n != 0 {
				t.Fatalf("%d repairs before the damage", n)
			}
			p.damage(b, ids)
			if n := b.pass(); n != p.repairs {
				t.Errorf("%d repairs, want %d", n, p.repairs)
			}
			stats, err := b.Stats(b.ctx)
			if b.must(err); stats.Repaired != int64(p.repairs) {
				t.Errorf("counted %d", stats.Repaired)
			}
			b.checkStates(ids)
			for state, n := range map[core.State]int64{core.Queued: stats.Queued, core.Delayed: stats.Delayed, core.Running: stats.Running} {
				want := int64(1)
				if state == core.Queued {
					want = 3
				}
				if n != want {
					t.Errorf("%d are %s", n, state)
				}
			}
			queues, err := b.Queues(b.ctx)
			if b.must(err); len(queues) != 1 || queues[0].Queued != 3 {
				t.Errorf("queues: %+v", queues)
			}
			if got := b.claim(10); len(got) != 3 {
				t.Errorf("claimed %d of 3", len(got))
			}
		})
	}
}

// oneOfEach makes a task in each state, and two more that are QUEUED.
func (b *bench) oneOfEach() map[core.State]core.TaskID {
	b.Helper()
	ids := map[core.State]core.TaskID{}
	b.submit(4)
	c := b.claim(4)
	b.settle(outcome(c[0].Lease, core.Completed), outcome(c[1].Lease, core.Failed), outcome(c[2].Lease, core.Cancelled))
	ids[core.Completed], ids[core.Failed], ids[core.Cancelled], ids[core.Running] = c[0].Task, c[1].Task, c[2].Task, c[3].Task
	ids[core.Delayed] = b.submit(1, func(s *core.Submission) { s.Delay = time.Hour })[0]
	ids[core.Queued] = b.submit(1, func(s *core.Submission) { s.Spec.Expires = time.Hour })[0]
	b.submit(2)
	return ids
}

func (b *bench) checkStates(ids map[core.State]core.TaskID) {
	b.Helper()
	for state, id := range ids {
		page, err := b.List(b.ctx, core.TaskFilter{State: state})
		b.must(err)
		found := false
		for _, task := range page.Tasks {
			found = found || task.ID == id
		}
		if !found {
			b.Errorf("%s is not listed", state)
		}
	}
}

// A task that gc has lost sight of is shown to it again.
func TestATaskThatIsNotForgottenIsFound(t *testing.T) {
	b := newBench(t, func(c *Config) { c.KeepCompleted, c.KeepFailed = time.Millisecond, time.Millisecond })
	id := b.submit(1)[0]
	b.settle(outcome(b.claim(1)[0].Lease, core.Completed))
	b.must(b.raw().Del(b.ctx, b.keys.base+"done:COMPLETED").Err())
	record := strings.Split(b.raw().Get(b.ctx, b.keys.task(id)).Val(), "\t")
	record[slices.Index(recordHead, "tf")] = strconv.FormatInt(time.Now().Add(-2*time.Hour).UnixMilli(), 10)
	b.must(b.raw().Set(b.ctx, b.keys.task(id), strings.Join(record, "\t"), 0).Err())
	if n := b.pass(); n != 1 {
		t.Fatalf("%d repairs", n)
	}
	if n, _, err := b.Sweep(b.ctx, time.Second); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if b.task(id).ID != "" {
		t.Fatal("it is still there")
	}
}

// While tasks are submitted, claimed, settled, released and cancelled from all sides,
// passes find nothing to repair.
func TestHealthNeedsNoRepairs(t *testing.T) {
	b := newBench(t)
	capped := b.function("capped")
	b.must(b.SetPolicy(b.ctx, capped.ID, core.Policy{Concurrency: 3}))
	rated := b.function("rated")
	b.must(b.SetPolicy(b.ctx, rated.ID, core.Policy{Rate: core.Rate{N: 200, Per: time.Second}}))
	var stop atomic.Bool
	var group sync.WaitGroup
	for seed := range uint64(3) {
		group.Go(func() {
			own := *b
			w := newWalk(&bench{TB: b.TB, Store: b.Store, ctx: b.ctx, fn: b.fn, claims: int(1_000_000 * (seed + 1))}, seed)
			w.fns = []core.FunctionID{own.fn, capped.ID, rated.ID}
			for !stop.Load() {
				w.step()
			}
		})
	}
	passes := 0
	for began := time.Now(); time.Since(began) < 2*time.Second || passes < 5; {
		repaired, whole, err := b.Reconcile(b.ctx)
		if err != nil || repaired > 0 {
			t.Errorf("%d repairs in health, %v", repaired, err)
			break
		}
		if whole {
			passes++
		}
	}
	stop.Store(true)
	group.Wait()
	if n := b.pass(); n != 0 {
		t.Errorf("%d repairs in the end", n)
	}
	t.Logf("%d passes over %d tasks", passes, b.raw().ZCard(b.ctx, b.keys.all()).Val())
}

// A long line that is not in order is searched in bounded steps, and what is in it
// is not taken for lost.
func TestLongLinesOutOfOrder(t *testing.T) {
	b := newBench(t)
	const many = 3000
	for i := range many / 1000 {
		b.submit(1000, func(s *core.Submission) { s.Delay = time.Duration(3-i) * time.Millisecond })
	}
	promoted := 0
	eventually(t, "promotion", func() bool {
		n, _, err := b.Promote(b.ctx)
		b.must(err)
		promoted += n
		return promoted == many
	})
	if n := b.pass(); n != 0 {
		t.Fatalf("%d repairs", n)
	}
}

func BenchmarkReconcile(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			x := newBench(b)
			for range n / 1000 {
				x.submit(1000)
			}
			b.ResetTimer()
			for range b.N {
				if got := x.pass(); got != 0 {
					b.Fatal(got)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "µs/task")
		})
	}
}

// A task that is neither in its line nor counted is put back into both at once, so that
// a claim between two steps of the pass does not find more tasks than are counted.
func TestALineIsRepairedWithItsDepth(t *testing.T) {
	b := newBench(t)
	ids := b.submit(3)
	lines := b.raw().Keys(b.ctx, b.keys.base+"q:*").Val()
	b.must(b.raw().LRem(b.ctx, lines[0], 0, string(ids[1])).Err())
	b.must(b.raw().HIncrBy(b.ctx, b.keys.depths(), core.DefaultQueue, -1).Err())
	if n, err := b.reconcile(b.ctx, "records", "", []string{string(ids[1])}); err != nil || n != 2 {
		t.Fatalf("%d repairs, %v", n, err)
	}
	if n := b.depth(); n != 3 {
		t.Fatalf("%d tasks are counted, 3 wait", n)
	}
	if n := len(b.claim(5)); n != 3 || b.depth() != 0 {
		t.Fatalf("claimed %d, then %d are counted", n, b.depth())
	}
}

// A depth whose count was lost is never less than none, is right again when the queue
// is empty, and is counted as a repair.
func TestADepthIsNeverNegative(t *testing.T) {
	b := newBench(t)
	b.submit(4)
	b.must(b.raw().Del(b.ctx, b.keys.depths()).Err())
	for _, c := range b.claim(3) {
		if n := b.depth(); n != 0 {
			t.Fatalf("the depth is %d", n)
		}
		b.settle(outcome(c.Lease, core.Completed))
	}
	stats, err := b.Stats(b.ctx)
	if b.must(err); stats.Repaired != 1 {
		t.Fatalf("%d repairs are told", stats.Repaired)
	}
	b.claim(1)
	b.submit(2)
	if n := b.depth(); n != 2 {
		t.Fatalf("the depth is %d, 2 wait", n)
	}
	if n := b.pass(); n != 0 {
		t.Fatalf("%d repairs", n)
	}
}

// depth is how many tasks all queues are said to hold.
func (b *bench) depth() (n int64) {
	b.Helper()
	all, err := b.Queues(b.ctx)
	b.must(err)
	for _, q := range all {
		n += q.Queued
	}
	return n
}
