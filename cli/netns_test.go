package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"faasctl/core"
	"faasctl/httpapi/client"
)

// machine is a network namespace that stands for another machine: a cable goes
// from it to us.
type machine struct {
	name   string // of the namespace
	cable  string // our end of it
	ours   string // our address on it
	netns  string // what the kernel calls the namespace
	worker *stack
}

// ip runs the program of that name.
func ip(t *testing.T, words ...string) {
	t.Helper()
	if out, err := exec.Command("ip", words...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", strings.Join(words, " "), err, out)
	}
}

// plug makes a machine, which goes away with the test.
func plug(t *testing.T, name, net string) *machine {
	t.Helper()
	m := &machine{name: "faasctl-" + name, cable: "fc-" + name, ours: net + ".1"}
	if out, err := exec.Command("ip", "netns", "add", m.name).CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: this system allows no network namespaces: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("ip", "netns", "delete", m.name).CombinedOutput(); err != nil {
			t.Errorf("the namespace %s is left: %v: %s", m.name, err, out)
		}
		_ = exec.Command("ip", "link", "delete", m.cable).Run() // it went with its other end, or soon does
	})
	inside, err := exec.Command("ip", "netns", "exec", m.name, "readlink", "/proc/self/ns/net").CombinedOutput()
	if err != nil {
		t.Skipf("SKIPPED: nothing can be run in a network namespace here: %v: %s", err, inside)
	}
	m.netns = strings.TrimSpace(string(inside))
	ip(t, "link", "add", m.cable, "type", "veth", "peer", "name", "eth0", "netns", m.name)
	ip(t, "address", "add", m.ours+"/30", "dev", m.cable)
	ip(t, "link", "set", m.cable, "up")
	ip(t, "-n", m.name, "address", "add", net+".2/30", "dev", "eth0")
	ip(t, "-n", m.name, "link", "set", "eth0", "up")
	return m
}

