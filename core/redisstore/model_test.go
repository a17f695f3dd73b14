package redisstore

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"faasctl/core"
	"faasctl/core/memstore"
)

// pair is a Redis store beside the reference model, on one clock that only the
// test moves. Each command goes to both, and their answers are compared.
type pair struct {
	*rapid.T
	b     *bench
	redis *Store
	model *memstore.Store
	now   int64                // ms
	fns   [2][]core.FunctionID // of redis and of the model, in the order of their ids, which decides ties

	tasks  []core.TaskID
	claims []core.ClaimRequest // of the last minute, which is how long they are remembered
	since  int64               // when the first of claims was made
	leases []core.Lease        // of all claims ever
	count  int
}

const (
	pairQueues    = 3
	pairFunctions = 3
)

// What the functions need, and for whom is claimed.
var (
	pairNeeds   = [pairFunctions]string{"", "3.9", ">=3.10"}
	pairClasses = [][]core.ClaimClass{
		nil, nil, {{N: 3}}, {{Interpreters: []core.Interpreter{{Version: "3.9.18"}}, N: 4}}, {{Interpreters: []core.Interpreter{{Version: "3.12.1"}}, N: 2}},
		{{Interpreters: []core.Interpreter{{Version: "3.9.18"}}, N: 1}, {Interpreters: []core.Interpreter{{Version: "3.9.18"}, {Version: "3.12.1"}}, N: 3}},
	}
)

func newPair(t *rapid.T, b *bench) *pair {
	p := &pair{T: t, b: b, redis: b.Store, now: 1_700_000_000_000}
	p.model = memstore.New(memstore.Config{Now: func() time.Time { return time.UnixMilli(p.now) }})
	clock := b.keys.base + "clock"
	p.redis.scripts = editScripts(func(text string) string {
		const real = "local clock = call('TIME')"
		if strings.Contains(text, "'TIME'") != strings.Contains(text, real) || !strings.Contains(source("parts/clock"), real) {
			panic("the scripts read their clock in another way now")
		}
		return strings.Replace(text, real, "local ms = tonumber(call('GET', '"+clock+"'))\n"+
			"local clock = {math.floor(ms / 1000), ms % 1000 * 1000}", 1)
	})
	p.advance(0)
	for n, store := range []core.Store{p.redis, p.model} {
		for round := 0; p.fns[n] == nil || !slices.IsSorted(p.fns[n]); round++ { // their ids are random
			p.fns[n] = nil
			for i := range pairFunctions {
				f := core.Function{Name: fmt.Sprint("f", i), Codec: core.Source, Entry: "f", Body: fmt.Append(nil, round, i), Python: pairNeeds[i]}
				stored, _, err := store.PutFunction(b.ctx, f)
				p.must(err)
				p.fns[n] = append(p.fns[n], stored.ID)
			}
		}
	}
	return p
}

func (p *pair) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
}

func (p *pair) advance(ms int64) {
	p.now += ms
	p.must(p.b.raw().Set(p.b.ctx, p.b.keys.base+"clock", p.now, 0).Err())
}

// both gives a command to both stores; fn translates functions.
func both[T any](p *pair, what string, do func(s core.Store, fns []core.FunctionID) (T, error)) T {
	p.Helper()
	got, err := do(p.redis, p.fns[0])
	p.must(err)
	want, err := do(p.model, p.fns[1])
	p.must(err)
	if !reflect.DeepEqual(got, want) {
		a, b := reflect.ValueOf(got), reflect.ValueOf(want)
		for i := 0; a.Kind() == reflect.Slice && a.Len() == b.Len() && i < a.Len(); i++ {
			if one, other := a.Index(i).Interface(), b.Index(i).Interface(); !reflect.DeepEqual(one, other) {
				p.Errorf("%s %d: redis says\n%+v, the model\n%+v", what, i, one, other)
			}
		}
		p.Fatalf("%s: redis says %+v, the model %+v", what, got, want)
	}
	return want
}

