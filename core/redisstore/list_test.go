package redisstore

import (
	"testing"
	"time"

	"faasctl/core"
)

func (b *bench) list(filter core.TaskFilter) core.TaskPage {
	b.Helper()
	page, err := b.List(b.ctx, filter)
	b.must(err)
	return page
}

// walkPages lists everything page by page, newest first and nothing twice.
func (b *bench) walkPages(filter core.TaskFilter) (all []core.Task, scanned int) {
	b.Helper()
	for range 1000 {
		page := b.list(filter)
		for _, t := range page.Tasks {
			if len(all) > 0 && t.ID >= all[len(all)-1].ID {
				b.Fatalf("%s stands after %s", t.ID, all[len(all)-1].ID)
			}
			all = append(all, t)
		}
		scanned = max(scanned, page.Scanned)
		if filter.Before = page.Next; page.Next == "" {
			return all, scanned
		}
	}
	b.Fatal("the listing does not end")
	return nil, 0
}

func TestListingPagesThroughEveryIndex(t *testing.T) {
	b := newBench(t)
	other := b.function("g").ID
	b.submit(40, func(s *core.Submission) { s.Spec.Function = other })
	b.submit(60)
	claimed := b.claim(50)
	for i, c := range claimed[:30] {
		b.settle(outcome(c.Lease, []core.State{core.Completed, core.Failed, core.Cancelled}[i%3]))
	}
	b.submit(20, func(s *core.Submission) { s.Delay = time.Hour })
	for filter, want := range map[core.TaskFilter]int{
		{}: 120, {State: core.Queued}: 50, {State: core.Running}: 20, {State: core.Delayed}: 20, {State: core.Completed}: 10,
		{State: core.Failed}: 10, {State: core.Cancelled}: 10, {Function: other}: 40, {State: "NONE"}: 0, {Function: "none"}: 0,
	} {
		for _, limit := range []int{1, 7, 0} {
			filter.Limit = limit
			all, scanned := b.walkPages(filter)
			if len(all) != want {
				t.Errorf("%+v: %d tasks, want %d", filter, len(all), want)
			}
			if (scanned > 0) != (filter.Function != "") {
				t.Errorf("%+v: scanned %d", filter, scanned)
			}
		}
	}
	failures := b.list(core.TaskFilter{State: core.Failed, Function: other})
	if more := b.list(core.TaskFilter{State: core.Failed, Function: b.fn}); len(failures.Tasks)+len(more.Tasks) != 10 || failures.Scanned+more.Scanned != 0 {
		t.Errorf("failed of each function: %d and %d", len(failures.Tasks), len(more.Tasks))
	}
}

func TestListingWithoutAnIndexSaysHowFarItLooked(t *testing.T) {
	b := newBench(t)
	other := b.function("g").ID
	want := b.submit(1, func(s *core.Submission) { s.Spec.Function = other })[0]
	for range maxScan/1000 + 1 {
		b.submit(1000)
	}
	page := b.list(core.TaskFilter{Function: other})
	if len(page.Tasks) != 0 || page.Scanned != maxScan || page.Next == "" {
		t.Fatalf("%d tasks, scanned %d, next %q", len(page.Tasks), page.Scanned, page.Next)
	}
	if page = b.list(core.TaskFilter{Function: other, Before: page.Next}); len(page.Tasks) != 1 || page.Tasks[0].ID != want || page.Next != "" {
		t.Fatalf("the rest: %+v", page)
	}
}
