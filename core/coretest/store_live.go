package coretest

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"faasctl/core"
)

func piece(lease core.Lease, offset int64, text string) core.Printed {
	return core.Printed{Lease: lease, Piece: core.Piece{
		Attempt: 1, Stream: core.Stdout, Offset: offset, Times: []core.Tick{{offset, 7}}, Data: []byte(text),
	}}
}

// pieces returns what was added after an entry, and the last one.
func (f *fixture) pieces(id core.TaskID, after string) ([]core.Piece, string) {
	f.Helper()
	pieces, last, err := f.Pieces(f.ctx, id, after)
	f.must(err)
	return pieces, last
}

// liveCases: what followed tasks print reaches those who follow, and nobody keeps
// what others print.
var liveCases = map[string]func(*fixture){
	"pieces of a followed task are kept in order": func(f *fixture) {
		id := f.submitOne("add")
		c := f.claimOne()
		f.must(f.Follow(f.ctx, []core.TaskID{id}))
		one, two := piece(c.Lease, 0, "one\n"), piece(c.Lease, 4, "\x00two")
		two.Stream = core.Stderr
		f.must(f.Print(f.ctx, []core.Printed{one, two}))
		got, last := f.pieces(id, "")
		if want := []core.Piece{one.Piece, two.Piece}; !reflect.DeepEqual(got, want) {
			f.Fatalf("got %+v, want %+v", got, want)
		}
		f.must(f.Print(f.ctx, []core.Printed{piece(c.Lease, 8, "three")}))
		if got, _ := f.pieces(id, last); len(got) != 1 || string(got[0].Data) != "three" {
			f.Fatalf("then came %+v", got)
		}
	},
	"nothing is kept of a task that nobody follows": func(f *fixture) {
		f.submitOne("add")
		c := f.claimOne()
		f.must(f.Print(f.ctx, []core.Printed{piece(c.Lease, 0, "one")}))
		f.must(f.Follow(f.ctx, []core.TaskID{c.Task}))
		if got, last := f.pieces(c.Task, ""); len(got) != 0 {
			f.Fatalf("kept %v up to %q", got, last)
		}
	},
	"nothing is taken from a lease that does not hold": func(f *fixture) {
		id := f.submitOne("add")
		c := f.claimOne()
		f.must(f.Follow(f.ctx, []core.TaskID{id}))
		other := c.Lease
		other.Epoch++
		f.must(f.Print(f.ctx, []core.Printed{piece(other, 0, "other")}))
		f.releaseOne(c.Lease, core.ReleaseGraceful)
		f.must(f.Print(f.ctx, []core.Printed{piece(c.Lease, 0, "late")}))
		if got, _ := f.pieces(id, ""); len(got) != 0 {
			f.Fatalf("took %v", got)
		}
	},
	"a flood loses its beginning": func(f *fixture) {
		id := f.submitOne("add")
		c := f.claimOne()
		f.must(f.Follow(f.ctx, []core.TaskID{id}))
		for i := range 3 * core.KeepPieces {
			f.must(f.Print(f.ctx, []core.Printed{piece(c.Lease, int64(i), fmt.Sprint(i))}))
		}
		got, _ := f.pieces(id, "")
		if len(got) != core.KeepPieces || got[0].Offset != 2*core.KeepPieces {
			f.Fatalf("kept %d, from %d on", len(got), got[0].Offset)
		}
	},
	"followers and their dispatchers are woken": func(f *fixture) {
		id := f.submitOne("add")
		c := f.claimOne()
		hints := f.listen()
		hear := func(kind core.HintKind) {
			f.Helper()
			for !slices.Contains(f.hint(hints, kind).Tasks, id) {
			}
		}
		f.must(f.Follow(f.ctx, []core.TaskID{id}))
		hear(core.HintFollow)
		f.must(f.Print(f.ctx, []core.Printed{piece(c.Lease, 0, "one")}))
		hear(core.HintPrinted)
		_, err := f.Renew(f.ctx, []core.Renewal{{Lease: c.Lease, Progress: &core.Progress{Done: 1}}}, longLease)
		f.must(err)
		hear(core.HintPrinted)
		want := core.PrepareRequest{Check: &core.Check{ID: "c", Codec: core.Source, Python: ">=3.10", Imports: []string{"numpy"}}}
		f.must(f.Prepare(f.ctx, core.PrepareRequest{Function: "f"}))
		f.must(f.Prepare(f.ctx, want))
		for told := 0; told < 2; {
			select {
			case h := <-hints:
				if h.Kind != core.HintPrepare {
					continue
				}
				if told++; told == 1 && h.Prepare.Function != "f" || told == 2 && !reflect.DeepEqual(h.Prepare, want) {
					f.Fatalf("hint %d: %+v", told, h.Prepare)
				}
			case <-f.ctx.Done():
				f.Fatal("no hint to prepare")
			}
		}
	},
	"progress is the last word of the present attempt": func(f *fixture) {
		fn := f.function("add")
		s := spec(fn.ID)
		s.Retries, s.Backoff = 1, core.Backoff{First: time.Millisecond, Last: time.Millisecond}
		id := f.accept([]core.Submission{{ID: core.NewTaskID(), Spec: s}})[0]
		c := f.claimOne()
		for _, p := range []core.Progress{{Done: 1, Total: 3, Note: "a\tb"}, {Done: 2.5}} {
			_, err := f.Renew(f.ctx, []core.Renewal{{Lease: c.Lease, Worker: "w-one", Started: true, Progress: &p}}, longLease)
			f.must(err)
			f.start(c) // says nothing of progress, and changes nothing
			if got := f.task(id).Progress; got == nil || *got != p {
				f.Fatalf("got %+v, want %+v", got, p)
			}
		}
		f.wantSettle(failed(c.Lease, core.KindException), core.VerdictOK)
		if got := f.wantState(id, core.Delayed).Progress; got != nil {
			f.Fatalf("a task that waits is at %+v", got)
		}
	},
	"output keeps its times": func(f *fixture) {
		id := f.submitOne("add")
		c := f.claimOne()
		s := completed(c.Lease, "1")
		s.Output.Stdout = core.Stream{Head: []byte("a\nb\n"), Times: []core.Tick{{2, 1500}}}
		s.Output.Stderr = core.Stream{Head: []byte("c"), Tail: []byte("d"), Cut: 9, Times: []core.Tick{{0, 3}, {10, 4}}}
		f.wantSettle(s, core.VerdictOK)
		got, err := f.Output(f.ctx, id)
		f.must(err)
		if !reflect.DeepEqual(got, s.Output) {
			f.Fatalf("got %+v, want %+v", got, s.Output)
		}
	},
}
