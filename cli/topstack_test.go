package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"faasctl/core"
	"faasctl/core/coretest/ports"
	"faasctl/httpapi/client"
)

// watchedStack is a whole stack, and a shell in a terminal that looks at it.
type watchedStack struct {
	*tmux
	*stack
	home string
	env  []string
	up   []string // the words that start it
	ctx  context.Context
}

// watchStack starts a stack that a restart finds at the same address, and a
// shell on a terminal of w × h cells.
func watchStack(t *testing.T, w, h int, words ...string) *watchedStack {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a whole stack")
	}
	home, address := t.TempDir(), ports.At(ports.Reserve(t, 1))
	s := &watchedStack{home: home, up: append([]string{"up", "--listen", address, "--data", "data"}, words...)}
	s.env = cleanEnv(t, home, "FAASCTL_URL=http://"+address, "TERM=screen", "PS1=shell> ")
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	s.ctx = ctx
	s.tmux = startShell(t, w, h, home, s.env)
	s.start(t)
	t.Cleanup(func() {
		_ = s.stack.stop(syscall.SIGTERM)
		cancel()
	})
	return s
}

// startShell runs a shell on a terminal of w × h cells.
func startShell(t *testing.T, w, h int, home string, env []string) *tmux {
	t.Helper()
	quoted := make([]string, len(env))
	for i, pair := range env {
		quoted[i] = "'" + pair + "'"
	}
	return startTmux(t, w, h, "cd '"+home+"' && exec env -i "+strings.Join(quoted, " ")+" sh -i")
}

func (s *watchedStack) start(t *testing.T) {
	t.Helper()
	var err error
	if s.stack, err = startStack(s.env, s.home, s.up...); err != nil {
		t.Fatal(err)
	}
}

// types a line at the shell.
func (s *watchedStack) types(line string) {
	s.t.Helper()
	s.press("-l", line)
	s.press("Enter")
}

// shows waits until a line of the screen matches.
func (s *watchedStack) shows(pattern string) {
	s.t.Helper()
	wanted, screen := regexp.MustCompile("(?m)"+pattern), ""
	ctx, cancel := context.WithTimeout(s.ctx, time.Minute)
	defer cancel()
	if poll(ctx, func() bool {
		screen, _ = s.tmux.tmux("capture-pane", "-p")
		return wanted.MatchString(screen)
	}) != nil {
		s.t.Fatalf("the screen never showed %s; it shows\n%s", pattern, screen)
	}
}

// gates are calls that wait for a file.
func (s *watchedStack) gates(n int, file string) (ids []core.TaskID) {
	s.t.Helper()
	calls := make([]client.Call, n)
	for i := range calls {
		calls[i] = client.Call{Function: "gate", Args: fmt.Appendf(nil, "[%q]", filepath.Join(s.home, file))}
	}
	answers, err := s.api.SubmitBatch(s.ctx, calls)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, a := range answers {
		ids = append(ids, a.ID)
	}
	return ids
}

func (s *watchedStack) open(file string) { write(s.t, s.home, file, "") }

const gateFunctions = `
import os, time
def gate(path):
    while not os.path.exists(path): time.sleep(0.01)
def fails(): raise KeyError("no such key")
`

func (s *watchedStack) register() {
	s.t.Helper()
	for _, name := range []string{"gate", "fails"} {
		if _, err := s.api.Register(s.ctx, core.RegisterRequest{Name: name, Codec: core.Source, Entry: name, File: "gate.py", Body: []byte(gateFunctions)}); err != nil {
			s.t.Fatal(err)
		}
	}
}

// TestTopSeesAStack is what a person watches while a real stack works: workers
// that join and die, a queue that fills and empties, a failure; and what the
// person does: cancel a task, go away and come back.
func TestTopSeesAStack(t *testing.T) {
	s := watchStack(t, 120, 40, "-w", "1", "-m", "push,pull")
	s.register()
	s.types("faasctl top")
	s.shows(`\blive\b`)
	s.shows("workers · 2 running")
	s.shows(`● w-[0-9a-f]{12} push `)
	s.shows(`● w-[0-9a-f]{12} pull `)

	// Load.
	s.gates(300, "first")
	s.shows(`queued (29[0-9]|2[0-9][0-9]) .*slots 2/2`)
	s.shows(`300 submitted`)
	s.open("first")
	s.shows(`queued 0 .*running 0 .*slots 0/2`)
	s.shows(`300 ended`)

	// A failure.
	failed, err := s.api.Submit(s.ctx, client.Call{Function: "fails"})
	if err != nil {
		t.Fatal(err)
	}
	s.shows(`1 failed in the last `)
	s.shows(`✗ .*` + string(failed.ID)[28:] + `.*fails@1`)

	// A worker joins and dies.
	worker := exec.Command(program(t), "worker", "push", "1", s.sockets["push"])
	worker.Env, worker.Dir = s.env, s.home
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	s.shows("workers · 3 running")
	_ = worker.Process.Kill()
	_ = worker.Wait()
	s.shows(`w-[0-9a-f]{12} push .* lost `)
	s.shows("workers · 2 running")

	s.cancels(t)
	s.suspends()
	s.outlives(t)
	s.press("q")
	s.shows("^shell>$")
	s.types("echo ended $?")
	s.shows("^ended 0")
}

// cancels a task that runs, from its row.
func (s *watchedStack) cancels(t *testing.T) {
	t.Helper()
	id := s.gates(1, "never")[0]
	s.press("2")
	s.shows(string(id)[28:] + `.*gate@1 .*running`)
	s.press("c")
	s.shows("Cancel 1 task")
	s.press("y")
	s.shows(`gate@1 .*cancelled`)
	state := ""
	if poll(s.ctx, func() bool {
		state, _, _ = command(t, s.env, s.home, "", "status", "-o", "state", string(id))
		return strings.TrimSpace(state) == "CANCELLED"
	}) != nil {
		t.Errorf("the task is %s", state)
	}
	s.press("1")
	s.shows("1 cancelled")
}

// suspends with ctrl-z and comes back with fg: the shell has its screen, then
// the dashboard its own, and it goes on.
func (s *watchedStack) suspends() {
	s.t.Helper()
	s.press("C-z")
	s.shows("^shell>$")
	s.types("stty -a | grep -o ' -*icanon'")
	s.shows("^ icanon") // the terminal is a shell's again
	s.types("fg")
	s.shows(`\blive\b`)
	s.shows("workers · 2 running")
	s.shows("302 ended")
	s.gates(1, "first") // open already
	s.shows("303 ended")
}

// outlives the server: it says so, shows what it knew, and finds the new one.
func (s *watchedStack) outlives(t *testing.T) {
	t.Helper()
	if err := s.stack.stop(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.shows(`✗ faasctl .* stale [0-9.]+s`)
	s.shows("303 ended")
	s.start(t)
	s.shows(`● faasctl .* live`)
	s.shows("workers · 2 running")
	s.gates(1, "first")
	s.shows("304 ended")
	if text, err := os.ReadFile(filepath.Join(s.home, "data", upLogFile)); err == nil {
		t.Errorf("an up without --top wrote a log: %s", text)
	}
}
