package tui

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/muesli/termenv"

	"faasctl/core"
)

func TestClean(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"resize@3", "resize@3"},
		{"naïve 漢字", "naïve 漢字"},
		{"\x1b[31mred\x1b[0m", "red"},
		{"\x1b]0;title\aname", "name"},
		{"a\nb\tc", "a b c"},
		{"\u202egnp.exe", "gnp.exe"},
		{"\u009b31mred", "31mred"},
		{"a\x00b\x7fc", "abc"},
		{"bad\xff", "bad?"},
	} {
		if got := clean(c.text); got != c.want {
			t.Errorf("clean(%q) = %q, want %q", c.text, got, c.want)
		}
	}
	for _, text := range nasty {
		for _, r := range clean(text) {
			if r < 0x20 || r >= 0x7f && r < 0xa0 {
				t.Errorf("clean(%q) keeps %q", text, r)
			}
		}
	}
}

func TestFigures(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{count(0), "0"}, {count(999), "999"}, {count(1000), "1,000"}, {count(999_999), "999,999"}, {count(1_234_567), "1.23M"},
		{count(2e9), "2.00G"}, {count(-1234), "-1,234"}, {count(math.MinInt64), "-9223372036.85G"},
		{perSecond(0), "0/s"}, {perSecond(0.25), "0.2/s"}, {perSecond(99.94), "99.9/s"}, {perSecond(118.2), "118/s"}, {perSecond(12345), "12.3k/s"},
		{perSecond(math.NaN()), "-/s"},
		{percent(0), "0.0%"}, {percent(0.0001), "<0.1%"}, {percent(0.123), "12.3%"},
		{millis(0.01), "<0.1ms"}, {millis(0.42), "0.4ms"}, {millis(12.3), "12ms"}, {millis(999.7), "1.0s"}, {millis(1500), "1.5s"}, {millis(91_000), "1m31s"}, {millis(-1), "-"},
		{millis(math.Inf(1)), "11574d01h"},
		{span(-time.Second), "0s"}, {span(75 * time.Second), "1m15s"}, {span(3 * time.Hour), "3h00m"}, {span(50 * time.Hour), "2d02h"},
		{age(59 * time.Second), "59s"}, {age(75 * time.Second), "1m"}, {age(30 * time.Hour), "30h"}, {age(72 * time.Hour), "3d"}, {age(math.MaxInt64), "999d"},
		{size(1), "1 KiB"}, {size(3 << 20), "3.0 MiB"}, {size(5 << 30), "5.0 GiB"},
		{plural(1, "task"), "1 task"}, {plural(2000, "task"), "2,000 tasks"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

func TestBar(t *testing.T) {
	th := newTestModel(termenv.Ascii, true).theme
	for _, c := range []struct {
		used, total, w int
		want           string
	}{
		{0, 4, 8, "...."}, {2, 4, 8, "##.."}, {4, 4, 8, "####"}, {1, 64, 8, "#......."}, {63, 64, 8, "#######."}, {64, 64, 8, "########"},
		{9, 4, 8, "####"}, {-1, 4, 8, "...."}, {0, 0, 8, "-"}, {3, -2, 8, "-"},
	} {
		if got := th.paint(th.bar(c.used, c.total, c.w), 80); got != c.want {
			t.Errorf("bar(%d of %d in %d) = %q, want %q", c.used, c.total, c.w, got, c.want)
		}
	}
}

func TestSeries(t *testing.T) {
	th := newTestModel(termenv.Ascii, true).theme
	var s series
	if !math.IsNaN(s.mean(10)) || s.graph(4, 1, th) != "    " {
		t.Error("a series without values knows something")
	}
	for _, v := range []float64{10, 0, math.NaN(), 1, 10} {
		s.push(v)
	}
	if got := s.graph(6, s.peak(6), th); got != " #_ :#" {
		t.Errorf("graph %q", got)
	}
	if s.mean(2) != 5.5 || s.peak(2) != 10 || s.peak(60) != 10 {
		t.Errorf("mean %v, peak %v", s.mean(2), s.peak(2))
	}
	if total, seconds := s.sum(); total != 21 || seconds != 4 {
		t.Errorf("%v in %d s", total, seconds)
	}
}

func TestTableWidths(t *testing.T) {
	th := newTestModel(termenv.Ascii, true).theme
	cell := func(text string, _ int) line { return line{{text, plain}} }
	tb := table[string]{theme: th, columns: []column[string]{
		{head: "NAME", min: 4, max: 8, rank: 1, grow: 2, cell: cell},
		{head: "ID", min: 3, max: 10, rank: 2, grow: 1, step: true, cell: cell},
		{head: "N", min: 5, rank: 3, right: true, cell: cell},
		{head: "WIDE", min: 4, rank: 4, from: 40, cell: cell},
	}}
	for _, c := range []struct {
		w    int
		want [4]int
	}{
		{3, [4]int{}}, {4, [4]int{4}}, {8, [4]int{4, 3}}, {14, [4]int{4, 3, 5}}, {17, [4]int{7, 3, 5}}, {21, [4]int{4, 10, 5}}, {39, [4]int{8, 10, 5}}, {40, [4]int{8, 10, 5, 4}},
	} {
		if got := [4]int(tb.widths(c.w)); got != c.want {
			t.Errorf("%d cells are shared out as %v, want %v", c.w, got, c.want)
		}
	}
	lines := tb.lines([]string{"一二三四五六", "b"}, 14, 2)
	if len(lines) != 2 || th.paint(lines[1], 14) != "一~ ~    一二~" && lines[1].width() != 14 {
		t.Errorf("%d lines, %q", len(lines), th.paint(lines[1], 14))
	}
}

// TestStoreClock learns from stamps that the store's clock runs elsewhere.
func TestStoreClock(t *testing.T) {
	var c storeClock
	c.observe(time.Time{}, noon)
	c.observe(noon.Add(-time.Hour), noon) // an old event
	c.observe(noon.Add(ahead-2*time.Second), noon)
	c.observe(noon.Add(ahead), noon)
	c.observe(noon.Add(ahead-time.Second), noon)
	if c.ahead != ahead {
		t.Errorf("ahead by %v, want %v", c.ahead, ahead)
	}
}

// TestGap leaves the seconds without a server blank in the graphs.
func TestGap(t *testing.T) {
	m := newTestModel(termenv.Ascii, true)
	for _, second := range []int{0, 1, 2, 12, 13} {
		at := noon.Add(time.Duration(second) * time.Second)
		m.Update(Batch{At: at, News: []News{NewsTop{at, submittedTop(int64(10 * second))}}})
	}
	if got := strings.TrimLeft(m.live.in.graph(60, 10, m.theme), " "); got != "##          #" {
		t.Errorf("graph %q", got)
	}
}

func submittedTop(n int64) core.Top {
	return core.Top{Numbers: &core.TopNumbers{Totals: core.Totals{Submitted: n}}, Wait: core.Histogram{80: n}}
}

// TestAnotherStore forgets the readings of a store that was replaced by another.
func TestAnotherStore(t *testing.T) {
	m := newTestModel(termenv.Ascii, true)
	for second, n := range []int64{5, 9, 2} {
		at := noon.Add(time.Duration(second) * time.Second)
		m.Update(Batch{At: at, News: []News{NewsTop{at, submittedTop(n)}}})
	}
	if n := len(m.live.readings); n != 1 {
		t.Errorf("%d readings are kept, want that of the new store", n)
	}
}

// TestLately reads quantiles of the last seconds from two readings.
func TestLately(t *testing.T) {
	m := newTestModel(termenv.Ascii, true)
	for second := range 30 {
		at := noon.Add(time.Duration(second) * time.Second)
		m.Update(Batch{At: at, News: []News{NewsTop{at, submittedTop(int64(7 * second))}}})
	}
	if wait, _ := m.live.lately(); wait.Count() != 77 { // of 11 s
		t.Errorf("%d waits lately, want 77", wait.Count())
	}
}

// TestWrapped shows all of a long text, in lines that fit.
func TestWrapped(t *testing.T) {
	for _, text := range append([]string{strings.Repeat("0123456789", 400), strings.Repeat("語", 900), "", "short"}, nasty...) {
		lines := wrapped(text, 33)
		for _, l := range lines {
			if cells(l) > 33 {
				t.Errorf("a line of %d cells: %q", cells(l), l)
			}
		}
		if plainASCII(text) && strings.Join(lines, "") != text {
			t.Errorf("%d bytes in, %d out", len(text), len(strings.Join(lines, "")))
		}
	}
	if n := len(wrapped(strings.Repeat("x", 8<<20), 80)); n > 2*mostLines {
		t.Errorf("%d lines of 8 MiB", n)
	}
}

// TestFailuresAreCountedOnce: pictures do not arrive on the second, and the sum
// of the failures lately is the number of failures all the same.
func TestFailuresAreCountedOnce(t *testing.T) {
	m := newTestModel(termenv.Ascii, true)
	for i, after := range []time.Duration{0, 950 * time.Millisecond, 2050 * time.Millisecond, 2980 * time.Millisecond, 5010 * time.Millisecond} {
		at := noon.Add(after)
		top := core.Top{Now: at, Numbers: &core.TopNumbers{Totals: core.Totals{Submitted: 900, Failed: int64(100 * i)}}}
		m.Update(Batch{At: at, News: []News{NewsTop{at, top}}})
	}
	if sum, _ := m.live.failures.sum(); math.Abs(sum-400) > 0.001 {
		t.Errorf("%v failures lately, want 400", sum)
	}
}
