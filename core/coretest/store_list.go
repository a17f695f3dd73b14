package coretest

import (
	"slices"

	"faasctl/core"
)

var listCases = map[string]func(*fixture){
	"newest first, page by page": func(f *fixture) {
		want := f.submit(f.function("add").ID, 25)
		slices.Reverse(want)
		var got []core.TaskID
		filter := core.TaskFilter{Limit: 10}
		for {
			page, err := f.List(f.ctx, filter)
			f.must(err)
			for _, task := range page.Tasks {
				got = append(got, task.ID)
			}
			if page.Next == "" {
				break
			}
			filter.Before = page.Next
		}
		slices.Sort(want) // ids made in one millisecond sort by themselves
		slices.Reverse(want)
		if !slices.Equal(got, want) {
			f.Fatalf("got %d tasks, want %d, newest first", len(got), len(want))
		}
	},
	"by state": func(f *fixture) {
		fn := f.function("add")
		f.submit(fn.ID, 5)
		c := f.claim(4, longLease)
		f.wantSettle(completed(c[0].Lease, "1"), core.VerdictOK)
		f.wantSettle(failed(c[1].Lease, core.KindException), core.VerdictOK)
		f.wantSettle(failed(c[2].Lease, core.KindTimeout), core.VerdictOK)
		for state, n := range map[core.State]int{core.Queued: 1, core.Running: 1, core.Completed: 1, core.Failed: 2, core.Cancelled: 0, core.Delayed: 0} {
			page, err := f.List(f.ctx, core.TaskFilter{State: state})
			f.must(err)
			if len(page.Tasks) != n {
				f.Fatalf("%d tasks are %s, want %d", len(page.Tasks), state, n)
			}
			for _, task := range page.Tasks {
				if task.State != state {
					f.Fatalf("a %s task is listed as %s", task.State, state)
				}
			}
		}
	},
	"by function": func(f *fixture) {
		one, two := f.function("one"), f.function("two")
		f.submit(one.ID, 3)
		want := f.submit(two.ID, 2)
		page, err := f.List(f.ctx, core.TaskFilter{Function: two.ID})
		f.must(err)
		if len(page.Tasks) != 2 || page.Tasks[0].ID != max(want[0], want[1]) {
			f.Fatalf("listed %+v", page.Tasks)
		}
		c := f.claim(5, longLease)
		for _, claimed := range c {
			f.wantSettle(failed(claimed.Lease, core.KindException), core.VerdictOK)
		}
		page, err = f.List(f.ctx, core.TaskFilter{Function: one.ID, State: core.Failed})
		f.must(err)
		if len(page.Tasks) != 3 {
			f.Fatalf("%d failed tasks of one, want 3", len(page.Tasks))
		}
	},
	"nothing": func(f *fixture) {
		page, err := f.List(f.ctx, core.TaskFilter{})
		f.must(err)
		if page.Tasks == nil || len(page.Tasks) != 0 || page.Next != "" {
			f.Fatalf("page: %+v", page)
		}
	},
}
