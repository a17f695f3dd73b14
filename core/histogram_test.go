package core

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"sort"
	"testing"
	"time"
)

func TestQuantilesAreRightWithinTheWidthOfABucket(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	h := Histogram{}
	var all []time.Duration
	for range 20_000 {
		d := time.Duration(math.Exp(random.Float64()*20)) * time.Microsecond // 1 µs to 8 min
		all = append(all, d)
		h.Add(d)
	}
	sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
	for _, q := range []float64{0.01, 0.5, 0.95, 0.99, 1} {
		want := all[int(math.Ceil(q*float64(len(all))))-1].Seconds()
		if got := h.Quantile(q).Seconds(); math.Abs(got-want) > 0.1*want+2e-6 {
			t.Errorf("q%.2f is %.6f s, want %.6f s", q, got, want)
		}
	}
}

func TestADifferenceIsTheTimeBetween(t *testing.T) {
	h := Histogram{}
	h.Add(time.Second)
	before := Histogram{}
	for k, v := range h {
		before[k] = v
	}
	h.Add(time.Millisecond)
	if since := h.Since(before); since.Count() != 1 || since.Quantile(0.5) > 2*time.Millisecond {
		t.Fatalf("%v", since)
	}
	if since := before.Since(h); since.Count() != 0 {
		t.Fatalf("a reading of the past: %v", since)
	}
}

func TestAnEmptyHistogram(t *testing.T) {
	var h Histogram
	if h.Count() != 0 || h.Quantile(0.99) != 0 || len(h.Since(nil)) != 0 {
		t.Fatal("something is in it")
	}
	text, err := json.Marshal(h)
	if err != nil || string(text) != "{}" {
		t.Fatalf("%s, %v", text, err)
	}
	h = Histogram{}
	h.Add(0)
	h.Add(24 * time.Hour)
	text, err = json.Marshal(h)
	var back Histogram
	if err != nil || json.Unmarshal(text, &back) != nil || back.Count() != 2 || back.Quantile(1) < 23*time.Hour {
		t.Fatalf("%s came back as %v, %v", text, back, err)
	}
}
