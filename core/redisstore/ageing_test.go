package redisstore

import (
	"testing"
	"time"

	"faasctl/core"
)

// TestALowPriorityIsServedInTime: by its share alone the one task would wait for
// 4^9 others.
func TestALowPriorityIsServedInTime(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Ageing = 50 * time.Millisecond })
	began := time.Now()
	low := b.submit(1, func(s *core.Submission) { s.Spec.Priority = 0 })[0]
	for {
		b.submit(20, func(s *core.Submission) { s.Spec.Priority = 9 })
		for _, c := range b.claim(10) {
			if c.Task != low {
				continue
			}
			if waited := time.Since(began); waited < 45*time.Millisecond {
				t.Fatalf("it was served after %s, before it was old", waited)
			}
			return
		}
		if time.Since(began) > time.Minute {
			t.Fatal("it starves")
		}
	}
}
