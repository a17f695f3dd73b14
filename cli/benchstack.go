package cli

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"faasctl/core"
	"faasctl/httpapi/client"
)

const (
	benchStart = time.Minute      // for a stack to come up
	benchStop  = 30 * time.Second // for one to end in order
	benchWords = 64 << 10         // bytes of what one says that are kept
)

// benchStack is a faasctl up of its own in a temporary directory, with the
// defaults of the product, and further workers where the mode has processes.
type benchStack struct {
	url   string
	dir   string
	procs []*benchProc // the up first
}

// benchProc is one process that the bench started.
type benchProc struct {
	cmd   *exec.Cmd
	heard chan struct{} // closed when it has said the word that was waited for
	ended chan struct{} // closed when it is gone

	mu   sync.Mutex
	said strings.Builder // its stderr, the first benchWords bytes
}

func (e *environment) startBenchStack(ctx context.Context, plan *benchPlan, row *benchRow) (*benchStack, error) {
	dir, err := os.MkdirTemp("", "faasctl-bench-*")
	if err != nil {
		return nil, &core.Error{Class: core.ErrUnavailable, Op: "make a temporary directory", Err: err}
	}
	s := &benchStack{dir: dir}
	if err := s.start(ctx, plan, row); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *benchStack) start(ctx context.Context, plan *benchPlan, row *benchRow) error {
	slots := row.workers
	if row.mode != core.Local {
		slots = 1 // and a process for each
	}
	words := []string{"up", "-m", string(row.mode), "-w", strconv.Itoa(slots), "--listen", "127.0.0.1:0", "-p", "0", "--data", filepath.Join(s.dir, "data")}
	if plan.python != "" {
		words = append(words, "--python", plan.python)
	}
	if plan.durability != "" {
		words = append(words, "--durability", plan.durability)
	}
	up, err := s.launch(ctx, words, "  next ")
	if err != nil {
		return err
	}
	s.url = up.field("  url ")
	if row.mode != core.Local {
		words := []string{"worker", string(row.mode), "1", up.address(string(row.mode))}
		if plan.python != "" {
			words = append(words, "--python", plan.python)
		}
		for range row.workers - 1 {
			if _, err := s.launch(ctx, words, "registered"); err != nil {
				return err
			}
		}
	}
	return s.ready(ctx, row)
}

// ready waits until all workers run.
func (s *benchStack) ready(ctx context.Context, row *benchRow) error {
	limited, cancel := context.WithTimeout(ctx, benchStart)
	defer cancel()
	api, err := client.New(client.Config{URL: s.url})
	if err != nil {
		return err
	}
	defer api.Close()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		workers, err := api.Workers(limited)
		if err != nil && limited.Err() == nil {
			return err
		}
		slots := 0
		for _, w := range workers {
			if w.State == core.WorkerRunning {
				slots += w.Slots
			}
		}
		if slots >= row.workers && api.Ready(limited) == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-limited.Done():
			return s.failed("not all workers came")
		}
	}
}

// launch starts one process of ours and waits until a line that it says begins
// with, or is about, a word.
func (s *benchStack) launch(ctx context.Context, words []string, word string) (*benchProc, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &benchProc{heard: make(chan struct{}), ended: make(chan struct{})}
	p.cmd = exec.Command(self, words...)
	p.cmd.Env = benchEnv()
	// A group of its own: Ctrl-C is ours to pass on, when the load has ended.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	started := make(chan error, 1)
	go p.supervise(word, started)
	if err := <-started; err != nil {
		return nil, &core.Error{Class: core.ErrUnavailable, Op: "start faasctl " + words[0], Err: err}
	}
	s.procs = append(s.procs, p)
	late := time.NewTimer(benchStart)
	defer late.Stop()
	select {
	case <-p.heard:
		return p, nil
	case <-p.ended:
		return nil, s.failed("it ended")
	case <-late.C:
		return nil, s.failed("it did not come up within " + span(benchStart))
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// benchEnv is our environment without what would make the stack another than the
// one that faasctl up starts.
func benchEnv() []string {
	var env []string
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, "FAASCTL_") || name == "FAASCTL_PYTHON" || name == "FAASCTL_REDIS_SERVER" {
			env = append(env, pair)
		}
	}
	return env
}

// supervise starts the process, hears it and waits for its end, all on one
// thread, as the kernel ends the process together with the thread that made it.
func (p *benchProc) supervise(word string, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pipe, err := p.cmd.StderrPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	started <- err
	if err != nil {
		return
	}
	defer close(p.ended)
	lines, told := bufio.NewReader(pipe), false
	for {
		line, err := lines.ReadString('\n')
		p.mu.Lock()
		if p.said.Len()+len(line) <= benchWords {
			p.said.WriteString(line)
		}
		p.mu.Unlock()
		if !told && strings.Contains(line, word) {
			told = true
			close(p.heard)
		}
		if err != nil {
			break
		}
	}
	_ = p.cmd.Wait()
}

func (p *benchProc) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

// field is what a line of the banner says after its title.
func (p *benchProc) field(title string) string {
	for line := range strings.Lines(p.text()) {
		if rest, ok := strings.CutPrefix(line, title); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// address is where workers of a mode connect.
func (p *benchProc) address(mode string) string {
	words := strings.Fields(p.field("  " + mode + " "))
	for _, word := range words {
		if strings.HasPrefix(word, "tcp://") {
			return word
		}
	}
	return ""
}

// failed is why the stack cannot be measured, with the last of what it said.
func (s *benchStack) failed(what string) error {
	said := ""
	for _, p := range s.procs {
		said += p.text()
	}
	if lines := strings.Split(strings.TrimSpace(said), "\n"); len(lines) > 8 {
		said = strings.Join(lines[len(lines)-8:], "\n")
	}
	return core.Errorf(core.ErrUnavailable, "start a stack to measure", "%s and said:\n%s", what, strings.TrimSpace(said)).
		WithHint("faasctl doctor looks for what is missing")
}

// stop ends what was started, workers before the dispatcher, and removes its
// data.
func (s *benchStack) stop() {
	for i := len(s.procs) - 1; i >= 0; i-- {
		p := s.procs[i]
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		late := time.AfterFunc(benchStop, func() { _ = p.cmd.Process.Kill() })
		<-p.ended
		late.Stop()
	}
	_ = os.RemoveAll(s.dir)
}
