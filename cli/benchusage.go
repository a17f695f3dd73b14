package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Parts of a stack whose processor time and memory are told apart.
const (
	benchServer = "server" // API and dispatcher, and in mode local the Go side of workers
	benchWorker = "worker" // the Go side of push and pull workers
	benchRedis  = "redis"
	benchPython = "python"
	benchClient = "client"
)

var benchParts = []string{benchServer, benchWorker, benchRedis, benchPython, benchClient}

// benchUsage is what processes have used by now, or between two moments.
type benchUsage struct {
	cpu  map[int]float64 // seconds, by process
	peak map[int]int64   // bytes resident at most, by process
	part map[int]string  // which part of the stack a process is
}

// readBenchUsage looks at this process and at all that a stack of ours consists of;
// own is nil for somebody else's.
func readBenchUsage(own *benchStack) benchUsage {
	u := benchUsage{cpu: map[int]float64{}, peak: map[int]int64{}, part: map[int]string{}}
	u.add(os.Getpid(), benchClient)
	if own == nil {
		return u
	}
	children := childrenOf()
	for i, p := range own.procs {
		u.tree(p.cmd.Process.Pid, i == 0, children)
	}
	return u
}

// tree adds a process of ours and all below it.
func (u *benchUsage) tree(pid int, server bool, children map[int][]int) {
	part := benchPython
	name, _ := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "exe"))
	self, _ := os.Executable()
	switch base := filepath.Base(name); {
	case server:
		part = benchServer
	case name == self:
		part = benchWorker
	case strings.Contains(base, "redis") || strings.Contains(base, "valkey"):
		part = benchRedis
	}
	u.add(pid, part)
	for _, child := range children[pid] {
		u.tree(child, false, children)
	}
}

func (u *benchUsage) add(pid int, part string) {
	cpu, ok := cpuSeconds(pid)
	if !ok {
		return // it has just ended
	}
	u.cpu[pid], u.part[pid], u.peak[pid] = cpu, part, peakResident(pid)
}

// cpuSeconds is the processor time of a process, from its clock, which counts
// nanoseconds where procfs counts hundredths of a second.
func cpuSeconds(pid int) (float64, bool) {
	const schedClock = 2
	var used unix.Timespec
	if unix.ClockGettime(int32(^pid<<3|schedClock), &used) != nil {
		return 0, false
	}
	return float64(used.Nano()) / 1e9, true
}

// peakResident is the most memory that a process had resident so far, in bytes;
// 0 when it is gone.
func peakResident(pid int) int64 {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(status) {
		if rest, ok := bytes.CutPrefix(line, []byte("VmHWM:")); ok {
			kib, _ := strconv.ParseInt(string(bytes.Fields(rest)[0]), 10, 64)
			return kib << 10
		}
	}
	return 0
}

// childrenOf maps each process to those it started.
func childrenOf() map[int][]int {
	children := map[int][]int{}
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "stat"))
		if err != nil {
			continue
		}
		// The name before the last parenthesis may hold anything.
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) < 2 {
			continue
		}
		parent, _ := strconv.Atoi(string(fields[1]))
		children[parent] = append(children[parent], pid)
	}
	return children
}

// since is what was used from before to u, with the peaks of u.
func (u benchUsage) since(before benchUsage) benchUsage {
	for pid := range u.cpu {
		u.cpu[pid] -= before.cpu[pid]
	}
	return u
}

// cpuOf is the processor time of a part, in seconds.
func (u benchUsage) cpuOf(part string) (seconds float64, known bool) {
	for pid, used := range u.cpu {
		if u.part[pid] == part {
			seconds, known = seconds+used, true
		}
	}
	return seconds, known
}

// peakOf is the sum of the peaks of a part's processes, in bytes.
func (u benchUsage) peakOf(part string) (bytes int64) {
	for pid, peak := range u.peak {
		if u.part[pid] == part {
			bytes += peak
		}
	}
	return bytes
}
