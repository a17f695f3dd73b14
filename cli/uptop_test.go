package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"faasctl/core"
	"faasctl/core/coretest/ports"
	"faasctl/httpapi/client"
)

var urlShown = regexp.MustCompile(`  url +(http://\S+)\r`)

// onTop starts an `up --top` on a terminal and returns it with a client for it.
func onTop(t *testing.T, words ...string) (*terminal, *client.Client, string) {
	t.Helper()
	home := t.TempDir()
	m := onTerminal(t, cleanEnv(t, home), home, append([]string{"up", "--top", "-w", "1", "--listen", "127.0.0.1:0", "--data", "data"}, words...)...)
	t.Cleanup(func() { _ = m.cmd.Process.Kill() }) // no more than a signal into the void, when the test went well
	m.await(t, "live")
	found := urlShown.FindStringSubmatch(m.text())
	if found == nil {
		t.Fatalf("no banner: %q", m.text())
	}
	api, err := client.New(client.Config{URL: found[1]})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	return m, api, filepath.Join(home, "data", upLogFile)
}

// workerOf waits until one worker runs, and it is another one than not.
func workerOf(t *testing.T, api *client.Client, not core.WorkerID) core.Worker {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var found core.Worker
	err := poll(ctx, func() bool {
		all, _ := api.Workers(ctx)
		running := slices.DeleteFunc(all, func(w core.Worker) bool { return w.State != core.WorkerRunning })
		if len(running) == 1 {
			found = running[0]
		}
		return found.ID != "" && found.ID != not
	})
	if err != nil {
		t.Fatal("no worker came")
	}
	return found
}

// TestUpTop: the dashboard of the stack itself; what is logged meanwhile does
// not tear the picture but is kept; leaving it lets a running task end.
func TestUpTop(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a whole stack")
	}
	m, api, log := onTop(t, "-m", "push")
	first := workerOf(t, api, "")
	_ = syscall.Kill(first.PID, syscall.SIGKILL)
	workerOf(t, api, first.ID)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := poll(ctx, func() bool {
		text, _ := os.ReadFile(log)
		return bytes.Contains(text, []byte("a worker has ended"))
	}); err != nil {
		t.Error("the log does not tell of the worker")
	}
	_, err := api.Register(ctx, core.RegisterRequest{Name: "nap", Codec: core.Source, Entry: "nap", File: "nap.py", Body: []byte("import os, time\ndef nap(until):\n    while not os.path.exists(until): time.sleep(0.05)\n")})
	if err != nil {
		t.Fatal(err)
	}
	open := t.TempDir() // to the function, too, which may run as another user
	for _, dir := range []string{open, filepath.Dir(open)} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	awake := filepath.Join(open, "awake")
	args, _ := json.Marshal([]string{awake})
	task, err := api.Submit(ctx, client.Call{Function: "nap", Args: args})
	if err != nil {
		t.Fatal(err)
	}
	m.await(t, string(task.ID)[24:]) // its row
	if err := poll(ctx, func() bool { now, err := api.Task(ctx, task.ID, 0); return err == nil && now.State == core.Running }); err != nil {
		t.Fatal(err)
	}
	_, _ = m.pty.Write([]byte("?"))
	m.await(t, "Stop the stack: what runs has its time to end")
	_, _ = m.pty.Write([]byte("?"))
	_, _ = m.pty.Write([]byte("q"))
	m.await(t, "running: 1, with 20s to end")
	_, _ = m.pty.Write([]byte("y"))
	if err := os.WriteFile(awake, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if code := m.end(t, time.Minute); code != 0 {
		t.Errorf("exit code %d: %s", code, m.text())
	}
	before, rest, _ := strings.Cut(m.text(), "\x1b[?1049h")
	picture, after, left := strings.Cut(rest, "\x1b[?1049l")
	if !left || !strings.Contains(before, "everything is up") || strings.Contains(picture, "a worker has ended") || strings.Contains(picture, "registered") {
		t.Errorf("it showed %q", m.text())
	}
	for _, want := range []string{stoppingText, "faasctl: stopped\r\n", "the log of this run is ", upLogFile + " ("} {
		if !strings.Contains(after, want) {
			t.Errorf("no %q after the dashboard: %q", want, after)
		}
	}
	// The task had its end, as the next up knows.
	home := filepath.Dir(filepath.Dir(log))
	s, err := startStack(cleanEnv(t, home), home, "up", "-w", "1", "--listen", "127.0.0.1:0", "--data", "data")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.stop(syscall.SIGTERM) }()
	if now, err := s.api.Task(ctx, task.ID, 0); err != nil || now.State != core.Completed || now.Attempt != 1 {
		t.Errorf("%+v, %v", now, err)
	}
}

// TestUpTopIsTold: a signal ends the dashboard, and leaves the terminal as it
// was.
func TestUpTopIsTold(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a whole stack")
	}
	m, _, log := onTop(t, "--store", "memory")
	_ = m.cmd.Process.Signal(syscall.SIGTERM)
	if code := m.end(t, time.Minute); code != 0 {
		t.Errorf("exit code %d: %s", code, m.text())
	}
	_, after, left := strings.Cut(m.text(), "\x1b[?1049l")
	if !left || strings.Count(after, stoppingText) != 1 || !strings.Contains(after, "faasctl: stopped\r\n") {
		t.Errorf("it showed %q", m.text())
	}
	if text, err := os.ReadFile(log); err != nil || !strings.Contains(string(text), "everything is up") {
		t.Errorf("%v: %s", err, text)
	}
}

// TestUpTopSuspends: ctrl-z asks, as it takes the whole stack away; fg brings it
// back, and it works.
func TestUpTopSuspends(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a whole stack")
	}
	home, address := t.TempDir(), ports.At(ports.Reserve(t, 1))
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	s := &watchedStack{home: home, ctx: ctx, env: cleanEnv(t, home, "FAASCTL_URL=http://"+address, "TERM=screen", "PS1=shell> ")}
	s.tmux = startShell(t, 100, 30, home, s.env)
	s.types("faasctl up --top -w 1 --data data --listen " + address)
	s.shows(`\blive\b`)
	s.shows(`^ q stop `)
	s.press("C-z")
	s.shows(`Suspend the stack\? y does it`)
	s.press("n")
	s.shows("nothing was done")
	s.press("C-z")
	s.shows(`Suspend the stack\?`)
	s.press("y")
	s.shows("^shell>$")
	s.types("fg")
	s.shows(`\blive\b`)
	write(t, home, "double.py", "def double(n):\n    return 2 * n\n")
	if out, stderr, code := command(t, s.env, home, "", "run", "double.py", "--args", "[21]"); code != core.ExitOK || strings.TrimSpace(out) != "42" {
		t.Errorf("exit %d, %q: %s", code, out, stderr)
	}
	s.shows("1 ended")
	s.press("q")
	s.shows("faasctl: stopped")
	s.types("echo ended $?")
	s.shows("^ended 0")
}
