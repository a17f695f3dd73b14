package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"faasctl/core"
	"faasctl/httpapi/wire"
)

// terminal is a pseudo-terminal on which nothing answers: whoever asks it for
// its colours waits in vain.
type terminal struct {
	cmd *exec.Cmd
	pty io.ReadWriteCloser

	mu    sync.Mutex
	shown bytes.Buffer
	read  chan struct{} // closed when the other side has hung up
}

func onTerminal(t *testing.T, env []string, dir string, words ...string) *terminal {
	t.Helper()
	cmd := exec.Command(program(t), words...)
	cmd.Env, cmd.Dir = append(env[:len(env):len(env)], "TERM=xterm-256color"), dir
	side, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		t.Fatal(err)
	}
	m := &terminal{cmd: cmd, pty: side, read: make(chan struct{})}
	go func() {
		defer close(m.read)
		part := make([]byte, 4096)
		for {
			n, err := side.Read(part)
			m.mu.Lock()
			m.shown.Write(part[:n])
			m.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return m
}

func (m *terminal) text() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.shown.String()
}

// await waits until the terminal shows a text.
func (m *terminal) await(t *testing.T, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if poll(ctx, func() bool { return strings.Contains(m.text(), text) }) != nil {
		t.Fatalf("%q was not shown, but:\n%s", text, m.text())
	}
}

// end waits for the end of the program and returns its exit code.
func (m *terminal) end(t *testing.T, patience time.Duration) int {
	t.Helper()
	late := time.AfterFunc(patience, func() { _ = m.cmd.Process.Kill() })
	err := m.cmd.Wait()
	if !late.Stop() {
		t.Errorf("it did not end within %v; it showed:\n%q", patience, m.text())
	}
	<-m.read
	_ = m.pty.Close()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		return failed.ExitCode()
	}
	return 0
}

// colours are the only sequences that a verb may print.
var colours = regexp.MustCompile("\x1b\\[[0-9;]*m")

// TestEveryVerbOnASilentTerminal: nothing is emitted before the output and
// verbs end within a second, although nothing answers. Who asks a terminal waits
// for 5 s, in every verb; one that took its time on a busy machine says nothing.
func TestEveryVerbOnASilentTerminal(t *testing.T) {
	soon := time.Second
	if raceOn {
		soon = 4 * time.Second // the race detector starts slowly
	}
	var took []time.Duration
	s := newStub(t)
	task := ended(core.Completed, "")
	id := string(task.ID)
	s.task(task, wire.Result{Value: json.RawMessage("7"), Repr: "7"}, core.Output{Stdout: core.Stream{Head: []byte("out\n")}})
	f := wire.Function{Function: core.Function{ID: task.Function, Name: "add", Version: 1, Codec: core.Source, Latest: true, Signature: "(a, b)"}}
	s.says("GET /v1/functions", 200, wire.Functions{Functions: []wire.Function{f}})
	s.says("GET /v1/functions/add", 200, f)
	s.says("PATCH /v1/functions/add", 200, wire.Changed{Function: f, Changed: []string{"retries"}})
	s.says("GET /v1/queues", 200, wire.Queues{Queues: []core.QueueInfo{{Name: "default", Queued: 7}}})
	s.says("POST /v1/queues/default/pause", 200, wire.PausedQueue{Name: "default", Paused: true, Changed: true})
	s.says("DELETE /v1/functions/add", 200, wire.Functions{Functions: []wire.Function{f}})
	s.says("POST /v1/functions", 200, wire.Registration{Function: f, Outcome: core.RegisteredNew})
	s.says("POST /v1/tasks:cancel", 200, wire.CancelledBatch{Tasks: []wire.Cancelled{{ID: task.ID, Verdict: core.CancelDone}}})
	s.says("POST /v1/tasks:retry", 200, wire.SubmittedBatch{Tasks: []wire.Submitted{{ID: task.ID}}})
	op := core.Operation{ID: core.NewOperationID(), Kind: core.OperationPurge, State: core.OperationUndone}
	s.says("GET /v1/dead", 200, core.TaskPage{Tasks: []core.Task{task}})
	s.says("GET /v1/dead/groups", 200, wire.DeadGroups{Groups: []core.FailureGroup{{Kind: core.KindTimeout, Count: 3, Message: "\x1b[31mred"}}})
	s.says("POST /v1/operations:plan", 200, core.Plan{Kind: core.OperationPurge, Tasks: 3})
	s.says("POST /v1/operations", 202, op)
	s.says("GET /v1/operations", 200, wire.Operations{Operations: []core.Operation{op}})
	s.says("POST /v1/operations/"+string(op.ID)+"/undo", 200, op)
	s.says("GET /v1/tasks", 200, core.TaskPage{Tasks: []core.Task{task}})
	s.says("GET /v1/tasks/"+id+"/why", 200, core.Why{Task: task, Findings: []core.Finding{{Code: core.WhyCompleted, Cause: true, Text: "\x1b[31mred"}}})
	s.says("GET /v1/workers", 200, wire.Workers{Workers: []core.Worker{{ID: "w-1", State: core.WorkerRunning}}})
	s.says("GET /v1/events", 200, []core.Event{})
	s.says("GET /v1/stats", 200, core.Stats{})
	s.on("GET /v1/top", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "event: snapshot\ndata: {\"numbers\":{}}\n\n")
	})
	s.says("GET /version", 200, wire.Version{Version: "v0-test"})
	s.says("GET /readyz", 200, wire.Status{Status: "ok"})
	home := t.TempDir()
	file := write(t, home, "fn.py", "def add(a, b): return a + b\n")
	env := cleanEnv(t, home, "FAASCTL_URL="+s.URL)
	command(t, env, home, "", "register", file) // so that the interpreter is known
	tests := []struct {
		line   string
		begins string
		code   int
	}{
		{"", "faasctl: run Python", 0},
		{"help run", "faasctl run: ", 0},
		{"register fn.py", string(f.ID), 0},
		{"check fn.py", "ok    syntax", 0},
		{"run add", "task " + id, 0},
		{"fn ls", "FUNCTION", 0},
		{"fn show add", "function   add@1", 0},
		{"fn set add --retries 1", string(f.ID), 0},
		{"fn rm add", "removed add@1", 0},
		{"queue ls", "QUEUE", 0},
		{"queue pause default", "default  paused", 0},
		{"status " + id, "ID", 0},
		{"result " + id, "7", 0},
		{"logs " + id, "out", 0},
		{"cancel " + id, id, 0},
		{"retry " + id, id, 0},
		{"dead ls", "ID", 0},
		{"dead ls --group-by error", "LETTERS", 0},
		{"dead purge --yes", "purge 3 tasks", 0},
		{"undo", "OPERATION", 0},
		{"undo " + string(op.ID), string(op.ID), 0},
		{"why " + id, "task ", 0},
		{"task ls", "ID", 0},
		{"task show " + id, "id ", 0},
		{"top --once", "", 0},
		{"top --once -o json", `{"at":"`, 0},
		{"top --once --plain", "faasctl: top: --once and --plain", 2},
		{"events", "", 0},
		{"doctor", "ok", 0},
		{"bench -n 0", "faasctl: bench: --tasks must be", 2},
		{"version", "faasctl", 0},
		{"up -w 0", "faasctl: up: -w must be", 2},
		{"up --top -w 0", "faasctl: up: -w must be", 2},
		{"serve --data nowhere", "faasctl: serve: no Redis", 2},
		{"dispatcher --data nowhere", "faasctl: dispatcher: no Redis", 2},
		{"worker push", "faasctl: worker push: which dispatcher?", 2},
		{"workers ls", "WORKER", 0},
		{"keys new laptop", "laptop.key", 0},
		{"nonsense", "faasctl: there is no verb", 2},
	}
	covered := map[string]bool{}
	for _, test := range tests {
		covered[strings.Split(test.line+" ", " ")[0]] = true
		t.Run(test.line, func(t *testing.T) {
			began := time.Now()
			m := onTerminal(t, env, home, strings.Fields(test.line)...)
			if code := m.end(t, time.Minute); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			took = append(took, time.Since(began))
			plain := colours.ReplaceAllString(m.text(), "")
			if !strings.HasPrefix(plain, test.begins) || strings.ContainsAny(plain, "\x1b\u009b") {
				t.Errorf("it showed %q", m.text())
			}
		})
	}
	if slices.Sort(took); took[len(took)/4] > soon {
		t.Errorf("three of four verbs took longer than %v: %v", soon, took)
	}
	for _, verb := range newFake("").app().Commands {
		if !covered[verb.Name] {
			t.Errorf("the verb %s is not tried", verb.Name)
		}
	}
}

