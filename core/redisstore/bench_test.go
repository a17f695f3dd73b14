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
