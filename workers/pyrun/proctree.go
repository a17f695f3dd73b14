package pyrun

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is one line of the process table, as far as we need it.
type process struct {
	pid, parent int
	cpu         time.Duration // of it and the children that it has waited for
	threads     int
	start       int64 // in ticks since the system started: with pid it names a process for ever
	ended       bool  // it only waits for its parent to look
}

// clockTicks per second of the clock in procfs: fixed by the kernel's interface.
const clockTicks = 100

// processTable reads all processes that procfs shows.
func processTable() map[int]process {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	names, _ := dir.Readdirnames(-1)
	_ = dir.Close()
	table := make(map[int]process, len(names))
	for _, name := range names {
		if name[0] < '1' || name[0] > '9' {
			continue
		}
		if p, ok := readProcess(name); ok {
			table[p.pid] = p
		}
	}
	return table
}

func readProcess(name string) (p process, ok bool) {
	text, err := os.ReadFile("/proc/" + name + "/stat")
	end := bytes.LastIndexByte(text, ')') // a name may hold anything
	if err != nil || end < 0 {
		return p, false
	}
	fields := strings.Fields(string(text[end+1:]))
	if len(fields) < 20 {
		return p, false
	}
	p.ended = fields[0] == "Z" || fields[0] == "X"
	p.pid, _ = strconv.Atoi(name)
	p.parent, _ = strconv.Atoi(fields[1])
	p.threads, _ = strconv.Atoi(fields[17])
	p.start, _ = strconv.ParseInt(fields[19], 10, 64)
	for _, i := range []int{11, 12, 13, 14} { // utime, stime, cutime, cstime
		n, _ := strconv.ParseInt(fields[i], 10, 64)
		p.cpu += time.Duration(n) * time.Second / clockTicks
	}
	return p, p.pid > 0
}

// startOf is when a process was started; 0 for none.
func startOf(pid int) int64 {
	p, _ := readProcess(strconv.Itoa(pid))
	return p.start
}

// descendants lists pid and all that came from it and has a living line of
// ancestors to it.
func descendants(table map[int]process, pid int) []process {
	children := map[int][]process{}
	for _, p := range table {
		children[p.parent] = append(children[p.parent], p)
	}
	list := []process{}
	if p, ok := table[pid]; ok {
		list = append(list, p)
	}
	for at := 0; at < len(list); at++ {
		list = append(list, children[list[at].pid]...)
	}
	return list
}

// endTree kills pid and its descendants. They are stopped first, so that none
// forks while the others are looked for.
func endTree(pid int) {
	stopped := map[int]bool{}
	for more := true; more; {
		more = false
		for _, p := range descendants(processTable(), pid) {
			if !stopped[p.pid] {
				stopped[p.pid], more = true, true
				_ = unix.Kill(p.pid, unix.SIGSTOP)
			}
		}
	}
	for pid := range stopped {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
}

// markName is a variable that every process of a child inherits where there are
// no control groups. What leaves the child's tree after its ancestors have ended
// is known by it, unless it has cleared its environment.
const markName = "FAASCTL_CHILD"

// endMarked kills the processes that carry a mark.
func endMarked(mark string) {
	want := []byte(markName + "=" + mark)
	for range 5 { // one may have forked behind our back
		found := false
		for pid, p := range processTable() {
			if !p.ended && carries(pid, want) {
				found = unix.Kill(pid, unix.SIGKILL) == nil || found
			}
		}
		if !found {
			return
		}
	}
}

// owner is the user whose process it is; -2 where it cannot be told.
func owner(pid int) int {
	info, err := os.Stat("/proc/" + strconv.Itoa(pid))
	if err != nil {
		return -2
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return -2
	}
	return int(stat.Uid)
}

func carries(pid int, variable []byte) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	return err == nil && bytes.Contains(text, variable)
}

// private is the memory that processes have for themselves, in bytes: without
// the files that they share with others. What forks share is counted for each.
func private(pids []int) (bytes int64) {
	for _, pid := range pids {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		bytes += kibibytes(string(text), "RssAnon", "RssShmem")
	}
	return bytes
}

// proportional is like private, but divides what forks share: exact, and slower.
func proportional(pids []int) (bytes int64) {
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			bytes += private([]int{pid})
			continue
		}
		bytes += kibibytes(string(text), "Pss_Anon", "Pss_Shmem")
	}
	return bytes
}

// kibibytes adds up lines "name:   12 kB".
func kibibytes(text string, names ...string) (bytes int64) {
	for line := range strings.Lines(text) {
		name, rest, _ := strings.Cut(line, ":")
		if slices.Contains(names, name) {
			n, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			bytes += n << 10
		}
	}
	return bytes
}
