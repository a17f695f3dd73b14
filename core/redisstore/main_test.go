package redisstore

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"faasctl/core"
)

// shared is the one Redis server of this test binary. It starts with the first
// test that needs it; each test has a key prefix of its own.
var shared struct {
	once sync.Once
	url  string
	err  error
	end  func()
	used atomic.Int64
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.end != nil {
		shared.end()
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

var quiet = slog.New(slog.DiscardHandler)

// serverURL starts the shared server, once.
func serverURL(t testing.TB) string {
	shared.once.Do(func() {
		dir, err := os.MkdirTemp("", "redisstore-*")
		if err != nil {
			shared.err = err
			return
		}
		child, err := StartChild(context.Background(), ChildConfig{Dir: dir, Durability: DurabilityMemory, Logger: quiet})
		if err != nil {
			shared.err = err
			return
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- child.Run(ctx) }()
		shared.url = child.URL()
		shared.end = func() {
			cancel()
			if err := <-ended; err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
			_ = os.RemoveAll(dir)
		}
	})
	if shared.err != nil {
		t.Fatalf("these tests need a redis-server: %v", shared.err)
	}
	return shared.url
}

// openStore returns an empty store on the shared server.
func openStore(t testing.TB, change ...func(*Config)) *Store {
	t.Helper()
	cfg := Config{URL: serverURL(t), Prefix: fmt.Sprintf("test%d", shared.used.Add(1)), Logger: quiet}
	for _, f := range change {
		f(&cfg)
	}
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		forgetKeys(s)
		s.Close()
	})
	return s
}

// forgetKeys empties a test's part of the server, so that benchmarks do not
// measure what earlier ones left.
func forgetKeys(s *Store) {
	ctx := context.Background()
	for cursor, more := uint64(0), true; more; more = cursor != 0 {
		names, next, err := s.client.Scan(ctx, cursor, s.keys.base+"*", 10_000).Result()
		if err != nil {
			return
		}
		if cursor = next; len(names) > 0 {
			s.client.Unlink(ctx, names...)
		}
	}
}

// bench is a store with one function: what most tests begin with.
type bench struct {
	testing.TB
	*Store
	ctx    context.Context
	fn     core.FunctionID
	claims int
}

func newBench(t testing.TB, change ...func(*Config)) *bench {
	t.Helper()
	b := &bench{TB: t, Store: openStore(t, change...), ctx: context.Background()}
	b.fn = b.function("f").ID
	return b
}

func (b *bench) announce(a core.Announcement) {
	b.Helper()
	_, err := b.Announce(b.ctx, a)
	b.must(err)
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bench) function(name string) core.Function {
	b.Helper()
	f, _, err := b.PutFunction(b.ctx, core.Function{Name: name, Codec: core.Source, Entry: name, Body: []byte("def " + name + "(): pass")})
	b.must(err)
	return f
}

func (b *bench) spec() core.Spec {
	return core.Spec{Function: b.fn, Codec: core.JSON, Args: []byte("[[1],{}]"), Queue: core.DefaultQueue, Priority: core.DefaultPriority}
}

func (b *bench) submit(n int, change ...func(*core.Submission)) []core.TaskID {
	b.Helper()
	batch, ids := make([]core.Submission, n), make([]core.TaskID, n)
	for i := range batch {
		batch[i] = core.Submission{ID: core.NewTaskID(), Spec: b.spec()}
		for _, f := range change {
			f(&batch[i])
		}
		ids[i] = batch[i].ID
	}
	refused, err := b.Submit(b.ctx, batch)
	b.must(err)
	for _, err := range refused {
		b.must(err)
	}
	return ids
}

func (b *bench) claim(n int) []core.Claimed {
	b.Helper()
	b.claims++
	claimed, err := b.Claim(b.ctx, core.ClaimRequest{ID: fmt.Sprintf("c%d", b.claims), Dispatcher: "d-1", Max: n, Lease: time.Minute})
	b.must(err)
	return claimed
}

func outcome(lease core.Lease, state core.State) core.Settlement {
	s := core.Settlement{Worker: "w-1", Outcome: core.Outcome{
		Lease: lease, State: state, Started: true, Elapsed: 1500 * time.Microsecond, Result: core.Result{JSON: []byte("1")}}}
	if state != core.Completed {
		s.Result = core.Result{Failure: &core.Failure{Kind: core.KindException, Message: "no"}}
	}
	return s
}

func (b *bench) settle(s ...core.Settlement) []core.Verdict {
	b.Helper()
	verdicts, err := b.Settle(b.ctx, s)
	b.must(err)
	return verdicts
}

func (b *bench) task(id core.TaskID) core.Task {
	b.Helper()
	found, err := b.Tasks(b.ctx, []core.TaskID{id})
	b.must(err)
	return found[0]
}

// raw is a client of the shared server for what a Store has no verb for.
func (b *bench) raw() *redis.Client { return b.client }

// redisZ is a member of an index, with the score of most.
func redisZ(id core.TaskID) redis.Z { return redis.Z{Member: string(id)} }
