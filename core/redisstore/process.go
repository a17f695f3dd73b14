package redisstore

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// identity names one process beyond doubt: pids are used again, but not with
// the same start time. A pid file holds it and the socket.
type identity struct {
	pid    int
	start  uint64 // clock ticks since boot, field 22 of procfs' stat
	socket string
}

// text is the content of a pid file.
func (id identity) text() []byte {
	return []byte(strconv.Itoa(id.pid) + "\n" + strconv.FormatUint(id.start, 10) + "\n" + id.socket + "\n")
}

// readIdentity reads a pid file; ok is false for a missing or damaged one.
func readIdentity(path string) (id identity, ok bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return identity{}, false
	}
	return parseIdentity(string(text))
}

func parseIdentity(text string) (id identity, ok bool) {
	lines := strings.SplitN(text, "\n", 3)
	if len(lines) != 3 {
		return identity{}, false
	}
	var errPID, errStart error
	id.pid, errPID = strconv.Atoi(lines[0])
	id.start, errStart = strconv.ParseUint(lines[1], 10, 64)
	id.socket = strings.TrimSuffix(lines[2], "\n")
	return id, errPID == nil && errStart == nil && id.pid > 1
}

// lives reports whether the very process of the pid file runs and is a Redis
// server. Without procfs it says no: better a new server that fails on the
// socket than a signal to a stranger.
func (id identity) lives() bool {
	start, state, ok := processStart(id.pid)
	if !ok || start != id.start || state == 'Z' {
		return false
	}
	return isRedis(id.pid)
}

// processStart reads the start time and the state of a process.
func processStart(pid int) (start uint64, state byte, ok bool) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, 0, false
	}
	// The name stands in brackets and may hold anything, brackets too.
	end := bytes.LastIndexByte(text, ')')
	if end < 0 {
		return 0, 0, false
	}
	fields := strings.Fields(string(text[end+1:]))
	if len(fields) < 20 {
		return 0, 0, false
	}
	start, err = strconv.ParseUint(fields[19], 10, 64)
	return start, fields[0][0], err == nil
}

// isRedis looks at the program that a process runs.
func isRedis(pid int) bool {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	exe, _ := os.Readlink(filepath.Join(proc, "exe"))
	comm, _ := os.ReadFile(filepath.Join(proc, "comm"))
	for _, name := range []string{filepath.Base(exe), string(comm)} {
		// Packages link redis-server to redis-check-aof and Valkey's to either.
		if strings.HasPrefix(name, "redis-") || strings.HasPrefix(name, "valkey-") {
			return true
		}
	}
	return false
}

// endProcess asks the process to shut down, waits, and kills it when it takes
// longer than patience. It is not our child, so that it cannot be waited for.
func (id identity) endProcess(patience time.Duration) error {
	signal := syscall.SIGTERM
	deadline := time.Now().Add(patience)
	_ = syscall.Kill(id.pid, signal)
	for id.lives() {
		if time.Now().After(deadline) {
			if signal == syscall.SIGKILL {
				return errors.New("process " + strconv.Itoa(id.pid) + " does not end")
			}
			signal, deadline = syscall.SIGKILL, time.Now().Add(5*time.Second)
			_ = syscall.Kill(id.pid, signal)
		}
		time.Sleep(10 * time.Millisecond) // procfs cannot be waited for
	}
	return nil
}
