package redisstore

import (
	"fmt"
	"testing"
	"time"

	"faasctl/core"
)

// A store that has met no function yet, as another process has registered them,
// learns from its claims what they need, also when they are more than it remembers.
func TestNeedsAreLearntFromClaims(t *testing.T) {
	b := newBench(t)
	const n = maxKnownNeeds + 20
	for i := range n {
		body := []byte(fmt.Sprintf("def f%d(): pass\n", i))
		fn, _, err := b.PutFunction(b.ctx, core.Function{
			Name: fmt.Sprint("f", i), Codec: core.Source, Entry: fmt.Sprint("f", i), Body: body, Python: fmt.Sprintf(">=3.8,!=3.8.%d", i),
		})
		b.must(err)
		spec := core.Spec{Function: fn.ID, Codec: core.JSON, Args: []byte("[[],{}]"), Queue: core.DefaultQueue, Priority: 5, Timeout: time.Minute}
		_, err = b.Submit(b.ctx, []core.Submission{{ID: core.NewTaskID(), Spec: spec}})
		b.must(err)
	}
	b.needs.known = nil
	claim := func(python string, max int) int {
		b.claims++
		claimed, err := b.Claim(b.ctx, core.ClaimRequest{ID: fmt.Sprint("c", b.claims), Dispatcher: "d-1", Max: max, Lease: time.Minute,
			Classes: []core.ClaimClass{{Interpreters: []core.Interpreter{{Version: python}}, N: max}}})
		b.must(err)
		return len(claimed)
	}
	if got := claim("3.7.16", 50); got != 0 {
		t.Fatalf("%d tasks for a Python that none wants", got)
	}
	all := 0
	for range 10 {
		all += claim("3.9.1", core.MaxBatch)
	}
	if all != n {
		t.Fatalf("%d of %d tasks were claimed", all, n)
	}
	if left := b.raw().Keys(b.ctx, b.keys.base+"unfit*").Val(); len(left) > 0 {
		t.Fatalf("nothing waits, and these are left: %v", left)
	}
}
