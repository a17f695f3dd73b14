package core

import (
	"math"
	"slices"
	"time"
)

// RateWindow is the time that a worker's rate is about.
const RateWindow = 10 * time.Second

// meter turns a growing number, read about once a beat, into a rate over the
// last RateWindow. The zero value is ready.
type meter struct {
	readings []reading // oldest first; the first is the youngest that is at least RateWindow old, if there is one
}

type reading struct {
	at    time.Time
	total int64
}

// read notes the total as of now and returns by how much it grew per second
// since a RateWindow ago, or since the first reading. It keeps at most one
// reading for every hundredth of the window.
func (m *meter) read(now time.Time, total int64) float64 {
	if n := len(m.readings); n == 0 || now.Sub(m.readings[n-1].at) >= RateWindow/100 {
		m.readings = append(m.readings, reading{now, total})
	}
	for len(m.readings) > 1 && now.Sub(m.readings[1].at) >= RateWindow {
		m.readings = m.readings[1:]
	}
	first := m.readings[0]
	seconds := now.Sub(first.at).Seconds()
	if seconds <= 0 {
		return 0
	}
	return math.Round(float64(total-first.total)/seconds*100) / 100
}

// recentRuns is how many of a worker's tasks its P95 is about.
const recentRuns = 128

// runs keeps how long a worker's last tasks ran. The zero value is ready.
type runs struct {
	last [recentRuns]time.Duration // a ring; next is where the next one goes
	next int
	full bool
	p95  float64 // of those in last, unless old
	old  bool    // last has changed since p95 was found
}

// add notes one run.
func (r *runs) add(elapsed time.Duration) {
	r.last[r.next] = elapsed
	r.next = (r.next + 1) % recentRuns
	r.full = r.full || r.next == 0
	r.old = true
}

// quantile returns the run, in ms, that 95 of 100 of the kept ones did not
// exceed; 0 when there is none. It sorts only when there was one more.
func (r *runs) quantile() float64 {
	if !r.old {
		return r.p95
	}
	kept := slices.Clone(r.last[:r.next])
	if r.full {
		kept = slices.Clone(r.last[:])
	}
	slices.Sort(kept)
	longest := kept[(len(kept)*95+99)/100-1]
	r.p95, r.old = float64(longest.Microseconds())/1000, false
	return r.p95
}
