package pyrun

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"faasctl/core"
)

func TestFindOrderAndCache(t *testing.T) {
	real := needPython(t)
	home := t.TempDir()
	for name, value := range map[string]string{"XDG_CACHE_HOME": home, "XDG_DATA_HOME": home, "FAASCTL_PYTHON": ""} {
		t.Setenv(name, value)
	}
	deps := filepath.Join(home, "faasctl/python/bin/python3")
	write(t, deps, "#!/bin/sh\nexec "+real+" \"$@\"\n", 0o755)
	ctx := context.Background()
	if os.Geteuid() != 0 || !exists("/opt/faasctl/python/bin/python3") {
		found, probes, err := Find(ctx, "")
		if err != nil || probes[0].Origin != "make deps" || found.Dill == "" || found.Path == deps || probes[0].Cached {
			t.Fatalf("Find: %+v %+v %v", found, probes, err)
		}
		if _, probes, _ = Find(ctx, ""); !probes[0].Cached {
			t.Error("looked a second time")
		}
		probeLock.Lock()
		clear(probeMemory)
		probeLock.Unlock()
		if _, probes, _ = Find(ctx, ""); !probes[0].Cached {
			t.Error("the file was not used")
		}
		write(t, deps, "#!/bin/sh\n\nexec "+real+" \"$@\"\n", 0o755)
		if _, probes, _ = Find(ctx, ""); probes[0].Cached {
			t.Error("a changed file was not looked at again")
		}
	}
	t.Setenv("FAASCTL_PYTHON", real)
	if found, probes, err := Find(ctx, ""); err != nil || probes[0].Origin != "FAASCTL_PYTHON" || found.Path == "" {
		t.Errorf("FAASCTL_PYTHON: %+v %v", probes, err)
	}
	if _, probes, err := Find(ctx, "/no/python"); !errors.Is(err, core.ErrUnavailable) || core.HintOf(err) == "" || probes[0].Origin != "--python" {
		t.Errorf("--python: %+v %v", probes, err)
	}
	if _, _, err := Find(ctx, "/bin/true"); !errors.Is(err, core.ErrUnavailable) {
		t.Errorf("/bin/true: %v", err)
	}
	bare := filepath.Join(home, "bare")
	write(t, bare, "#!/bin/sh\nunset PYTHONPATH\nexec "+real+" -S \"$@\"\n", 0o755)
	if found, probes, err := Find(ctx, bare); err != nil || found.Dill != "" || !strings.Contains(probes[0].Warning, "no dill") {
		t.Errorf("without dill: %+v %+v %v", found, probes, err)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func TestInspect(t *testing.T) {
	text := `
import os
raise SystemExit  # nothing is executed

@decorated(1)
def resize(image: "Image",  # what
           width: int = 10, *,
           keep=(1, 2),
           ) -> dict[str, int]:
    """Makes an image
    smaller.

    More.
    """

async def fetch(url, *args, **kw): pass
def _hidden(): pass
def outer():
    def inner(): pass
class C:
    def method(self): pass
def setup(a=1, *, b=2): pass
`
	got, err := Inspect(context.Background(), needPython(t), []byte(text), "fn.py")
	want := []Def{
		{"resize", `(image: "Image", width: int = 10, *, keep=(1, 2)) -> dict[str, int]`, "Makes an image smaller.", false, 6, false, false},
		{"fetch", "(url, *args, **kw)", "", true, 16, false, false},
		{"outer", "()", "", false, 18, false, false},
		{"setup", "(a=1, *, b=2)", "", false, 22, true, false},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v %v", got, err)
	}
}

func TestInspectRefuses(t *testing.T) {
	for _, c := range []struct{ text, message, excerpt string }{
		{"def f():\n\treturn (1,\n", "fn.py:2:", "\treturn (1,\n\t       ^"},
		{"def f():\n    é = 1 +\n", "fn.py:2:", "    é = 1 +\n           ^"},
		{"return 1\n", "outside function", "return 1\n^"},
		{"x = 1\x00", "null bytes", ""},
		{strings.Repeat("(", 500), "fn.py:1:", "*"},
	} {
		_, err := Inspect(context.Background(), needPython(t), []byte(c.text), "fn.py")
		var syntax *SyntaxError
		if !errors.Is(err, core.ErrInvalid) || !errors.As(err, &syntax) || !strings.Contains(err.Error(), c.message) {
			t.Errorf("%q: %v", clip(c.text, 20), err)
			continue
		}
		line, _, _ := strings.Cut(c.excerpt, "\n") // where the caret stands depends on the version
		if got := syntax.Excerpt(); c.excerpt != "*" && (!strings.HasPrefix(got, line) || strings.HasSuffix(c.excerpt, "^") != strings.HasSuffix(got, "^")) {
			t.Errorf("%q: excerpt\n%s", c.text, syntax.Excerpt())
		}
	}
	if _, err := Inspect(context.Background(), "/bin/false", nil, "fn.py"); !errors.Is(err, core.ErrUnavailable) {
		t.Errorf("no interpreter: %v", err)
	}
}

func TestFreezeDill(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "fn.py")
	write(t, file, "import math\nfrom dataclasses import dataclass\nprint('noise')\nK = 3\n@dataclass\nclass P:\n    x: int\ndef helper(x): return math.floor(x) * K\ndef area(x: float, *, p=1):\n    return [helper(x), P(x)]\ndef boom():\n    raise ValueError\nif __name__ == '__main__': raise SystemExit(9)\n", 0o600)
	frozen, err := FreezeDill(context.Background(), needPython(t), file, "area")
	if err != nil || frozen.Signature != "(x: float, *, p=1)" || !strings.HasPrefix(frozen.Python, "3.") {
		t.Fatalf("FreezeDill: %+v %v", frozen, err)
	}
	r := newRig(t, Config{})
	if o := r.call(pickled(frozen.Pickle), "[[2.5], {}]"); o.State != core.Completed || string(o.Result.JSON) != `[6,{"$repr":"P(x=2.5)"}]` {
		t.Errorf("ended %s %s %+v", o.State, o.Result.JSON, o.Result.Failure)
	}
	write(t, file, "from faasctl_task import progress\nimport faasctl_task\ndef area(n):\n    progress(1, n)\n    return [faasctl_task.attempt(), len(faasctl_task.task_id())]\n", 0o600)
	if frozen, err = FreezeDill(context.Background(), needPython(t), file, "area"); err != nil {
		t.Fatalf("FreezeDill: %v", err)
	}
	if o := r.call(pickled(frozen.Pickle), "[[2], {}]"); o.State != core.Completed || string(o.Result.JSON) != `[0,36]` {
		t.Errorf("ended %s %s %+v", o.State, o.Result.JSON, o.Result.Failure)
	}
	write(t, file, "import no_such\n", 0o600)
	if _, err = FreezeDill(context.Background(), needPython(t), file, "area"); !errors.Is(err, core.ErrInvalid) || !strings.Contains(err.Error(), "import no_such") {
		t.Errorf("a bad import: %v", err)
	}
	write(t, file, "x = 1\n", 0o600)
	if _, err = FreezeDill(context.Background(), needPython(t), file, "area"); !errors.Is(err, core.ErrInvalid) || !strings.Contains(err.Error(), "no function named") {
		t.Errorf("a missing entry: %v", err)
	}
}