// work starts a worker there.
func (m *machine) work(t *testing.T, env []string, dir string, words ...string) {
	t.Helper()
	line := append([]string{"ip", "netns", "exec", m.name, program(t), "worker"}, words...)
	worker, err := startAs(env, dir, line...)
	if worker != nil {
		t.Cleanup(func() {
			if err := worker.stop(syscall.SIGTERM); err != nil && !t.Failed() {
				t.Errorf("the worker on %s: %v", m.name, err)
			}
			if t.Failed() {
				t.Logf("the worker on %s said:\n%s", m.name, worker.output())
			}
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	m.worker = worker
}

// TestWorkersOnOtherMachines has workers of two other network namespaces join
// over TCP with keys. One is cut off: its tasks run on the other, it kills what
// it ran, and when the cable is back it serves again. The timers are the real
// ones, so this takes most of a minute.
func TestWorkersOnOtherMachines(t *testing.T) {
	switch _, err := exec.LookPath("ip"); {
	case testing.Short():
		t.Skip("takes most of a minute")
	case runtime.GOOS != "linux" || os.Getuid() != 0:
		t.Skip("SKIPPED: network namespaces need Linux and root")
	case err != nil:
		t.Skip("SKIPPED: there is no ip here (package iproute2)")
	}
	run := rand.N(1 << 16)
	east := plug(t, fmt.Sprintf("e%04x", run), fmt.Sprintf("10.%d.%d", 100+run>>8%100, run&0xff))
	west := plug(t, fmt.Sprintf("w%04x", run), fmt.Sprintf("10.%d.%d", 100+run>>8%100, (run+1)&0xff))
	t.Parallel() // with other long ones; it mostly waits

	home := t.TempDir()
	env := cleanEnv(t, home)
	for _, name := range []string{"server", "allowed/east", "allowed/west"} {
		if _, said, code := command(t, env, home, "", "keys", "new", filepath.Base(name), "--out", filepath.Dir(name)); code != 0 {
			t.Fatal(said)
		}
	}
	s, err := startStack(env, home, "up", "-m", "push,pull", "-p", "0", "--bind", "0.0.0.0", "--curve", "server.key", "--allow", "allowed",
		"--listen", "127.0.0.1:0", "--data", filepath.Join(home, "data"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(syscall.SIGTERM); err != nil && !t.Failed() {
			t.Errorf("stopping: %v", err)
		}
	})
	ports := regexp.MustCompile(`HOST:(\d+)`).FindAllStringSubmatch(s.output(), 2)
	if len(ports) != 2 {
		t.Fatalf("it said:\n%s", s.output())
	}
	east.work(t, env, home, "push", "2", east.ours+":"+ports[0][1], "--curve", "allowed/east.key", "--server-key", "server.pub")
	west.work(t, env, home, "pull", "2", west.ours+":"+ports[1][1], "--curve", "allowed/west.key", "--server-key", "server.pub")
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	file := write(t, home, "fn.py", "import os, time\n"+
		"def hold(dir, i):\n"+
		"    here = os.readlink('/proc/self/ns/net')\n"+
		"    open(f'{dir}/{i}@{here}', 'w').close()\n"+
		"    while not os.path.exists(f'{dir}/open{i}'): time.sleep(0.01)\n"+
		"    return here\n")
	if _, said, code := command(t, append(env, "FAASCTL_URL="+s.url), home, "", "register", file); code != 0 {
		t.Fatal(said)
	}
	holds{t, ctx, s, home}.cutAndMend(east, west)
}

// holds are tasks that say where they run, and run until their gate is open.
type holds struct {
	*testing.T
	ctx  context.Context
	s    *stack
	home string
}

func (h holds) submit(from, n int) []core.TaskID {
	return submitAll(h.T, h.ctx, h.s.api, n, func(i int) client.Call {
		return client.Call{Function: "hold", Args: json.RawMessage(fmt.Sprintf("[%q, %d]", h.home, from+i))}
	})
}

// ranOn lists the tasks from..to-1 that have begun on a machine.
func (h holds) ranOn(m *machine, from, to int) (began []int) {
	for i := from; i < to; i++ {
		if _, err := os.Stat(filepath.Join(h.home, fmt.Sprintf("%d@%s", i, m.netns))); err == nil {
			began = append(began, i)
		}
	}
	return began
}

func (h holds) open(tasks ...int) {
	for _, i := range tasks {
		write(h.T, h.home, fmt.Sprintf("open%d", i), "")
	}
}

func (h holds) await(what string, is func() bool) {
	h.Helper()
	if poll(h.ctx, is) != nil {
		h.Fatalf("%s; the dispatcher said:\n%s", what, h.s.output())
	}
}

func (h holds) cutAndMend(east, west *machine) {
	awaitWorkers(h.T, h.ctx, h.s.api, "east", "west")
	ids := h.submit(0, 4)
	h.await("four tasks do not run on two machines, two on each", func() bool {
		return len(h.ranOn(east, 0, 4)) == 2 && len(h.ranOn(west, 0, 4)) == 2
	})
	ip(h.T, "link", "set", east.cable, "down")
	cut := time.Now()
	moved := h.ranOn(east, 0, 4)
	h.open(h.ranOn(west, 0, 4)...)
	h.await("tasks of a machine that was cut off do not run on the other", func() bool { return len(h.ranOn(west, 0, 4)) == 4 })
	h.Logf("its tasks ran on the other machine %v after the cut", time.Since(cut).Round(time.Second))
	if said := east.worker.output(); !strings.Contains(said, "the dispatcher is silent") || !strings.Contains(said, "what runs is killed") {
		h.Errorf("the worker that was cut off said:\n%s", said)
	}
	h.open(moved...)
	h.check(ids, west)

	ip(h.T, "link", "set", east.cable, "up")
	awaitWorkers(h.T, h.ctx, h.s.api, "east", "west")
	more := h.submit(4, 4)
	h.await("the machine that is back has nothing to do", func() bool {
		return len(h.ranOn(east, 4, 8)) == 2 && len(h.ranOn(west, 4, 8)) == 2
	})
	h.open(4, 5, 6, 7)
	h.check(more, east, west)
	once := map[core.TaskID]string{}
	for _, id := range append(ids, more...) {
		once[id] = ""
	}
	settledOnce(h.T, h.ctx, h.s.api, once)
}

// check waits for results, which must come from these machines.
func (h holds) check(ids []core.TaskID, from ...*machine) {
	h.Helper()
	for _, id := range ids {
		task, result, err := h.s.api.Result(h.ctx, id, time.Minute)
		var netns string
		if err != nil || result == nil || json.Unmarshal(result.JSON, &netns) != nil ||
			!slices.ContainsFunc(from, func(m *machine) bool { return m.netns == netns }) {
			h.Fatalf("task %s is %s: %v, %v", id, task.State, result, err)
		}
	}
}

// awaitWorkers waits until just these run, by the names of their keys.
func awaitWorkers(t *testing.T, ctx context.Context, api *client.Client, names ...string) {
	t.Helper()
	var all []core.Worker
	err := poll(ctx, func() bool {
		found := 0
		var err error
		if all, err = api.Workers(ctx); err != nil {
			return false
		}
		for _, w := range all {
			if w.State == core.WorkerRunning && strings.Contains(strings.Join(names, " "), w.Principal) {
				found++
			}
		}
		return found == len(names)
	})
	if err != nil {
		t.Fatalf("the workers are %+v", all)
	}
}
