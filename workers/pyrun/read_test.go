package pyrun

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"faasctl/core"
)

func TestReadFindsImportsAndGenerators(t *testing.T) {
	text := `import os, numpy as np, xml.etree.ElementTree
from . import beside
from requests.adapters import HTTPAdapter
try:
    import orjson as json
except ImportError:
    import json
if TYPE_CHECKING:
    import pandas
def plain():
    import numpy.linalg, lazy
    def inner():
        yield 1
    return list(inner())
def yielding():
    for i in range(3):
        yield i
`
	got, err := Read(t.Context(), needPython(t), []byte(text), "fn.py")
	want := []Import{{"numpy", 1, false}, {"requests", 3, false}, {"orjson", 5, true}, {"lazy", 11, false}}
	if err != nil || !reflect.DeepEqual(got.Imports, want) {
		t.Errorf("%+v %v", got.Imports, err)
	}
	if len(got.Functions) != 2 || got.Functions[0].Generator || !got.Functions[1].Generator {
		t.Errorf("%+v", got.Functions)
	}
}

func TestWeighTellsWhatAFunctionTakesAlong(t *testing.T) {
	needPython(t)
	file := filepath.Join(t.TempDir(), "fn.py")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("import math\nTABLE = list(range(5000))\nUNUSED = 'x' * 100000\nRATE = 3\ndef helper(x):\n    return x * RATE\ndef work(i):\n    return helper(TABLE[i]) + math.pi\n")
	got, err := Weigh(t.Context(), needPython(t), file, "work")
	if err != nil || len(got.Pickle) < 5000 || len(got.Globals) != 2 {
		t.Fatalf("%+v %v", got.Globals, err)
	}
	table, rate := got.Globals[0], got.Globals[1]
	if table.Name != "TABLE" || table.Type != "list" || table.Size < 5000 || rate.Name != "RATE" || rate.Size > 100 {
		t.Errorf("%+v", got.Globals)
	}
	write("import threading\nLOCK = threading.Lock()\nGEN = (i for i in 'ab')\ndef work():\n    with LOCK:\n        return next(GEN)\n")
	got, err = Weigh(t.Context(), needPython(t), file, "work")
	broken := 0
	for _, g := range got.Globals {
		if g.Name == "GEN" && strings.Contains(g.Error, "generator") {
			broken++
		}
	}
	if err != nil || broken != 1 || got.Pickle != nil {
		t.Errorf("%+v %v", got, err)
	}
}

func TestLookTellsWhatAFunctionWouldNotFind(t *testing.T) {
	found, _ := python()
	lib := t.TempDir()
	if err := os.WriteFile(filepath.Join(lib, "beside.py"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	r, c := environmentRig(t, 1)
	with := newRig(t, Config{Interpreters: []core.Interpreter{found}, ImportPath: []string{lib}, Rules: Rules{Environments: c}})
	look := func(r *rig, f *core.Function) []string {
		t.Helper()
		news := make(preparations, 1)
		r.Look(f, []string{"answers", "beside", "dill", "faasctl_task"}, news.tell)
		select {
		case p := <-news:
			if p.State != core.Prepared || p.Function != f.ID || p.Python != found.Version {
				t.Fatalf("%+v", p)
			}
			return p.Missing
		case <-time.After(time.Minute):
			t.Fatal("no answer")
		}
		return nil
	}
	if got := look(r, depending()); !reflect.DeepEqual(got, []string{"answers", "beside"}) {
		t.Errorf("%v", got)
	}
	if got := look(with, depending()); !reflect.DeepEqual(got, []string{"answers"}) {
		t.Errorf("with an import path: %v", got)
	}
	f := depending("answers==1.0")
	if got := look(with, f); !reflect.DeepEqual(got, []string{"answers"}) {
		t.Errorf("before its environment is made: %v", got)
	}
	if o := with.call(f, none); o.State != core.Completed {
		t.Fatalf("%+v", o.Result.Failure)
	}
	if got := look(with, f); len(got) != 0 {
		t.Errorf("in its environment: %v", got)
	}
}
