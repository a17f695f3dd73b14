package redisstore

import (
	flags "flag"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"faasctl/core"
)

var scaleFinished = flags.Int("scale.finished", 1_000_000, "finished tasks of BenchmarkScale")

// alike makes tasks that have ended as one has: a fixture at the speed of Redis.
// ARGV holds the template's id and those to be made.
var alike = redis.NewScript(`
local task, spec, result, all, index, done = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local record, asked, ended = redis.call('GET', task .. ARGV[1]), redis.call('GET', spec .. ARGV[1]), redis.call('GET', result .. ARGV[1])
for i = 2, #ARGV do
  local id = ARGV[i]
  redis.call('SET', task .. id, record)
  redis.call('SET', spec .. id, asked)
  redis.call('SET', result .. id, ended)
  redis.call('ZADD', all, 0, id)
  redis.call('ZADD', index, 0, id)
  redis.call('RPUSH', done, id)
end
return #ARGV - 1`)

// finished gives a store n tasks that have ended.
func (b *bench) finished(n int) {
	b.Helper()
	first := b.submit(1)[0]
	b.settle(outcome(b.claim(1)[0].Lease, core.Completed))
	names := []string{b.keys.base + "t:", b.keys.base + "s:", b.keys.base + "r:", b.keys.all(), b.keys.index(core.Completed), b.keys.base + "done:COMPLETED"}
	b.must(alike.Load(b.ctx, b.raw()).Err())
	for left := n - 1; left > 0; {
		pipe := b.raw().Pipeline()
		for range 16 {
			some := []any{string(first)}
			for range min(left, core.MaxBatch) {
				some = append(some, string(core.NewTaskID()))
			}
			left -= len(some) - 1
			alike.EvalSha(b.ctx, pipe, names, some...)
		}
		_, err := pipe.Exec(b.ctx)
		b.must(err)
	}
}

// TestFinishedTasksOfTheFixture: they are as the real ones, or the benchmark
// would measure something else.
func TestFinishedTasksOfTheFixture(t *testing.T) {
	b := newBench(t)
	b.finished(500)
	b.submit(10)
	if repaired := b.pass(); repaired != 0 {
		t.Errorf("%d repairs", repaired)
	}
	page := b.list(core.TaskFilter{State: core.Completed, Limit: 600})
	if len(page.Tasks) != 500 || page.Tasks[7].Finished.IsZero() {
		t.Errorf("%d tasks, %+v", len(page.Tasks), page.Tasks[7])
	}
}

// BenchmarkScale is what a claim, a submission, a status and a picture of top cost
// with 1,000,000 finished and 100,000 queued tasks, as a ratio to what they cost with
// 1,000 of each: target 1.5 at most. Both are measured in turn, by the processor time of
// Redis and by the clock.
func BenchmarkScale(b *testing.B) {
	few, many := newBench(b), newBench(b)
	began := time.Now()
	many.finished(*scaleFinished)
	for range 100 {
		many.submit(core.MaxBatch)
	}
	few.finished(core.MaxBatch) // so that lists are as long
	few.submit(core.MaxBatch)
	b.Logf("the fixture took %v", time.Since(began).Round(time.Second))
	for _, op := range scaleOps {
		b.Run(op.name, func(b *testing.B) {
			var cpu, wall [2][]float64
			for range b.N {
				for i, s := range []*bench{few, many} {
					busy, at := s.cpu(), time.Now()
					undo := op.do(s)
					wall[i] = append(wall[i], time.Since(at).Seconds()*1e6/float64(op.items))
					cpu[i] = append(cpu[i], (s.cpu()-busy)*1e6/float64(op.items))
					undo()
				}
			}
			b.ReportMetric(middle(cpu[1])/max(middle(cpu[0]), 0.1), "redis-ratio")
			b.ReportMetric(middle(wall[1])/middle(wall[0]), "ratio")
			b.ReportMetric(middle(wall[0]), "us-with-few")
			b.ReportMetric(middle(wall[1]), "us-with-all")
		})
	}
}

func middle(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// scaleOps do something to items tasks and return how to take it back.
var scaleOps = []struct {
	name  string
	items int
	do    func(*bench) func()
}{
	{"claim", 100, func(b *bench) func() {
		claimed := b.claim(100)
		return func() {
			leases := make([]core.Lease, len(claimed))
			for i, c := range claimed {
				leases[i] = c.Lease
			}
			_, err := b.Release(b.ctx, leases, core.ReleaseGraceful, "")
			b.must(err)
		}
	}},
	{"submit", 100, func(b *bench) func() {
		ids := b.submit(100)
		return func() {
			_, err := b.Cancel(b.ctx, ids, 0)
			b.must(err)
		}
	}},
	{"status", 1, func(b *bench) func() {
		page := b.list(core.TaskFilter{Limit: 1})
		b.task(page.Tasks[0].ID)
		return func() {}
	}},
	{"top", 1, func(b *bench) func() {
		_, err := b.Stats(b.ctx)
		b.must(err)
		_, err = b.FunctionStats(b.ctx)
		b.must(err)
		_, err = b.Queues(b.ctx)
		b.must(err)
		b.list(core.TaskFilter{Limit: 50})
		b.list(core.TaskFilter{State: core.Completed, Limit: 50})
		return func() {}
	}},
}

// BenchmarkBytes is what Redis keeps of a task in each state, with 16 bytes of
// arguments and one of result.
func BenchmarkBytes(b *testing.B) {
	const tasks = 20_000
	for range b.N {
		s := newBench(b)
		s.submit(core.MaxBatch) // what is there once
		empty := s.memory()
		for range tasks / core.MaxBatch {
			s.submit(core.MaxBatch)
		}
		queued := s.memory()
		var running []core.Claimed
		for len(running) < tasks {
			running = append(running, s.claim(core.MaxBatch)...)
		}
		claimed := s.memory()
		for part := range slices.Chunk(running, core.MaxBatch) {
			outcomes := make([]core.Settlement, len(part))
			for i, c := range part {
				outcomes[i] = outcome(c.Lease, core.Completed)
			}
			s.settle(outcomes...)
		}
		each := func(now int64) float64 { return float64(now-empty) / tasks }
		b.ReportMetric(each(queued), "B/queued")
		b.ReportMetric(each(claimed), "B/running")
		b.ReportMetric(each(s.memory()), "B/finished")
		if len(running) != tasks {
			b.Fatalf("%d were claimed", len(running))
		}
	}
}
