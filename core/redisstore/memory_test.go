package redisstore

import (
	"bytes"
	"testing"

	"faasctl/core"
)

// TestMemoryOfAWaitingTask: what a task with 100 bytes of arguments takes in Redis
// while it waits, with its record, its spec, all indexes and its event.
func TestMemoryOfAWaitingTask(t *testing.T) {
	const tasks, most = 100_000, 1.2 * 1024
	b := newBench(t)
	args := append(append([]byte(`[["`), bytes.Repeat([]byte("x"), 92)...), `"],{}]`...)
	b.submit(core.MaxBatch) // what is there once
	before := b.memory()
	for range tasks / core.MaxBatch {
		b.submit(core.MaxBatch, func(s *core.Submission) { s.Spec.Args = args })
	}
	each := float64(b.memory()-before) / tasks
	t.Logf("%.0f bytes for each of %d waiting tasks with %d bytes of arguments", each, tasks, len(args))
	if each > most {
		t.Errorf("a waiting task takes %.0f bytes, more than %.0f", each, most)
	}
	if each < 300 {
		t.Errorf("a waiting task takes %.0f bytes: that cannot be all", each)
	}
}
