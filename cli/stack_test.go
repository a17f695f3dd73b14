package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"faasctl/core/coretest/ports"
	"faasctl/httpapi/client"
	"faasctl/workers/pyrun"
)

// scratch is where this run's binary and caches are.
var scratch string

func TestMain(m *testing.M) {
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "FAASCTL_") && name != topRole && name != "FAASCTL_PYTHON" {
			os.Unsetenv(name)
		}
	}
	os.Setenv("FAASCTL_CLIENT_PATIENCE", "0") // most tests want to see the first error
	var err error
	if scratch, err = os.MkdirTemp("", "faasctl-cli-*"); err != nil {
		panic(err)
	}
	port, release, err := ports.Hold(1)
	if err != nil {
		panic(err)
	}
	nobody = ports.At(port)
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(scratch)
		release()
		os.Exit(code)
	}))
}

// built builds the real program once, under the race detector if the tests
// run so, and returns its path.
var built = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "bin", "faasctl")
	words := []string{"build", "-buildvcs=false", "-ldflags", "-X main.version=v0-test", "-o", path}
	if raceOn {
		words = append(words, "-race")
	}
	out, err := exec.Command("go", append(words, "./faasctl")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

func program(t testing.TB) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// interpreter is the Python that functions run with.
var interpreter = sync.OnceValues(func() (string, error) {
	python, _, err := pyrun.Find(context.Background(), "")
	return python.Path, err
})

// cleanEnv is the environment of a user without habits: a home of its own, and
// nothing of the one who runs the tests but the way to programs.
func cleanEnv(t testing.TB, home string, more ...string) []string {
	t.Helper()
	python, err := interpreter()
	if err != nil {
		t.Fatal(err)
	}
	return append([]string{
		"GORACE=atexit_sleep_ms=0", // or each command of a build with -race ends a second later
		"HOME=" + home, "TMPDIR=" + os.TempDir(), "LC_ALL=C.UTF-8", "FAASCTL_CLIENT_PATIENCE=0", "FAASCTL_RUN_AS=none", "FAASCTL_PYTHON=" + python,
		"XDG_CACHE_HOME=" + filepath.Join(scratch, "cache"), "FAASCTL_ENVIRONMENTS=" + filepath.Join(scratch, "environments"), "XDG_STATE_HOME=" + filepath.Join(home, "state"),
		"PATH=" + filepath.Dir(program(t)) + string(filepath.ListSeparator) + os.Getenv("PATH"),
	}, more...)
}

// nobody is where nobody listens while the tests run: HOST:PORT.
var nobody string

// stack is a running `faasctl up`, `serve`, `dispatcher` or `worker`.
type stack struct {
	cmd   *exec.Cmd
	url   string // "" without an API
	api   *client.Client
	ended chan struct{} // closed when the process is gone

	sockets map[string]string // by mode: where workers connect
	err     error             // of the process; valid after ended

	mu   sync.Mutex
	said strings.Builder // its stderr
}

// startStack starts a server and waits until it says that it is up.
func startStack(env []string, dir string, words ...string) (*stack, error) {
	path, err := built()
	if err != nil {
		return nil, err
	}
	return startAs(env, dir, append([]string{path}, words...)...)
}

// startAs is startStack for a line that becomes the program.
func startAs(env []string, dir string, words ...string) (*stack, error) {
	s := &stack{ended: make(chan struct{}), sockets: map[string]string{}}
	s.cmd = exec.Command(words[0], words[1:]...)
	s.cmd.Env, s.cmd.Dir = env, dir
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	pipe, err := s.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	up := make(chan struct{})
	go s.listen(pipe, up)
	select {
	case <-up:
	case <-s.ended:
		return s, fmt.Errorf("it ended (%v) and said:\n%s", s.err, s.output())
	case <-time.After(60 * time.Second):
		s.stop(syscall.SIGKILL)
		return s, fmt.Errorf("it did not say that it is up, but:\n%s", s.output())
	}
	if s.url == "" {
		return s, nil
	}
	if s.api, err = client.New(client.Config{URL: s.url}); err != nil {
		return s, err
	}
	if strings.Contains(s.output(), " none yet: ") { // nobody would, until a worker comes
		return s, nil
	}
	return s, s.ready()
}

// listen collects stderr until the process closes it, and takes the address
// out of the banner, whose last line tells what to type next.
func (s *stack) listen(pipe io.Reader, up chan<- struct{}) {
	lines := bufio.NewScanner(pipe)
	lines.Buffer(nil, 1<<20)
	announced := false
	for lines.Scan() {
		line := lines.Text()
		s.mu.Lock()
		s.said.WriteString(line + "\n")
		s.mu.Unlock()
		if rest, ok := strings.CutPrefix(line, "  url "); ok {
			s.url = strings.TrimSpace(rest)
		}
		mode, address, found := strings.Cut(strings.TrimSpace(line), " ")
		if at := strings.Index(address, "tcp://"); found && at >= 0 && (mode == "push" || mode == "pull") {
			s.sockets[mode] = strings.TrimRight(strings.Fields(address[at:])[0], ",;")
		}
		last := strings.HasPrefix(line, "  next ")
		if last && !announced {
			announced = true
			close(up)
		}
	}
	s.err = s.cmd.Wait()
	close(s.ended)
}

func (s *stack) output() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said.String()
}

// ready waits until somebody would run a task.
func (s *stack) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	var last error
	err := poll(ctx, func() bool { last = s.api.Ready(ctx); return last == nil })
	if err != nil {
		return fmt.Errorf("not ready: %v; it said:\n%s", last, s.output())
	}
	return nil
}

// poll asks again and again until it is answered or ctx ends.
func poll(ctx context.Context, answered func() bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !answered() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// stop sends a signal and returns what became of the process.
func (s *stack) stop(sig syscall.Signal) error {
	if s.api != nil {
		defer s.api.Close()
	}
	_ = s.cmd.Process.Signal(sig)
	select {
	case <-s.ended:
		return s.err
	case <-time.After(60 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.ended
		return fmt.Errorf("it did not end; it said:\n%s", s.output())
	}
}

// up starts a whole stack for a test, and stops it at its end.
func up(t testing.TB, words ...string) *stack {
	t.Helper()
	home := t.TempDir()
	s, err := startStack(cleanEnv(t, home), home, append([]string{"up", "-w", "2", "--listen", "127.0.0.1:0", "--data", filepath.Join(home, "data")}, words...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(syscall.SIGTERM); err != nil && !t.Failed() {
			t.Errorf("stopping: %v", err)
		}
	})
	return s
}
