package cli

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs the stories in testdata/script. Beside testscript's own
// commands there are:
//
//	stack [FLAG...]     start faasctl up -w 2 on a free port, and set FAASCTL_URL
//	halt                stop the latest of the stacks and servers, which must exit 0
//	server VERB...      start faasctl VERB..., and set FAASCTL_URL if it has an API
//	exits CODE WORD...  run a command that must end with that exit code
//	lines STREAM N      the last command printed so many lines on stdout or stderr
//	keep NAME           put what it printed on stdout into a variable
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
			env.Vars = append(env.Vars, cleanEnv(t, home, "EXAMPLES="+examples, "FAASCTL_URL="+nobody)...)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"stack": func(ts *testscript.TestScript, neg bool, words []string) {
				begin(ts, append([]string{"up", "-w", "2", "--listen", "127.0.0.1:0"}, words...))
			},
			"server": func(ts *testscript.TestScript, neg bool, words []string) { begin(ts, words) },
			"halt":   halt,
			"exits":  exits,
			"lines":  lines,
			"keep": func(ts *testscript.TestScript, neg bool, words []string) {
				ts.Setenv(words[0], strings.TrimSpace(ts.ReadFile("stdout")))
			},
		},
	})
}

// running are the servers of one story, the latest last.
type running []*stack

// stacks holds them by the story's name and directory.
var stacks sync.Map

func begin(ts *testscript.TestScript, words []string) {
	var env []string
	for _, name := range []string{"GORACE", "HOME", "TMPDIR", "LC_ALL", "FAASCTL_PYTHON", "XDG_CACHE_HOME", "XDG_STATE_HOME", "PATH", "FAASCTL_DATA", "FAASCTL_REDIS", "FAASCTL_TOKEN_FILE"} {
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
	ts.Setenv("SERVER_PID", strconv.Itoa(s.cmd.Process.Pid))
	all, _ := stacks.LoadOrStore(ts.Name()+ts.Getenv("WORK"), &running{})
	mine := all.(*running)
	*mine = append(*mine, s)
	ts.Defer(func() { _ = s.stop(syscall.SIGTERM) })
}

func halt(ts *testscript.TestScript, neg bool, _ []string) {
	all, ok := stacks.Load(ts.Name() + ts.Getenv("WORK"))
	if !ok || len(*all.(*running)) == 0 {
		ts.Fatalf("nothing runs")
	}
	mine := all.(*running)
	last := (*mine)[len(*mine)-1]
	*mine = (*mine)[:len(*mine)-1]
	err := last.stop(syscall.SIGTERM)
	ts.Logf("%s", last.output())
	ts.Check(err)
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

func lines(ts *testscript.TestScript, neg bool, words []string) {
	want, err := strconv.Atoi(words[1])
	ts.Check(err)
	if got := strings.Count(ts.ReadFile(words[0]), "\n"); got != want {
		ts.Fatalf("%d lines on %s, want %d", got, words[0], want)
	}
}