// words makes errors comparable by their class.
func classes(refused []error, err error) ([]string, error) {
	names := make([]string, len(refused))
	for i, refusal := range refused {
		if refusal != nil {
			names[i] = core.ClassOf(refusal).Name
		}
	}
	return names, err
}

func ms(t *rapid.T, name string, choices ...int) time.Duration {
	return time.Duration(rapid.SampledFrom(choices).Draw(t, name)) * time.Millisecond
}

func (p *pair) submit(t *rapid.T) {
	batch := make([]core.Submission, rapid.IntRange(1, 5).Draw(t, "n"))
	functions := make([]int, len(batch))
	for i := range batch {
		functions[i] = rapid.IntRange(0, pairFunctions-1).Draw(t, "function")
		s := core.Submission{ID: core.NewTaskID(), Delay: ms(t, "delay", 0, 0, 0, 5, 700), Spec: core.Spec{
			Codec: core.JSON, Args: []byte("[[],{}]"), Timeout: time.Minute,
			Queue:    fmt.Sprint("q", rapid.IntRange(0, pairQueues-1).Draw(t, "queue")),
			Priority: rapid.SampledFrom([]int{5, 5, 5, 0, 6, 9}).Draw(t, "priority"),
			Retries:  rapid.SampledFrom([]int{0, 0, 1, 3}).Draw(t, "retries"),
			Backoff:  core.Backoff{First: ms(t, "first", 20, 100), Last: ms(t, "last", 100, 800)},
			Expires:  ms(t, "expires", 0, 0, 0, 20, 900),
		}}
		if rapid.IntRange(0, 4).Draw(t, "on") == 0 {
			s.Spec.RetryOn = core.RetryOn{"ValueError", "timeout"}
		}
		if rapid.IntRange(0, 9).Draw(t, "at") == 0 {
			s.Delay, s.At = 0, time.UnixMilli(p.now+int64(rapid.SampledFrom([]int{-1, 0, 1, 50}).Draw(t, "at ms")))
		}
		batch[i] = s
	}
	answers := both(p, "submit", func(s core.Store, fns []core.FunctionID) ([]string, error) {
		for i := range batch {
			batch[i].Spec.Function = fns[functions[i]]
		}
		return classes(s.Submit(p.b.ctx, batch))
	})
	for i, refused := range answers {
		if refused == "" {
			p.tasks = append(p.tasks, batch[i].ID)
		}
	}
}

func (p *pair) claim(t *rapid.T) {
	p.count++
	request := core.ClaimRequest{ID: fmt.Sprint("c", p.count), Dispatcher: core.DispatcherID(rapid.SampledFrom([]string{"d-1", "d-2"}).Draw(t, "by")),
		Max: rapid.IntRange(0, 7).Draw(t, "max"), Lease: ms(t, "lease", 50, 2000, 100_000),
		Classes: rapid.SampledFrom(pairClasses).Draw(t, "for")}
	if p.now-p.since >= rememberClaim.Milliseconds() {
		p.claims, p.since = nil, p.now
	}
	if len(p.claims) > 0 && rapid.IntRange(0, 5).Draw(t, "again") == 0 {
		request = rapid.SampledFrom(p.claims).Draw(t, "claim")
	}
	type taken struct {
		Lease   core.Lease
		Attempt int
	}
	claimed := both(p, "claim", func(s core.Store, _ []core.FunctionID) ([]taken, error) {
		all, err := s.Claim(p.b.ctx, request)
		list := []taken{}
		for _, c := range all {
			list = append(list, taken{c.Lease, c.Attempt})
		}
		return list, err
	})
	p.claims = append(p.claims, request)
	for _, c := range claimed {
		p.leases = append(p.leases, c.Lease)
	}
}

// some draws leases, most of them recent.
func (p *pair) some(t *rapid.T) []core.Lease {
	recent := p.leases[max(0, len(p.leases)-12):]
	if len(recent) == 0 {
		t.Skip("nothing was claimed")
	}
	return rapid.SliceOfNDistinct(rapid.SampledFrom(recent), 1, min(4, len(unique(recent))), func(l core.Lease) core.Lease { return l }).Draw(t, "leases")
}

