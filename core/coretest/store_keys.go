package coretest

import (
	"errors"
	"slices"
	"sync"
	"time"

	"faasctl/core"
)

// keyed is a submission of its own with a key.
func keyed(id core.FunctionID, name, body string) core.Submission {
	return core.Submission{ID: core.NewTaskID(), Spec: spec(id), Key: core.Key{Name: name, Body: body}}
}

// wantUsed checks the answer to a submission whose key another task has.
func (f *fixture) wantUsed(err error, task core.TaskID, same bool) {
	f.Helper()
	var used *core.KeyUsed
	if !errors.As(err, &used) || used.Task != task || used.Same != same {
		f.Fatalf("got %v, want the key to be that of %s, same %v", err, task, same)
	}
}

var keyCases = map[string]func(*fixture){
	"a key makes submissions one task": func(f *fixture) {
		fn := f.function("charge").ID
		first := keyed(fn, "k1", "b1")
		f.accept([]core.Submission{first})
		refused, err := f.Submit(f.ctx, []core.Submission{keyed(fn, "k1", "b1"), keyed(fn, "k1", "b2"), keyed(fn, "k2", "b1"), first})
		f.must(err)
		f.wantUsed(refused[0], first.ID, true)
		f.wantUsed(refused[1], first.ID, false)
		f.must(refused[2])
		f.must(refused[3]) // its own id comes again: the answer was lost
		if n := len(f.claim(10, longLease)); n != 2 {
			f.Fatalf("%d tasks", n)
		}
	},
	"a key holds within one batch": func(f *fixture) {
		fn := f.function("charge").ID
		batch := []core.Submission{keyed(fn, "k", "b"), keyed(fn, "k", "b"), keyed(fn, "k", "c")}
		refused, err := f.Submit(f.ctx, batch)
		f.must(err)
		f.must(refused[0])
		f.wantUsed(refused[1], batch[0].ID, true)
		f.wantUsed(refused[2], batch[0].ID, false)
	},
	"a key outlives the end of its task and its function": func(f *fixture) {
		fn := f.function("charge").ID
		first := keyed(fn, "k", "b")
		f.accept([]core.Submission{first})
		f.wantSettle(completed(f.claimOne().Lease, "1"), core.VerdictOK)
		f.must(f.RemoveFunction(f.ctx, fn))
		refused, err := f.Submit(f.ctx, []core.Submission{keyed(fn, "k", "b")})
		f.must(err)
		f.wantUsed(refused[0], first.ID, true)
	},
	"a refused submission takes no key": func(f *fixture) {
		refused, err := f.Submit(f.ctx, []core.Submission{keyed(core.NewFunctionID(), "k", "b")})
		f.must(err)
		f.wantErr(refused[0], core.ErrNotFound)
		f.accept([]core.Submission{keyed(f.function("charge").ID, "k", "other")})
	},
	"many at once get one task": func(f *fixture) {
		fn := f.function("charge").ID
		var group sync.WaitGroup
		accepted := make(chan core.TaskID, 32)
		for range cap(accepted) {
			group.Go(func() {
				item := keyed(fn, "k", "b")
				refused, err := f.Submit(f.ctx, []core.Submission{item})
				var used *core.KeyUsed
				switch {
				case err != nil:
					f.Error(err)
				case refused[0] == nil:
					accepted <- item.ID
				case errors.As(refused[0], &used):
					accepted <- used.Task
				default:
					f.Error(refused[0])
				}
			})
		}
		group.Wait()
		close(accepted)
		want := <-accepted
		for id := range accepted {
			if id != want {
				f.Fatalf("the key is that of %s and of %s", id, want)
			}
		}
		if n := len(f.claim(10, longLease)); n != 1 {
			f.Fatalf("%d tasks", n)
		}
	},
	"a token gives the same id until it is forgotten": func(f *fixture) {
		first, second := core.NewTaskID(), core.NewTaskID()
		once := func(token string, id core.TaskID, keep time.Duration) core.TaskID {
			got, err := f.Once(f.ctx, []string{token}, []core.TaskID{id}, keep)
			f.must(err)
			return got[0]
		}
		if got := once("t", first, time.Hour); got != first {
			f.Fatalf("%s, want %s", got, first)
		}
		if got := once("t", second, time.Hour); got != first {
			f.Fatalf("%s, want %s", got, first)
		}
		if got := once("brief", first, 20*time.Millisecond); got != first {
			f.Fatalf("%s, want %s", got, first)
		}
		f.eventually("forgetting", func() bool { return once("brief", second, 20*time.Millisecond) == second })
		many, err := f.Once(f.ctx, []string{"n", "t", "m", "n"}, []core.TaskID{second, second, first, first}, time.Hour)
		f.must(err)
		if want := []core.TaskID{second, first, first, second}; !slices.Equal(many, want) {
			f.Fatalf("%v, want %v", many, want)
		}
	},
}
