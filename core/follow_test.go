package core_test

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"faasctl/core"
)

// TestFollowing: a worker is told that its task is followed at once, also when it
// is given the task later, and that it is not any more when nobody says so.
func TestFollowing(t *testing.T) {
	dispatch(t, core.Push, func(r *rig) {
		w := r.transport.Join("w-1", 1, 1)
		here := r.submit(1, nil)[0]
		synctest.Wait()
		later := r.submit(1, nil)[0]
		r.must(r.Follow(r.ctx, []core.TaskID{here, later}))
		synctest.Wait()
		if got := w.Heard().Follows; len(got) != 1 || !got[0].On || len(got[0].Tasks) != 1 || got[0].Tasks[0] != here {
			t.Fatalf("told %+v", got)
		}
		w.Finish(1, core.Completed)
		time.Sleep(time.Second)
		if got := w.Heard().Follows; len(got) != 2 || !got[1].On || got[1].Tasks[0] != later {
			t.Fatalf("told %+v", got)
		}
		time.Sleep(core.FollowFor - 2*time.Second)
		r.must(r.Follow(r.ctx, []core.TaskID{later})) // goes on, without a word to the worker
		time.Sleep(core.FollowFor - time.Second)
		if got := w.Heard().Follows; len(got) != 2 {
			t.Fatalf("told %+v", got)
		}
		time.Sleep(3 * time.Second)
		if got := w.Heard().Follows; len(got) != 3 || got[2].On || got[2].Tasks[0] != later {
			t.Fatalf("told %+v", got)
		}
	})
}

// TestPrintingTellsOfTheStart: the first output is stored with the start that it
// proves, and what nobody follows is not stored, and the worker told.
func TestPrintingTellsOfTheStart(t *testing.T) {
	dispatch(t, core.Push, func(r *rig) {
		w := r.transport.Join("w-1", 1, 1)
		id := r.submit(1, nil)[0]
		synctest.Wait()
		lease := w.Held()[0].Lease
		say := func() {
			w.Say(core.UpOutput{Printed: []core.Printed{{Lease: lease, Ran: 20 * time.Millisecond, Piece: core.Piece{Attempt: 1, Stream: core.Stdout, Data: []byte("x")}}}})
			synctest.Wait()
		}
		say()
		if got := w.Heard().Follows; len(got) != 1 || got[0].On {
			t.Fatalf("told %+v", got)
		}
		tasks, err := r.Tasks(r.ctx, []core.TaskID{id})
		r.must(err)
		if tasks[0].Attempt != 1 || tasks[0].Started.IsZero() {
			t.Fatalf("%+v", tasks[0])
		}
		r.must(r.Follow(r.ctx, []core.TaskID{id}))
		synctest.Wait()
		say()
		pieces, _, err := r.Pieces(r.ctx, id, "")
		r.must(err)
		if len(pieces) != 1 || string(pieces[0].Data) != "x" {
			t.Fatalf("stored %+v", pieces)
		}
		w.Say(core.UpBeat{Busy: 1, Progress: []core.TaskProgress{{Task: id, Progress: core.Progress{Done: 2, Total: 4}}}})
		synctest.Wait()
		if tasks, err = r.Tasks(r.ctx, []core.TaskID{id}); err != nil || tasks[0].Progress == nil || tasks[0].Progress.Done != 2 {
			t.Fatalf("%+v %v", tasks[0], err)
		}
		// What it says last comes with its end.
		w.Say(core.UpBeat{Busy: 1, Progress: []core.TaskProgress{{Task: id, Progress: core.Progress{Done: 3, Total: 4}}}})
		w.Say(core.UpFinish{Outcomes: []core.Outcome{{Lease: lease, State: core.Failed, Started: true, Result: core.Result{Failure: &core.Failure{Kind: core.KindException}}}}})
		synctest.Wait()
		if tasks, err = r.Tasks(r.ctx, []core.TaskID{id}); err != nil || tasks[0].State != core.Failed || tasks[0].Progress == nil || tasks[0].Progress.Done != 3 {
			t.Fatalf("%+v %v", tasks[0], err)
		}
	})
}

