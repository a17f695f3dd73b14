package cli

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkRunWarm is what `faasctl run` on a warm function adds to the
// function's own time: start of the process, HTTP, Redis, dispatcher, Python
// and back. The function tells how long it took itself. Target: p50 < 15 ms.
func BenchmarkRunWarm(b *testing.B) {
	home := b.TempDir()
	env := cleanEnv(b, home)
	s, err := startStack(env, home, "up", "-w", "2", "--listen", "127.0.0.1:0", "--data", filepath.Join(home, "data"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.stop(syscall.SIGTERM) }()
	env = append(env, "FAASCTL_URL="+s.url)
	file := write(b, home, "work.py", "import time\ndef work(n):\n    t = time.perf_counter()\n    sum(range(n))\n    return time.perf_counter() - t\n")
	if _, said, code := command(b, env, home, "", "run", file, "--args", "[20000]"); code != 0 {
		b.Fatal(said)
	}
	var added []float64
	for b.Loop() {
		cmd := exec.Command(program(b), "run", "work", "--args", "[20000]")
		cmd.Env = env
		began := time.Now()
		out, err := cmd.Output()
		took := time.Since(began)
		if err != nil {
			b.Fatal(err)
		}
		own, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
		if err != nil {
			b.Fatal(err)
		}
		added = append(added, took.Seconds()*1000-own*1000)
	}
	slices.Sort(added)
	b.ReportMetric(added[len(added)/2], "ms-added-p50")
	b.ReportMetric(added[len(added)*99/100], "ms-added-p99")
}
