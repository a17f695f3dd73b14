package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"faasctl/core"
	"faasctl/core/coretest/ports"
)

// topRole makes this test binary act as faasctl with only the verb top.
const topRole = "FAASCTL_TOP_TEST"

func init() {
	if os.Getenv(topRole) != "" {
		os.Exit(runTop(system("v0-test"), os.Args[1:]...))
	}
}

// runTop runs `faasctl top` and returns its exit code.
func runTop(e *environment, words ...string) int {
	app := e.app()
	if app.Command("top") == nil {
		command := topCommand(e)
		prepare(command, "")
		app.Commands = append(app.Commands, command)
	}
	return e.explain(app.RunContext(context.Background(), append([]string{"faasctl", "top"}, words...)))
}

// topServer speaks the two routes that top reads.
type topServer struct {
	address string

	mu     sync.Mutex
	top    core.Top
	tasks  []core.Task
	server *http.Server
	sent   func() // called when a message is on its way; nil for nobody
}

func newTopServer(t testing.TB) *topServer {
	t.Helper()
	s := &topServer{address: ports.At(ports.Reserve(t, 1))}
	s.top = core.Top{
		Numbers: &core.TopNumbers{Slots: 2, Busy: 1, Running: 1}, Store: &core.StoreInfo{Kind: "memory"},
		Workers: &[]core.Worker{{ID: "w-0123456789ab", Mode: core.Local, Host: "quay", State: core.WorkerRunning, Slots: 2, Busy: 1, Done: 41}},
	}
	s.tasks = []core.Task{{ID: core.NewTaskID(), Name: "resize@3", State: core.Running, Submitted: time.Now(), Started: time.Now()}}
	t.Cleanup(s.stop)
	return s
}

func (s *topServer) url() string { return "http://" + s.address }

func (s *topServer) start(t testing.TB) {
	t.Helper()
	listener, err := net.Listen("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/top", s.stream)
	mux.HandleFunc("GET /v1/tasks", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		answerJSON(w, core.TaskPage{Tasks: s.tasks})
	})
	s.mu.Lock()
	s.server = &http.Server{Handler: mux}
	go s.server.Serve(listener) //nolint:errcheck // it ends with stop
	s.mu.Unlock()
}

func answerJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value)
}

func (s *topServer) stop() {
	s.mu.Lock()
	server := s.server
	s.server = nil
	s.mu.Unlock()
	if server != nil {
		_ = server.Close()
	}
}

// happen puts a task on the list and counts it.
func (s *topServer) happen(task core.Task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tasks = append([]core.Task{task}, s.tasks...)
	numbers := *s.top.Numbers
	numbers.Totals.Submitted++
	s.top.Numbers = &numbers
}

