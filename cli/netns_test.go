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
	cutAndMend(t, ctx, s, env, home, east, west)
}

func cutAndMend(t *testing.T, ctx context.Context, s *stack, env []string, home string, east, west *machine) {
	awaitWorkers(t, ctx, s.api, "east", "west")
	file := write(t, home, "fn.py", "import os, time\n"+
		"def hold(dir, i):\n"+
		"    here = os.readlink('/proc/self/ns/net')\n"+
		"    open(f'{dir}/{i}@{here}', 'w').close()\n"+
		"    while not os.path.exists(f'{dir}/open{i}'): time.sleep(0.01)\n"+
		"    return here\n")
	if _, said, code := command(t, append(env, "FAASCTL_URL="+s.url), home, "", "register", file); code != 0 {
		t.Fatal(said)
	}
	submit := func(from, n int) []core.TaskID {
		return submitAll(t, ctx, s.api, n, func(i int) client.Call {
			return client.Call{Function: "hold", Args: json.RawMessage(fmt.Sprintf("[%q, %d]", home, from+i))}
		})
	}
	at := func(i int, m *machine) bool {
		_, err := os.Stat(filepath.Join(home, fmt.Sprintf("%d@%s", i, m.netns)))
		return err == nil
	}
	wait := func(what string, is func() bool) {
		t.Helper()
		if poll(ctx, is) != nil {
			t.Fatalf("%s; the dispatcher said:\n%s", what, s.output())
		}
	}
	open := func(i int) { write(t, home, fmt.Sprintf("open%d", i), "") }

	ids := submit(0, 4)
	where := map[int]*machine{}
	wait("four tasks do not run on two machines", func() bool {
		for i := range 4 {
			for _, m := range []*machine{east, west} {
				if at(i, m) {
					where[i] = m
				}
			}
		}
		return len(where) == 4
	})
	ip(t, "link", "set", east.cable, "down")
	cut := time.Now()
	var moved []int
	for i, m := range where {
		if m == east {
			moved = append(moved, i)
		} else {
			open(i)
		}
	}
	if len(moved) != 2 {
		t.Fatalf("%d of four tasks ran on one of two equal machines", len(moved))
	}
	wait("tasks of a machine that was cut off do not run on the other", func() bool { return at(moved[0], west) && at(moved[1], west) })
	t.Logf("its tasks ran on the other machine %v after the cut", time.Since(cut).Round(time.Second))
	if said := east.worker.output(); !strings.Contains(said, "the dispatcher is silent") || !strings.Contains(said, "what runs is killed") {
		t.Errorf("the worker that was cut off said:\n%s", said)
	}
	open(moved[0])
	open(moved[1])
	checkResults(t, ctx, s.api, ids, func(_ int, netns string) bool { return netns == west.netns })

	ip(t, "link", "set", east.cable, "up")
	awaitWorkers(t, ctx, s.api, "east", "west")
	ids = append(ids, submit(4, 4)...)
	wait("the machine that is back has nothing to do", func() bool {
		n := 0
		for i := 4; i < 8; i++ {
			if at(i, east) {
				n++
			}
		}
		return n == 2
	})
	for i := 4; i < 8; i++ {
		open(i)
	}
	once := map[core.TaskID]string{}
	for _, id := range ids {
		once[id] = ""
	}
	checkResults(t, ctx, s.api, ids, func(int, string) bool { return true })
	settledOnce(t, ctx, s.api, once)
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

func checkResults(t *testing.T, ctx context.Context, api *client.Client, ids []core.TaskID, right func(i int, netns string) bool) {
	t.Helper()
	for i, id := range ids {
		task, result, err := api.Result(ctx, id, time.Minute)
		var netns string
		if err != nil || result == nil || json.Unmarshal(result.JSON, &netns) != nil || !right(i, netns) {
			t.Fatalf("task %d is %s: %v, %v", i, task.State, result, err)
		}
	}
}
