package redisstore

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"faasctl/core"
)

// Data of layout 1 are taken over: each task is what it was, and goes on.
func TestDataOfTheLayoutBeforeAreTakenOver(t *testing.T) {
	b := newBench(t)
	b.submit(6, func(s *core.Submission) { s.Spec.Queue, s.Spec.Retries = "a\tqueue \\ with\nall", 2 })
	claimed := b.claim(4)
	b.settle(outcome(claimed[0].Lease, core.Completed), outcome(claimed[1].Lease, core.Failed))
	_, err := b.Renew(b.ctx, []core.Renewal{{Lease: claimed[2].Lease, Worker: "w-1", Started: true,
		Progress: &core.Progress{Done: 1, Total: 2, Note: "a\tnote\nof\\two"}}}, time.Minute)
	b.must(err)
	page := b.list(core.TaskFilter{})
	if len(page.Tasks) != 6 || page.Tasks[0].Queue != "a\tqueue \\ with\nall" {
		t.Fatalf("%+v", page.Tasks)
	}
	for _, task := range page.Tasks {
		key := b.keys.task(task.ID)
		fields := openRecord(b.raw().Get(b.ctx, key).Val())
		for name, value := range fields {
			if value == "" {
				delete(fields, name)
			}
		}
		b.must(b.raw().Del(b.ctx, key).Err())
		b.must(b.raw().HSet(b.ctx, key, fields).Err())
	}
	b.must(b.raw().HDel(b.ctx, b.keys.reap(), "layout").Err())

	for range 2 { // the second finds nothing to do
		later, err := Open(b.ctx, b.cfg)
		b.must(err)
		defer later.Close()
		now, err := later.List(b.ctx, core.TaskFilter{})
		b.must(err)
		if !reflect.DeepEqual(now.Tasks, page.Tasks) {
			t.Fatalf("before %+v\nafter %+v", page.Tasks, now.Tasks)
		}
	}
	if got := b.settle(outcome(claimed[2].Lease, core.Completed), outcome(claimed[3].Lease, core.Completed)); got[0] != core.VerdictOK || got[1] != core.VerdictOK {
		t.Fatal(got)
	}
	if got := b.claim(10); len(got) != 2 {
		t.Fatalf("claimed %d of 2", len(got))
	}
	if n := b.pass(); n != 0 {
		t.Fatalf("%d repairs", n)
	}
}

func TestDataOfANewerLayoutAreRefused(t *testing.T) {
	b := newBench(t)
	b.must(b.raw().HSet(b.ctx, b.keys.reap(), "layout", layout+1).Err())
	_, err := Open(b.ctx, b.cfg)
	if !errors.Is(err, core.ErrConflict) || core.HintOf(err) == "" {
		t.Fatal(err)
	}
}
