package pyrun

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"faasctl/core"
)

// group is one slot's group in each hierarchy; "" where there is none.
type group struct {
	kill, pids, memory, cpu string
	v2                      bool
	set                     core.Limits // as last written
	ooms                    int64       // kills for memory that were seen
}

// groups counts the groups that this process has made.
var groups atomic.Int64

// groupName is a name that no other process uses, and that tells the next one
// whose group it was: namespace of process ids, process id, start, number.
func groupName() string {
	return fmt.Sprintf("faasctl-%s-%d-%d-%d", pidNamespace(), os.Getpid(), startOf(os.Getpid()), groups.Add(1))
}

// pidNamespace is the number of our namespace of process ids.
func pidNamespace() string {
	link, _ := os.Readlink("/proc/self/ns/pid")
	return strings.Trim(link, "pid:[]")
}

// orphaned reports whether a group of this name was made by a process that has
// ended. Of one in another namespace we cannot tell.
func orphaned(name string) bool {
	parts := strings.Split(name, "-")
	if len(parts) != 5 || parts[0] != "faasctl" || parts[1] != pidNamespace() {
		return false
	}
	pid, err1 := strconv.Atoi(parts[2])
	start, err2 := strconv.ParseInt(parts[3], 10, 64)
	return err1 == nil && err2 == nil && startOf(pid) != start
}

// sweep ends what workers that were killed have left behind, and takes their
// groups away. It returns how many groups there were.
func (c cgroups) sweep() (swept int) {
	for _, dir := range distinct(c.kill, c.pids, c.memory, c.cpu) {
		left, _ := filepath.Glob(filepath.Join(dir, "faasctl-*"))
		for _, path := range left {
			if orphaned(filepath.Base(path)) {
				(&group{kill: path}).remove()
				swept++
			}
		}
	}
	return swept
}

// group makes a group in each hierarchy. Without any it does nothing.
func (c cgroups) group() (*group, error) {
	g, name := &group{v2: c.v2}, groupName()
	for _, one := range []struct {
		in   string
		into *string
	}{{c.kill, &g.kill}, {c.pids, &g.pids}, {c.memory, &g.memory}, {c.cpu, &g.cpu}} {
		if one.in == "" {
			continue
		}
		*one.into = filepath.Join(one.in, name)
		if err := os.Mkdir(*one.into, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			*one.into = ""
			g.remove()
			return nil, fmt.Errorf("make a control group: %w", err)
		}
	}
	return g, nil
}

func distinct(dirs ...string) (list []string) {
	seen := map[string]bool{"": true}
	for _, dir := range dirs {
		if !seen[dir] {
			seen[dir] = true
			list = append(list, dir)
		}
	}
	return list
}

// dirs lists the group's directories, each once.
func (g *group) dirs() []string { return distinct(g.kill, g.pids, g.memory, g.cpu) }

// add moves a process in, and with it what it will start.
func (g *group) add(pid int) error {
	for _, dir := range g.dirs() {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
			return fmt.Errorf("move a process to its control group: %w", err)
		}
	}
	return nil
}

// processes lists what is in the group.
func (g *group) processes() []int { return processesIn(g.kill) }

func processesIn(dir string) (pids []int) {
	file, err := os.Open(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return nil
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if pid, err := strconv.Atoi(lines.Text()); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// end kills all in the group once: it does not wait until they are gone.
func (g *group) end() (left int) {
	if g.kill == "" {
		return 0
	}
	if os.WriteFile(filepath.Join(g.kill, "cgroup.kill"), []byte("1"), 0) != nil { // version 2 since Linux 5.14: all at once
		if g.pids != "" { // nobody forks meanwhile
			_ = os.WriteFile(filepath.Join(g.pids, "pids.max"), []byte("0"), 0)
			g.set.Processes = -1
		}
		for _, pid := range g.processes() {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
	return len(g.processes())
}

// endPatience is how long killed processes may take to be gone. One that the
// kernel holds in the middle of input or output may take longer.
const endPatience = time.Second

// empty kills all in the group until nothing is left, and reports whether it
// got there.
func (g *group) empty() bool {
	until := time.Now().Add(endPatience)
	for wait := 50 * time.Microsecond; g.end() > 0; wait = min(2*wait, 5*time.Millisecond) {
		if time.Now().After(until) {
			return false
		}
		time.Sleep(wait) // version 1 tells nobody when a group has become empty
	}
	return true
}

// remove ends what is left and takes the group away.
func (g *group) remove() {
	g.empty()
	for _, dir := range g.dirs() {
		for try := 0; os.Remove(dir) != nil && try < 20; try++ {
			time.Sleep(10 * time.Millisecond) // the last process is still on its way out
		}
	}
}

// used is the processor time that the group has taken since it was made.
func (g *group) used() time.Duration {
	if text, err := os.ReadFile(filepath.Join(g.cpu, "cpu.stat")); err == nil {
		return time.Duration(field(string(text), "usage_usec")) * time.Microsecond
	}
	text, _ := os.ReadFile(filepath.Join(g.cpu, "cpuacct.usage"))
	n, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return time.Duration(n)
}

// resident is what the group's memory is now, in bytes.
func (g *group) resident() int64 {
	name := "memory.usage_in_bytes"
	if g.v2 {
		name = "memory.current"
	}
	text, _ := os.ReadFile(filepath.Join(g.memory, name))
	n, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n
}

// tasks is how many processes and threads the group's limit counts.
func (g *group) tasks() int {
	text, _ := os.ReadFile(filepath.Join(g.pids, "pids.current"))
	n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return n
}

// field finds the number after a name in a file of lines "name number".
func field(text, name string) int64 {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
			return n
		}
	}
	return 0
}

// limit sets what the group may have, where its hierarchies can.
func (g *group) limit(l core.Limits) error {
	if g.pids != "" && l.Processes != g.set.Processes {
		text := "max"
		if l.Processes > 0 {
			text = strconv.Itoa(l.Processes)
		}
		if err := os.WriteFile(filepath.Join(g.pids, "pids.max"), []byte(text), 0); err != nil {
			return fmt.Errorf("limit processes: %w", err)
		}
		g.set.Processes = l.Processes
	}
	if g.memory != "" && l.Memory != g.set.Memory {
		file, text := "memory.limit_in_bytes", "-1"
		if g.v2 {
			file, text = "memory.max", "max"
			_ = os.WriteFile(filepath.Join(g.memory, "memory.swap.max"), []byte("0"), 0)  // a limit that swaps is none
			_ = os.WriteFile(filepath.Join(g.memory, "memory.oom.group"), []byte("1"), 0) // half a call is of no use
		}
		if l.Memory > 0 {
			text = strconv.FormatInt(l.Memory, 10)
		}
		if err := os.WriteFile(filepath.Join(g.memory, file), []byte(text), 0); err != nil {
			return fmt.Errorf("limit memory: %w", err)
		}
		g.set.Memory = l.Memory
	}
	return nil
}

// outOfMemory reports whether the kernel has killed for the group's memory
// since the last time it was asked.
func (g *group) outOfMemory() bool {
	if g.memory == "" {
		return false
	}
	name := "memory.oom_control"
	if g.v2 {
		name = "memory.events"
	}
	text, _ := os.ReadFile(filepath.Join(g.memory, name))
	seen := field(string(text), "oom_kill")
	more := seen > g.ooms
	g.ooms = seen
	return more
}
