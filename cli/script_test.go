package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"faasctl/core"
	"faasctl/core/coretest/ports"
	"faasctl/httpapi/client"
	"faasctl/workers/environments/wheeltest"
	"faasctl/workers/pyrun"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs the stories in testdata/script. Beside testscript's own
// commands there are:
//
//	stack [FLAG...]     start faasctl up -w 2 on a free port, and set FAASCTL_URL
//	halt                stop the latest of the stacks and servers, which must exit 0
//	server VERB...      start faasctl VERB...; set FAASCTL_URL if it has an API, and
//	                    PUSH and PULL to where workers connect
//	says PATTERN        wait until the latest server has said this on stderr
//	signal NAME         send the latest server INT, TERM or KILL
//	ends CODE           wait until it has ended with that exit code, and forget it
//	waits N             wait until N workers run
//	gone WORKER         wait until this one has left
//	first NAME FILE     put the first line of a file into a variable
//	until PATTERN WORD... run a command again until it ends well and its stdout fits
//	exits CODE WORD...  run a command that must end with that exit code
//	lines STREAM N      the last command printed so many lines on stdout or stderr
//	WHEELS              a directory with the package answers, versions 1.0 and 2.0
//	[pythons]           a second version of Python is here: PYTHON2, its VERSION2, and
//	                    DILL, a PYTHONPATH by which it imports dill; PYTHON and VERSION1
//	[bwrap]             functions can be shut in here
//	keep NAME           put what it printed on stdout into a variable
//	neighbours A B      two ports in a row until the story ends: A is free, on B
//	                    somebody listens
//	NOBODY              HOST:PORT where nobody listens
func TestScripts(t *testing.T) {
	if testing.Short() {
		t.Skip("starts whole stacks")
	}
	program(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			home := filepath.Join(env.WorkDir, "home")
			if err := os.Mkdir(home, 0o700); err != nil {
				return err
			}
			examples, err := filepath.Abs("../examples")
			if err != nil {
				return err
			}
			env.Vars = append(env.Vars, cleanEnv(t, home, "EXAMPLES="+examples, "FAASCTL_URL=http://"+nobody, "NOBODY="+nobody)...)
			wheels := filepath.Join(env.WorkDir, "wheels")
			if err := errors.Join(os.Mkdir(wheels, 0o755), wheeltest.Answers(wheels)); err != nil {
				return err
			}
			env.Vars = append(env.Vars, "WHEELS="+wheels)
			if second, err := secondPython(); err == nil {
				env.Vars = append(env.Vars, second...)
			}
			return nil
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "pythons":
				_, err := secondPython()
				return err == nil, nil
			case "bwrap":
				return bwrapWorks(), nil
			}
			return false, fmt.Errorf("unknown condition %s", name)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"stack": func(ts *testscript.TestScript, neg bool, words []string) {
				begin(ts, append([]string{"up", "-w", "2", "--listen", "127.0.0.1:0"}, words...))
			},
			"server":     func(ts *testscript.TestScript, neg bool, words []string) { begin(ts, words) },
			"halt":       halt,
			"exits":      exits,
			"until":      untilFits,
			"lines":      lines,
			"first":      first,
			"waits":      waits,
			"gone":       gone,
			"says":       says,
			"signal":     signals,
			"ends":       ends,
			"neighbours": neighbours,
			"keep": func(ts *testscript.TestScript, neg bool, words []string) {
				ts.Setenv(words[0], strings.TrimSpace(ts.ReadFile("stdout")))
			},
		},
	})
}

// bwrapWorks reports whether a sandbox can be made on this machine.
var bwrapWorks = sync.OnceValue(func() bool {
	path, err := interpreter()
	if err != nil {
		return false
	}
	_, err = pyrun.TrySandbox(pyrun.Config{Python: path})
	return err == nil
})

// running are the servers of one story, the latest last.
type running []*stack

// stacks holds them by the story's name and directory.
var stacks sync.Map

