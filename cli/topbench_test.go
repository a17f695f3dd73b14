package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"faasctl/core"
	"faasctl/httpapi/client"
)

const (
	topLoadRate  = 5000 // tasks per second
	topLoadBatch = 500  // of them in one request
	topLoadTime  = 20 * time.Second
)

// BenchmarkTopUnderLoad is what `faasctl top` costs, and how it moves, while a
// real stack is sent 5,000 tasks a second in batches. It tells the rate that the
// stack kept up with, the share of a core that the dashboard used, and the time
// between two frames. Targets: < 5 % of a core, p99 of frames ≤ 200 ms.
func BenchmarkTopUnderLoad(b *testing.B) {
	s, _, env := twoWorkers(b)
	for _, seen := range []struct{ name, word string }{{"overview", ""}, {"tasks", "tasks"}} {
		b.Run(seen.name, func(b *testing.B) {
			for b.Loop() {
				measureTop(b, s, append(env, "TERM=xterm-256color"), seen.word)
			}
		})
	}
}

// measureTop runs one dashboard under load.
func measureTop(b *testing.B, s *stack, env []string, screen string) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if _, err := s.api.Register(ctx, core.RegisterRequest{Name: "nop", Codec: core.Source, Entry: "nop", File: "nop.py", Body: []byte("def nop(n): return n\n")}); err != nil {
		b.Fatal(err)
	}
	var sending sync.WaitGroup
	sending.Go(func() { sendLoad(ctx, b, s.api) })
	defer sending.Wait()
	defer cancel()
	top := exec.Command(program(b), "top")
	if screen != "" {
		top.Args = append(top.Args, screen)
	}
	top.Env = env
	terminal, err := pty.StartWithSize(top, &pty.Winsize{Rows: 40, Cols: 120})
	if err != nil {
		b.Fatal(err)
	}
	defer terminal.Close()
	frames := make(chan []time.Time, 1)
	go func() { frames <- frameTimes(terminal) }()
	pause(ctx, 2*time.Second) // until the picture is there and the load flows
	before, began := readUsage(b, top.Process.Pid, s), time.Now()
	pause(ctx, topLoadTime)
	after, ended := readUsage(b, top.Process.Pid, s), time.Now()
	_, _ = terminal.WriteString("q")
	times := <-frames
	if err := top.Wait(); err != nil {
		b.Error(err)
	}
	seconds := ended.Sub(began).Seconds()
	gaps := gapsBetween(times, began, ended)
	b.ReportMetric(float64(after.totals.Submitted-before.totals.Submitted)/seconds, "tasks-in/s")
	b.ReportMetric(float64(after.totals.Ended()-before.totals.Ended())/seconds, "tasks-out/s")
	b.ReportMetric(100*(after.top-before.top).Seconds()/seconds, "top-%-of-a-core")
	b.ReportMetric(100*(after.up-before.up).Seconds()/seconds, "up-%-of-a-core")
	b.ReportMetric(float64(len(gaps))/seconds, "frames/s")
	b.ReportMetric(gaps[len(gaps)/2].Seconds()*1000, "ms-frame-p50")
	b.ReportMetric(gaps[len(gaps)*99/100].Seconds()*1000, "ms-frame-p99")
	b.ReportMetric(gaps[len(gaps)-1].Seconds()*1000, "ms-frame-max")
}

// sendLoad submits at a fixed rate; what the server is late with is not made up
// for.
func sendLoad(ctx context.Context, b *testing.B, api *client.Client) {
	calls := make([]client.Call, topLoadBatch)
	for i := range calls {
		calls[i] = client.Call{Function: "nop", Args: fmt.Appendf(nil, "[%d]", i)}
	}
	tick := time.NewTicker(time.Second * topLoadBatch / topLoadRate)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if _, err := api.SubmitBatch(ctx, calls); err != nil && ctx.Err() == nil {
				b.Error(err)
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	limited, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-limited.Done()
}

// frameTimes reads a terminal until it closes. What arrives within 10 ms is one
// frame: the renderer writes each at once, and the terminal hands it on in parts.
func frameTimes(terminal *os.File) (frames []time.Time) {
	part := make([]byte, 64<<10)
	for {
		_, err := terminal.Read(part)
		now := time.Now()
		if err != nil {
			return frames
		}
		if n := len(frames); n == 0 || now.Sub(frames[n-1]) > 10*time.Millisecond {
			frames = append(frames, now)
		}
	}
}

// gapsBetween are the times from frame to frame, the shortest first.
func gapsBetween(frames []time.Time, from, to time.Time) (gaps []time.Duration) {
	for i := 1; i < len(frames); i++ {
		if frames[i-1].After(from) && frames[i].Before(to) {
			gaps = append(gaps, frames[i].Sub(frames[i-1]))
		}
	}
	slices.Sort(gaps)
	if len(gaps) == 0 {
		return []time.Duration{to.Sub(from)}
	}
	return gaps
}

// consumed is what two processes have used of the processors, and what was done.
type consumed struct {
	top, up time.Duration
	totals  core.Totals
}

func readUsage(b *testing.B, top int, s *stack) consumed {
	b.Helper()
	stats, err := s.api.Stats(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	return consumed{cpuTime(b, top), cpuTime(b, s.cmd.Process.Pid), stats.Totals}
}

// cpuTime is user and system time of a process, which the kernel tells in
// hundredths of a second.
func cpuTime(b *testing.B, pid int) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:]) // the name may hold blanks
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100
}