// TestUpOnATerminal: Ctrl-C goes to the whole foreground group, and yet ends
// things in order.
func TestUpOnATerminal(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a whole stack")
	}
	home := t.TempDir()
	m := onTerminal(t, cleanEnv(t, home), home, "up", "-w", "1", "--listen", "127.0.0.1:0")
	m.await(t, "  next ")
	_, _ = m.pty.Write([]byte{3})
	if code := m.end(t, 30*time.Second); code != 0 {
		t.Errorf("exit code %d", code)
	}
	shown := m.text()
	if !strings.HasPrefix(shown, "faasctl v0-test: everything is up, pid ") || strings.Contains(shown, "\x1b") {
		t.Errorf("it showed %q", shown)
	}
	if !strings.Contains(shown, "faasctl: stopping") || !strings.HasSuffix(shown, "faasctl: stopped\r\n") || strings.Contains(shown, "warning: ") {
		t.Errorf("it showed %q", shown)
	}
}

// TestCtrlCDetaches: run says how to come back, and the task goes on.
func TestCtrlCDetaches(t *testing.T) {
	s := newStub(t)
	task := core.Task{ID: core.NewTaskID(), State: core.Running}
	s.task(task, wire.Result{}, core.Output{})
	home := t.TempDir()
	m := onTerminal(t, cleanEnv(t, home, "FAASCTL_URL="+s.URL), home, "run", "add", "--wait", "1m")
	m.await(t, "task "+string(task.ID))
	_, _ = m.pty.Write([]byte{3})
	if code := m.end(t, 10*time.Second); code != core.ExitPending {
		t.Errorf("exit code %d", code)
	}
	if !strings.Contains(m.text(), "detached; task "+string(task.ID)+" goes on\r\n  → faasctl result "+string(task.ID)) {
		t.Errorf("it showed %q", m.text())
	}
}

// TestClosedPipe: `faasctl logs | head` ends quietly.
func TestClosedPipe(t *testing.T) {
	s := newStub(t)
	task := ended(core.Completed, "")
	s.task(task, wire.Result{}, core.Output{Stdout: core.Stream{Head: bytes.Repeat([]byte("line\n"), 100_000)}})
	home := t.TempDir()
	var said bytes.Buffer
	cmd := exec.Command(program(t), "logs", string(task.ID))
	cmd.Env, cmd.Stderr = cleanEnv(t, home, "FAASCTL_URL="+s.URL), &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.ReadFull(out, make([]byte, 5))
	_ = out.Close()
	var failed *exec.ExitError
	if err := cmd.Wait(); errors.As(err, &failed) && failed.Sys().(syscall.WaitStatus).Signal() != syscall.SIGPIPE {
		t.Errorf("it ended with %v", err)
	}
	if said.Len() > 0 {
		t.Errorf("it said %q", said.String())
	}
}
