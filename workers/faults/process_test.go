package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"faasctl/core"
	"faasctl/core/coretest/proc"
)

// process is this test binary in a role.
type process struct {
	*proc.Process
	b *bench
}

// start starts a process that ends with the test at the latest.
func (b *bench) start(name, role string, config any) *process {
	b.Helper()
	log := filepath.Join(b.dir, fmt.Sprintf("%s-%d.log", name, len(b.all)))
	started, err := proc.Start(proc.Config{Name: name, Role: role, Config: config, Log: log, Temp: b.dir})
	if err != nil {
		b.Fatal(err)
	}
	p := &process{Process: started, b: b}
	b.all = append(b.all, p)
	return p
}

func (p *process) pid() int { return p.PID() }

// signal sends a signal to a process that has not been waited for.
func (p *process) signal(s syscall.Signal) {
	p.b.Helper()
	if err := p.Signal(s); err != nil {
		p.b.Fatalf("%s: %v", p.Name, err)
	}
}

// kill is kill -9, and waits for the end.
func (p *process) kill() {
	p.b.Helper()
	p.signal(syscall.SIGKILL)
	<-p.Ended()
}

// leaves waits until the process has ended by itself, and well.
func (p *process) leaves() {
	p.b.Helper()
	p.b.until(p.Name+" has ended", func() bool {
		select {
		case <-p.Ended():
			return true
		default:
			return false
		}
	})
	if p.Err() != nil {
		p.b.Errorf("%s: %v", p.Name, p.Err())
	}
}

// heard reads one line of JSON that the process says.
func (p *process) heard(what any) {
	p.b.Helper()
	if err := p.Hear(what); err != nil {
		p.b.Fatal(err)
	}
}

// dispatcher is a process of that role.
type dispatcher struct {
	*process
	cfg dispatcherRole
	at  map[core.Mode]string
}

// dispatcher starts one and waits until workers can connect.
func (b *bench) dispatcher(modes ...core.Mode) *dispatcher {
	b.Helper()
	return b.dispatch(dispatcherRole{Modes: modes, Slots: 4})
}

func (b *bench) dispatch(cfg dispatcherRole) *dispatcher {
	b.Helper()
	cfg.Redis, cfg.Timers, cfg.Python = b.redis.URL(), b.timers, b.python
	d := &dispatcher{process: b.start("dispatcher", "dispatcher", cfg), cfg: cfg}
	d.heard(&d.at)
	return d
}

// again starts a dispatcher where one that was killed had been.
func (d *dispatcher) again() *dispatcher {
	d.b.Helper()
	cfg := d.cfg
	cfg.Ports = map[core.Mode]int{}
	for mode, address := range d.at {
		port, err := strconv.Atoi(address[strings.LastIndexByte(address, ':')+1:])
		if err != nil {
			d.b.Fatal(err)
		}
		cfg.Ports[mode] = port
	}
	return d.b.dispatch(cfg)
}

// numbers asks the process for what it knows of itself.
func (d *dispatcher) numbers() (n numbers) {
	d.b.Helper()
	if err := d.Tell("numbers"); err != nil {
		d.b.Fatal(err)
	}
	d.heard(&n)
	return n
}

// worker starts a worker with two slots and waits until the roster shows it.
func (b *bench) worker(mode core.Mode, urls ...string) *process { return b.workers(mode, 2, urls...) }

func (b *bench) workers(mode core.Mode, slots int, urls ...string) *process {
	b.Helper()
	return b.hire(workerRole{Mode: mode, URLs: urls, Slots: slots})
}

func (b *bench) hire(cfg workerRole) *process {
	b.Helper()
	cfg.Timers, cfg.Python = b.timers, b.python
	p := b.start("worker", "worker", cfg)
	b.until("the worker has joined", func() bool { return b.card(p).State == core.WorkerRunning })
	return p
}

// alive reports whether a process runs; one that is dead but was not waited for
// does not.
func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	return fields[0] != "Z" && fields[0] != "X"
}

// ticks is the processor time that a process has used, in hundredths of a second.
func ticks(t testing.TB, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return user + system
}

// resident is the memory of a process, in KiB.
func resident(t testing.TB, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kib
}

// descriptors is how many files and sockets a process has open.
func descriptors(t testing.TB, pid int) int {
	t.Helper()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}
