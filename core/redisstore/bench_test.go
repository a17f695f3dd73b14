package redisstore

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"faasctl/core"
)

// BenchmarkLifecycle takes tasks from submit over claim to settle, in batches.
// One operation is one task.
func BenchmarkLifecycle(b *testing.B) {
	for _, size := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			s := newBench(b)
			before, busy := s.memory(), s.cpu()
			b.ResetTimer()
			for done := 0; done < b.N; {
				n := min(size, b.N-done)
				s.submit(n)
				claimed := s.claim(n)
				if len(claimed) != n {
					b.Fatalf("claimed %d of %d", len(claimed), n)
				}
				outcomes := make([]core.Settlement, n)
				for i, c := range claimed {
					outcomes[i] = outcome(c.Lease, core.Completed)
				}
				s.settle(outcomes...)
				done += n
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
			b.ReportMetric((s.cpu()-busy)*1e6/float64(b.N), "redis-us/task")
			b.ReportMetric(float64(s.memory()-before)/float64(b.N), "redis-B/task")
		})
	}
}

func (b *bench) memory() int64 {
	stats, err := b.Stats(b.ctx)
	b.must(err)
	return stats.Store.Memory
}

// cpu is the processor time that the server has used, in seconds: unlike the
// clock it does not depend on what else this machine does.
func (b *bench) cpu() float64 {
	text, err := b.raw().Info(b.ctx, "cpu").Result()
	b.must(err)
	info := parseInfo(text)
	user, _ := strconv.ParseFloat(info["used_cpu_user_main_thread"], 64)
	system, _ := strconv.ParseFloat(info["used_cpu_sys_main_thread"], 64)
	return user + system
}

// BenchmarkRenew is what holding a task costs, every three seconds.
func BenchmarkRenew(b *testing.B) {
	for _, size := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			s := newBench(b)
			s.submit(size)
			batch := make([]core.Renewal, 0, size)
			for _, c := range s.claim(size) {
				batch = append(batch, core.Renewal{Lease: c.Lease, Worker: "w-1", Started: true})
			}
			b.ResetTimer()
			for done := 0; done < b.N; done += size {
				_, err := s.Renew(s.ctx, batch, time.Minute)
				s.must(err)
			}
		})
	}
}

// BenchmarkClaim is what a claim of 100 tasks costs the server, per task, with few
// and with many waiting. ratio is the cost against that with 1,000: target 1.5 at
// most.
func BenchmarkClaim(b *testing.B) {
	few := 0.0
	for _, waiting := range []int{1000, 100_000} {
		b.Run(fmt.Sprintf("waiting=%d", waiting), func(b *testing.B) {
			s := newBench(b)
			fns := make([]core.FunctionID, 20)
			for i := range fns {
				fns[i] = s.function(fmt.Sprint("f", i)).ID
			}
			for n := 0; n < waiting; n += core.MaxBatch {
				at := n
				s.submit(core.MaxBatch, func(item *core.Submission) {
					item.Spec.Function, item.Spec.Priority = fns[at%len(fns)], at/len(fns)%10
					at++
				})
			}
			busy, claims := 0.0, 0
			b.ResetTimer()
			for range b.N {
				before := s.cpu()
				claimed := s.claim(100)
				busy += s.cpu() - before
				b.StopTimer()
				if claims += len(claimed); len(claimed) != 100 {
					b.Fatalf("claimed %d", len(claimed))
				}
				leases := make([]core.Lease, len(claimed))
				for i, c := range claimed {
					leases[i] = c.Lease
				}
				_, err := s.Release(s.ctx, leases, core.ReleaseGraceful, "")
				s.must(err)
				b.StartTimer()
			}
			cost := busy * 1e6 / float64(claims)
			b.ReportMetric(cost, "redis-us/task")
			if waiting == 1000 {
				few = cost
			}
			b.ReportMetric(cost/few, "ratio")
		})
	}
}

// BenchmarkTransitions is what each transition costs the server and the caller, per
// task and by the size of a batch.
func BenchmarkTransitions(b *testing.B) {
	for _, size := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			s := newBench(b)
			var claimed []core.Claimed
			phases := []struct {
				name string
				do   func(n int)
			}{
				{"submit", func(n int) { s.submit(n) }},
				{"claim", func(n int) { claimed = append(claimed, s.claim(n)...) }},
				{"settle", func(n int) {
					outcomes := make([]core.Settlement, n)
					for i, c := range claimed[:n] {
						outcomes[i] = outcome(c.Lease, core.Completed)
					}
					s.settle(outcomes...)
					claimed = claimed[n:]
				}},
			}
			b.ResetTimer()
			for _, phase := range phases {
				busy, began := s.cpu(), time.Now()
				for done := 0; done < b.N; done += size {
					phase.do(min(size, b.N-done))
				}
				took := time.Since(began)
				b.ReportMetric((s.cpu()-busy)*1e6/float64(b.N), phase.name+"-redis-us/task")
				b.ReportMetric(float64(took.Microseconds())/float64(b.N), phase.name+"-us/task")
			}
			if len(claimed) != 0 {
				b.Fatalf("%d were claimed and not settled", len(claimed))
			}
		})
	}
}

// BenchmarkClaimBesideUnfit is what a claim costs while classes of tasks wait that fit
// none of its workers, in the server's processor time: it must not grow with them.
func BenchmarkClaimBesideUnfit(b *testing.B) {
	young := []core.Interpreter{{Version: "3.12.1"}}
	for _, unfit := range []int{0, 10, 1000} {
		b.Run(fmt.Sprintf("unfit=%d", unfit), func(b *testing.B) {
			s := newBench(b)
			for i := range unfit {
				fn, _, err := s.PutFunction(s.ctx, core.Function{
					Name: fmt.Sprint("unfit", i), Codec: core.Source, Entry: "f", Body: fmt.Append(nil, "def f(): ", i), Python: "3.7",
				})
				s.must(err)
				s.submit(1, func(one *core.Submission) { one.Spec.Function = fn.ID })
			}
			claim := func(n int) int {
				s.claims++
				claimed, err := s.Claim(s.ctx, core.ClaimRequest{ID: fmt.Sprintf("c%d", s.claims), Dispatcher: "d-1", Max: n, Lease: time.Minute,
					Classes: []core.ClaimClass{{Interpreters: young, N: n}}})
				s.must(err)
				return len(claimed)
			}
			claim(1) // meets them
			const size = 10
			cpu := 0.0
			b.ResetTimer()
			for done := 0; done < b.N; done += size {
				s.submit(size)
				busy := s.cpu()
				if n := claim(size); n != size {
					b.Fatalf("claimed %d of %d", n, size)
				}
				cpu += s.cpu() - busy
			}
			b.ReportMetric(cpu*1e6/float64(b.N), "redis-us/task")
		})
	}
}
