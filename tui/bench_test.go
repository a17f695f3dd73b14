package tui

import (
	"fmt"
	"testing"
	"time"

	"github.com/muesli/termenv"
)

// BenchmarkFold takes in a picture and draws it, which happens ten times a
// second whatever the rate of tasks.
func BenchmarkFold(b *testing.B) {
	m := feedAll(newTestModel(termenv.ANSI, false), lively())
	sized(m, 120, 40)
	at, submitted := noon, int64(20_000)
	b.ReportAllocs()
	for b.Loop() {
		at, submitted = at.Add(100*time.Millisecond), submitted+500
		m.Update(Batch{At: at, News: []News{NewsTop{at, fixtureTop(submitted, submitted-100, at)}}})
		m.View()
	}
}

// BenchmarkView draws one frame.
func BenchmarkView(b *testing.B) {
	for _, size := range sizes {
		b.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(b *testing.B) {
			m := feedAll(newTestModel(termenv.ANSI, false), lively())
			sized(m, size[0], size[1])
			b.ReportAllocs()
			for b.Loop() {
				m.View()
			}
		})
	}
}
