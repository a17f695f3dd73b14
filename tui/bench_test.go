package tui

import (
	"fmt"
	"testing"

	"github.com/muesli/termenv"

	"faasctl/core"
)

// BenchmarkFold takes in a batch of 2,000 events: 100 ms at 5,000 tasks/s.
func BenchmarkFold(b *testing.B) {
	m := feedAll(newTestModel(termenv.ANSI, false), lively())
	batch := Batch{At: noon}
	for i := range 2000 {
		kind := []core.EventKind{core.TaskSubmitted, core.TaskClaimed, core.TaskStarted, core.TaskCompleted}[i%4]
		batch.News = append(batch.News, NewsEvent{core.Event{At: noon, Kind: kind, Task: core.TaskID(fmt.Sprint(i / 4)), Name: "resize@3"}})
	}
	b.ReportAllocs()
	for b.Loop() {
		m.Update(batch)
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