func (s *topServer) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for kind := "snapshot"; ; kind = "delta" {
		s.mu.Lock()
		top, sent := s.top, s.sent
		s.mu.Unlock()
		top.Now = time.Now()
		top.Dispatchers = &[]core.DispatcherInfo{{ID: "d-1", Modes: []core.Mode{core.Local}, Seen: time.Now()}}
		data, _ := json.Marshal(top)
		_, _ = fmt.Fprintf(w, "event: %s\ndata: %s\n\n", kind, data)
		_ = http.NewResponseController(w).Flush()
		if sent != nil {
			sent()
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}

func TestTopOnce(t *testing.T) {
	server := newTopServer(t)
	server.start(t)
	for _, words := range [][]string{{"--once", "--url", server.url()}, {"--url", server.url()}} {
		f := newFake("")
		if code := runTop(f.environment, words...); code != core.ExitOK {
			t.Fatalf("%v: exit %d: %s", words, code, f.err.String())
		}
		for _, want := range []string{server.address, "w-0123456789ab", "resize@3", "slots 1/2"} {
			if !strings.Contains(f.out.String(), want) {
				t.Errorf("%v: no %q in\n%s", words, want, f.out.String())
			}
		}
		if strings.Contains(f.out.String(), "\x1b") {
			t.Errorf("%v: escape sequences without a terminal", words)
		}
	}
}

func TestTopErrors(t *testing.T) {
	server := newTopServer(t) // not started
	for _, c := range []struct {
		words []string
		code  int
		says  string
	}{
		{[]string{"--once", "--url", server.url()}, core.ExitUnavailable, "faasctl up"},
		{[]string{"--url", server.url()}, core.ExitUnavailable, "faasctl up"},
		{[]string{"nonsense"}, core.ExitUsage, "nonsense"},
		{[]string{"--twice"}, core.ExitUsage, "twice"},
	} {
		f := newFake("")
		if code := runTop(f.environment, c.words...); code != c.code || !strings.Contains(f.err.String(), c.says) || f.out.Len() > 0 {
			t.Errorf("%v: exit %d, stdout %q, stderr %q", c.words, code, f.out.String(), f.err.String())
		}
	}
}

// TestTopDumb prints a frame on a terminal that cannot be drawn on, and asks
// the terminal nothing.
func TestTopDumb(t *testing.T) {
	server := newTopServer(t)
	server.start(t)
	program := exec.Command(os.Args[0], "--url", server.url())
	program.Env = []string{topRole + "=1", "TERM=dumb"}
	terminal, err := pty.Start(program)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	watchdog := time.AfterFunc(30*time.Second, func() { _ = program.Process.Kill() })
	defer watchdog.Stop()
	var got strings.Builder
	buffer := make([]byte, 4096)
	for {
		n, err := terminal.Read(buffer)
		got.Write(buffer[:n])
		if err != nil { // EIO: the program has ended
			break
		}
	}
	if err := program.Wait(); err != nil || !strings.Contains(got.String(), "resize@3") || strings.Contains(got.String(), "\x1b") {
		t.Errorf("%v: %q", err, got.String())
	}
}

// TestTopAsksNothing runs the live dashboard on a terminal that answers no
// question.
func TestTopAsksNothing(t *testing.T) {
	server := newTopServer(t)
	server.start(t)
	program := exec.Command(os.Args[0], "--url", server.url())
	program.Env = []string{topRole + "=1", "TERM=xterm-256color"}
	terminal, err := pty.StartWithSize(program, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	watchdog := time.AfterFunc(30*time.Second, func() { _ = program.Process.Kill() })
	defer watchdog.Stop()
	var got strings.Builder
	buffer := make([]byte, 4096)
	for typed := false; ; {
		n, err := terminal.Read(buffer)
		got.Write(buffer[:n])
		if err != nil { // EIO: the program has ended
			break
		}
		if !typed && strings.Contains(got.String(), "resize@3") {
			typed = true
			_, _ = terminal.Write([]byte("q"))
		}
	}
	if err := program.Wait(); err != nil {
		t.Errorf("%v: %q", err, got.String())
	}
	for _, question := range []string{"\x1b]10;", "\x1b]11;", "\x1b[6n", "\x1b[c", "\x1b[?u"} {
		if strings.Contains(got.String(), question) {
			t.Errorf("the terminal was asked %q", question)
		}
	}
	for _, restored := range []string{"\x1b[?1049l", "\x1b[?25h"} {
		if !strings.Contains(got.String(), restored) {
			t.Errorf("the terminal was left without %q", restored)
		}
	}
}

func TestTopLocale(t *testing.T) {
	for _, c := range []struct {
		vars map[string]string
		want bool
	}{
		{nil, false},
		{map[string]string{"LANG": "C.UTF-8"}, false},
		{map[string]string{"LANG": "de_DE.utf8"}, false},
		{map[string]string{"LANG": "C"}, true},
		{map[string]string{"LANG": "de_DE.UTF-8", "LC_ALL": "POSIX"}, true},
		{map[string]string{"LANG": "de_DE.UTF-8", "TERM": "linux"}, true},
	} {
		f := newFake("")
		f.vars = c.vars
		if got := f.plainLocale(); got != c.want {
			t.Errorf("%v: plain locale %v", c.vars, got)
		}
	}
}

// tmux is a terminal that a test can look at and type on.
type tmux struct {
	t      *testing.T
	socket string
}

// startTmux runs a shell command on a terminal of w × h cells.
func startTmux(t *testing.T, w, h int, command string) *tmux {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Skip("tmux is not installed; make deps does it")
	}
	dir, err := os.MkdirTemp("", "top") // short: a socket's path has 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	m := &tmux{t, filepath.Join(dir, "s")}
	t.Cleanup(func() {
		_, _ = m.tmux("kill-server")
		_ = os.RemoveAll(dir)
	})
	if text, err := m.tmux("-f", "/dev/null", "new-session", "-d", "-x", fmt.Sprint(w), "-y", fmt.Sprint(h), command); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return m
}

func (m *tmux) tmux(words ...string) (string, error) {
	command := exec.Command("tmux", append([]string{"-u", "-S", m.socket}, words...)...)
	text, err := command.CombinedOutput()
	return string(text), err
}

// await looks at the screen until it shows all of the texts.
func (m *tmux) await(texts ...string) {
	m.t.Helper()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	deadline := time.After(30 * time.Second)
	for {
		screen, _ := m.tmux("capture-pane", "-p")
		missing := ""
		for _, text := range texts {
			if !strings.Contains(screen, text) {
				missing = text
			}
		}
		if missing == "" {
			return
		}
		select {
		case <-look.C:
		case <-deadline:
			m.t.Fatalf("the screen never showed %q; it shows\n%s", missing, screen)
		}
	}
}

func (m *tmux) press(keys ...string) {
	m.t.Helper()
	if text, err := m.tmux(append([]string{"send-keys"}, keys...)...); err != nil {
		m.t.Fatalf("%v: %s", err, text)
	}
}

// TestTopTerminal is the whole life of a dashboard in a real terminal: before
// there is a server, with it, without it and with it again, help, another
// size, the end.
func TestTopTerminal(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	server := newTopServer(t)
	m := startTmux(t, 80, 24, fmt.Sprintf("%s=1 LC_ALL=C.UTF-8 '%s' --url %s; echo ended $?; exec cat", topRole, os.Args[0], server.url()))
	m.await("connecting", "cannot reach the server", "faasctl up")
	server.start(t)
	m.await("live", "dispatcher local", "w-0123456789ab", "●○", "resize@3", "slots 1/2", "q quit")
	began := time.Now()
	failed := core.Task{ID: core.NewTaskID(), Name: "sink@1", State: core.Failed, Failure: core.KindException, Submitted: began, Started: began, Finished: began.Add(12300 * time.Microsecond)}
	server.happen(failed)
	m.await("✗ …"+string(failed.ID[len(failed.ID)-12:])+" sink@1", "exception", "12ms")
	server.stop()
	m.await("stale ", "✗ faasctl")
	server.start(t)
	m.await("live")
	server.happen(core.Task{ID: core.NewTaskID(), Name: "after@1", State: core.Queued, Submitted: time.Now()})
	m.await("after@1")
	m.press("?")
	m.await("Keys", "Leave; tasks go on")
	m.press("Escape")
	m.await("after@1")
	if text, err := m.tmux("resize-window", "-x", "60", "-y", "16"); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	m.await("BUSY STATE", "…", "after@1", "q quit") // laid out anew, not cut
	m.press("q")
	m.await("ended 0")
}
