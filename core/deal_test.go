package core_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"faasctl/core"
)

// needing registers a function that needs versions of Python.
func (r *rig) needing(python string) core.FunctionID {
	r.Helper()
	f, _, err := r.PutFunction(r.ctx, core.Function{Name: "f", Codec: core.Source, Entry: "f", Body: []byte("def f(): " + python), Python: python})
	r.must(err)
	return f.ID
}

func TestTasksGoToWhomTheyFit(t *testing.T) {
	dispatch(t, core.Push, func(r *rig) {
		nine, twelve := core.Interpreter{Version: "3.9.18"}, core.Interpreter{Version: "3.12.1"}
		old := r.transport.Join("w-old", 2, 4, nine)
		young := r.transport.Join("w-young", 2, 4, twelve)
		both := r.transport.Join("w-both", 2, 4, nine, twelve)
		of := map[core.FunctionID]string{}
		for _, python := range []string{"", "3.9", ">=3.12", "3.7"} {
			id := r.needing(python)
			of[id] = python
			r.submit(60, func(s *core.Spec) { s.Function = id })
		}
		ended := map[string]int{}
		for rounds := 0; rounds < 1000; rounds++ {
			n := 0
			for _, w := range []*struct {
				has  string
				held []core.Assignment
				end  func(int, core.State) int
			}{{"old", old.Held(), old.Finish}, {"young", young.Held(), young.Finish}, {"both", both.Held(), both.Finish}} {
				for _, a := range w.held {
					python := of[a.Function.ID]
					if w.has == "old" && python == ">=3.12" || w.has == "young" && python == "3.9" || python == "3.7" {
						t.Fatalf("%s was given what needs %s", w.has, python)
					}
					ended[python]++
				}
				n += w.end(len(w.held), core.Completed)
			}
			synctest.Wait()
			if n == 0 {
				break
			}
		}
		if got := fmt.Sprint(ended); got != "map[:60 3.9:60 >=3.12:60]" {
			t.Fatalf("ended: %s", got)
		}
		seven := r.transport.Join("w-seven", 2, 100, core.Interpreter{Version: "3.7.16"})
		synctest.Wait()
		if n := len(seven.Held()); n != 60 {
			t.Fatalf("a worker that came later was given %d", n)
		}
	})
}

// What was claimed for a worker that went away waits for another that fits, and not
// for whoever has room.
func TestTasksOfAVanishedWorkerGoBackToWhomTheyFit(t *testing.T) {
	dispatch(t, core.Push, func(r *rig) {
		nine, twelve := core.Interpreter{Version: "3.9.18"}, core.Interpreter{Version: "3.12.1"}
		young := r.transport.Join("w-young", 1, 8, twelve)
		old := r.transport.Join("w-old", 1, 8, nine)
		id := r.needing("3.9")
		ids := r.submit(5, func(s *core.Spec) { s.Function = id })
		if n := len(old.Held()); n != 5 {
			t.Fatalf("%d of 5 were given", n)
		}
		old.Vanish()
		r.pass(10e9, young)
		if n := len(young.Held()); n != 0 {
			t.Fatalf("%d went to one that cannot run them", n)
		}
		for _, id := range ids {
			r.wantState(id, core.Queued)
		}
		again := r.transport.Join("w-again", 1, 8, twelve, nine)
		r.pass(3e9, young, again)
		if n := len(again.Held()); n != 5 {
			t.Fatalf("%d of 5 came back", n)
		}
	})
}
