package coretest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"faasctl/core"
)

// whyCases: each state with each reason, as Service.Why tells them of a store.
var whyCases = map[string]func(*fixture){
	"queued, and nobody is there": func(f *fixture) {
		w := f.why(f.submitOne("add"), core.WhyNoDispatcher)
		f.helps(w, "faasctl dispatcher -m local -w 2")
		f.says(w, core.WhyPlace, "of add@1 at priority 5 in queue default it is the next")
	},
	"queued, and there is no worker": func(f *fixture) {
		f.staff()
		f.helps(f.why(f.submitOne("add"), core.WhyNoWorker), "faasctl dispatcher")
	},
	"queued, and all workers drain": func(f *fixture) {
		f.staff(core.Worker{ID: "w-one", State: core.WorkerDraining, Slots: 2}, core.Worker{ID: "w-two", State: core.WorkerGone, Slots: 2})
		f.says(f.why(f.submitOne("add"), core.WhyNoWorker), core.WhyNoWorker, "1 worker drains")
	},
	"queued, and nothing is heard of the worker": func(f *fixture) {
		f.staff(core.Worker{ID: "w-one", State: core.WorkerRunning, Slots: 2, Unheard: time.Minute})
		f.says(f.why(f.submitOne("add"), core.WhyNoWorker), core.WhyNoWorker, "nothing is heard of 1 worker")
	},
	"queued, and no worker can run it": func(f *fixture) {
		f.staff(core.Worker{ID: "w-one", State: core.WorkerRunning, Slots: 2, Interpreters: []core.Interpreter{{Version: "3.11.2"}}})
		fn := source("pickled", "\x80\x04N.")
		fn.Codec, fn.Entry = core.Dill, ""
		fn, _, err := f.PutFunction(f.ctx, fn)
		f.must(err)
		w := f.why(f.submit(fn.ID, 1)[0], core.WhyNoFit)
		f.says(w, core.WhyNoFit, "worker w-one has Python 3.11.2 without dill")
		if w.Hands == nil || w.Hands.Unfit != 1 || w.Hands.Workers != 0 {
			f.Fatalf("hands: %+v", w.Hands)
		}
	},
	"queued, and every slot is busy": func(f *fixture) {
		f.staff(core.Worker{ID: "w-one", State: core.WorkerRunning, Slots: 2, Busy: 2}, core.Worker{ID: "w-two", State: core.WorkerRunning, Slots: 1, Busy: 1})
		w := f.why(f.submitOne("add"), core.WhyBusy)
		f.says(w, core.WhyBusy, "all 3 slots of 2 workers")
		f.helps(w, "faasctl task ls --state running")
	},
	"queued in a paused queue": func(f *fixture) {
		f.staffed()
		id := f.submitOne("add")
		f.pause(core.DefaultQueue, true, true)
		w := f.why(id, core.WhyPaused)
		f.helps(w, "faasctl queue resume default")
		f.says(w, core.WhyHands, "1 worker could run it, with 1 of 2 slots free")
	},
	"queued, with two reasons at once": func(f *fixture) {
		id := f.submitOne("add")
		f.pause(core.DefaultQueue, true, true)
		f.why(id, core.WhyNoDispatcher, core.WhyPaused)
	},
	"queued behind a cap, whether or not a claim has looked": func(f *fixture) {
		f.staffed()
		fn := f.function("add")
		f.must(f.SetPolicy(f.ctx, fn.ID, core.Policy{Concurrency: 1}))
		ids := f.submit(fn.ID, 3)
		f.claimOne()
		for range 2 {
			w := f.why(ids[2], core.WhyCapped)
			f.says(w, core.WhyCapped, "add@1 runs 1 call at once, and may run no more than 1")
			f.says(w, core.WhyPlace, "1 call goes first")
			f.helps(w, "faasctl fn set add@1 --concurrency 2")
			if n := len(f.claim(5, longLease)); n != 0 {
				f.Fatalf("claimed %d above the cap", n)
			}
		}
	},
	"queued behind a rate, whether or not a claim has looked": func(f *fixture) {
		f.staffed()
		fn := f.function("add")
		f.must(f.SetPolicy(f.ctx, fn.ID, core.Policy{Rate: core.Rate{N: 2, Per: time.Hour}}))
		ids := f.submit(fn.ID, 3)
		f.claimOne()
		for range 2 {
			w := f.why(ids[2], core.WhyThrottled)
			f.says(w, core.WhyThrottled, "no more often than 2/h: the next call can go in (29 min 5|30 min 0)")
			f.helps(w, "faasctl fn set add@1 --rate 4/h")
			if n := len(f.claim(5, longLease)); n != 0 {
				f.Fatalf("claimed %d above the rate", n)
			}
		}
	},
	"queued, and nothing holds it back": func(f *fixture) {
		f.staffed()
		fn := f.function("add")
		ids := f.submit(fn.ID, 4)
		f.submit(f.function("other").ID, 1)
		f.cancelOne(ids[0]) // stays in the line, and is not counted
		w := f.why(ids[3], core.WhyNext)
		if p := *w.Place; p != (core.Place{Ahead: 2, Rivals: 1, Queued: 4}) {
			f.Fatalf("place: %+v", p)
		}
		f.says(w, core.WhyPlace, "2 calls go first; 1 other function or priority takes turns with it; 4 tasks wait there in all")
		f.helps(w, "faasctl result "+string(ids[3])+" --wait 1m")
	},
	"queued behind more than is counted": func(f *fixture) {
		fn := f.function("add")
		ids := append(f.submit(fn.ID, core.LookAhead), f.submit(fn.ID, 1)...)
		for i, want := range map[int]core.Place{
			core.LookAhead - 1: {Ahead: core.LookAhead - 1, Queued: core.LookAhead + 1},
			core.LookAhead:     {Ahead: core.LookAhead, More: true, Queued: core.LookAhead + 1},
		} {
			if p := *f.why(ids[i]).Place; p != want {
				f.Fatalf("place %d: %+v, want %+v", i, p, want)
			}
		}
		f.says(f.why(ids[core.LookAhead]), core.WhyPlace, "more than 1,000 calls go first")
	},
	"queued again, as its worker vanished": func(f *fixture) {
		f.staffed()
		s := spec(f.function("add").ID)
		s.Expires = time.Hour
		id := f.accept([]core.Submission{{ID: core.NewTaskID(), Spec: s}})[0]
		c := f.claimOne()
		f.start(c)
		f.releaseOne(c.Lease, core.ReleaseVanished)
		w := f.why(id, core.WhyNext)
		f.says(w, core.WhyAttempt, "attempt 1 on w-one was lost with its worker")
		f.says(w, core.WhyVanished, "vanished 1 time; at 10")
		f.says(w, core.WhyExpires, "if it still waits in (59 min|1 h 0 min)")
	},
	"delayed by its client": func(f *fixture) {
		f.staffed()
		id := f.accept([]core.Submission{{ID: core.NewTaskID(), Spec: spec(f.function("add").ID), Delay: time.Hour}})[0]
		f.pause(core.DefaultQueue, true, true)
		w := f.why(id, core.WhyLater)
		f.says(w, core.WhyLater, "which is in (59 min|1 h 0 min)")
		f.says(w, core.WhyPaused, "is paused") // no cause yet
		if w.Place != nil {
			f.Fatalf("place: %+v", w.Place)
		}
	},
	"delayed, due, and nobody is there": func(f *fixture) {
		id := f.accept([]core.Submission{{ID: core.NewTaskID(), Spec: spec(f.function("add").ID), Delay: time.Millisecond}})[0]
		f.eventually("the time", func() bool { return f.whyOf(id).Findings[0].Code == core.WhyNoDispatcher })
		f.helps(f.why(id, core.WhyNoDispatcher, core.WhyDue), "faasctl dispatcher -m local -w 2")
	},
	"delayed until its next attempt": func(f *fixture) {
		s := spec(f.function("add").ID)
		s.Retries, s.Backoff = 3, core.Backoff{First: time.Hour, Last: time.Hour}
		id := f.accept([]core.Submission{{ID: core.NewTaskID(), Spec: s}})[0]
		failure := failed(f.claimOne().Lease, core.KindCrash)
		failure.Result.Failure = &core.Failure{Kind: core.KindCrash, Message: "the process ended", Exit: new(3)}
		f.wantSettle(failure, core.VerdictOK)
		w := f.why(id, core.WhyBackoff)
		f.says(w, core.WhyBackoff, "attempt 1 of 4 failed, and the next can begin in (59 min|1 h 0 min)")
		f.says(w, core.WhyAttempt, "attempt 1 on w-one failed after")
		f.says(w, core.WhyAttempt, `crash: the process ended \(exit status 3\)`)
		if n := len(w.Attempts); n != 1 {
			f.Fatalf("%d attempts", n)
		}
	},
	"running, and not begun": func(f *fixture) {
		f.staff(core.Worker{ID: "w-one", State: core.WorkerRunning, Slots: 2, Busy: 2, Held: 7})
		id := f.submitOne("add")
		c := f.claimOne()
		f.says(f.why(id, core.WhyHeld), core.WhyHeld, "dispatcher "+string(dispatcher)+" took it")
		f.renewAs(c.Lease, "", "")
		w := f.why(id, core.WhyHeld)
		f.says(w, core.WhyHeld, "behind what it executes: 2 of 2 slots busy, 7 tasks held")
		f.helps(w, "faasctl workers show w-one")
		// A beat tells it that is younger than the claim, by a clock of milliseconds.
		f.eventually("a younger beat tells that it runs", func() bool {
			f.staff(core.Worker{ID: "w-one", State: core.WorkerRunning, Slots: 2, Busy: 2, Held: 2})
			return f.why(id).Findings[0].Code == core.WhyRuns
		})
		f.says(f.why(id, core.WhyRuns), core.WhyRuns, "worker w-one executes it")
	},
	"running, and its environment is being made": func(f *fixture) {
		fn := f.function("add")
		id := f.submit(fn.ID, 1)[0]
		f.renewAs(f.claimOne().Lease, "", "")
		preparing := core.Preparation{Function: fn.ID, State: core.Preparing, Text: "Downloading numpy (15 MB)"}
		f.staff(core.Worker{ID: "w-one", State: core.WorkerRunning, Slots: 2, Preparations: []core.Preparation{preparing}})
		f.says(f.why(id, core.WhyPrepares), core.WhyPrepares, `worker w-one makes the environment with what add@1 depends on: Downloading numpy \(15 MB\)`)
		preparing.State = core.Prepared
		f.staff(core.Worker{ID: "w-one", State: core.WorkerRunning, Slots: 2, Preparations: []core.Preparation{preparing}})
		f.why(id, core.WhyHeld)
	},
	"running": func(f *fixture) {
		f.staffed()
		id := f.submitOne("add")
		f.start(f.claimOne())
		f.says(f.why(id, core.WhyRuns), core.WhyRuns, "on worker w-one, as attempt 1 of 1, and may for (59|60) s more")
		f.cancelOne(id)
		f.says(f.why(id, core.WhyCancelling), core.WhyRuns, "it runs")
	},
	"running on a worker that is not there": func(f *fixture) {
		id := f.submitOne("add")
		f.start(f.claimOne())
		f.says(f.why(id, core.WhySilent), core.WhySilent, "not there any more: unless somebody answers for it, it is queued again in (59 min|1 h 0 min)")
		f.staff(core.Worker{ID: "w-one", State: core.WorkerRunning, Slots: 2, Unheard: 10 * time.Second})
		f.says(f.why(id, core.WhySilent), core.WhySilent, "nothing was heard for 10 s of worker w-one")
		f.staff(core.Worker{ID: "w-one", State: core.WorkerGone, Slots: 2})
		f.says(f.why(id, core.WhySilent), core.WhySilent, "has left")
	},
	"running for long, and completed after long": func(f *fixture) {
		f.staffed()
		fn := f.function("add")
		f.submit(fn.ID, 20)
		for _, c := range f.claim(20, longLease) {
			f.wantSettle(completed(c.Lease, "1"), core.VerdictOK)
		}
		id := f.submit(fn.ID, 1)[0]
		c := f.claimOne()
		f.start(c)
		f.eventually("slowness", func() bool { return f.whyOf(id).Findings[0].Code == core.WhySlow })
		f.says(f.why(id, core.WhySlow), core.WhySlow, "although 95 of 100 calls of add@1 ran no longer than")
		f.wantSettle(completed(c.Lease, "1"), core.VerdictOK)
		w := f.why(id, core.WhyCompleted, core.WhySlow)
		f.says(w, core.WhyUsual, `\(21 calls ended\)`)
		f.helps(w, "faasctl result "+string(id))
	},
	"completed, and where its time went": func(f *fixture) {
		s := spec(f.function("add").ID)
		id := f.accept([]core.Submission{{ID: core.NewTaskID(), Spec: s, Delay: 20 * time.Millisecond}})[0]
		f.eventually("the time", func() bool { n, _, err := f.Promote(f.ctx); f.must(err); return n == 1 })
		f.wantSettle(completed(f.claimOne().Lease, "1"), core.VerdictOK)
		w := f.why(id, core.WhyCompleted)
		f.says(w, core.WhyCompleted, "it was delayed for 20 ms, was queued for ")
		f.says(w, core.WhyCompleted, "at worker w-one, ran for ")
		if w.Hands != nil || w.Place != nil {
			f.Fatalf("of an ended task: %+v %+v", w.Hands, w.Place)
		}
	},
	"failed": func(f *fixture) {
		for _, c := range []struct {
			kind    core.FailureKind
			retries int
			on      core.RetryOn
			death   string
			spent   string
			command string
		}{
			{core.KindException, 0, nil, "ValueError: no such luck", "ask for no retries", "faasctl result"},
			{core.KindException, 3, core.RetryOn{"KeyError"}, "ValueError: no such luck", "only KeyError are", "faasctl result"},
			{core.KindCrash, 0, nil, "crash, ValueError: no such luck", "ask for no retries", "faasctl logs"},
			{core.KindTimeout, 0, nil, "timeout, ValueError: no such luck", "ask for no retries", "faasctl result"}, // it ended before its time
		} {
			s := spec(f.function("add").ID)
			s.Retries, s.RetryOn = c.retries, c.on
			id := f.accept([]core.Submission{{ID: core.NewTaskID(), Spec: s}})[0]
			f.wantSettle(failed(f.claimOne().Lease, c.kind), core.VerdictOK)
			w := f.why(id, core.WhyFailed)
			f.says(w, core.WhyFailed, fmt.Sprintf("attempt 1 of %d failed after", c.retries+1))
			f.says(w, core.WhyFailed, c.death)
			f.says(w, core.WhySpent, c.spent)
			f.says(w, core.WhyDead, "dead letter")
			f.helps(w, c.command+" "+string(id))
		}
	},
	"failed at its last attempt, and run again": func(f *fixture) {
		s := spec(f.function("add").ID)
		s.Retries, s.Backoff = 1, core.Backoff{First: 1, Last: 1}
		id := f.accept([]core.Submission{{ID: core.NewTaskID(), Spec: s}})[0]
		f.wantSettle(failed(f.claimOne().Lease, core.KindException), core.VerdictOK)
		f.eventually("the next attempt", func() bool { n, _, err := f.Promote(f.ctx); f.must(err); return n == 1 })
		f.wantSettle(failed(f.claimOne().Lease, core.KindException), core.VerdictOK)
		w := f.why(id, core.WhyFailed)
		f.says(w, core.WhyFailed, "attempt 2 of 2")
		f.says(w, core.WhySpent, "2 attempts of it are spent")
		f.says(w, core.WhyAttempt, "attempt 1 on w-one failed after")
		s.RetryOf = id
		again := f.accept([]core.Submission{{ID: core.NewTaskID(), Spec: s}})[0]
		w = f.why(id, core.WhyFailed)
		f.says(w, core.WhyAgain, string(again))
		f.helps(w, "faasctl why "+string(again))
	},
	"failed before it began": func(f *fixture) {
		id := f.submitOne("add")
		failure := failed(f.claimOne().Lease, core.KindUnloadable)
		failure.Started = false
		f.wantSettle(failure, core.VerdictOK)
		f.says(f.why(id, core.WhyFailed), core.WhyFailed, "it failed before it began: unloadable, ValueError: no such luck")
	},
	"lost for good": func(f *fixture) {
		id := f.submitOne("add")
		for range core.MaxDeliveries {
			c := f.claimOne()
			f.start(c)
			f.releaseOne(c.Lease, core.ReleaseVanished)
		}
		w := f.why(id, core.WhyLost)
		f.says(w, core.WhyLost, "vanished 10 times")
		f.helps(w, "faasctl retry "+string(id))
	},
	"expired": func(f *fixture) {
		s := spec(f.function("add").ID)
		s.Expires = time.Millisecond
		id := f.accept([]core.Submission{{ID: core.NewTaskID(), Spec: s}})[0]
		f.eventually("its end", func() bool { n, _, err := f.Expire(f.ctx); f.must(err); return n == 1 })
		w := f.why(id, core.WhyExpired)
		f.says(w, core.WhyExpired, `and was not run: it may wait 1 ms \(--expires\)`)
		f.helps(w, "faasctl retry "+string(id))
	},
	"cancelled": func(f *fixture) {
		id := f.submitOne("add")
		f.cancelOne(id)
		w := f.why(id, core.WhyCancelled)
		f.says(w, core.WhyCancelled, "before it was handed out")
		f.helps(w, "faasctl retry "+string(id))
		id = f.submitOne("add")
		c := f.claimOne()
		f.start(c)
		f.cancelOne(id)
		f.wantSettle(completed(c.Lease, "1"), core.VerdictOK)
		f.says(f.why(id, core.WhyCancelled), core.WhyCancelled, "after it began on worker w-one")
	},
	"what is read of the call leaves its arguments out": func(f *fixture) {
		for _, size := range []int{10, 200_000} { // within its envelope, and apart
			s := spec(f.function("add").ID)
			s.Args, s.Retries, s.Labels = []byte(`[["`+strings.Repeat("x", size)+`"],{}]`), 3, map[string]string{"a": "b"}
			id := f.accept([]core.Submission{{ID: core.NewTaskID(), Spec: s}})[0]
			st, err := f.Standing(f.ctx, id)
			f.must(err)
			if st.Spec.Args != nil || st.Spec.Retries != 3 || st.Spec.Timeout != s.Timeout || st.Spec.Labels["a"] != "b" {
				f.Fatalf("%+v", st.Spec)
			}
			if whole, err := f.Spec(f.ctx, id); err != nil || len(whole.Args) != len(s.Args) {
				f.Fatalf("%d bytes are left, %v", len(whole.Args), err)
			}
		}
	},
	"there is no such task": func(f *fixture) {
		_, err := f.Standing(f.ctx, core.NewTaskID())
		f.wantErr(err, core.ErrNotFound)
		_, err = f.counter().Why(f.ctx, core.NewTaskID())
		f.wantErr(err, core.ErrNotFound)
	},
}

