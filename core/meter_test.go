package core

import (
	"testing"
	"time"
)

// What a meter says while a number grows by 50 a second for 20 s, then stands.
func TestMeter(t *testing.T) {
	var m meter
	start := time.Unix(1000, 0)
	at := func(second int) time.Time { return start.Add(time.Duration(second) * time.Second) }
	for second := 0; second <= 40; second++ {
		got := m.read(at(second), int64(50*min(second, 20)))
		switch want := 5 * float64(max(0, min(10, 30-second))); {
		case second == 0 && got != 0:
			t.Errorf("the first reading gives %v, want 0", got)
		case second > 0 && second <= 20 && got != 50:
			t.Errorf("after %d s: %v, want 50", second, got)
		case second > 20 && got != want:
			t.Errorf("%d s after the end: %v, want %v", second-20, got, want)
		}
	}
	for i := range 100_000 {
		m.read(at(50).Add(time.Duration(i)*time.Microsecond), 1000)
	}
	if len(m.readings) > 102 {
		t.Errorf("it keeps %d readings", len(m.readings))
	}
}

// The P95 is about the last runs only.
func TestRuns(t *testing.T) {
	var r runs
	if r.quantile() != 0 {
		t.Error("no run has a quantile")
	}
	r.add(7 * time.Millisecond)
	if got := r.quantile(); got != 7 {
		t.Errorf("of one run: %v ms, want 7", got)
	}
	for i := 1; i <= 100; i++ {
		r.add(time.Duration(i) * time.Millisecond)
	}
	for range recentRuns - 100 {
		r.add(0)
	}
	if got, want := r.quantile(), float64(100-(recentRuns-(recentRuns*95+99)/100)); got != want {
		t.Errorf("of 1 to 100 ms and %d of none: %v ms, want %v", recentRuns-100, got, want)
	}
	for range recentRuns {
		r.add(time.Millisecond)
	}
	if got := r.quantile(); got != 1 {
		t.Errorf("after the long runs are out of the window: %v ms, want 1", got)
	}
}
