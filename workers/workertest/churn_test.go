package workertest_test

import (
	"testing"

	"faasctl/core"
	"faasctl/workers/workertest"
)

// Cheap and dear calls wait beside each other. Workers hold many of the cheap in
// advance, and none behind a dear one: what they hold too much goes back. That must not
// become the rule, as each return costs the store two transitions and the task its
// turn.
func TestMixedCallsAreNotHandedRound(t *testing.T) {
	const cheap, dear = 8_000, 200
	b := workertest.NewBench(t, workertest.Mode{Name: core.Local})
	b.Start(2, 2, 2, 2)
	b.Joined(4)
	b.Function("t0s")
	b.Function("t20ms")
	b.Await(append(b.Calls("t0s", 200), b.Calls("t20ms", 10)...), core.Completed) // what they cost is known
	var ids []core.TaskID
	for range 10 {
		ids = append(ids, b.Calls("t0s", cheap/10)...)
		ids = append(ids, b.Calls("t20ms", dear/10)...)
	}
	b.Await(ids, core.Completed)
	released := map[core.TaskID]int{}
	all, most, after := 0, 0, ""
	for {
		events, err := b.Store.Events(b.Ctx, after, core.MaxBatch, 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(events) == 0 {
			break
		}
		for _, e := range events {
			if e.Kind == core.TaskReleased {
				released[e.Task]++
				all, most = all+1, max(most, released[e.Task])
			}
		}
		after = events[len(events)-1].ID
	}
	t.Logf("%d returns of %d tasks; one came back %d times", all, len(ids), most)
	if all > len(ids)/2 || most > 8 {
		t.Errorf("%d returns of %d tasks; one came back %d times", all, len(ids), most)
	}
}