func unique(all []core.Lease) map[core.Lease]bool {
	set := map[core.Lease]bool{}
	for _, l := range all {
		set[l] = true
	}
	return set
}

func (p *pair) renew(t *rapid.T) {
	var batch []core.Renewal
	for _, l := range p.some(t) {
		batch = append(batch, core.Renewal{
			Lease: l, Worker: core.WorkerID(rapid.SampledFrom([]string{"", "w-1", "w-2"}).Draw(t, "worker")),
			Principal:  rapid.SampledFrom([]string{"", "", "alice", "bob"}).Draw(t, "principal"),
			Dispatcher: core.DispatcherID(rapid.SampledFrom([]string{"", "", "d-2"}).Draw(t, "adopts")),
			Started:    rapid.Bool().Draw(t, "started"), StartedAgo: ms(t, "ago", 0, 3, 5000),
		})
	}
	lease := ms(t, "lease", 100, 2000)
	both(p, "renew", func(s core.Store, _ []core.FunctionID) ([]core.Verdict, error) { return s.Renew(p.b.ctx, batch, lease) })
}

func (p *pair) settle(t *rapid.T) {
	var batch []core.Settlement
	for _, l := range p.some(t) {
		s := outcome(l, rapid.SampledFrom([]core.State{core.Completed, core.Completed, core.Failed, core.Failed, core.Cancelled}).Draw(t, "state"))
		s.Started, s.Elapsed = rapid.IntRange(0, 4).Draw(t, "started") > 0, ms(t, "elapsed", 0, 2, 4000)
		s.Jitter = rapid.SampledFrom([]float64{0, -1, 0.5}).Draw(t, "jitter")
		if s.Result.Failure != nil {
			s.Result.Failure.Type = rapid.SampledFrom([]string{"", "ValueError", "x.ValueError", "KeyError"}).Draw(t, "type")
			s.Result.Failure.Kind = rapid.SampledFrom([]core.FailureKind{core.KindException, core.KindTimeout}).Draw(t, "kind")
		}
		if s.State == core.Cancelled {
			s.Result.Failure.Kind = core.KindCancelled
		}
		batch = append(batch, s)
	}
	both(p, "settle", func(s core.Store, _ []core.FunctionID) ([]core.Verdict, error) { return s.Settle(p.b.ctx, batch) })
}

func (p *pair) release(t *rapid.T) {
	batch := p.some(t)
	reason := rapid.SampledFrom([]core.ReleaseReason{core.ReleaseGraceful, core.ReleaseVanished}).Draw(t, "reason")
	by := core.DispatcherID(rapid.SampledFrom([]string{"", "d-1", "d-2"}).Draw(t, "by"))
	both(p, "release", func(s core.Store, _ []core.FunctionID) ([]core.Verdict, error) {
		return s.Release(p.b.ctx, batch, reason, by)
	})
}

func (p *pair) cancel(t *rapid.T) {
	ids := rapid.SliceOfN(rapid.SampledFrom(append(slices.Clone(p.tasks), "nobody")), 1, 3).Draw(t, "tasks")
	grace := ms(t, "grace", 0, 2000)
	both(p, "cancel", func(s core.Store, _ []core.FunctionID) ([]core.CancelVerdict, error) {
		return s.Cancel(p.b.ctx, ids, grace)
	})
}

type moved struct {
	N    int
	Next time.Duration
}

func (p *pair) promote(*rapid.T) {
	both(p, "promote", func(s core.Store, _ []core.FunctionID) (moved, error) {
		n, next, err := s.Promote(p.b.ctx)
		return moved{n, next}, err
	})
}

func (p *pair) expire(*rapid.T) {
	both(p, "expire", func(s core.Store, _ []core.FunctionID) (moved, error) {
		n, next, err := s.Expire(p.b.ctx)
		return moved{n, next}, err
	})
}

func (p *pair) reap(t *rapid.T) {
	grace := ms(t, "grace", 1000, 100_000)
	both(p, "reap", func(s core.Store, _ []core.FunctionID) (int, error) { return s.Reap(p.b.ctx, grace) })
}

