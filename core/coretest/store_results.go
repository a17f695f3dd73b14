package coretest

import (
	"bytes"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"faasctl/core"
)

var resultCases = map[string]func(*fixture){
	"many are asked at once whether they have ended": func(f *fixture) {
		fn := f.function("add")
		ids := f.submitted(fn.ID, 5)
		f.wantSettle(completed(f.claimOne().Lease, "1"), core.VerdictOK)
		failure := completed(f.claimOne().Lease, "")
		failure.State, failure.Result = core.Failed, core.Result{Failure: &core.Failure{Kind: core.KindException, Type: "E"}}
		f.wantSettle(failure, core.VerdictOK)
		f.claimOne() // RUNNING
		_, err := f.Cancel(f.ctx, ids[3:4], 0)
		f.must(err)
		asked := append(slices.Clone(ids), core.NewTaskID())
		got, err := f.Ended(f.ctx, asked)
		f.must(err)
		if want := []core.State{core.Completed, core.Failed, core.Queued, core.Cancelled, core.Queued, ""}; !slices.Equal(got, want) {
			f.Errorf("ended: %q, want %q", got, want)
		}
		many := append(f.submitted(fn.ID, 30), asked...) // a store may look at many in another way
		got, err = f.Ended(f.ctx, many)
		f.must(err)
		if want := append(slices.Repeat([]core.State{core.Queued}, 30), core.Completed, core.Failed, core.Queued, core.Cancelled, core.Queued, ""); !slices.Equal(got, want) {
			f.Errorf("ended, of many: %q, want %q", got, want)
		}
		if none, err := f.Ended(f.ctx, nil); err != nil || len(none) != 0 {
			f.Errorf("of none: %v, %v", none, err)
		}
	},
	"a record comes with its result": func(f *fixture) {
		fn := f.function("add")
		ids := append(f.submitted(fn.ID, 5), core.NewTaskID())
		large := strconv.Quote(strings.Repeat("x", 1<<20))
		f.wantSettle(completed(f.claimOne().Lease, "1"), core.VerdictOK)
		f.wantSettle(completed(f.claimOne().Lease, large), core.VerdictOK)
		f.wantSettle(failed(f.claimOne().Lease, core.KindException), core.VerdictOK)
		f.claimOne() // RUNNING
		tasks, results, err := f.Outcomes(f.ctx, ids)
		f.must(err)
		want, err := f.Tasks(f.ctx, ids)
		f.must(err)
		if !reflect.DeepEqual(tasks, want) {
			f.Errorf("records %+v, want %+v", tasks, want)
		}
		whole, err := f.Results(f.ctx, ids)
		f.must(err)
		for i := range ids {
			left := i == 1 && results[i] == nil // it may be, as it is large
			if !left && !reflect.DeepEqual(results[i], whole[i]) {
				f.Errorf("result %d: %+v, want %+v", i, results[i], whole[i])
			}
		}
		if string(results[0].JSON) != "1" || results[2].Failure == nil || results[3] != nil || results[5] != nil {
			f.Errorf("results %+v", results)
		}
		if tasks, results, err = f.Outcomes(f.ctx, nil); err != nil || len(tasks)+len(results) != 0 {
			f.Errorf("of none: %v, %v, %v", tasks, results, err)
		}
	},
	"many results are read up to a size": func(f *fixture) {
		fn := f.function("add")
		sizes := []int{1, 16 << 10, 100, 3 << 20, 1, 40 << 10, 7}
		ids := f.submitted(fn.ID, len(sizes)+1)
		var want [][]byte
		for i, size := range sizes {
			value := append([]byte(strconv.Itoa(i)), bytes.Repeat([]byte("0"), size)...)
			want = append(want, value)
			f.wantSettle(completed(f.claimOne().Lease, string(value)), core.VerdictOK)
		}
		read := 0
		for rounds := 0; read < len(ids); rounds++ {
			got, err := f.ResultsUpTo(f.ctx, ids[read:], 1<<20)
			f.must(err)
			if len(got) == 0 {
				f.Fatal("nothing was read")
			}
			for i, r := range got {
				switch at := read + i; {
				case at == len(sizes):
					if r != nil {
						f.Error("a waiting task has a result")
					}
				case r == nil || !bytes.Equal(r.JSON, want[at]):
					f.Errorf("result %d is wrong", at)
				}
			}
			if read += len(got); rounds == 0 && read != 4 {
				f.Errorf("the first megabyte holds %d results, want 4", read)
			}
		}
	},
}

// submitted hands in n tasks of a function.
func (f *fixture) submitted(fn core.FunctionID, n int) []core.TaskID {
	f.Helper()
	batch := make([]core.Submission, n)
	for i := range batch {
		batch[i] = core.Submission{ID: core.NewTaskID(), Spec: spec(fn)}
	}
	return f.accept(batch)
}