// TestFollowThroughAttempts: a follower hears all attempts of a task, each byte
// once, and the end.
func TestFollowThroughAttempts(t *testing.T) {
	serve(t, core.ServiceConfig{}, func(d *desk) {
		f := d.register("f", "def f(): pass").Function
		answer, err := d.Submit(d.ctx, core.SubmitRequest{Function: string(f.ID), Codec: core.JSON, Args: []byte(`[[],{}]`), Retries: new(1)})
		if err != nil {
			t.Fatal(err)
		}
		text, states := "", ""
		var last core.Position
		ended := make(chan error, 1)
		go func() {
			ended <- d.Follow(d.ctx, answer.ID, core.Position{}, func(n core.News) error {
				if n.Heard != nil {
					text += string(n.Heard.Data)
				}
				if n.Task != nil {
					states += string(n.Task.State[0])
				}
				last = n.Position
				return nil
			})
		}()
		time.Sleep(time.Second)
		for attempt := 1; attempt <= 2; attempt++ {
			claimed, err := d.store.Claim(d.ctx, core.ClaimRequest{ID: "c" + string(rune('0'+attempt)), Dispatcher: "d", Max: 1, Lease: time.Minute})
			if err != nil || len(claimed) != 1 {
				t.Fatal(claimed, err)
			}
			lease := claimed[0].Lease
			printed := core.Printed{Lease: lease, Piece: core.Piece{Attempt: attempt, Stream: core.Stdout, Data: []byte("be")}}
			if _, err := d.store.Renew(d.ctx, []core.Renewal{{Lease: lease, Started: true}}, time.Minute); err != nil {
				t.Fatal(err)
			}
			if err := d.store.Print(d.ctx, []core.Printed{printed, printed}); err != nil { // a repetition
				t.Fatal(err)
			}
			synctest.Wait()
			outcome := core.Outcome{Lease: lease, State: core.Failed, Started: true, Output: core.Output{Stdout: core.Stream{Head: []byte("begin, ")}},
				Result: core.Result{Failure: &core.Failure{Kind: core.KindException}}}
			if _, err := d.store.Settle(d.ctx, []core.Settlement{{Outcome: outcome}}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
			if _, _, err := d.store.Promote(d.ctx); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if text != "begin, begin, " {
			t.Errorf("heard %q", text)
		}
		if states[0] != 'Q' || states[len(states)-1] != 'F' {
			t.Errorf("states %s", states)
		}
		if last != (core.Position{Attempt: 2, Stdout: 7}) {
			t.Errorf("ended at %v", last)
		}
	})
}

// TestListenerLosesAndRepeatsNothing: pieces may be lost, repeated and late; with
// the output that is kept, what is heard is the stream without what it says to be
// cut.
func TestListenerLosesAndRepeatsNothing(t *testing.T) {
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 1))
		whole := make([]byte, rng.IntN(60))
		for i := range whole {
			whole[i] = byte('a' + i%26)
		}
		l := core.Listener{}
		var heard []byte
		hear := func(h core.Heard) error {
			heard = append(heard, bytes.Repeat([]byte("?"), int(h.Cut))...)
			heard = append(heard, h.Data...)
			return nil
		}
		for range rng.IntN(8) {
			from := rng.IntN(len(whole) + 1)
			to := from + rng.IntN(len(whole)+1-from)
			if h, fresh := l.Piece(core.Piece{Attempt: 1, Stream: core.Stderr, Offset: int64(from), Data: whole[from:to]}); fresh {
				_ = hear(h)
			}
		}
		head := rng.IntN(len(whole) + 1)
		tail := head + rng.IntN(len(whole)+1-head)
		_ = l.Rest(1, core.Output{Stderr: core.Stream{Head: whole[:head], Tail: whole[tail:], Cut: int64(tail - head)}}, hear)
		if tail == len(whole) && len(heard) < len(whole) { // nothing after the cut: nothing says how long it was
			heard = append(heard, bytes.Repeat([]byte("?"), len(whole)-len(heard))...)
		}
		if len(heard) != len(whole) {
			t.Fatalf("seed %d: heard %q of %q", seed, heard, whole)
		}
		for i, b := range heard {
			if b != whole[i] && b != '?' {
				t.Fatalf("seed %d: heard %q of %q", seed, heard, whole)
			}
		}
		if again := l.Position; again != (core.Position{Attempt: 1, Stderr: again.Stderr}) {
			t.Fatalf("%v", again)
		}
	}
}

func FuzzPosition(f *testing.F) {
	for _, text := range []string{"", "0.0.0", "1.2048.0", "1.2", "01.2.3", "1.2.3.4", "-1.0.0", "1.2.3 ", "9999999999999999999.0.0"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := core.ParsePosition(text)
		if err == nil && text != "" && p.String() != text {
			t.Fatalf("%q is read as %v", text, p)
		}
	})
}