func (p *pair) orphan(t *rapid.T) {
	principal := rapid.SampledFrom([]string{"", "alice"}).Draw(t, "principal")
	both(p, "orphan", func(s core.Store, _ []core.FunctionID) (int, error) {
		return s.Orphan(p.b.ctx, []core.DispatcherID{"d-2"}, principal)
	})
}

func (p *pair) pause(t *rapid.T) {
	queue, paused := fmt.Sprint("q", rapid.IntRange(0, pairQueues-1).Draw(t, "queue")), rapid.Bool().Draw(t, "paused")
	both(p, "pause", func(s core.Store, _ []core.FunctionID) (bool, error) { return s.PauseQueue(p.b.ctx, queue, paused) })
}

func (p *pair) policy(t *rapid.T) {
	i := rapid.IntRange(0, pairFunctions-1).Draw(t, "function")
	policy := core.Policy{
		Concurrency: rapid.SampledFrom([]int{0, 1, 3}).Draw(t, "concurrency"),
		Rate:        rapid.SampledFrom([]core.Rate{{}, {}, {N: 3, Per: time.Second}, {N: 90, Per: time.Minute}, {N: 7, Per: time.Hour}}).Draw(t, "rate"),
	}
	both(p, "set policy", func(s core.Store, fns []core.FunctionID) (bool, error) {
		return true, s.SetPolicy(p.b.ctx, fns[i], policy)
	})
}

// compare looks at all that the stores tell.
func (p *pair) compare(*rapid.T) {
	tasks := both(p, "tasks", func(s core.Store, fns []core.FunctionID) ([]core.Task, error) {
		all, err := s.Tasks(p.b.ctx, p.tasks)
		for i := range all {
			all[i].Function = core.FunctionID(fmt.Sprint(slices.Index(fns, all[i].Function)))
		}
		return all, err
	})
	both(p, "queues", func(s core.Store, _ []core.FunctionID) ([]core.QueueInfo, error) { return s.Queues(p.b.ctx) })
	both(p, "totals", func(s core.Store, _ []core.FunctionID) (core.Totals, error) {
		stats, err := s.Stats(p.b.ctx)
		return stats.Totals, err
	})
	p.limits(tasks)
}

// limits checks the rule of what parts/running.lua counts: RUNNING of each function.
func (p *pair) limits(tasks []core.Task) {
	want := map[string]string{}
	for i, fn := range p.fns[0] {
		n := 0
		for _, task := range tasks {
			if task.State == core.Running && task.Function == core.FunctionID(fmt.Sprint(i)) {
				n++
			}
		}
		if n > 0 {
			want[string(fn)] = fmt.Sprint(n)
		}
	}
	if got := p.b.raw().HGetAll(p.b.ctx, p.b.keys.running()).Val(); !reflect.DeepEqual(got, want) {
		p.Fatalf("running is counted as %v, want %v", got, want)
	}
}

// TestRandomCommandsEndAlikeInMemoryAndRedis holds Redis against the model.
func TestRandomCommandsEndAlikeInMemoryAndRedis(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		b := &bench{TB: t, Store: openStore(t), ctx: t.Context()}
		defer forgetKeys(b.Store)
		p := newPair(r, b)
		r.Repeat(map[string]func(*rapid.T){
			"submit": p.submit, "submit more": p.submit, "claim": p.claim, "claim more": p.claim, "renew": p.renew, "settle": p.settle,
			"release": p.release, "cancel": p.cancel, "promote": p.promote, "expire": p.expire, "reap": p.reap, "orphan": p.orphan,
			"pause": p.pause, "policy": p.policy,
			"wait":      func(r *rapid.T) { p.advance(int64(rapid.SampledFrom([]int{1, 10, 100, 500, 3000}).Draw(r, "ms"))) },
			"wait long": func(r *rapid.T) { p.advance(int64(rapid.SampledFrom([]int{5000, 70_000}).Draw(r, "ms"))) },
			"":          p.compare,
		})
	})
}
