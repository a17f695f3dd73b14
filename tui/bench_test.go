package tui

import (
	"fmt"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/muesli/termenv"

	"faasctl/core"
)

// many is how many tasks the system of the benchmarks has.
const many = 100_000

// busy is a dashboard of 120 × 40 over a system of many tasks.
func busy() *Model {
	m := feedAll(newTestModel(termenv.ANSI, false), lively())
	at := noon.Add(time.Second)
	m.Update(Batch{At: at, News: []News{NewsTop{at, fixtureTop(many, many-500, at)}}})
	sized(m, 120, 40)
	return m
}

// crowded is the list of tasks with all of them on one page, a thousand times
// what the server sends.
func crowded(keys ...string) *Model {
	m := busy()
	press(m, "2")
	tasks := make([]core.Task, many)
	for i := range tasks {
		tasks[i] = fixtureTasks()[i%7]
		tasks[i].ID = core.TaskID(fmt.Sprintf("019cec2f-4a00-7b33-8d4e-%012d", i))
	}
	page := core.TaskPage{Tasks: tasks}
	m.desk.now = answer{key: m.question().key, value: page}
	for _, key := range keys {
		press(m, key)
	}
	m.desk.now.key = m.question().key
	return m
}

// BenchmarkUpdate takes in a picture, which happens ten times a second whatever
// the rate of tasks.
func BenchmarkUpdate(b *testing.B) {
	m, at := busy(), noon.Add(time.Second)
	top := fixtureTop(many, many-500, at)
	b.ReportAllocs()
	for b.Loop() {
		at = at.Add(100 * time.Millisecond)
		top.Now = at
		m.Update(Batch{At: at, News: []News{NewsTop{at, top}}})
	}
}

// BenchmarkView draws one frame of the overview.
func BenchmarkView(b *testing.B) {
	for _, size := range sizes {
		b.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(b *testing.B) {
			m := busy()
			sized(m, size[0], size[1])
			b.ReportAllocs()
			for b.Loop() {
				m.View()
			}
		})
	}
}

// BenchmarkList draws a list with the cursor in its middle.
func BenchmarkList(b *testing.B) {
	for name, keys := range map[string][]string{
		"page100": nil, "all100000": nil, "filtered100000": {"/", "worker=w-1f", "enter"}, "sorted100000": {"s"},
	} {
		b.Run(name, func(b *testing.B) {
			m := crowded(keys...)
			if name == "page100" {
				page, _ := known[core.TaskPage](m)
				page.Tasks = page.Tasks[:100]
				m.desk.now.value = page
			}
			for range 20 {
				press(m, "pgdown")
			}
			b.ReportAllocs()
			for b.Loop() {
				m.View()
			}
		})
	}
}

// BenchmarkListMove moves the cursor down one row.
func BenchmarkListMove(b *testing.B) {
	m := crowded()
	b.ReportAllocs()
	for b.Loop() {
		m.Update(tea.KeyMsg{Type: tea.KeyDown})
	}
}

// BenchmarkListFilter types a filter, one character at a time.
func BenchmarkListFilter(b *testing.B) {
	m := crowded("/")
	b.ReportAllocs()
	for b.Loop() {
		for _, r := range "worker=w-1f" {
			m.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{r}})
		}
		m.View()
		m.Update(tea.KeyMsg{Type: tea.KeyCtrlU})
	}
}
