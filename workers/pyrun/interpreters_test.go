package pyrun

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"faasctl/core"
)

// severalPythons returns interpreters of different minor versions, the default first,
// all of which import the dill of the default. It skips where there is only one.
func severalPythons(t *testing.T) []core.Interpreter {
	t.Helper()
	needPython(t)
	first, _ := python()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	out, err := runScript(context.Background(), first.Path, script{source: "import dill; print(dill.__path__[0])"})
	if err != nil {
		t.Fatal(err)
	}
	lib := t.TempDir()
	if err := os.CopyFS(filepath.Join(lib, "dill"), os.DirFS(strings.TrimSpace(string(out)))); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PYTHONPATH", lib)
	paths, _ := filepath.Glob("/usr/bin/python3.*[0-9]")
	if home, err := os.UserHomeDir(); err == nil {
		more, _ := filepath.Glob(filepath.Join(home, ".pyenv/versions/*/bin/python"))
		paths = append(paths, more...)
	}
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		more, _ := filepath.Glob(filepath.Join(dir, "python3.*[0-9]"))
		paths = append(paths, more...)
	}
	found := []core.Interpreter{first}
	for _, path := range paths {
		interpreter, err := probe(context.Background(), path)
		same := func(i core.Interpreter) bool { return minorOf(i) == minorOf(interpreter) }
		if err == nil && !slices.ContainsFunc(found, same) {
			found = append(found, interpreter)
		}
	}
	if len(found) < 2 {
		t.Skipf("SKIPPED: only Python %s is here, and this needs a second version", first.Version)
	}
	for _, i := range found {
		t.Logf("Python %s, dill %q", i.Version, i.Dill)
	}
	return found
}

func minorOf(i core.Interpreter) string {
	parts := strings.SplitN(i.Version, ".", 3)
	return parts[0] + "." + parts[1]
}

const versionText = "import os, sys\ndef version():\n    return '%d.%d' % sys.version_info[:2], os.getpid()\n"

// A source function runs on the version that it asks for; a slot keeps warm children
// of several, and the child of one is the same after others had their turn.
func TestSourceFunctionsRunOnTheVersionTheyAskFor(t *testing.T) {
	all := severalPythons(t)
	r := newRig(t, Config{Python: all[0].Path, Interpreters: all, Slots: 1})
	used := all[:min(len(all), maxParked+1)]
	pids := map[string]string{}
	for round := range 3 {
		for _, i := range used {
			f := source("version", versionText)
			f.Python = minorOf(i)
			o := r.call(f, none)
			version, pid, _ := strings.Cut(strings.Trim(string(o.Result.JSON), "[]"), ",")
			if o.State != core.Completed || strings.Trim(version, `"`) != minorOf(i) {
				t.Fatalf("%s for %s (%+v)", o.Result.JSON, minorOf(i), o.Result.Failure)
			}
			if round > 0 && pids[version] != pid {
				t.Errorf("round %d: Python %s is another process", round, version)
			}
			pids[version] = pid
		}
	}
	r.fine()
}

// One batch may hold calls of functions that run on different versions.
func TestABatchOfSeveralVersions(t *testing.T) {
	all := severalPythons(t)
	r := newRig(t, Config{Python: all[0].Path, Interpreters: all, Slots: 2})
	var batch []core.Assignment
	var want []string
	for n := range 40 {
		f := source("version", versionText)
		f.Python = "==" + minorOf(all[n%len(all)]) + ".*"
		batch, want = append(batch, assign(f, none)), append(want, minorOf(all[n%len(all)]))
	}
	r.Start(batch, r)
	for n, a := range batch {
		o := r.outcome(t, a.Task)
		if !strings.Contains(string(o.Result.JSON), `"`+want[n]+`"`) {
			t.Errorf("call %d ran on %s, want %s (%+v)", n, o.Result.JSON, want[n], o.Result.Failure)
		}
	}
	r.idle()
}

