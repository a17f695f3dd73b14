package coretest

import (
	"bytes"

	"faasctl/core"
)

var functionCases = map[string]func(*fixture){
	"an equal registration is unchanged": func(f *fixture) {
		first, outcome, err := f.PutFunction(f.ctx, source("add", "v1"))
		f.must(err)
		if outcome != core.RegisteredNew || first.Version != 1 || !first.Latest || first.ID == "" {
			f.Fatalf("first registration: %s %+v", outcome, first)
		}
		again, outcome, err := f.PutFunction(f.ctx, source("add", "v1"))
		f.must(err)
		if outcome != core.RegisteredSame || again.ID != first.ID {
			f.Fatalf("second registration: %s %+v", outcome, again)
		}
	},
	"another body is the next version and back moves latest": func(f *fixture) {
		first, _, err := f.PutFunction(f.ctx, source("add", "v1"))
		f.must(err)
		second, _, err := f.PutFunction(f.ctx, source("add", "v2"))
		f.must(err)
		if second.Version != 2 || second.ID == first.ID {
			f.Fatalf("second version: %+v", second)
		}
		back, outcome, err := f.PutFunction(f.ctx, source("add", "v1"))
		f.must(err)
		if outcome != core.RegisteredBack || back.ID != first.ID || !back.Latest {
			f.Fatalf("back: %s %+v", outcome, back)
		}
		latest, err := f.FunctionByName(f.ctx, "add", 0)
		f.must(err)
		if latest.ID != first.ID {
			f.Fatalf("latest is %s", latest.Ref())
		}
		two, err := f.FunctionByName(f.ctx, "add", 2)
		f.must(err)
		if two.ID != second.ID || two.Latest {
			f.Fatalf("add@2 is %+v", two)
		}
		f.wantNamed("add", 0, first.ID)
		f.wantNamed("add", 1, first.ID)
		f.wantNamed("add", 2, second.ID)
		f.wantNamed("add", 3, "")
		f.wantNamed("other", 0, "")
		f.must(f.RemoveFunction(f.ctx, first.ID))
		f.wantNamed("add", 0, second.ID)
		f.wantNamed("add", 1, "")
		f.must(f.RemoveFunction(f.ctx, second.ID))
		f.wantNamed("add", 0, "")
		f.wantNamed("add", 2, "")
	},
	"bodies come with ids only": func(f *fixture) {
		body := bytes.Repeat([]byte{0x80, 0, 0xff, '\n'}, 50_000)
		put := source("big", "")
		put.Codec, put.Body, put.BodyHash, put.BodySize = core.Dill, body, core.HashBody(body), len(body)
		put.Python, put.Signature, put.Doc, put.Labels = "3.11", "(a, b=10)", "Adds ünï ☃.", map[string]string{"team": "a,b"}
		stored, _, err := f.PutFunction(f.ctx, put)
		f.must(err)
		got, err := f.FunctionByID(f.ctx, stored.ID)
		f.must(err)
		if !bytes.Equal(got.Body, body) || got.Signature != put.Signature || got.Doc != put.Doc || got.Labels["team"] != "a,b" || got.Python != "3.11" {
			f.Fatalf("function came back changed: %+v", got)
		}
		listed, err := f.ListFunctions(f.ctx)
		f.must(err)
		if len(listed) != 1 || listed[0].Body != nil || listed[0].BodySize != len(body) {
			f.Fatalf("listing: %+v", listed)
		}
	},
	"listing is by name and version": func(f *fixture) {
		for _, name := range []string{"b", "a", "b"} {
			_, _, err := f.PutFunction(f.ctx, source(name, name+string(rune('0'+f.count))))
			f.must(err)
			f.count++
		}
		all, err := f.ListFunctions(f.ctx)
		f.must(err)
		var refs []string
		for _, fn := range all {
			refs = append(refs, fn.Ref())
		}
		if len(refs) != 3 || refs[0] != "a@1" || refs[1] != "b@1" || refs[2] != "b@2" {
			f.Fatalf("listing is %v", refs)
		}
	},
	"unknown ones are not found": func(f *fixture) {
		_, err := f.FunctionByName(f.ctx, "nobody", 0)
		f.wantErr(err, core.ErrNotFound)
		_, err = f.FunctionByID(f.ctx, core.NewFunctionID())
		f.wantErr(err, core.ErrNotFound)
		f.function("somebody")
		_, err = f.FunctionByName(f.ctx, "somebody", 2)
		f.wantErr(err, core.ErrNotFound)
		f.wantErr(f.RemoveFunction(f.ctx, core.NewFunctionID()), core.ErrNotFound)
	},
	"removal keeps accepted tasks and refuses new ones": func(f *fixture) {
		fn := f.function("add")
		task := f.submit(fn.ID, 1)[0]
		f.must(f.RemoveFunction(f.ctx, fn.ID))
		f.wantErr(f.RemoveFunction(f.ctx, fn.ID), core.ErrNotFound)
		_, err := f.FunctionByName(f.ctx, "add", 0)
		f.wantErr(err, core.ErrNotFound)
		refused, err := f.Submit(f.ctx, []core.Submission{{ID: core.NewTaskID(), Spec: spec(fn.ID)}})
		f.must(err)
		f.wantErr(refused[0], core.ErrNotFound)
		if c := f.claimOne(); c.Task != task {
			f.Fatalf("claimed %s", c.Task)
		}
		if _, err = f.FunctionByID(f.ctx, fn.ID); err != nil {
			f.Fatalf("its running task needs the body: %v", err)
		}
	},
	"removed functions are listed apart": func(f *fixture) {
		one, other := f.function("add"), f.function("other")
		two, _, err := f.PutFunction(f.ctx, source("add", "v2"))
		f.must(err)
		for _, id := range []core.FunctionID{two.ID, one.ID} {
			f.must(f.RemoveFunction(f.ctx, id))
		}
		removed, err := f.RemovedFunctions(f.ctx)
		f.must(err)
		if len(removed) != 2 || removed[0].Ref() != "add@1" || removed[1].ID != two.ID || removed[1].Body != nil || removed[1].Latest {
			f.Fatalf("%+v", removed)
		}
		left, err := f.ListFunctions(f.ctx)
		f.must(err)
		if len(left) != 1 || left[0].ID != other.ID {
			f.Fatalf("%+v", left)
		}
	},
	"removal of the latest falls back to the highest left": func(f *fixture) {
		first, _, err := f.PutFunction(f.ctx, source("add", "v1"))
		f.must(err)
		second, _, err := f.PutFunction(f.ctx, source("add", "v2"))
		f.must(err)
		f.must(f.RemoveFunction(f.ctx, second.ID))
		latest, err := f.FunctionByName(f.ctx, "add", 0)
		f.must(err)
		if latest.ID != first.ID {
			f.Fatalf("latest is %s", latest.Ref())
		}
		third, outcome, err := f.PutFunction(f.ctx, source("add", "v2"))
		f.must(err)
		if outcome != core.RegisteredNew || third.Version != 3 {
			f.Fatalf("a removed version's number was given again: %s %+v", outcome, third)
		}
	},
}

func (f *fixture) wantNamed(name string, version int, want core.FunctionID) {
	f.Helper()
	if id, err := f.FunctionNamed(f.ctx, name, version); err != nil || id != want {
		f.Fatalf("%s@%d is %q, %v, want %q", name, version, id, err, want)
	}
}
