package memstore_test

import (
	"fmt"
	"testing"
	"time"

	"faasctl/core"
	"faasctl/core/memstore"
)

// TestNoPriorityStarves: with all ten priorities waiting for ever, each gets a
// task a minute at least, and the high ones nearly all.
func TestNoPriorityStarves(t *testing.T) {
	now := time.Now()
	s := memstore.New(memstore.Config{Now: func() time.Time { return now }})
	f, _, err := s.PutFunction(t.Context(), core.Function{Name: "f", Codec: core.Source, Entry: "f", Body: []byte("1")})
	if err != nil {
		t.Fatal(err)
	}
	served, last := map[int]int{}, map[int]time.Time{}
	for p := range 10 {
		last[p] = now
		batch := make([]core.Submission, 700)
		for i := range batch {
			batch[i] = core.Submission{ID: core.NewTaskID(), Spec: core.Spec{Function: f.ID, Codec: core.JSON, Queue: "q", Priority: p}}
		}
		if _, err := s.Submit(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	for second := range 600 { // a task a second
		now = now.Add(time.Second)
		claimed, err := s.Claim(t.Context(), core.ClaimRequest{ID: fmt.Sprint(second), Max: 1, Lease: time.Hour})
		if err != nil || len(claimed) != 1 {
			t.Fatal(claimed, err)
		}
		p := claimed[0].Spec.Priority
		served[p]++
		last[p] = now
		for p, at := range last {
			if waited := now.Sub(at); waited > core.Ageing+10*time.Second {
				t.Fatalf("priority %d had no turn for %s", p, waited)
			}
		}
	}
	if served[9] < 300 || served[0] > 20 {
		t.Fatalf("served %v", served)
	}
}