// A pickle goes to the version that made it, whatever stands first.
func TestADillFunctionGoesToItsOwnVersion(t *testing.T) {
	all := severalPythons(t)
	r := newRig(t, Config{Python: all[0].Path, Interpreters: all, Slots: 1})
	file := filepath.Join(t.TempDir(), "fn.py")
	if err := os.WriteFile(file, []byte("import sys\ndef where(x):\n    return ['%d.%d' % sys.version_info[:2], x]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, i := range all {
		if i.Dill == "" {
			t.Logf("Python %s cannot import this dill", i.Version)
			continue
		}
		frozen, err := FreezeDill(t.Context(), i.Path, file, "where")
		if err != nil {
			t.Errorf("Python %s: %v", i.Version, err)
			continue
		}
		f := pickled(frozen.Pickle)
		if f.Python = frozen.Python; f.Python != minorOf(i) {
			t.Errorf("frozen by %q, want %s", f.Python, minorOf(i))
		}
		if o := r.call(f, "[[7], {}]"); string(o.Result.JSON) != `["`+minorOf(i)+`",7]` {
			t.Errorf("the pickle of %s ended as %s %+v", minorOf(i), o.Result.JSON, o.Result.Failure)
		}
		tried++
	}
	if tried < 2 {
		t.Skipf("SKIPPED: only one version here imports dill")
	}
}

// What fits nothing is refused with both sides named, and a failure to load names the
// version that it was tried with.
func TestUnloadableNamesTheVersions(t *testing.T) {
	r := newRig(t, Config{})
	found, _ := python()
	only := newRig(t, Config{Interpreters: []core.Interpreter{found}})
	f := source("version", versionText)
	f.Python = "3.1"
	o := only.call(f, none)
	message := ""
	if o.Result.Failure != nil {
		message = o.Result.Failure.Message
	}
	if o.State != core.Failed || o.Result.Failure.Kind != core.KindUnloadable || o.Started ||
		!strings.Contains(message, "needs Python 3.1;") || !strings.Contains(message, "Python "+found.Version+" with dill "+found.Dill) {
		t.Errorf("%s %+v", o.State, o.Result.Failure)
	}
	broken := pickled([]byte("\x80\x02cno_such_module\nthing\n."))
	for said, change := range map[string]func(){
		"its client did not say which Python made the pickle":          func() {},
		"the pickle was made by Python " + minorOf(found):              func() { broken.Python = minorOf(found) },
		"the pickle is assumed to be made by Python " + minorOf(found): func() { broken.Python, broken.Assumed = minorOf(found), true },
	} {
		broken.Python, broken.Assumed = "", false
		change()
		o := r.call(broken, none)
		if o.Result.Failure == nil || o.Result.Failure.Kind != core.KindUnloadable ||
			!strings.Contains(o.Result.Failure.Message, "this is Python "+found.Version+" with dill "+found.Dill) || !strings.Contains(o.Result.Failure.Message, said) {
			t.Errorf("%s %+v", o.State, o.Result.Failure)
		}
	}
}

// A child that ended while it was parked is replaced.
func TestAParkedChildThatEnded(t *testing.T) {
	all := severalPythons(t)
	r := newRig(t, Config{Python: all[0].Path, Interpreters: all, Slots: 1})
	ask := func(i core.Interpreter, text string) core.Outcome {
		f := source("version", text)
		f.Python = minorOf(i)
		return r.call(f, none)
	}
	dies := "import os, threading, time\ncalled = threading.Event()\ndef end():\n    called.wait()\n    time.sleep(0.05)\n    os._exit(3)\nthreading.Thread(target=end, daemon=True).start()\n" +
		strings.Replace(versionText, "    return", "    called.set()\n    return", 1)
	o := ask(all[1], dies)
	if o.State != core.Completed {
		t.Fatalf("%s %+v", o.State, o.Result.Failure)
	}
	_, pid, _ := strings.Cut(strings.Trim(string(o.Result.JSON), "[]"), ",")
	gone := source("gone", "import os, time\ndef gone(pid):\n    for _ in range(400):\n        if open('/proc/%d/stat' % pid).read().rpartition(')')[2].split()[0] == 'Z': return True\n        time.sleep(0.02)\n")
	gone.Python = minorOf(all[0])
	if o := r.call(gone, "[["+pid+"], {}]"); string(o.Result.JSON) != "true" && o.Result.Failure == nil {
		t.Fatalf("the child lives on: %s", o.Result.JSON)
	}
	o = ask(all[1], versionText)
	if o.State != core.Completed || strings.Contains(string(o.Result.JSON), pid) {
		t.Fatalf("%s %s %+v", o.State, o.Result.JSON, o.Result.Failure)
	}
}
