package redisstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"faasctl/core"
	"faasctl/core/coretest/ports"
)

// lines is a log that can be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), part)
}

// plainServer starts a redis-server with a configuration of the test's own, on a free
// port of the loopback.
func plainServer(t *testing.T, words ...string) (url string) {
	t.Helper()
	path, err := findServer()
	if err != nil {
		t.Fatal(err)
	}
	port := ports.Reserve(t, 1)
	cmd := exec.Command(path, append([]string{"--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir()}, words...)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	eventually(t, "a server", func() bool {
		conn, err := net.Dial("tcp", ports.At(port))
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return fmt.Sprintf("redis://127.0.0.1:%d/0", port)
}

func TestAnEmptiedServerIsNoticed(t *testing.T) {
	_, child := startChild(t, DurabilityMemory)
	b := childBench(t, child)
	log := &lines{}
	b.cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
	since := func() time.Time {
		stats, err := b.Stats(b.ctx)
		b.must(err)
		return stats.Store.Since
	}
	first := since()
	if first.IsZero() {
		t.Fatal("it does not say since when it is used")
	}
	other := childBench(t, child)
	if got, err := other.Stats(b.ctx); err != nil || !got.Store.Since.Equal(first) {
		t.Fatal(got.Store.Since, err)
	}
	id := b.submit(1)[0]
	held := b.claim(1)
	b.must(b.raw().FlushAll(b.ctx).Err())
	if since() != (time.Time{}) || log.count("was emptied") != 1 {
		t.Fatalf("since %v, told %d times", since(), log.count("was emptied"))
	}
	_, err := b.Reap(b.ctx, time.Second) // gives it a new generation
	b.must(err)
	b.must(b.Ping(b.ctx))
	eventually(t, "a new beginning", func() bool { return !since().IsZero() })
	if log.count("was emptied") != 1 {
		t.Fatalf("told %d times", log.count("was emptied"))
	}
	// What was held is nobody's, and nothing is accepted for what is not there.
	if got := b.settle(outcome(held[0].Lease, core.Completed)); got[0] != core.VerdictStale || b.task(id).ID != "" {
		t.Fatal(got)
	}
	refused, err := b.Submit(b.ctx, []core.Submission{{ID: core.NewTaskID(), Spec: b.spec()}})
	if b.must(err); !errors.Is(refused[0], core.ErrNotFound) {
		t.Fatal(refused)
	}
	b.fn = b.function("f").ID
	b.submit(1)
	if n := len(b.claim(1)); n != 1 {
		t.Fatal(n)
	}
}

func TestAServerThatStartsAgainIsLookedAt(t *testing.T) {
	_, child := startChild(t, DurabilityMemory)
	b := childBench(t, child)
	log := &lines{}
	b.cfg.Logger = slog.New(slog.NewTextHandler(log, nil))
	reap := func() {
		_, err := b.Reap(b.ctx, time.Second)
		b.must(err)
	}
	reap()
	b.must(b.raw().ConfigSet(b.ctx, "maxmemory-policy", "allkeys-lru").Err())
	b.present.run = "another" // as after a restart with this configuration
	reap()
	if log.count("may evict tasks") != 1 {
		t.Fatal(log.text.String())
	}
	reap()
	if log.count("may evict tasks") != 1 {
		t.Fatal("told twice")
	}
}

func TestReplicatedWaitsForAReplica(t *testing.T) {
	if testing.Short() {
		t.Skip("starts two more servers")
	}
	master := plainServer(t, "--repl-diskless-sync-delay", "0")
	cfg := Config{URL: master, Replicated: true, Logger: quiet}
	if _, err := Open(t.Context(), cfg); !errors.Is(err, core.ErrConflict) || !strings.Contains(err.Error(), "no replica") {
		t.Fatalf("without a replica: %v", err)
	}
	host, port, _ := net.SplitHostPort(strings.TrimSuffix(strings.TrimPrefix(master, "redis://"), "/0"))
	replica := plainServer(t, "--replicaof", host, port)
	var s *Store
	eventually(t, "a connected replica", func() bool {
		var err error
		s, err = Open(t.Context(), cfg)
		return err == nil
	})
	t.Cleanup(func() { s.Close() })
	b := &bench{TB: t, Store: s, ctx: context.Background()}
	var submit func() error
	submit = func() error {
		_, err := b.Submit(b.ctx, []core.Submission{{ID: core.NewTaskID(), Spec: b.spec()}})
		return err
	}
	eventually(t, "a replica in step", func() bool {
		f, _, err := b.PutFunction(b.ctx, core.Function{Name: "f", Codec: core.Source, Body: []byte("def f(): pass")})
		b.fn = f.ID
		return err == nil
	})
	b.must(b.raw().ScriptFlush(b.ctx).Err())
	b.must(submit())
	stats, err := b.Stats(b.ctx)
	if b.must(err); stats.Store.Durability != "replicated" {
		t.Fatal(stats.Store)
	}
	if _, err := Open(t.Context(), Config{URL: replica, Logger: quiet}); !errors.Is(err, core.ErrConflict) || !strings.Contains(err.Error(), "is a replica of") {
		t.Fatalf("the replica itself: %v", err)
	}
	dial, err := dialer(replica)
	b.must(err)
	second := dial()
	defer second.Close()
	b.must(second.SlaveOf(b.ctx, "no", "one").Err())
	eventually(t, "the master's knowledge of it", func() bool {
		info, err := b.raw().Info(b.ctx, "replication").Result()
		return err == nil && parseInfo(info)["connected_slaves"] == "0"
	})
	if err := submit(); !errors.Is(err, core.ErrUnavailable) || !strings.Contains(core.HintOf(err), "can be repeated") {
		t.Fatalf("without its replica: %v", err)
	}
	b.claim(1) // promises nothing, and so does not wait
}

func TestAClusterIsRefused(t *testing.T) {
	url := plainServer(t, "--cluster-enabled", "yes")
	if _, err := Open(t.Context(), Config{URL: url, Logger: quiet}); !errors.Is(err, core.ErrConflict) || !strings.Contains(err.Error(), "Cluster is not supported") {
		t.Fatal(err)
	}
}

// Connections that are cut again and again keep nothing from being done, and
// nothing is done twice.
func TestCutConnections(t *testing.T) {
	_, child := startChild(t, DurabilityMemory)
	b := childBench(t, child)
	ctx, cancel := context.WithCancel(b.ctx)
	var group sync.WaitGroup
	hints := make(chan core.Hint, 1000)
	group.Go(func() {
		if err := b.Listen(ctx, func(h core.Hint) {
			select {
			case hints <- h:
			default:
			}
		}); err != nil {
			t.Error(err)
		}
	})
	cutter := childBench(t, child)
	cuts := 0
	group.Go(func() {
		for ctx.Err() == nil {
			for _, kind := range []string{"normal", "pubsub"} {
				if n, err := cutter.raw().Do(b.ctx, "CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes").Int(); err == nil {
					cuts += n
				}
			}
		}
	})
	again := func(do func() error) {
		t.Helper()
		for try := 0; ; try++ {
			err := do()
			if err == nil {
				return
			}
			if !errors.Is(err, core.ErrUnavailable) || try > 1000 {
				t.Fatal(err)
			}
		}
	}
	const rounds, each = 10, 10
	seen := map[core.TaskID]bool{}
	for round := range rounds {
		batch := make([]core.Submission, each)
		for i := range batch {
			batch[i] = core.Submission{ID: core.NewTaskID(), Spec: b.spec()}
		}
		again(func() error { _, err := b.Submit(b.ctx, batch); return err })
		var claimed []core.Claimed
		again(func() (err error) {
			claimed, err = b.Claim(b.ctx, core.ClaimRequest{ID: fmt.Sprint("r", round), Dispatcher: "d", Max: each, Lease: time.Minute})
			return err
		})
		var done []core.Settlement
		for _, c := range claimed {
			if seen[c.Task] {
				t.Fatalf("%s was handed out twice", c.Task)
			}
			seen[c.Task] = true
			done = append(done, outcome(c.Lease, core.Completed))
		}
		again(func() error { _, err := b.Settle(b.ctx, done); return err })
	}
	cancel()
	group.Wait()
	stats, err := b.Stats(b.ctx)
	b.must(err)
	if len(seen) != rounds*each || stats.Totals.Completed != rounds*each || stats.Totals.Submitted != rounds*each || cuts == 0 {
		t.Fatalf("%d claimed, %+v, %d cuts", len(seen), stats.Totals, cuts)
	}
	t.Logf("%d connections were cut", cuts)
}

func TestTroubleIsNamed(t *testing.T) {
	dir := t.TempDir()
	if why := Trouble(dir); why != "" {
		t.Fatal(why)
	}
	gone := filepath.Join(dir, "none.sock")
	s, err := Open(t.Context(), Config{URL: "unix://" + gone, Trouble: func() string { return "the disk is full" }, Logger: quiet})
	if err == nil {
		s.Close()
	}
	if !errors.Is(err, core.ErrUnavailable) || !strings.Contains(err.Error(), "Redis is down: the disk is full") || !strings.Contains(core.HintOf(err), "comes back by itself") {
		t.Fatalf("%v, hint %q", err, core.HintOf(err))
	}
	// A Redis that dies at once when it is started again says so to who asks.
	data, child := startChild(t, DurabilityMemory)
	if child.Trouble() != "" {
		t.Fatal(child.Trouble())
	}
	conf := filepath.Join(data, redisDir, confFile)
	good, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(conf, []byte("no-such-directive 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if process, err := os.FindProcess(child.PID()); err != nil || process.Kill() != nil {
		t.Fatal(err)
	}
	eventually(t, "the reason", func() bool { return strings.Contains(child.Trouble(), "it died and is started again") })
	if err := os.WriteFile(conf, good, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its return", func() bool { return child.Trouble() == "" && ping(t.Context(), child.socket) })
}
