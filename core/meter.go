package core

import (
	"math"
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
