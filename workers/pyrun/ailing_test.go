package pyrun

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"faasctl/core"
)

// frail makes an interpreter that does not start while the file that is returned exists.
func frail(t *testing.T, version string) (i core.Interpreter, broken string) {
	t.Helper()
	dir := t.TempDir()
	i = core.Interpreter{Path: filepath.Join(dir, "python"), Version: version}
	broken = filepath.Join(dir, "broken")
	write(t, i.Path, fmt.Sprintf("#!/bin/sh\n[ -e %s ] && echo library gone >&2 && exit 7\nexec %s \"$@\"\n", broken, needPython(t)), 0o755)
	return i, broken
}

// An interpreter beyond the first that starts no more is said to once, keeps no slot, and
// is used again when it starts; its calls go to another that fits, wait, or fail at last.
func TestAnInterpreterThatStartsNoMore(t *testing.T) {
	first, _ := python()
	needPython(t)
	old, oldBroken := frail(t, "3.98.1")
	young, youngBroken := frail(t, "3.99.1")
	log := &logged{}
	r := newRig(t, Config{Python: first.Path, Interpreters: []core.Interpreter{first, old, young}, Slots: 1, Logger: slog.New(slog.NewTextHandler(log, nil))})
	patience := func(d time.Duration) {
		r.Pool.mu.Lock()
		defer r.Pool.mu.Unlock()
		r.patience = d
	}
	patience(time.Hour)
	var told []core.Preparation
	r.Heed(func(p core.Preparation) { r.tell(func() { told = append(told, p) }) })
	on := func(version string) *core.Function {
		f := source("f", "import os\ndef f(end):\n    if end: os._exit(1)\n    return 'done'\n")
		f.Python = version
		return f
	}
	if o := r.call(on("==3.98.*"), "[[0], {}]"); string(o.Result.JSON) != `"done"` {
		t.Fatalf("%s %+v", o.State, o.Result.Failure)
	}
	write(t, oldBroken, "", 0o644)
	if o := r.call(on("==3.98.*"), "[[1], {}]"); o.State != core.Failed {
		t.Fatalf("%s %+v", o.State, o.Result.Failure)
	}
	waits := assign(on("==3.98.*"), "[[0], {}]")
	r.Start([]core.Assignment{waits}, r)
	r.until(t, "word of it", func() bool { return len(told) == 1 })
	if p := told[0]; p.Interpreter != old.Path || p.Python != "3.98.1" || p.State != core.Unprepared || !strings.Contains(p.Text, "exit status 7") || !strings.Contains(p.Text, "library gone") {
		t.Errorf("told %+v", p)
	}
	for range 3 { // the only slot is free for others
		r.fine()
		if o := r.call(on(">=3.98"), "[[0], {}]"); string(o.Result.JSON) != `"done"` {
			t.Errorf("a call that another interpreter fits: %s %+v", o.State, o.Result.Failure)
		}
	}
	if err := os.Remove(oldBroken); err != nil {
		t.Fatal(err)
	}
	if o := r.outcome(t, waits.Task); string(o.Result.JSON) != `"done"` {
		t.Errorf("the call that waited: %s %+v", o.State, o.Result.Failure)
	}
	r.until(t, "word of its recovery", func() bool { return told[len(told)-1].State == core.Prepared })
	if n := strings.Count(log.String(), "level=WARN"); n != 1 || len(told) != 2 {
		t.Errorf("%d warnings, told %+v:\n%s", n, told, log)
	}

	write(t, youngBroken, "", 0o644)
	r.call(on("==3.99.*"), "[[1], {}]")
	waits = assign(on("==3.99.*"), "[[0], {}]")
	r.Start([]core.Assignment{waits}, r)
	r.until(t, "word of the other", func() bool { return len(told) == 3 })
	patience(0)
	o := r.outcome(t, waits.Task)
	if f := o.Result.Failure; f == nil || f.Kind != core.KindUnloadable || o.Started || !strings.Contains(f.Message, "no process of Python 3.99.1 starts on this worker") {
		t.Errorf("%s %+v", o.State, f)
	}
	r.fine()
}
