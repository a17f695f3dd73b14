package pyrun

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"faasctl/core"
	"faasctl/workers/environments"
	"faasctl/workers/environments/wheeltest"
)

// cache is a cache of environments that counts, and can be made to wait.
type cache struct {
	*environments.Cache
	ensured atomic.Int32
	gate    chan struct{} // nil: open
}

func (c *cache) Ensure(ctx context.Context, python core.Interpreter, dependencies []string, again bool, tell func(string)) error {
	c.ensured.Add(1)
	if c.gate != nil {
		tell("waiting for the test")
		select {
		case <-c.gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return c.Cache.Ensure(ctx, python, dependencies, again, tell)
}

// wheels is a directory with the package answers, of versions 1 and 2.
func wheels(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := wheeltest.Answers(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func newCache(t *testing.T) *cache {
	t.Helper()
	parent := t.TempDir()
	dir := filepath.Join(parent, "environments")
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.Chmod(parent, 0o755), os.Chmod(filepath.Dir(parent), 0o755)); err != nil {
		t.Fatal(err)
	}
	return &cache{Cache: environments.New(environments.Config{Dir: dir, Offline: true, Wheels: []string{wheels(t)}})}
}

func depending(dependencies ...string) *core.Function {
	f := source("ask", "import os\ndef ask():\n    import answers\n    return answers.VALUE\n")
	f.ID = core.FunctionID(fmt.Sprint("f-", dependencies))
	f.Dependencies = dependencies
	return f
}

func environmentRig(t *testing.T, slots int) (*rig, *cache) {
	t.Helper()
	needPython(t)
	found, _ := python()
	c := newCache(t)
	return newRig(t, Config{Interpreters: []core.Interpreter{found}, Python: found.Path, Slots: slots, Rules: Rules{Environments: c}}), c
}

func TestOnlyAChildInItsEnvironmentImportsWhatAFunctionDependsOn(t *testing.T) {
	r, c := environmentRig(t, 1)
	for round := range 2 {
		for dependency, want := range map[string]string{"answers==1.0": "41", "answers>=2": "42"} {
			if o := r.call(depending(dependency), none); string(o.Result.JSON) != want {
				t.Fatalf("round %d: %s gives %s %+v", round, dependency, o.Result.JSON, o.Result.Failure)
			}
		}
		plain := depending()
		if o := r.call(plain, none); o.Result.Failure == nil || o.Result.Failure.Type != "ModuleNotFoundError" {
			t.Fatalf("without dependencies: %s %+v", o.Result.JSON, o.Result.Failure)
		}
		r.fine()
	}
	if n := c.ensured.Load(); n != 2 {
		t.Errorf("environments were asked for %d times", n)
	}
	// A pickle's dill is there, too.
	f := pickled(dump(t, "def ask(x):\n    import answers\n    return answers.VALUE + x\n", "ask"))
	f.Name, f.Dependencies = "ask", []string{"answers==1.0"}
	if o := r.call(f, "[[1], {}]"); string(o.Result.JSON) != "42" {
		t.Fatalf("pickled: %s %+v", o.Result.JSON, o.Result.Failure)
	}
}

func TestCallsWaitForTheirEnvironmentAndKeepNobodyWaiting(t *testing.T) {
	r, c := environmentRig(t, 1)
	c.gate = make(chan struct{})
	f := depending("answers==1.0")
	var batch []core.Assignment
	for range 3 {
		batch = append(batch, assign(f, none))
	}
	r.Start(batch, r)
	r.fine() // on the only slot
	r.Cancel([]core.TaskID{batch[1].Task}, 0)
	if o := r.outcome(t, batch[1].Task); o.State != core.Cancelled || o.Started {
		t.Fatalf("%+v", o)
	}
	close(c.gate)
	for _, i := range []int{0, 2} {
		if o := r.outcome(t, batch[i].Task); string(o.Result.JSON) != "41" {
			t.Fatalf("%s %+v", o.Result.JSON, o.Result.Failure)
		}
	}
}

func TestAnEnvironmentThatCannotBeMade(t *testing.T) {
	r, _ := environmentRig(t, 1)
	f := depending("no-such-package")
	for range 2 {
		o := r.call(f, none)
		failure := o.Result.Failure
		if o.State != core.Failed || o.Started || failure.Kind != core.KindUnloadable || !strings.Contains(failure.Message, "no-such-package cannot be made for Python") || !strings.Contains(failure.Last, "no-such-package") {
			t.Fatalf("%s %+v", o.State, failure)
		}
	}
	r.fine()
	without := newRig(t, Config{})
	if o := without.call(depending("answers"), "[[], {}]"); o.Result.Failure == nil || o.Result.Failure.Kind != core.KindUnloadable || !strings.Contains(o.Result.Failure.Message, noEnvironments) {
		t.Fatalf("%+v", o.Result.Failure)
	}
}

func TestAnEnvironmentThatWasRemovedIsMadeAgain(t *testing.T) {
	r, c := environmentRig(t, 1)
	f := depending("answers==1.0")
	ask := func() {
		t.Helper()
		if o := r.call(f, none); string(o.Result.JSON) != "41" {
			t.Fatalf("%s %+v", o.Result.JSON, o.Result.Failure)
		}
	}
	ask()
	found, _ := python()
	if err := os.RemoveAll(filepath.Join(c.Dir(), c.Key(found, f.Dependencies))); err != nil {
		t.Fatal(err)
	}
	dies := depending("answers==1.0")
	dies.Body = []byte("def ask():\n    import os\n    os._exit(3)\n")
	dies.BodyHash = core.HashBody(dies.Body)
	if o := r.call(dies, none); o.Result.Failure == nil || o.Result.Failure.Kind != core.KindCrash {
		t.Fatalf("%+v", o.Result)
	}
	ask()
	if n := c.ensured.Load(); n != 2 {
		t.Errorf("environments were asked for %d times", n)
	}
}

// preparations keeps what is told of a preparation.
type preparations chan core.Preparation

func (h preparations) tell(p core.Preparation) { h <- p }

func (h preparations) last(t *testing.T) core.Preparation {
	t.Helper()
	for p := range h {
		if t.Logf("%+v", p); p.State != core.Preparing {
			return p
		}
	}
	return core.Preparation{}
}

func TestPreparationTellsHowFarItIs(t *testing.T) {
	r, c := environmentRig(t, 1)
	c.gate = make(chan struct{})
	news := make(preparations, 100)
	f := depending("answers==1.0")
	r.Prepare(f, news.tell)
	if p := <-news; p.State != core.Preparing || p.Function != f.ID {
		t.Fatalf("%+v", p)
	}
	if p := <-news; p.Text != "waiting for the test" {
		t.Fatalf("%+v", p)
	}
	close(c.gate)
	if p := news.last(t); p.State != core.Prepared || p.Took <= 0 {
		t.Fatalf("%+v", p)
	}
	r.Prepare(f, news.tell)
	if p := news.last(t); p.State != core.Prepared {
		t.Fatalf("again: %+v", p)
	}
	r.Prepare(depending("no-such-package"), news.tell)
	if p := news.last(t); p.State != core.Unprepared || !strings.Contains(p.Text, "no-such-package cannot be made") || !strings.Contains(p.Text, "\n") {
		t.Fatalf("%+v", p)
	}
	r.Prepare(double, news.tell)
	if p := news.last(t); p.State != core.Prepared {
		t.Fatalf("of a plain function: %+v", p)
	}
}

// Environments are seen where functions are shut in, and by the users that they run as.
func TestEnvironmentsUnderTheRulesOfTheOperator(t *testing.T) {
	for name, rules := range map[string]Rules{"sandbox": {Sandbox: Bwrap}, "users": {RunAs: "auto"}} {
		t.Run(name, func(t *testing.T) {
			if name == "sandbox" {
				needBwrap(t)
			} else if os.Geteuid() != 0 {
				t.Skip("SKIPPED: not root")
			}
			needPython(t)
			found, _ := python()
			rules.Environments = newCache(t)
			r := newRig(t, Config{Interpreters: []core.Interpreter{found}, Python: found.Path, Rules: rules})
			if name == "users" && r.bounds.why != "" {
				t.Skipf("SKIPPED: %s", r.bounds.why)
			}
			for dependency, want := range map[string]string{"answers==1.0": "41", "answers>=2": "42"} {
				if o := r.call(depending(dependency), none); string(o.Result.JSON) != want {
					t.Fatalf("%s gives %s %+v", dependency, o.Result.JSON, o.Result.Failure)
				}
			}
			writes := depending("answers==1.0")
			writes.Body = []byte("def ask():\n    import answers\n    try:\n        open(answers.__file__, 'a').close()\n    except OSError:\n        return 'refused'\n")
			writes.BodyHash = core.HashBody(writes.Body)
			if o := r.call(writes, none); string(o.Result.JSON) != `"refused"` {
				t.Errorf("a function can write to its environment, which others share: %s %+v", o.Result.JSON, o.Result.Failure)
			}
			r.fine()
		})
	}
}

// Where the users that functions run as cannot reach the environment, that is said.
func TestAnEnvironmentOutOfReach(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: not root")
	}
	needPython(t)
	found, _ := python()
	c := newCache(t)
	if err := os.Chmod(filepath.Dir(c.Dir()), 0o700); err != nil {
		t.Fatal(err)
	}
	r := newRig(t, Config{Interpreters: []core.Interpreter{found}, Python: found.Path, Rules: Rules{RunAs: "auto", Environments: c}})
	if r.bounds.why != "" {
		t.Skipf("SKIPPED: %s", r.bounds.why)
	}
	o := r.call(depending("answers==1.0"), none)
	if o.Result.Failure == nil || o.Result.Failure.Kind != core.KindUnloadable || !strings.Contains(o.Result.Failure.Message, "functions cannot use it") {
		t.Fatalf("%s %+v", o.State, o.Result.Failure)
	}
	r.fine()
}
