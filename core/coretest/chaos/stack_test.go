package chaos

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"faasctl/core"
	"faasctl/core/coretest/proc"
	"faasctl/core/redisstore"
	"faasctl/httpapi/client"
)

//go:embed chaos.py
var source string

// Setup says what a run consists of.
type Setup struct {
	Mode        core.Mode
	Durability  redisstore.Durability
	Dispatchers int
	Workers     int // of socket modes
	Slots       int // of each worker, and of a local dispatcher
	Timers      timers
	Planted     string        // a bug
	Binary      string        // of the parts. Default: this one
	Patience    time.Duration // for everything to end when nothing strikes any more
}

// stack is a Redis, an API, dispatchers and workers, each a process, with a wire
// between any two that talk.
type stack struct {
	testing.TB
	Setup
	dir    string
	log    string // of executions
	python core.Interpreter
	redis  *redisstore.Child
	store  *redisstore.Store // straight to Redis, for looking at the end
	client *client.Client    // through a wire

	wires map[string]*wire
	parts map[string]*part

	mu  sync.Mutex
	all []*proc.Process
}

// part is a process that is started again when it was killed.
type part struct {
	name  string
	role  string
	cfg   any
	front *wire // leads to where it listens; nil for one that does not
	busy  sync.Mutex
	proc  *proc.Process
}

func newStack(t testing.TB, setup Setup) *stack {
	t.Helper()
	s := &stack{TB: t, Setup: setup, dir: t.TempDir(), wires: map[string]*wire{}, parts: map[string]*part{}}
	s.log = filepath.Join(s.dir, "executions")
	var err error
	if s.python, err = interpreter(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	if s.redis, err = redisstore.StartChild(ctx, redisstore.ChildConfig{Dir: s.dir, Durability: setup.Durability, Logger: quiet}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.redis.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	if s.store, err = redisstore.Open(ctx, redisstore.Config{URL: s.redis.URL(), KeepEvents: eventsKept, Logger: quiet}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.store.Close() })
	t.Cleanup(s.bury)
	s.populate()
	if s.client, err = client.New(client.Config{URL: s.wires["clients"].at(), Timeout: 3 * time.Second}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.client.Close)
	return s
}

// populate starts all parts.
func (s *stack) populate() {
	s.Helper()
	s.wire("clients", "tcp", "")
	s.add(&part{name: "api", role: "api", front: s.wires["clients"], cfg: apiRole{Store: s.storeRole("api")}})
	var urls []string
	for i := range s.Dispatchers {
		name := fmt.Sprintf("dispatcher-%d", i+1)
		p := &part{name: name, role: "dispatcher", cfg: dispatcherRole{
			Store: s.storeRole(name), Timers: s.Timers, Mode: s.Mode, Python: s.python, Slots: s.Slots,
		}}
		if s.Mode != core.Local {
			p.front = s.wire("workers-"+name, "tcp", "")
			urls = append(urls, "tcp://"+p.front.at())
		}
		s.add(p)
	}
	if s.Mode == core.Local {
		return
	}
	for i := range s.Workers {
		// Each begins with another dispatcher.
		mine := append(append([]string{}, urls[i%len(urls):]...), urls[:i%len(urls)]...)
		s.add(&part{name: fmt.Sprintf("worker-%d", i+1), role: "worker", cfg: workerRole{
			URLs: mine, Timers: s.Timers, Mode: s.Mode, Python: s.python, Slots: s.Slots,
		}})
	}
}

// storeRole gives a part a wire of its own to Redis.
func (s *stack) storeRole(part string) storeRole {
	s.Helper()
	w := s.wire(part+"-redis", "unix", strings.TrimPrefix(s.redis.URL(), "unix://"))
	return storeRole{Redis: "redis://" + w.at() + "/0", Witness: filepath.Join(s.dir, part+".witness"), Planted: s.Planted}
}

func (s *stack) wire(name, network, address string) *wire {
	s.Helper()
	s.wires[name] = newWire(s, name, network, address)
	return s.wires[name]
}

func (s *stack) add(p *part) {
	s.Helper()
	s.parts[p.name] = p
	if err := s.start(p); err != nil {
		s.Fatal(err)
	}
}

// start starts a part and waits until it listens. A part whose store cannot be
// reached ends; whoever calls tries again, as a service manager does.
func (s *stack) start(p *part) error {
	s.mu.Lock()
	log := filepath.Join(s.dir, fmt.Sprintf("%s-%d.log", p.name, len(s.all)))
	started, err := proc.Start(proc.Config{Name: p.name, Role: p.role, Config: p.cfg, Log: log, Temp: s.dir, Binary: s.Binary, Env: []string{"FAASCTL_PLANTED=" + s.Planted}})
	if err == nil {
		s.all = append(s.all, started)
		p.proc = started
	}
	s.mu.Unlock()
	if err != nil || p.role == "worker" {
		return err
	}
	var address string
	if err := started.Hear(&address); err != nil {
		return err
	}
	if p.front != nil {
		p.front.bridge.lead(address)
	}
	return nil
}

// again kills a part and starts it anew after a while, until it stays.
func (s *stack) again(p *part, after time.Duration) error {
	p.proc.Kill()
	pass(after)
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := s.start(p)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		pass(200 * time.Millisecond)
	}
}

// alive starts parts again that ended by themselves because the store was away.
func (s *stack) alive() error {
	for _, p := range s.parts {
		select {
		case <-p.proc.Ended():
			if err := s.again(p, 0); err != nil {
				return err
			}
		default:
		}
	}
	return nil
}

// pass lets a fault last for so long.
func pass(d time.Duration) { <-time.After(d) }

// redisPID is the process of today's server.
func (s *stack) redisPID() (int, error) {
	text, err := os.ReadFile(filepath.Join(s.dir, "redis", "redis.pid"))
	if err != nil {
		return 0, err
	}
	var pid int
	_, err = fmt.Sscan(string(text), &pid)
	return pid, err
}

// bury kills all processes. None may have panicked or raced.
func (s *stack) bury() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.all {
		p.Kill()
		if flaw := p.Flaw(); flaw != "" {
			s.Errorf("%s has a flaw:\n%s", p.Name, flaw)
		}
	}
	if keep := os.Getenv("CHAOS_KEEP"); s.Failed() && keep != "" {
		_ = os.CopyFS(filepath.Join(keep, filepath.Base(s.dir)+"-"+filepath.Base(s.Name())), os.DirFS(s.dir))
	}
}

// close ends all processes but Redis, so that they do not slow down what follows.
func (s *stack) close() { s.bury() }

// signalRedis sends a signal to today's server.
func (s *stack) signalRedis(sig syscall.Signal) error {
	pid, err := s.redisPID()
	if err != nil {
		return err
	}
	return syscall.Kill(pid, sig)
}

// enough is what calls that want too much memory may have.
var enough = int64(512 << 20)

// policies of the functions that are limited. What a call of mixed will be is not
// known beforehand.
var policies = map[string]core.PolicyChange{"memory": {Memory: &enough}, "mixed": {Memory: &enough}}

// register registers all functions, one per kind.
func (s *stack) register(ctx context.Context) error {
	service, err := core.NewService(core.ServiceConfig{Store: s.store, Logger: quiet})
	if err != nil {
		return err
	}
	for _, name := range []string{"work", "raises", "crash", "hang", "memory", "flood", "mixed"} {
		_, err := service.Register(ctx, core.RegisterRequest{Name: name, Codec: core.Source, Body: []byte(source), Entry: name, File: "chaos.py", Policy: policies[name]})
		if err != nil {
			return err
		}
	}
	return nil
}
