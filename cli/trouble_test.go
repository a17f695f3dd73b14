package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"faasctl/core"
	"faasctl/httpapi/client"

	"golang.org/x/sys/unix"
)

// troubled is a stack whose store is about to have trouble, and two clients: one that
// waits, and one that does not.
type troubled struct {
	t       *testing.T
	ctx     context.Context
	s       *stack
	patient *client.Client
	asks    *client.Client
	file    string
	env     []string
	want    map[core.TaskID]string
	next    int
}

func trouble(t *testing.T, s *stack, env []string, home string) *troubled {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	x := &troubled{t: t, ctx: ctx, s: s, env: append(env, "FAASCTL_URL="+s.url), want: map[core.TaskID]string{}}
	var err error
	if x.patient, err = client.New(client.Config{URL: s.url, Patience: time.Minute}); err != nil {
		t.Fatal(err)
	}
	if x.asks, err = client.New(client.Config{URL: s.url, Patience: -1}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); x.patient.Close(); x.asks.Close() })
	x.file = write(t, home, "fn.py", "def square(x, ballast=''):\n    return x * x\n")
	x.register()
	return x
}

func (x *troubled) register() {
	x.t.Helper()
	if _, said, code := command(x.t, x.env, filepath.Dir(x.file), "", "register", x.file+"::square", "--patience", "30s"); code != 0 {
		x.t.Fatal(said)
	}
}

// submit asks for a call through a client; an accepted one must come to an end.
func (x *troubled) submit(api *client.Client, ballast int) error {
	x.next++
	one, err := api.Submit(x.ctx, client.Call{Function: "square", Args: json.RawMessage(fmt.Sprintf("[%d, %q]", x.next, strings.Repeat("x", ballast)))})
	if err == nil {
		err = one.Err
	}
	if err == nil {
		x.want[one.ID] = strconv.Itoa(x.next * x.next)
	}
	return err
}

// works shows that all is well again: a call is accepted, run and answered by
// whoever waits for it.
func (x *troubled) works() {
	x.t.Helper()
	if err := x.submit(x.patient, 0); err != nil {
		x.t.Fatalf("it does not come back: %v; it said:\n%s", err, x.s.output())
	}
	x.settled()
}

// settled waits for everything that was accepted.
func (x *troubled) settled() {
	x.t.Helper()
	for id, value := range x.want {
		task, result, err := x.patient.Result(x.ctx, id, time.Minute)
		if err != nil || result == nil || string(result.JSON) != value {
			x.t.Fatalf("task %s is %s: %+v, want %s, %v", id, task.State, result, value, err)
		}
	}
}

