package httpapi

import (
	"testing"
	"time"

	"faasctl/core"
)

func TestWhoPollsWithoutPauseWaits(t *testing.T) {
	p, id := newPolls(), core.NewTaskID()
	submitted, _ := id.Time()
	hold := func(after, want time.Duration) {
		t.Helper()
		if got := p.hold(id, submitted.Add(after)); got != want {
			t.Errorf("%v after the submission it is held for %v, not %v", after, got, want)
		}
	}
	hold(time.Millisecond, pollHold)
	hold(time.Second, 0) // looks now and then
	p.answered(id, false, submitted.Add(time.Second))
	hold(time.Second+pollAgain/2, pollHold)
	hold(2*time.Second, 0)
	p.answered(id, false, submitted.Add(2*time.Second))
	p.answered(id, true, submitted.Add(2*time.Second))
	hold(2*time.Second+pollAgain/2, 0)
	for range 3 * maxPolls {
		p.answered(core.NewTaskID(), false, submitted)
	}
	if n := len(p.last); n > maxPolls {
		t.Errorf("%d are remembered", n)
	}
}

// A loop without pause gets an answer each pollHold, and the end when it comes.
func TestAFamilyPollIsHeld(t *testing.T) {
	st := start(t)
	id := st.dillTask()
	began, answers := time.Now(), 0
	for time.Since(began) < 20*pollHold {
		if got := st.want(200, "GET", "/result/"+string(id), ""); got.field(t, "status") != "QUEUED" {
			t.Fatal(got.body)
		}
		answers++
	}
	// One that comes late is answered at once, and there are fewer of them then.
	if most := int(time.Since(began)/pollHold) + 2; answers > most {
		t.Errorf("%d answers in %v, want %d at most", answers, time.Since(began), most)
	}
	st.finish(core.Completed, core.Result{Pickle: somePickle})
	if got := st.want(200, "GET", "/result/"+string(id), ""); got.field(t, "status") != "COMPLETED" || got.field(t, "result") == "" {
		t.Fatal(got.body)
	}
}
