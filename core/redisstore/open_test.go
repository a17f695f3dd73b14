package redisstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"faasctl/core"
)

func TestURLs(t *testing.T) {
	for _, good := range []string{
		"redis://localhost:6379/0", "rediss://user:pass@host:6380/2", "unix:///tmp/a%20b.sock?db=1",
		"sentinel://host:26379/0?master_name=m&addr=other:26379", "redis+sentinel://:pw@host:26379/1?master_name=m",
	} {
		dial, err := dialer(good)
		if err != nil {
			t.Errorf("%s: %v", good, err)
			continue
		}
		if strings.HasPrefix(good, "unix") {
			client := dial()
			if client.Options().Addr != "/tmp/a b.sock" {
				t.Errorf("%s: %s", good, client.Options().Addr)
			}
			client.Close()
		}
	}
	for bad, word := range map[string]string{
		"redis+cluster://h:1": "Cluster", "cluster://h:1": "Cluster", "redis://h:1?addr=h2:1": "Cluster", "http://h": "scheme",
		"sentinel://h:1": "master", "redis://h:1/x": "database", ":secret\x7f": "URL", "localhost:6379": "scheme",
	} {
		_, err := dialer(bad)
		if !errors.Is(err, core.ErrInvalid) || !strings.Contains(err.Error(), word) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, cfg := range []Config{{Prefix: "a{b}"}, {Prefix: strings.Repeat("x", 65)}, {KeepCompleted: -1}, {KeepEvents: 5}} {
		if _, err := Open(t.Context(), cfg); !errors.Is(err, core.ErrInvalid) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

func TestRefusedServers(t *testing.T) {
	good := map[string]string{"redis_version": "6.2.0", "role": "master", "maxmemory_policy": "noeviction", "aof_enabled": "1", "aof_last_write_status": "ok"}
	if err := refuse(good); err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{"redis_version", "6.0.16"}, {"redis_version", "5.0"}, {"redis_version", ""}, {"redis_version", "x.y"}, {"redis_mode", "cluster"},
		{"role", "slave"}, {"maxmemory_policy", "allkeys-lru"}, {"aof_last_write_status", "err"}, {"loading", "1"},
	} {
		info := map[string]string{change[0]: change[1]}
		for name, value := range good {
			if _, there := info[name]; !there {
				info[name] = value
			}
		}
		if err := refuse(info); err == nil || core.HintOf(err) == "" {
			t.Errorf("%s = %q: %v", change[0], change[1], err)
		}
	}
	for _, version := range []string{"7.0.15", "10.0.0", "6.2", "8.0-rc1"} {
		if !atLeast(version, 6, 2) && version != "8.0-rc1" {
			t.Errorf("%s is too old", version)
		}
	}
}

// TestOpenLooksAtTheServer changes a real server step by step.
func TestOpenLooksAtTheServer(t *testing.T) {
	_, child := startChild(t, DurabilityMemory)
	b := childBench(t, child)
	if len(b.Warnings()) != 1 || !strings.Contains(b.Warnings()[0], "append-only") {
		t.Fatalf("warnings: %q", b.Warnings())
	}
	open := func() error {
		s, err := Open(t.Context(), Config{URL: child.URL(), Logger: quiet})
		if err == nil {
			s.Close()
		}
		return err
	}
	b.must(b.raw().ConfigSet(b.ctx, "maxmemory-policy", "allkeys-lru").Err())
	if err := open(); !errors.Is(err, core.ErrConflict) {
		t.Fatalf("with eviction: %v", err)
	}
	b.must(b.raw().ConfigSet(b.ctx, "maxmemory-policy", "noeviction").Err())
	b.must(b.raw().SlaveOf(b.ctx, "127.0.0.1", "1").Err())
	if err := open(); !errors.Is(err, core.ErrConflict) || !strings.Contains(err.Error(), "replica") {
		t.Fatalf("as a replica: %v", err)
	}
	if _, err := b.Submit(b.ctx, []core.Submission{{ID: core.NewTaskID(), Spec: b.spec()}}); !errors.Is(err, core.ErrUnavailable) {
		t.Fatalf("submit to a replica: %v", err)
	}
	b.must(b.raw().SlaveOf(b.ctx, "no", "one").Err())
	b.must(open())
}

func TestErrorClasses(t *testing.T) {
	s := &Store{}
	ctx := context.Background()
	server := func(text string) error { return redisError(text) }
	for _, c := range []struct {
		err  error
		want *core.Class
	}{
		{server("LOADING Redis is loading"), core.ErrUnavailable}, {server("READONLY You can't write"), core.ErrUnavailable},
		{server("MISCONF Errors writing"), core.ErrUnavailable}, {server("OOM command not allowed"), core.ErrUnavailable},
		{server("NOAUTH Authentication required."), core.ErrUnavailable}, {io.EOF, core.ErrUnavailable},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, core.ErrUnavailable}, {redis.ErrPoolTimeout, core.ErrUnavailable},
		{server("EXECABORT Transaction discarded because of previous errors."), core.ErrUnavailable},
		{os.ErrDeadlineExceeded, core.ErrUnavailable}, {server("WRONGTYPE Operation"), core.ErrInternal},
		{core.Errorf(core.ErrNotFound, "", "no"), core.ErrNotFound},
	} {
		if got := s.failed("op", ctx, c.err); core.ClassOf(got) != c.want {
			t.Errorf("%v: %v is %s", c.err, got, core.ClassOf(got).Name)
		}
	}
	done, cancel := context.WithCancel(ctx)
	cancel()
	if err := s.failed("op", done, io.EOF); !errors.Is(err, context.Canceled) || errors.Is(err, core.ErrUnavailable) {
		t.Errorf("a context's error became %v", err)
	}
	if s.failed("op", done, nil) != nil {
		t.Error("success became an error")
	}
}

// redisError is what go-redis returns for an error answer.
type redisError string

func (e redisError) Error() string { return string(e) }
func (redisError) RedisError()     {}

func TestUnreachableServer(t *testing.T) {
	began := time.Now()
	_, err := Open(t.Context(), Config{URL: "unix://" + filepath.Join(t.TempDir(), "none.sock"), Logger: quiet})
	if !errors.Is(err, core.ErrUnavailable) || core.HintOf(err) == "" || time.Since(began) > 3*time.Second {
		t.Fatalf("%v after %v", err, time.Since(began))
	}
}

// TestHungServerDoesNotOutlastTheContext stops the server with a signal.
func TestHungServerDoesNotOutlastTheContext(t *testing.T) {
	_, child := startChild(t, DurabilityMemory)
	b := childBench(t, child)
	b.must(syscall.Kill(child.PID(), syscall.SIGSTOP))
	defer func() { _ = syscall.Kill(child.PID(), syscall.SIGCONT) }()
	ctx, cancel := context.WithTimeout(b.ctx, 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := b.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 2*time.Second {
		t.Fatalf("%v after %v", err, time.Since(began))
	}
}

// TestParentDeath kills the parent of a server and sees the server end: the
// test binary runs itself as that parent.
func TestParentDeath(t *testing.T) {
	if dir := os.Getenv("REDISSTORE_TEST_PARENT"); dir != "" {
		child, err := StartChild(t.Context(), ChildConfig{Dir: dir, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("pid=%d\n", child.PID())
		select {} // until killed
	}
	dir := filepath.Join(t.TempDir(), "data")
	parent := exec.Command(os.Args[0], "-test.run=^TestParentDeath$")
	parent.Env = append(os.Environ(), "REDISSTORE_TEST_PARENT="+dir)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscanf(out, "pid=%d\n", &pid); err != nil {
		t.Fatal(err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	eventually(t, "the end of the server", func() bool { _, state, ok := processStart(pid); return !ok || state == 'Z' })
	// What the dead parent left does not keep the next one from starting.
	child, stop := runChild(t, dir, DurabilityEverysec)
	defer stop()
	childBench(t, child)
}