func begin(ts *testscript.TestScript, words []string) {
	var env []string
	for _, name := range []string{"GORACE", "HOME", "TMPDIR", "LC_ALL", "FAASCTL_PYTHON", "FAASCTL_RUN_AS", "PYTHONPATH", "XDG_CACHE_HOME", "XDG_STATE_HOME", "PATH", "FAASCTL_DATA", "FAASCTL_REDIS", "FAASCTL_TOKEN_FILE"} {
		if value := ts.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	s, err := startStack(env, ts.MkAbs("."), words...)
	ts.Check(err)
	ts.Logf("%s", s.output())
	if s.url != "" {
		ts.Setenv("FAASCTL_URL", s.url)
	}
	for mode, address := range s.sockets {
		ts.Setenv(strings.ToUpper(mode), address)
	}
	ts.Setenv("SERVER_PID", strconv.Itoa(s.cmd.Process.Pid))
	all, _ := stacks.LoadOrStore(ts.Name()+ts.Getenv("WORK"), &running{})
	mine := all.(*running)
	*mine = append(*mine, s)
	ts.Defer(func() { _ = s.stop(syscall.SIGTERM) })
}

// latest is the server that was started last and not halted.
func latest(ts *testscript.TestScript) *running {
	all, ok := stacks.Load(ts.Name() + ts.Getenv("WORK"))
	if !ok || len(*all.(*running)) == 0 {
		ts.Fatalf("nothing runs")
	}
	return all.(*running)
}

func (r *running) last() *stack { return (*r)[len(*r)-1] }

func (r *running) drop() { *r = (*r)[:len(*r)-1] }

func halt(ts *testscript.TestScript, neg bool, _ []string) {
	mine := latest(ts)
	last := mine.last()
	mine.drop()
	err := last.stop(syscall.SIGTERM)
	ts.Logf("%s", last.output())
	ts.Check(err)
}

func says(ts *testscript.TestScript, neg bool, words []string) {
	wanted, err := regexp.Compile("(?m)" + words[0])
	ts.Check(err)
	last := latest(ts).last()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if poll(ctx, func() bool { return wanted.MatchString(last.output()) }) != nil {
		ts.Fatalf("it said:\n%s", last.output())
	}
}

func signals(ts *testscript.TestScript, neg bool, words []string) {
	sent, ok := map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL}[words[0]]
	if !ok {
		ts.Fatalf("usage: signal INT|TERM|KILL")
	}
	ts.Check(latest(ts).last().cmd.Process.Signal(sent))
}

func ends(ts *testscript.TestScript, neg bool, words []string) {
	mine := latest(ts)
	last := mine.last()
	mine.drop()
	select {
	case <-last.ended:
	case <-time.After(60 * time.Second):
		ts.Fatalf("it has not ended; it said:\n%s", last.output())
	}
	ts.Logf("%s", last.output())
	if code := strconv.Itoa(last.cmd.ProcessState.ExitCode()); code != words[0] {
		ts.Fatalf("exit code %s, want %s", code, words[0])
	}
}

func exits(ts *testscript.TestScript, neg bool, words []string) {
	if neg || len(words) < 2 {
		ts.Fatalf("usage: exits CODE WORD...")
	}
	want, err := strconv.Atoi(words[0])
	ts.Check(err)
	code := 0
	var failed *exec.ExitError
	if err := ts.Exec(words[1], words[2:]...); errors.As(err, &failed) {
		code = failed.ExitCode()
	} else {
		ts.Check(err)
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

func untilFits(ts *testscript.TestScript, neg bool, words []string) {
	if neg || len(words) < 2 {
		ts.Fatalf("usage: until PATTERN WORD...")
	}
	wanted, err := regexp.Compile("(?m)" + words[0])
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	if poll(ctx, func() bool {
		return ts.Exec(words[1], words[2:]...) == nil && wanted.MatchString(ts.ReadFile("stdout"))
	}) != nil {
		ts.Fatalf("it does not fit `%s`", words[0])
	}
}

func lines(ts *testscript.TestScript, neg bool, words []string) {
	want, err := strconv.Atoi(words[1])
	ts.Check(err)
	if got := strings.Count(ts.ReadFile(words[0]), "\n"); got != want {
		ts.Fatalf("%d lines on %s, want %d", got, words[0], want)
	}
}

// first keeps the first line of a file: first NAME FILE.
func first(ts *testscript.TestScript, neg bool, words []string) {
	line, _, _ := strings.Cut(ts.ReadFile(words[1]), "\n")
	ts.Setenv(words[0], line)
}

// neighbours reserves two ports and listens on the second.
func neighbours(ts *testscript.TestScript, neg bool, words []string) {
	if neg || len(words) != 2 {
		ts.Fatalf("usage: neighbours FREE TAKEN")
	}
	free, release, err := ports.Hold(2)
	ts.Check(err)
	ts.Defer(release)
	listener, err := net.Listen("tcp", ports.At(free+1))
	ts.Check(err)
	ts.Defer(func() { _ = listener.Close() })
	ts.Setenv(words[0], strconv.Itoa(free))
	ts.Setenv(words[1], strconv.Itoa(free+1))
}

// waits until so many workers run.
func waits(ts *testscript.TestScript, neg bool, words []string) {
	want, err := strconv.Atoi(words[0])
	ts.Check(err)
	untilWorkers(ts, func(all []core.Worker) bool {
		running := 0
		for _, w := range all {
			if w.State == core.WorkerRunning {
				running++
			}
		}
		return running == want
	})
}

// gone waits until a worker has left.
func gone(ts *testscript.TestScript, neg bool, words []string) {
	untilWorkers(ts, func(all []core.Worker) bool {
		for _, w := range all {
			if string(w.ID) == words[0] {
				return w.State == core.WorkerGone
			}
		}
		return false
	})
}

func untilWorkers(ts *testscript.TestScript, enough func([]core.Worker) bool) {
	api, err := client.New(client.Config{URL: ts.Getenv("FAASCTL_URL")})
	ts.Check(err)
	defer api.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	var last []core.Worker
	if err := poll(ctx, func() bool {
		last, err = api.Workers(ctx)
		return err == nil && enough(last)
	}); err != nil {
		ts.Fatalf("the workers are %+v, %v", last, err)
	}
}
