package redisstore

import (
	"strings"
	"testing"
	"time"

	"faasctl/core"
)

// Of a removed function nothing stays, once its tasks have ended and been kept.
func TestRemovedFunctionsAreForgotten(t *testing.T) {
	b := newBench(t, func(c *Config) { c.KeepCompleted, c.KeepFailed = 50*time.Millisecond, 50*time.Millisecond })
	twin, _, err := b.PutFunction(b.ctx, core.Function{Name: "twin", Codec: core.Source, Entry: "f", Body: []byte("def f(): pass")})
	b.must(err)
	if twin.BodyHash != core.HashBody([]byte("def f(): pass")) {
		t.Fatal("the two have different bodies")
	}
	busy := b.submit(1, func(s *core.Submission) { s.Spec.Function = twin.ID; s.Delay = time.Hour })[0]
	b.submit(1)
	b.settle(outcome(b.claim(1)[0].Lease, core.Completed))
	b.must(b.RemoveFunction(b.ctx, b.fn))
	b.must(b.RemoveFunction(b.ctx, twin.ID))
	keysOf := func(id core.FunctionID) (found []string) {
		for _, name := range b.raw().Keys(b.ctx, b.keys.base+"*").Val() {
			if strings.Contains(name, string(id)) {
				found = append(found, name)
			}
		}
		return found
	}
	eventually(t, "forgetting", func() bool {
		_, _, err := b.Sweep(b.ctx, time.Second)
		b.must(err)
		return len(keysOf(b.fn)) == 0
	})
	f, err := b.FunctionByID(b.ctx, twin.ID)
	if b.must(err); string(f.Body) != "def f(): pass" {
		t.Fatal("the body that a task still needs is gone")
	}
	_, err = b.Cancel(b.ctx, []core.TaskID{busy}, 0)
	b.must(err)
	eventually(t, "forgetting of the other", func() bool {
		_, _, err := b.Sweep(b.ctx, time.Second)
		b.must(err)
		return len(keysOf(twin.ID)) == 0
	})
	if n := b.raw().Exists(b.ctx, b.keys.body(f.BodyHash), b.keys.base+"fhighest", b.keys.base+"removed").Val(); n != 0 {
		t.Fatalf("%d of the last keys are left", n)
	}
}

// Nor does a line that no claim looks at, as it waits for its rate.
func TestParkedLinesOfRemovedFunctionsAreForgotten(t *testing.T) {
	b := newBench(t, func(c *Config) { c.KeepCompleted, c.KeepFailed = 50*time.Millisecond, 50*time.Millisecond })
	b.must(b.SetPolicy(b.ctx, b.fn, core.Policy{Rate: core.Rate{N: 1, Per: 24 * time.Hour}}))
	ids := b.submit(3)
	b.settle(outcome(b.claim(1)[0].Lease, core.Completed))
	if n := len(b.claim(1)); n != 0 || b.raw().HLen(b.ctx, b.keys.base+"parked").Val() != 1 {
		t.Fatalf("%d claimed, none parked", n)
	}
	_, err := b.Cancel(b.ctx, ids[1:], 0)
	b.must(err)
	b.must(b.RemoveFunction(b.ctx, b.fn))
	eventually(t, "forgetting", func() bool {
		_, _, err := b.Sweep(b.ctx, time.Second)
		b.must(err)
		for _, name := range b.raw().Keys(b.ctx, b.keys.base+"*").Val() {
			if strings.Contains(name, string(b.fn)) {
				return false
			}
		}
		return true
	})
	if n := b.raw().Exists(b.ctx, b.keys.base+"parked", b.keys.base+"throttled").Val(); n != 0 {
		t.Fatalf("%d of the keys of parked classes are left", n)
	}
}

// The key of a task is free again when the task is forgotten.
func TestAKeyIsForgottenWithItsTask(t *testing.T) {
	b := newBench(t, func(c *Config) { c.KeepCompleted = time.Millisecond })
	key := core.Key{Name: "k", Body: "b"}
	first := b.submit(1, func(s *core.Submission) { s.Key = key })[0]
	b.settle(outcome(b.claim(1)[0].Lease, core.Completed))
	eventually(t, "forgetting", func() bool {
		_, _, err := b.Sweep(b.ctx, time.Second)
		b.must(err)
		return b.task(first).ID == ""
	})
	if n := len(b.raw().Keys(b.ctx, b.keys.base+"k:*").Val()); n != 0 {
		t.Fatalf("%d keys are left", n)
	}
	b.submit(1, func(s *core.Submission) { s.Key = key })
}