// staff announces a dispatcher and these workers.
func (f *fixture) staff(workers ...core.Worker) {
	f.Helper()
	_, err := f.Announce(f.ctx, core.Announcement{Dispatcher: core.DispatcherInfo{ID: dispatcher}, Workers: workers})
	f.must(err)
}

// staffed announces one with a free slot.
func (f *fixture) staffed() {
	f.Helper()
	f.staff(core.Worker{ID: "w-one", State: core.WorkerRunning, Slots: 2, Busy: 1})
}

// counter is a Service over the store; none of its helpers runs.
func (f *fixture) counter() *core.Service {
	f.Helper()
	service, err := core.NewService(core.ServiceConfig{Store: f.Store})
	f.must(err)
	return service
}

func (f *fixture) whyOf(id core.TaskID) core.Why {
	f.Helper()
	w, err := f.counter().Why(f.ctx, id)
	f.must(err)
	return w
}

// why asks for a task and compares the causes, if any are named.
func (f *fixture) why(id core.TaskID, causes ...core.WhyCode) core.Why {
	f.Helper()
	w := f.whyOf(id)
	var got []core.WhyCode
	for _, finding := range w.Findings {
		if finding.Cause {
			got = append(got, finding.Code)
		}
	}
	if causes != nil && !slices.Equal(got, causes) {
		f.Fatalf("causes %v, want %v; all: %+v", got, causes, w.Findings)
	}
	if len(got) == 0 || w.Task.ID != id || w.Task.Name == "" || w.Now.IsZero() || w.Command == "" {
		f.Fatalf("%+v", w)
	}
	return w
}

// says wants a finding of that code with text that fits a pattern.
func (f *fixture) says(w core.Why, code core.WhyCode, text string) {
	f.Helper()
	pattern := regexp.MustCompile(text)
	if !slices.ContainsFunc(w.Findings, func(x core.Finding) bool { return x.Code == code && pattern.MatchString(x.Text) }) {
		f.Fatalf("no finding %s says %q: %+v", code, text, w.Findings)
	}
}

func (f *fixture) helps(w core.Why, command string) {
	f.Helper()
	if !strings.HasPrefix(w.Command, command) {
		f.Fatalf("the command is %q, want %q", w.Command, command)
	}
}
