package redisstore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"faasctl/core"
)

// ChildConfig says where and how an embedded server runs.
type ChildConfig struct {
	// Dir is the data directory, which the caller has locked; the server's
	// own files are in Dir/redis. No default.
	Dir string
	// Durability is what a crash may lose. Default: everysec.
	Durability Durability
	// Patience is how long a server that was asked to shut down may take to
	// write its data before it is killed. Default: 30 s.
	Patience time.Duration
	// Logger hears of starts, deaths and restarts. Default: slog.Default().
	Logger *slog.Logger
}

func (c ChildConfig) withDefaults() ChildConfig {
	if c.Durability == "" {
		c.Durability = DurabilityEverysec
	}
	if c.Patience == 0 {
		c.Patience = 30 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

func (c ChildConfig) validate() error {
	if c.Dir == "" {
		return core.Errorf(core.ErrInvalid, "start Redis", "it needs a directory")
	}
	return nil
}

// Child is a redis-server that runs as our child on a private unix socket.
type Child struct {
	cfg    ChildConfig
	dir    string // cfg.Dir/redis
	path   string // of the program
	socket string
	proc   *process // of StartChild at first, then owned by Run
	// died is how the server ended, while it is away; nil while it runs.
	died atomic.Pointer[string] // how, while the server is away; nil while it runs
}

const (
	minRestart = 100 * time.Millisecond
	maxRestart = 5 * time.Second
	steadyRun  = 10 * time.Second // after so long a death is not part of a series
)

// StartChild ends what a dead predecessor left behind, starts a server and
// waits until it takes commands or ctx is done. Run must be called afterwards,
// if only with a context that is done, as it is what ends the server.
func StartChild(ctx context.Context, cfg ChildConfig) (*Child, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	data, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, dirError(cfg.Dir, err)
	}
	c := &Child{cfg: cfg, dir: filepath.Join(data, redisDir)}
	if c.path, err = findServer(); err != nil {
		return nil, err
	}
	if err := c.prepare(); err != nil {
		return nil, err
	}
	if c.proc, err = c.start(); err != nil {
		return nil, &core.Error{Class: core.ErrUnavailable, Op: "start Redis", Err: err}
	}
	if err := c.ready(ctx); err != nil {
		c.stop(c.proc)
		return nil, err
	}
	return c, nil
}

// URL is where clients find the server; it stays the same across restarts.
func (c *Child) URL() string { return socketURL(c.socket) }

// PID is the process of the server that StartChild started.
func (c *Child) PID() int { return c.proc.id.pid }

// prepare makes the directory, ends an orphan and writes the configuration.
// Two servers on one append-only file would ruin it, so an orphan that does
// not end is an error.
func (c *Child) prepare() error {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return dirError(c.dir, err)
	}
	if err := checkDir("start Redis in "+c.dir, c.dir); err != nil {
		return err
	}
	if orphan, ok := readIdentity(filepath.Join(c.dir, pidFile)); ok && orphan.lives() {
		c.cfg.Logger.Info("ending the Redis that a dead faasctl left behind", keyPID, orphan.pid)
		if err := orphan.endProcess(c.cfg.Patience); err != nil {
			return &core.Error{Class: core.ErrConflict, Op: "start Redis", Detail: "an old Redis still runs on " + c.dir, Err: err}
		}
	}
	var err error
	if c.socket, err = socketPath(c.dir); err != nil {
		return err
	}
	text, err := configText(c.dir, c.socket, c.cfg.Durability)
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(c.dir, confFile), []byte(text)); err != nil {
		return dirError(c.dir, err)
	}
	return nil
}

// process is one run of the server.
type process struct {
	id      identity
	started time.Time
	ended   chan struct{} // closed when it has ended
	err     error         // how; valid after ended
}

