package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"faasctl/core"
	"faasctl/core/coretest/ports"
	"faasctl/httpapi/client"
)

const livePy = `
import os, time
import faasctl_task

def lines(n, pause):
    for i in range(n):
        print("line", i)
        faasctl_task.progress(i + 1, n, "line %d" % i)
        time.sleep(pause)
    return n

def flood(seconds):
    data, end = b"0123456789abcde\n" * 65536, time.monotonic() + seconds
    while time.monotonic() < end:
        os.write(1, data)
    os.write(1, b"the end\n")

def double(x):
    return 2 * x
`

// liveFleet is a fleet with a second API process, and a second dispatcher with a
// worker of its own.
func liveFleet(t *testing.T) (f *fleet, urls [2]string) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts whole stacks")
	}
	f = newFleet(t)
	api, socket := ports.Reserve(t, 1), ports.Reserve(t, 1)
	f.words["api2"] = []string{"serve", "--listen", ports.At(api), "--redis", f.redis.url()}
	f.words["dispatcher2"] = []string{"dispatcher", "-m", "push", "-p", strconv.Itoa(socket), "--redis", f.redis.url()}
	f.words["push2"] = []string{"worker", "push", "2", ports.At(socket)}
	for _, name := range []string{"dispatcher2", "push2", "api2"} {
		f.start(name)
	}
	t.Cleanup(func() {
		for _, name := range []string{"push2", "dispatcher2", "api2"} {
			f.stop(name)
		}
	})
	file := write(t, f.home, "live.py", livePy)
	for _, name := range []string{"lines", "flood", "double"} {
		if _, said, code := command(t, append(f.env, "FAASCTL_URL="+f.url()), f.home, "", "register", file+"::"+name); code != 0 {
			t.Fatal(said)
		}
	}
	return f, [2]string{f.url(), "http://" + ports.At(api)}
}

