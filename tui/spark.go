package tui

import (
	"math"
	"strings"
)

// window is how many seconds the graphs show.
const window = 60

// series holds one number per second for the last window seconds; NaN is a
// second that nobody saw.
type series struct {
	values [window]float64
	n      int // how many are filled in; the newest is the last
}

func (s *series) push(value float64) {
	copy(s.values[:], s.values[1:])
	s.values[window-1] = value
	s.n = min(s.n+1, window)
}

// last returns the filled part, oldest first.
func (s *series) last() []float64 { return s.values[window-s.n:] }

// mean is the average of the known values among the last n seconds, NaN when
// there are none.
func (s *series) mean(n int) float64 {
	sum, known := 0.0, 0
	values := s.last()
	for _, v := range values[max(0, len(values)-n):] {
		if !math.IsNaN(v) {
			sum, known = sum+v, known+1
		}
	}
	if known == 0 {
		return math.NaN()
	}
	return sum / float64(known)
}

// sum adds up the known values and says how many seconds they cover.
func (s *series) sum() (total float64, seconds int) {
	for _, v := range s.last() {
		if !math.IsNaN(v) {
			total, seconds = total+v, seconds+1
		}
	}
	return total, seconds
}

// peak is the highest value of the last n seconds, NaN when none is known.
func (s *series) peak(n int) float64 {
	top := math.NaN()
	values := s.last()
	for _, v := range values[max(0, len(values)-n):] {
		if !(v <= top) && !math.IsNaN(v) {
			top = v
		}
	}
	return top
}

// graph draws the last w seconds in w cells, the newest at the right, scaled
// to top. A second with nothing is the lowest step, one that nobody saw is
// blank.
func (s *series) graph(w int, top float64, t *theme) string {
	w = max(0, min(w, window))
	steps := len(t.spark)
	var b strings.Builder
	for i := window - w; i < window; i++ {
		v := s.values[i]
		switch {
		case i < window-s.n || math.IsNaN(v):
			b.WriteByte(' ')
		case v <= 0 || top <= 0:
			b.WriteString(t.spark[0])
		default: // something is never shown as nothing
			b.WriteString(t.spark[min(steps-1, 1+int(min(v/top, 1)*float64(steps-2)+0.5))])
		}
	}
	return b.String()
}