// start runs the program. The kernel sends Pdeathsig when the thread that made
// the child ends, not the process, so that one thread is kept for as long as
// the child lives.
func (c *Child) start() (*process, error) {
	log, err := os.OpenFile(filepath.Join(c.dir, logFile), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(c.path, filepath.Join(c.dir, confFile))
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.dir, log, log
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	// A group of its own: Ctrl-C is for us, and the server ends last.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	p := &process{ended: make(chan struct{}), started: time.Now()}
	begun := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			begun <- err
			return
		}
		begun <- nil
		p.err = cmd.Wait()
		close(p.ended)
	}()
	if err := <-begun; err != nil {
		return nil, err
	}
	p.id = identity{pid: cmd.Process.Pid, socket: c.socket}
	p.id.start, _, _ = processStart(p.id.pid)
	if err := writeFile(filepath.Join(c.dir, pidFile), p.id.text()); err != nil {
		_ = c.end(p) // and not stop: there will be another try, which needs the socket's directory
		return nil, err
	}
	c.cfg.Logger.Debug("Redis started", keyPID, p.id.pid, keyPath, c.socket)
	return p, nil
}

// ready waits until the server answers PING with PONG: while it loads its
// data, it answers LOADING.
func (c *Child) ready(ctx context.Context) error {
	for pause := 2 * time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		if ping(ctx, c.socket) {
			return nil
		}
		select {
		case <-time.After(pause):
		case <-c.proc.ended:
			return core.Errorf(core.ErrUnavailable, "start Redis", "it ended at once (%v)%s", c.proc.err, c.lastWords()).
				WithHint("see %s", filepath.Join(c.dir, logFile))
		case <-ctx.Done():
			return &contextError{op: "wait for Redis to load its data", err: context.Cause(ctx)}
		}
	}
}

// ping asks the server for a PONG, without a client and its pool.
func ping(ctx context.Context, socket string) bool {
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "unix", socket)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	answer, _ := bufio.NewReader(conn).ReadString('\n')
	return strings.HasPrefix(answer, "+PONG")
}

// lastWords returns the end of the server's log.
func (c *Child) lastWords() string {
	text, _ := os.ReadFile(filepath.Join(c.dir, logFile))
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
		return ": " + last
	}
	return ""
}

// Run starts the server again whenever it dies, and ends it when ctx is done:
// it asks it to shut down, waits while it writes its data, and returns when the
// process is gone.
func (c *Child) Run(ctx context.Context) error {
	wait, p := minRestart, c.proc
	for {
		select {
		case <-ctx.Done():
			return c.stop(p)
		case <-p.ended:
		}
		if time.Since(p.started) > steadyRun {
			wait = minRestart
		}
		how := fmt.Sprint(p.err, c.lastWords())
		c.died.Store(&how)
		c.cfg.Logger.Error("Redis died and is started again", keyPID, p.id.pid, keyError, how, keyWait, wait)
		for {
			select {
			case <-ctx.Done():
				return c.stop(p)
			case <-time.After(wait):
			}
			wait = min(2*wait, maxRestart)
			next, err := c.start()
			if err == nil {
				p = next
				c.died.Store(nil)
				break
			}
			how = err.Error()
			c.died.Store(&how)
			c.cfg.Logger.Error("Redis cannot be started", keyError, err, keyWait, wait)
		}
	}
}

// stop ends a process for good and removes what only a running one needs.
func (c *Child) stop(p *process) error {
	slow := c.end(p)
	err := os.Remove(filepath.Join(c.dir, pidFile))
	if dir := filepath.Dir(c.socket); dir != c.dir {
		_ = os.RemoveAll(dir) // made by socketPath for the socket alone
	}
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(slow, err)
}

// end ends a process.
func (c *Child) end(p *process) (slow error) {
	_ = syscall.Kill(p.id.pid, p.signal(syscall.SIGTERM))
	timer := time.NewTimer(c.cfg.Patience)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		slow = core.Errorf(core.ErrInternal, "stop Redis", "it did not end within %v and was killed", c.cfg.Patience)
		_ = syscall.Kill(p.id.pid, p.signal(syscall.SIGKILL))
		<-p.ended
	}
	return slow
}

// signal returns sig, or the signal that does nothing when the process has
// ended and its pid may be a stranger's.
func (p *process) signal(sig syscall.Signal) syscall.Signal {
	select {
	case <-p.ended:
		return 0
	default:
		return sig
	}
}