func liveAPI(t *testing.T, url string) *client.Client {
	t.Helper()
	api, err := client.New(client.Config{URL: url, Patience: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	return api
}

// TestFollowingAcrossProcesses: whatever worker runs a task, under whatever
// dispatcher, each API process tells all of it to each follower, as it comes and
// once, also while API and dispatcher are started again.
func TestFollowingAcrossProcesses(t *testing.T) {
	f, urls := liveFleet(t)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	apis := []*client.Client{liveAPI(t, urls[0]), liveAPI(t, urls[1])}
	const tasks, lines = 10, 40
	want := ""
	for i := range lines {
		want += fmt.Sprintf("line %d\n", i)
	}
	var group sync.WaitGroup
	var mu sync.Mutex
	workers := map[core.WorkerID]bool{}
	early, moves := 0, 0
	const followers = 2 * tasks
	begun := make(chan struct{}, followers+1) // a word of each follower's first news, and one when a running task is heard
	hear := sync.OnceFunc(func() { begun <- struct{}{} })
	for n := range tasks {
		one, err := apis[0].Submit(ctx, client.Call{Function: "lines", Args: json.RawMessage(fmt.Sprintf("[%d, 0.05]", lines))})
		if err != nil {
			t.Fatal(err)
		}
		for who, api := range apis {
			group.Go(func() {
				here := sync.OnceFunc(func() { begun <- struct{}{} })
				heard := map[int]string{}
				running := true
				attempt := 0
				err := api.Follow(ctx, one.ID, core.Position{}, func(news core.News) error {
					mu.Lock()
					defer mu.Unlock()
					here()
					if news.Task != nil {
						running = !news.Task.State.Terminal()
						attempt = news.Task.Attempt
						if news.Task.Worker != "" {
							workers[news.Task.Worker] = true
						}
						if p := news.Task.Progress; p != nil && p.Done > 0 && p.Done < lines && running {
							moves++
						}
					}
					if h := news.Heard; h != nil {
						heard[h.Attempt] += string(h.Data)
						if h.Cut > 0 {
							t.Errorf("%d bytes are missing", h.Cut)
						}
						if running && !strings.HasSuffix(heard[h.Attempt], fmt.Sprintf("line %d\n", lines-1)) {
							early++
							hear()
						}
					}
					return nil
				})
				if err != nil || heard[attempt] != want {
					t.Errorf("task %d, api %d: heard %q of attempt %d (%v)%s", n, who, heard[attempt], attempt, err, life(ctx, api, one.ID))
				}
			})
		}
	}
	for range followers + 1 {
		select {
		case <-begun:
		case <-ctx.Done():
			t.Fatal("not all followers hear of their task, or nobody hears one run")
		}
	}
	f.restart("api")
	f.restart("dispatcher")
	group.Wait()
	if len(workers) < 3 || early < tasks || moves < tasks {
		t.Errorf("%d workers took part, %d parts came early, progress moved %d times: that shows nothing", len(workers), early, moves)
	}
}

// TestAFloodOverRedis: a task that prints as fast as it can, followed by several,
// costs a bounded amount of Redis, and others get on.
func TestAFloodOverRedis(t *testing.T) {
	f, urls := liveFleet(t)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	api := liveAPI(t, urls[0])
	before := f.redis.used()
	var floods []core.TaskID
	for range 2 {
		one, err := api.Submit(ctx, client.Call{Function: "flood", Args: json.RawMessage("[4]")})
		if err != nil {
			t.Fatal(err)
		}
		floods = append(floods, one.ID)
	}
	var group sync.WaitGroup
	var mu sync.Mutex
	var told, cut int64
	for _, id := range floods {
		for _, url := range urls {
			other := liveAPI(t, url)
			group.Go(func() {
				last := ""
				err := other.Follow(ctx, id, core.Position{}, func(n core.News) error {
					if n.Heard != nil {
						mu.Lock()
						told, cut = told+int64(len(n.Heard.Data)), cut+n.Heard.Cut
						mu.Unlock()
						last = string(n.Heard.Data[max(0, len(n.Heard.Data)-8):])
					}
					return nil
				})
				if err != nil || last != "the end\n" {
					t.Errorf("it ended with %q (%v)", last, err)
				}
			})
		}
	}
	over := make(chan struct{})
	go func() { group.Wait(); close(over) }()
	most, calls, slowest := int64(0), 0, time.Duration(0)
	for ended := false; !ended; {
		select {
		case <-over:
			ended = true
		default:
		}
		began := time.Now()
		one, err := api.Submit(ctx, client.Call{Function: "double", Args: json.RawMessage("[21]")})
		if err != nil {
			t.Fatal(err)
		}
		if _, result, err := api.Result(ctx, one.ID, 30*time.Second); err != nil || result == nil || string(result.JSON) != "42" {
			t.Fatalf("a call beside the flood: %+v %v", result, err)
		}
		calls, slowest = calls+1, max(slowest, time.Since(began))
		most = max(most, f.redis.used()-before)
	}
	// Two streams of at most KeepPieces pieces, once in Redis and once on its way.
	if bound := int64(2*core.KeepPieces*core.PieceSize)*2 + 16<<20; most > bound {
		t.Errorf("Redis had %d bytes more, above %d", most, bound)
	}
	if cut < 100<<20 || told > cut/4 || calls < 10 {
		t.Errorf("%d bytes told, %d cut, %d calls beside: no flood", told, cut, calls)
	}
	t.Logf("%d MiB flooded (told four times: %d KiB); at most %d KiB of Redis; %d calls beside, the slowest %v", (told+cut)>>21, told>>10, most>>10, calls, slowest)
	deadline := time.Now().Add(2*core.FollowFor + 10*time.Second)
	for !f.redis.forgets("pieces:") || !f.redis.forgets("follow:") {
		if time.Now().After(deadline) {
			t.Fatal("what was followed is not forgotten")
		}
		time.Sleep(100 * time.Millisecond) // Redis tells nobody
	}
}

// used is how much memory the data take, in bytes.
func (r *redisServer) used() int64 {
	r.t.Helper()
	conn, err := net.DialTimeout("unix", r.socket, 5*time.Second)
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := fmt.Fprint(conn, "INFO memory\r\n"); err != nil {
		r.t.Fatal(err)
	}
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "used_memory:"); ok {
			n, _ := strconv.ParseInt(value, 10, 64)
			return n
		}
	}
	r.t.Fatal("Redis does not say how much memory it uses")
	return 0
}

// forgets reports whether no key of a family is left.
func (r *redisServer) forgets(family string) bool {
	answer, err := r.ask("EVAL \"return #redis.call('KEYS', '*:" + family + "*')\" 0")
	return err == nil && strings.TrimSpace(answer) == ":0"
}

// TestProgressOnATerminal: a bar below what is printed, drawn anew in place, that
// is gone in the end.
func TestProgressOnATerminal(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a whole stack")
	}
	home := t.TempDir()
	env := cleanEnv(t, home)
	s, err := startStack(env, home, "up", "-w", "1", "--listen", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.stop(2) })
	file := write(t, home, "live.py", livePy)
	m := onTerminal(t, append(env, "FAASCTL_URL="+s.url), home, "run", file+"::lines", "--args", "[4, 0.8]")
	if code := m.end(t, 60*time.Second); code != 0 {
		t.Fatalf("exit code %d: %q", code, m.text())
	}
	shown := m.text()
	if !strings.Contains(shown, "\r\x1b[K[") || !strings.Contains(shown, "] 2/4 (50%)  line 1") {
		t.Errorf("no bar: %q", shown)
	}
	screen := ""
	for _, part := range strings.Split(shown, "\r\x1b[K") { // as the terminal shows it: what stood in the line is gone
		if at := strings.LastIndex(screen, "\n"); at >= 0 {
			screen = screen[:at+1]
		}
		screen += part
	}
	if !strings.HasSuffix(screen, "line 0\r\nline 1\r\nline 2\r\nline 3\r\n4\r\n") {
		t.Errorf("in the end it shows %q", screen)
	}
}
