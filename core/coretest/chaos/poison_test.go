package chaos

import (
	"math/rand/v2"
	"testing"
	"time"

	"faasctl/core"
	"faasctl/core/redisstore"
)

// One call in a hundred crashes its process, hangs, asks for more memory than it
// may have or floods its output, in the same line as healthy ones: each ends as documented,
// no healthy one suffers, and apart from the time that the poison itself took
// these are as fast as without it.
func TestPoison(t *testing.T) {
	calls, share := 400, 0.03
	if *full { // by itself, as it measures
		calls, share = 10_000, 0.01
	} else {
		t.Parallel()
	}
	rates := map[float64]float64{}
	for _, poison := range []float64{0, share} {
		shape := setup(core.Push, redisstore.DurabilityEverysec)
		shape.Dispatchers, shape.Workers, shape.Timers = 1, 2, calm(time.Minute)
		s := newStack(t, shape)
		load := Load{Calls: calls, Took: 20 * time.Millisecond, Poison: poison, Plain: true, Mixed: true}
		h := s.run(rand.New(rand.NewPCG(*seed, 12)), load, nil)
		violations, numbers := s.judge("poison", h)
		fail(t, violations)
		if numbers.Most > 1 {
			t.Errorf("a healthy call was executed %d times", numbers.Most)
		}
		healthy, took, occupied := h.pace(shape.Workers * shape.Slots)
		rates[poison] = float64(healthy) / (took - occupied).Seconds()
		t.Logf("%d healthy calls took %s, of which poison occupied %s: %.0f/s", healthy, took.Round(time.Millisecond), occupied.Round(time.Millisecond), rates[poison])
		s.close()
	}
	t.Logf("healthy throughput with %.0f %% poison is %.1f %% of that without it", share*100, 100*rates[share]/rates[0])
}

// pace counts the healthy calls that completed, how long that took, and for how long
// of it poison kept all slots, were it spread over them evenly.
func (h *History) pace(slots int) (healthy int, took, occupied time.Duration) {
	sick := map[core.TaskID]bool{}
	for id, x := range h.Of {
		switch h.Calls[x].Kind {
		case Crash, Hang, Memory, Flood:
			sick[id] = true
		}
	}
	var first, last time.Time
	for _, e := range h.Events {
		if e.Kind == core.TaskClaimed && first.IsZero() {
			first = e.At
		}
		if e.Kind == core.TaskCompleted && !sick[e.Task] {
			healthy, last = healthy+1, e.At
		}
	}
	for _, e := range h.Events {
		if _, ends := terminal[e.Kind]; !ends || !sick[e.Task] {
			continue
		}
		from, to := e.At.Add(-time.Duration(e.RunMS*float64(time.Millisecond))), e.At
		if to.After(last) {
			to = last
		}
		occupied += max(0, to.Sub(from))
	}
	return healthy, last.Sub(first), occupied / time.Duration(slots)
}
