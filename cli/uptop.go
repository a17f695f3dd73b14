package cli

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"sync"

	urfave "github.com/urfave/cli/v2"

	"faasctl/core"
	"faasctl/httpapi/client"
	"faasctl/tui"
)

// upLogFile is where an `up --top` logs while the dashboard has the terminal:
// below the data directory, of the latest run.
const upLogFile = "up.log"

// upTop is up with the dashboard of its stack in front. Leaving the dashboard
// stops the stack, as Ctrl-C stops an up: whoever started it in a terminal
// expects that nothing of it is left when the terminal is theirs again.
func (e *environment) upTop(c *urfave.Context) error {
	if !e.interactive() {
		return usage("--top needs a terminal to draw on").WithHint("run faasctl up without it, and elsewhere faasctl top --plain")
	}
	log := &sideLog{terminal: e.stderr}
	behind := *e
	behind.stderr = log
	cfg, err := behind.readUp(c)
	if err != nil {
		return err
	}
	parent, leave := context.WithCancel(c.Context)
	defer leave()
	front := func(s *server) part {
		return part{"dashboard", func(ctx context.Context) error { return s.front(ctx, log, leave) }}
	}
	err = behind.serve(parent, cfg, job{api: true, dispatcher: true, own: true, front: front})
	if path, lines := log.close(); path != "" {
		e.note("faasctl: the log of this run is %s (%s)", e.homely(path), count(lines, "line"))
	}
	return err
}

// front shows the dashboard until it is left, or ctx is done because the stack
// is told to stop or a part of it has failed.
func (s *server) front(ctx context.Context, log *sideLog, leave func()) error {
	if !s.workersCanConnect(ctx) {
		return nil
	}
	if err := log.open(filepath.Join(s.cfg.data, upLogFile)); err != nil {
		return err
	}
	s.banner()
	api, err := client.New(client.Config{URL: s.api.URL(), TokenFile: s.cfg.tokenFile})
	if err != nil {
		return err
	}
	defer api.Close()
	log.cover(true)
	cfg := s.dashboard(api)
	cfg.Ends = drainTime
	err = tui.Run(ctx, cfg)
	log.cover(false)
	if err == nil {
		s.note(stoppingText)
	}
	leave()
	return err
}

// sideLog is where a server writes while a dashboard may cover the terminal:
// then into a file alone, else to both.
type sideLog struct {
	terminal io.Writer

	mu      sync.Mutex
	file    *os.File // nil until open
	covered bool
	lines   int // in the file
}

// open begins the file anew.
func (l *sideLog) open(path string) error {
	const op = "write the log"
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil { // --store memory has made none
		return &core.Error{Class: core.ErrUnavailable, Op: op, Err: err}
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return &core.Error{Class: core.ErrUnavailable, Op: op, Err: err}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.file = file
	return nil
}

// cover says whether the dashboard has the terminal.
func (l *sideLog) cover(yes bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.covered = yes
}

// Write never fails because of the file: a full disk is no reason to stop.
func (l *sideLog) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		_, _ = l.file.Write(text)
		l.lines += bytes.Count(text, []byte("\n"))
	}
	if l.covered {
		return len(text), nil
	}
	return l.terminal.Write(text)
}

// close ends the file and returns its path, "" when there is none, and how many
// lines it has. What is written later goes to the terminal.
func (l *sideLog) close() (path string, lines int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return "", 0
	}
	path = l.file.Name()
	_ = l.file.Close()
	l.file = nil
	return path, l.lines
}