// refuses waits until submits are refused as they should be while the store is in
// trouble: 503, when to come again, and why.
func (x *troubled) refuses(why string) {
	x.t.Helper()
	var err error
	if poll(x.ctx, func() bool { err = x.submit(x.asks, 0); return err != nil && strings.Contains(err.Error(), why) }) != nil {
		x.t.Fatalf("refused with %v, want %q", err, why)
	}
	if core.ClassOf(err) != core.ErrUnavailable || core.HintOf(err) == "" {
		x.t.Fatalf("refused with %v, hint %q", err, core.HintOf(err))
	}
	// A Redis that starts again on a full disk finds a few bytes, and takes a call or
	// two before it dies again: hence the patience.
	var answer *http.Response
	if poll(x.ctx, func() bool {
		if answer, err = http.Post(x.s.url+"/v1/tasks", "application/json", strings.NewReader(`{"function":"square","args":[1]}`)); err != nil {
			x.t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusServiceUnavailable && answer.Header.Get("Retry-After") != ""
	}) != nil {
		x.t.Fatalf("%s, Retry-After %q", answer.Status, answer.Header.Get("Retry-After"))
	}
	if poll(x.ctx, func() bool { err = x.asks.Ready(x.ctx); return core.ClassOf(err) == core.ErrUnavailable }) != nil {
		x.t.Fatalf("ready: %v", err)
	}
	var said string
	var code int
	if poll(x.ctx, func() bool {
		_, said, code = command(x.t, x.env, filepath.Dir(x.file), "", "run", "square", "--args", "[1]", "--patience", "0")
		return code == core.ExitUnavailable && strings.Contains(said, why) && strings.Contains(said, "→")
	}) != nil {
		x.t.Fatalf("run exits %d and says %s", code, said)
	}
}

// TestRedisTrouble puts the Redis of a stack through everything that befalls one, and
// after each the stack works again by itself.
func TestRedisTrouble(t *testing.T) {
	if testing.Short() {
		t.Skip("starts whole stacks")
	}
	home := t.TempDir()
	env, redis := cleanEnv(t, home), redisServerFor(t)
	s, err := startStack(env, home, "up", "-w", "2", "--listen", "127.0.0.1:0", "--data", filepath.Join(home, "data"), "--redis", redis.url(), "--durability", "always")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.stop(syscall.SIGTERM); err != nil {
			t.Errorf("stopping: %v", err)
		}
	}()
	x := trouble(t, s, env, home)
	events := make(chan core.Event, 10_000)
	ctx, cancel := context.WithCancel(x.ctx)
	streamed := make(chan error, 1)
	go func() {
		streamed <- x.patient.Events(ctx, "$", func(e core.Event) error { events <- e; return nil })
	}()
	defer func() { cancel(); <-streamed }()
	still := time.Second
	if soaking {
		still = 10 * time.Second
	}
	x.works()
	for _, one := range []struct {
		name string
		do   func()
	}{
		{"scripts flushed", func() { redis.must("SCRIPT FLUSH") }},
		{"connections cut", func() { redis.must("CLIENT KILL TYPE normal SKIPME yes"); redis.must("CLIENT KILL TYPE pubsub") }},
		{"a restart", func() { redis.end(syscall.SIGTERM); x.refuses("Redis cannot be reached"); redis.start() }},
		{"kill -9", func() { redis.end(syscall.SIGKILL); x.refuses("Redis cannot be reached"); redis.start() }},
		{"standing still", func() {
			_ = redis.cmd.Process.Signal(syscall.SIGSTOP)
			<-time.After(still) // what is tested is time itself
			_ = redis.cmd.Process.Signal(syscall.SIGCONT)
		}},
		{"read only", func() { redis.must("REPLICAOF 127.0.0.1 1"); x.refuses("READONLY"); redis.must("REPLICAOF NO ONE") }},
		{"out of memory", func() { redis.must("CONFIG SET maxmemory 1"); x.refuses("OOM"); redis.must("CONFIG SET maxmemory 0") }},
	} {
		t.Log(one.name)
		one.do()
		x.works()
	}
	// Emptied: what was there is gone, and said to be; new work is done.
	redis.must("FLUSHALL")
	x.want = map[core.TaskID]string{}
	x.register()
	x.works()
	for !strings.Contains(s.output(), "Redis was emptied") { // said by the next reap at the latest
		select {
		case <-time.After(50 * time.Millisecond):
		case <-x.ctx.Done():
			t.Fatalf("it does not say that Redis was emptied:\n%s", s.output())
		}
	}
	// The stream of events has lived through all of it.
	last := core.TaskID("")
	for id := range x.want {
		last = id
	}
	for found := false; !found; {
		select {
		case e := <-events:
			found = e.Task == last && e.Kind == core.TaskCompleted
		case <-x.ctx.Done():
			t.Fatal("the stream of events does not go on")
		}
	}
}

// TestFullDisk fills the disk under the data directory: submits are refused with the
// reason, nothing accepted is lost, and with room the service returns.
func TestFullDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("starts whole stacks")
	}
	for _, durability := range []string{"everysec", "always"} {
		t.Run(durability, func(t *testing.T) { fullDisk(t, durability) })
	}
}

func fullDisk(t *testing.T, durability string) {
	home := t.TempDir()
	disk := filepath.Join(home, "disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=12m,mode=0700"); err != nil {
		t.Skipf("NOT TESTED: TestFullDisk/%s: a full disk; a tmpfs cannot be mounted here: %v", durability, err)
	}
	defer func() {
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	env := cleanEnv(t, home)
	s, err := startStack(env, home, "up", "-w", "2", "--listen", "127.0.0.1:0", "--data", filepath.Join(disk, "data"), "--durability", durability)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.stop(syscall.SIGTERM); err != nil {
			t.Errorf("stopping: %v; it said:\n%s", err, s.output())
		}
	}()
	x := trouble(t, s, env, home)
	x.works()
	for range 2 {
		filler := filepath.Join(disk, "filler")
		if err := fill(filler); err != nil {
			t.Fatal(err)
		}
		// The page that the log is in has room for a little yet.
		refused := func() bool { err := x.submit(x.asks, 4096); return err != nil }
		if poll(x.ctx, refused) != nil {
			t.Fatal("it goes on although the disk is full")
		}
		why := "No space left on device"
		if durability == "always" {
			why = "the disk of " + filepath.Join(disk, "data") + " is full"
		}
		x.refuses(why)
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		x.works()
	}
	t.Logf("%d tasks were accepted, and all ended", len(x.want))
}

// fill writes a file until the disk is full.
func fill(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	for block := make([]byte, 4096); ; {
		if _, err := file.Write(block); err != nil {
			return nil
		}
	}
}
