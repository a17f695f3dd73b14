package redisstore

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"faasctl/core"
)

// startChild runs an embedded server for one test, in a data directory of its
// own.
func startChild(t testing.TB, durability Durability) (dir string, child *Child) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "data")
	child, stop := runChild(t, dir, durability)
	t.Cleanup(stop)
	return dir, child
}

// runChild starts and runs a server; stop ends it and is safe to call twice.
func runChild(t testing.TB, dir string, durability Durability) (child *Child, stop func()) {
	t.Helper()
	child, err := StartChild(t.Context(), ChildConfig{Dir: dir, Durability: durability, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- child.Run(ctx) }()
	stopped := false
	return child, func() {
		if cancel(); stopped {
			return
		}
		stopped = true
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func childBench(t testing.TB, child *Child) *bench {
	t.Helper()
	s, err := Open(t.Context(), Config{URL: child.URL(), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	b := &bench{TB: t, Store: s, ctx: context.Background()}
	b.fn = b.function("f").ID
	return b
}

// eventually repeats try until it holds.
func eventually(t testing.TB, what string, try func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for tick := time.NewTicker(10 * time.Millisecond); !try(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come about", what)
		}
	}
}

func TestChildIsPrivate(t *testing.T) {
	dir, child := startChild(t, DurabilityEverysec)
	b := childBench(t, child)
	if len(b.Warnings()) != 0 || b.server.durability != "everysec" {
		t.Fatalf("warnings %v, durability %s", b.Warnings(), b.server.durability)
	}
	for name, want := range map[string]os.FileMode{"redis": 0o700, "redis/redis.sock": 0o700, "redis/redis.conf": 0o600, "redis/redis.pid": 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
	if port := b.raw().ConfigGet(b.ctx, "port").Val()["port"]; port != "0" {
		t.Fatalf("it listens on port %s", port)
	}
	if url, ok := RunningURL(dir); !ok || url != child.URL() {
		t.Fatalf("running at %q, %v", url, ok)
	}
	if _, ok := RunningURL(t.TempDir()); ok {
		t.Fatal("a server runs in an empty directory")
	}
}

func TestKilledChildComesBackWithItsData(t *testing.T) {
	_, child := startChild(t, DurabilityAlways)
	b := childBench(t, child)
	resets := make(chan struct{}, 100)
	ctx, cancel := context.WithCancel(b.ctx)
	ended := make(chan error, 1)
	go func() {
		ended <- b.Listen(ctx, func(h core.Hint) {
			if h.Kind == core.HintReset {
				resets <- struct{}{}
			}
		})
	}()
	<-resets
	ids := b.submit(10)
	held := b.claim(1)[0]
	b.must(syscall.Kill(child.PID(), syscall.SIGKILL))
	eventually(t, "an error while the server is away, or its return", func() bool {
		err := b.Ping(b.ctx)
		if err != nil && !errors.Is(err, core.ErrUnavailable) {
			t.Fatalf("%v is not ErrUnavailable", err)
		}
		return err == nil
	})
	<-resets // the listener has subscribed again and says so
	if got := b.settle(outcome(held.Lease, core.Completed)); got[0] != core.VerdictOK {
		t.Fatal(got)
	}
	if b.task(ids[9]).State != core.Queued || len(b.claim(100)) != 9 {
		t.Fatal("tasks were lost")
	}
	cancel()
	b.must(<-ended)
}

func TestDataSurviveAStopAndAStart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	child, stop := runChild(t, dir, DurabilityEverysec)
	b := childBench(t, child)
	ids := b.submit(50)
	b.Close()
	stop()
	if _, ok := RunningURL(dir); ok {
		t.Fatal("it still runs")
	}
	if err := syscall.Kill(child.PID(), 0); err == nil {
		t.Fatal("its process is still there")
	}
	if _, err := Open(t.Context(), Config{URL: child.URL(), Logger: quiet}); !errors.Is(err, core.ErrUnavailable) {
		t.Fatalf("open: %v", err)
	}
	child, stop = runChild(t, dir, DurabilityEverysec)
	defer stop()
	if b = childBench(t, child); b.task(ids[49]).State != core.Queued {
		t.Fatal("a task was lost")
	}
}

// TestOrphanIsEnded starts a server and forgets it, as a parent that was killed
// does, but keeps its thread so that the kernel does not end it for us.
func TestOrphanIsEnded(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	orphan, err := StartChild(t.Context(), ChildConfig{Dir: dir, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	b := childBench(t, orphan)
	id := b.submit(1)[0]
	b.Close()
	child, stop := runChild(t, dir, DurabilityEverysec)
	defer stop()
	select {
	case <-orphan.proc.ended:
	default:
		t.Fatal("the orphan still runs beside its successor")
	}
	if b = childBench(t, child); b.task(id).State != core.Queued {
		t.Fatal("what the orphan had was lost")
	}
}

func TestStrangerIsLeftAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.MkdirAll(filepath.Join(dir, "redis"), 0o700); err != nil {
		t.Fatal(err)
	}
	// Our own process under its true start time, but we are no Redis; and a
	// Redis under a start time that is not its own.
	start, _, ok := processStart(os.Getpid())
	if !ok {
		t.Skip("no procfs")
	}
	self := identity{pid: os.Getpid(), start: start, socket: "x"}
	_, child := startChild(t, DurabilityMemory)
	other := child.proc.id
	other.start--
	if self.lives() || other.lives() || !child.proc.id.lives() {
		t.Fatal("a stranger was taken for an orphan")
	}
	if err := os.WriteFile(filepath.Join(dir, "redis", pidFile), other.text(), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stop := runChild(t, dir, DurabilityMemory)
	stop()
	if !child.proc.id.lives() {
		t.Fatal("a stranger was ended")
	}
}

func TestLongDirectoryGetsAShortSocket(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long-", 24))
	child, stop := runChild(t, dir, DurabilityMemory)
	defer stop()
	if len(child.socket) > maxSocketPath || !private(filepath.Dir(child.socket)) {
		t.Fatalf("socket %s", child.socket)
	}
	childBench(t, child)
	if url, ok := RunningURL(dir); !ok || url != child.URL() {
		t.Fatalf("running at %q, %v", url, ok)
	}
	stop()
	if _, err := os.Stat(filepath.Dir(child.socket)); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("left behind: %v", err)
	}
}

func TestStartFailures(t *testing.T) {
	t.Run("no program", func(t *testing.T) {
		t.Setenv("FAASCTL_REDIS_SERVER", "no-such-redis")
		_, err := StartChild(t.Context(), ChildConfig{Dir: t.TempDir(), Logger: quiet})
		if !errors.Is(err, core.ErrUnavailable) || !strings.Contains(core.HintOf(err), "make deps") {
			t.Fatalf("%v, hint %q", err, core.HintOf(err))
		}
	})
	t.Run("program that ends", func(t *testing.T) {
		t.Setenv("FAASCTL_REDIS_SERVER", "false")
		_, err := StartChild(t.Context(), ChildConfig{Dir: t.TempDir(), Logger: quiet})
		if !errors.Is(err, core.ErrUnavailable) || !strings.Contains(err.Error(), "exit status 1") {
			t.Fatal(err)
		}
	})
	t.Run("no such durability", func(t *testing.T) {
		_, err := StartChild(t.Context(), ChildConfig{Dir: t.TempDir(), Durability: "maybe", Logger: quiet})
		if !errors.Is(err, core.ErrInvalid) {
			t.Fatal(err)
		}
	})
}

func TestLockDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first, err := LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = LockDir(dir)
	if pid := "process " + itoa(os.Getpid()); !errors.Is(err, core.ErrConflict) || !strings.Contains(err.Error(), pid) {
		t.Fatalf("a second lock: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := LockDir(dir)
	if err != nil || second.ID != first.ID || len(first.ID) != 36 {
		t.Fatalf("%v, ids %q and %q", err, first.ID, second.ID)
	}
	second.Close()
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Fatal(info.Mode(), err)
	}
	if err := os.Chmod(dir, 0o770); err != nil {
		t.Fatal(err)
	}
	if _, err := LockDir(dir); !errors.Is(err, core.ErrForbidden) || core.HintOf(err) == "" {
		t.Fatalf("a directory of others: %v", err)
	}
}

func itoa(n int) string { return string(bytes.Fields(identity{pid: n}.text())[0]) }

func FuzzIdentity(f *testing.F) {
	f.Add("12\n34\n/tmp/s\n")
	f.Add("0\n\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		id, ok := parseIdentity(text)
		if !ok {
			return
		}
		if again, ok := parseIdentity(string(id.text())); !ok || again != id {
			t.Fatalf("%+v became %+v", id, again)
		}
	})
}

// A child that inherits the lock keeps it beyond its parent's end: who comes next
// waits a moment for it, and is told if it does not end.
func TestLockIsShared(t *testing.T) {
	dir := t.TempDir()
	first, err := LockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command("sleep", "60")
	child.ExtraFiles = []*os.File{first.Share()}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = child.Process.Kill() }()
	if _, err := first.file.WriteAt([]byte("2147483646\n"), 0); err != nil { // nobody has that pid
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := LockDir(dir); !errors.Is(err, core.ErrConflict) || !strings.Contains(err.Error(), "which is dead") {
		t.Errorf("while the child lives: %v", err)
	}
	waited := make(chan error, 1)
	go func() {
		lock, err := LockDir(dir)
		if err == nil {
			err = lock.Close()
		}
		waited <- err
	}()
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()
	if err := <-waited; err != nil {
		t.Errorf("after its end: %v", err)
	}
}
