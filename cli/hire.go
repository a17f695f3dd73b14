package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"faasctl/core"
	"faasctl/workers/link"
	"faasctl/workers/zmqloop"
)

const (
	firstRehire = 100 * time.Millisecond // pause before a worker that ended is replaced,
	lastRehire  = 5 * time.Second        // doubling up to this
	drainTime   = 20 * time.Second       // for a hired worker to end what it has
)

// hires reports whether workers are started from here for the socket modes: by an
// up, and with keys only when it was given theirs.
func (s *server) hires() bool {
	return s.job.own && len(s.hubs) > 0 && (s.cfg.modes.curve == "" || s.cfg.workerKey != "")
}

// hire runs one worker process for a hub, and another when it ends.
func (s *server) hire(hub *link.Hub) func(context.Context) error {
	return func(ctx context.Context) error {
		// The kernel ends the worker together with the thread that started it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		select {
		case <-hub.Ready():
		case <-ctx.Done():
			return nil
		}
		words, err := s.hiredWords(hub)
		if err != nil {
			return err
		}
		for pause := firstRehire; ; pause = min(2*pause, lastRehire) {
			began := time.Now()
			err := s.runHired(ctx, words)
			if ctx.Err() != nil {
				return nil
			}
			s.cfg.log.Warn("a worker has ended; starting another", "mode", hub.Mode(), "error", err)
			if time.Since(began) > lastRehire {
				pause = firstRehire
			}
			again := time.NewTimer(pause)
			select {
			case <-again.C:
			case <-ctx.Done():
				again.Stop()
				return nil
			}
		}
	}
}

// hiredWords is the command line of a hired worker.
func (s *server) hiredWords(hub *link.Hub) ([]string, error) {
	words := []string{"worker", string(hub.Mode()), strconv.Itoa(s.cfg.workers), hub.Address(), "--hired",
		"--python", s.python.Path, "--max-payload", strconv.Itoa(s.cfg.maxPayload)}
	for _, dir := range s.cfg.importPath {
		words = append(words, "--import-path", dir)
	}
	if s.cfg.modes.insecure {
		words = append(words, "--insecure")
	}
	if s.cfg.workerKey == "" {
		return words, nil
	}
	key, err := zmqloop.LoadSecret(s.cfg.modes.curve)
	if err != nil {
		return nil, err
	}
	public := filepath.Join(s.cfg.data, "dispatcher.pub")
	if err := os.WriteFile(public, []byte(key.Public+"\n"), 0o600); err != nil {
		return nil, &core.Error{Class: core.ErrUnavailable, Op: "use the data directory", Err: err}
	}
	return append(words, "--curve", s.cfg.workerKey, "--server-key", public), nil
}

// runHired runs one worker process until it ends; when ctx is done it drains.
func (s *server) runHired(ctx context.Context, words []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	worker := exec.Command(self, words...)
	worker.Stderr = s.stderr
	// A group of its own, so that Ctrl-C is ours alone to pass on.
	worker.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := worker.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- worker.Wait() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	late := time.AfterFunc(drainTime, func() { _ = worker.Process.Kill() })
	defer late.Stop()
	_ = worker.Process.Signal(syscall.SIGTERM)
	return <-ended
}

// workerRows are the lines of the banner about workers.
func (s *server) workerRows() [][2]string {
	if !s.job.dispatcher {
		return nil
	}
	var rows [][2]string
	if s.cfg.modes.has(core.Local) {
		rows = append(rows, [2]string{"workers", slotsText(s.cfg.workers)})
	}
	for _, hub := range s.hubs {
		more := fmt.Sprintf("faasctl worker %s auto %s", hub.Mode(), hub.Address())
		text := "none yet: " + more
		if s.hires() {
			text = fmt.Sprintf("one worker, %s; more: %s", slotsText(s.cfg.workers), more)
		}
		rows = append(rows, [2]string{string(hub.Mode()), text})
	}
	return rows
}
