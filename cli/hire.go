package cli

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
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
	leaveTime   = stopNow * 3 / 4        // for one that is stopped at once to say goodbye
	lastWords   = 300 * time.Millisecond // for the goodbye to arrive
)

// hires reports whether workers are started from here for the socket modes: by an
// up, and with keys only when it was given theirs.
func (s *server) hires() bool {
	return s.job.own && len(s.hubs) > 0 && (s.cfg.modes.curve == "" || s.cfg.workerKey != "")
}

// hire runs one worker process for a hub, and another when it fails. One that was
// drained has left on purpose and is not replaced.
func (s *server) hire(hub *link.Hub) func(context.Context) error {
	s.hired.Add(1)
	return func(ctx context.Context) error {
		defer s.hired.Done()
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
			if err == nil {
				s.cfg.log.Info("the worker that was started here has left and is not replaced", "mode", hub.Mode(), "add", s.joinText(hub))
				<-ctx.Done()
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
		"--max-payload", strconv.Itoa(s.cfg.maxPayload)}
	for _, python := range s.pythons {
		words = append(words, "--python", python.Path)
	}
	words = append(append(words, ruleWords(s.cfg.rules)...), s.cfg.environments.words()...)
	for _, dir := range s.cfg.importPath {
		words = append(words, "--import-path", dir)
	}
	if s.cfg.modes.insecure {
		words = append(words, "--insecure")
	}
	if s.cfg.verbose {
		words = append(words, "--verbose")
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

// runHired runs one worker process until it ends; when ctx is done it drains, and
// when s.now is closed it stops at once.
func (s *server) runHired(ctx context.Context, words []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	worker := exec.Command(self, words...)
	worker.Stderr = s.stderr
	worker.Stdin = strings.NewReader(s.token + "\n") // neither argv nor the environment, which others can read
	if s.back.lock != nil {
		worker.ExtraFiles = []*os.File{s.back.lock.Share()} // see hiredToken
	}
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
	_ = worker.Process.Signal(syscall.SIGTERM)
	late := time.NewTimer(drainTime)
	defer late.Stop()
	for now := s.now; ; {
		select {
		case err := <-ended:
			return err
		case <-now:
			now = nil
			_ = worker.Process.Signal(syscall.SIGTERM)
			late.Reset(leaveTime)
		case <-late.C:
			_ = worker.Process.Kill()
		}
	}
}

// afterHired has the dispatcher hear the goodbyes of the hired workers when all
// parts are told at once to stop: what they held would wait for its leases
// otherwise.
func (s *server) afterHired(run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		running, stop := context.WithCancel(context.WithoutCancel(ctx))
		defer stop()
		defer context.AfterFunc(ctx, func() {
			defer stop()
			select {
			case <-s.now:
			default:
				return // they have ended before
			}
			gone := make(chan struct{})
			go func() { s.hired.Wait(); close(gone) }()
			select {
			case <-gone:
				time.Sleep(lastWords)
			case <-time.After(leaveTime):
			}
		})()
		return run(running)
	}
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
		text := "none yet: " + s.joinText(hub)
		if s.hires() {
			text = fmt.Sprintf("one worker, %s; more: %s", slotsText(s.cfg.workers), s.joinText(hub))
		}
		rows = append(rows, [2]string{string(hub.Mode()), text})
	}
	if allow := s.cfg.modes.allow; allow != "" {
		rows = append(rows, [2]string{"keys", "NAME.pub in " + s.homely(allow) + " lets NAME.key in; faasctl keys new NAME makes both"})
	}
	return rows
}

// joinText is what to type for another worker.
func (s *server) joinText(hub *link.Hub) string {
	m, address := s.cfg.modes, hub.Address()
	if ip, err := netip.ParseAddr(m.bind); err == nil && ip.IsUnspecified() {
		address = "HOST" + address[strings.LastIndexByte(address, ':'):] // 0.0.0.0 is nothing to connect to
	}
	text := fmt.Sprintf("faasctl worker %s auto %s", hub.Mode(), address)
	if m.curve != "" {
		public, _ := strings.CutSuffix(filepath.Base(m.curve), ".key")
		return text + " --curve NAME.key --server-key " + public + ".pub"
	}
	if m.beyond() {
		text += " --insecure"
	}
	return text
}
