package core

import (
	"math/rand/v2"
	"testing"
)

func TestAssignSpreadsBeforeItGoesDeep(t *testing.T) {
	seats := []seat{{slots: 2, credit: 512, order: "a"}, {slots: 2, credit: 512, order: "b"}, {slots: 4, credit: 1024, order: "c"}}
	counts := make([]int, 3)
	for _, i := range assign(80, seats) {
		counts[i]++
	}
	if counts[0] != 20 || counts[1] != 20 || counts[2] != 40 {
		t.Fatalf("80 tasks over 2+2+4 slots: %v", counts)
	}
}

// Whatever the input: nobody gets more than his credit, all credit is used
// before a task is left over, and loads end as even as credit allows.
func TestAssignProperties(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		seats := make([]seat, random.IntN(12))
		credit := 0
		for i := range seats {
			seats[i] = seat{slots: random.IntN(5), held: random.IntN(20), credit: random.IntN(10), order: string(rune('a' + i))}
			credit += seats[i].credit
		}
		n := random.IntN(80)
		shares := assign(n, seats)
		if len(shares) != min(n, credit) {
			t.Fatalf("%d of %d tasks were dealt with credit %d", len(shares), n, credit)
		}
		got := make([]int, len(seats))
		for _, i := range shares {
			got[i]++
		}
		for i, a := range seats {
			if got[i] > a.credit {
				t.Fatalf("seat %d got %d with credit %d", i, got[i], a.credit)
			}
			for j, b := range seats {
				// i had credit left; then j must not have been given a task
				// while it was more loaded than i is at the end.
				if got[i] < a.credit && got[j] > 0 && (b.held+got[j]-1)*max(1, a.slots) > (a.held+got[i])*max(1, b.slots) {
					t.Fatalf("seat %d (%+v, got %d) went short for seat %d (%+v, got %d)", i, a, got[i], j, b, got[j])
				}
			}
		}
	}
}
