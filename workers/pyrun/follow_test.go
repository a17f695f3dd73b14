package pyrun

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"faasctl/core"
)

// heard puts together what was told of a stream; "?" stands for each byte cut.
func heard(pieces []core.Piece, stream core.StreamName) string {
	var b strings.Builder
	for _, p := range pieces {
		if p.Stream == stream {
			b.WriteString(strings.Repeat("?", int(p.Offset)-b.Len()))
			b.Write(p.Data)
		}
	}
	return b.String()
}

func TestFollowedCallsAreTold(t *testing.T) {
	r := newRig(t, Config{Slots: 2})
	dir := t.TempDir()
	f := source("f", `
import os, sys, time
def f(gate, n):
    print("one")
    print("aside", file=sys.stderr)
    while not os.path.exists(gate): time.sleep(0.005)
    os.system("echo two")
    while not os.path.exists(gate + "2"): time.sleep(0.005)
    return n
`)
	gate := filepath.Join(dir, "gate")
	a := assign(f, fmt.Sprintf(`[[%q, 1], {}]`, gate))
	other := assign(f, fmt.Sprintf(`[[%q, 2], {}]`, gate)) // followed by nobody
	r.Follow([]core.TaskID{a.Task}, true)                  // before it is known
	r.Start([]core.Assignment{a}, r)
	r.Start([]core.Assignment{other}, r)
	told := func(want string) func() bool {
		return func() bool { return heard(r.printed[a.Task], core.Stdout) == want }
	}
	r.until(t, "the first line", told("one\n"))
	r.until(t, "the other stream", func() bool { return heard(r.printed[a.Task], core.Stderr) == "aside\n" })
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r.until(t, "what a child process printed", told("one\ntwo\n"))
	r.Follow([]core.TaskID{a.Task}, false)
	r.Follow([]core.TaskID{other.Task}, true) // while it runs: from the beginning
	r.until(t, "the other call's output", func() bool { return heard(r.printed[other.Task], core.Stdout) == "one\ntwo\n" })
	if err := os.WriteFile(gate+"2", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, task := range []core.TaskID{a.Task, other.Task} {
		if o := r.outcome(t, task); string(o.Output.Stdout.Head) != "one\ntwo\n" || o.State != core.Completed {
			t.Fatalf("%+v", o)
		}
	}
	r.Follow([]core.TaskID{other.Task}, false)
	r.fine()
	if n := r.following.Load(); n != 0 {
		t.Errorf("%d calls are followed", n)
	}
}

// A flood is told in bounded pieces, costs no memory, and others get on.
func TestFloodThatIsFollowed(t *testing.T) {
	r := newRig(t, Config{Slots: 2})
	flood := source("flood", `
import os
def flood(mib):
    data = b"0123456789abcde\n" * 65536
    for _ in range(mib): os.write(1, data)
    os.write(1, b"the end\n")
`)
	const mib = 1024
	a := assign(flood, fmt.Sprintf("[[%d], {}]", mib))
	a.Timeout = 5 * time.Minute
	r.Follow([]core.TaskID{a.Task}, true)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	r.Start([]core.Assignment{a}, r)
	for range 100 {
		r.fine()
	}
	r.until(t, "the end of the flood", func() bool { return len(r.ended[a.Task]) > 0 })
	took := time.Since(began)
	pieces := r.printed[a.Task]
	var bytes int
	for _, p := range pieces {
		bytes += len(p.Data)
		if len(p.Data) > core.PieceSize || len(p.Times) > 2*maxTicks {
			t.Fatalf("a piece of %d bytes with %d times", len(p.Data), len(p.Times))
		}
	}
	if most := (keepHead + keepTail) * (2 + int(took/streamEvery)); bytes > most {
		t.Errorf("%d bytes were told in %v, more than %d", bytes, took, most)
	}
	s := r.outcome(t, a.Task).Output.Stdout
	if total := int64(len(s.Head)+len(s.Tail)) + s.Cut; total != mib<<20+8 || !strings.HasSuffix(string(s.Tail), "e\nthe end\n") || len(s.Times) > maxTicks {
		t.Errorf("%d bytes, the last %q, %d times", total, s.Tail[len(s.Tail)-10:], len(s.Times))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc) - int64(bytes); grown > 8<<20 {
		t.Errorf("it took %d bytes of memory", grown)
	}
	t.Logf("%d MiB in %v, %d pieces of %d bytes together", mib, took, len(pieces), bytes)
}

func TestTicks(t *testing.T) {
	var c capture
	c.write([]byte("at once\n"), 0)
	if s := c.stream(); len(s.Times) != 0 {
		t.Fatalf("%v", s.Times)
	}
	c.write([]byte("later\n"), 1500)
	c.write([]byte("then\n"), 1500)
	if s := c.stream(); len(s.Times) != 1 || s.Times[0] != (core.Tick{8, 1500}) {
		t.Fatalf("%v", s.Times)
	}
	if got := c.since(9, core.Stdout); len(got) != 1 || got[0].Offset != 9 || string(got[0].Data) != "ater\nthen\n" || got[0].Times[0] != (core.Tick{8, 1500}) {
		t.Fatalf("%+v", got)
	}
	// Whatever is printed when, the times are few, rise, and lie within a gap of
	// the truth, for the part that is kept.
	for _, step := range []int64{1, 7, 1000} {
		c = capture{}
		at := map[int64]int64{} // offset → ms
		for i := range int64(50_000) {
			at[c.total()] = i * step
			c.write([]byte("0123456789\n"), i*step)
		}
		s := c.stream()
		if len(s.Times) > maxTicks || len(s.Times) < maxTicks/4 {
			t.Fatalf("%d times", len(s.Times))
		}
		for offset, ms := range at {
			if offset >= int64(len(s.Head)) && offset < int64(len(s.Head))+s.Cut {
				continue
			}
			told := int64(0)
			for i, tick := range s.Times {
				if i > 0 && (tick[0] <= s.Times[i-1][0] || tick[1] <= s.Times[i-1][1]) {
					t.Fatalf("times do not rise: %v %v", s.Times[i-1], tick)
				}
				if tick[0] <= offset {
					told = tick[1]
				}
			}
			if told > ms || ms-told > 2*c.when.gap+step {
				t.Fatalf("step %d: what was printed at %d ms is told as of %d, with a gap of %d", step, ms, told, c.when.gap)
			}
		}
	}
}
