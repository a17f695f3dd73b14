package tui

import (
	"fmt"
	"math"
	"time"

	"faasctl/core"
)

// average is the window of the rates, in seconds.
const average = 10

// numbersPane shows depths, rates and failures.
type numbersPane struct{ theme *theme }

func (p *numbersPane) lines(pic *picture, w, h int) []line {
	levels := p.levels(pic, w)
	if h < 3 {
		return []line{levels}
	}
	in := p.flow("in", &pic.in, pic.numbers.Totals.Submitted, "submitted", good, pic, w)
	out := p.flow("out", &pic.out, pic.numbers.Totals.Ended(), "ended", accent, pic, w)
	switch {
	case h < 5:
		return []line{levels, in, out}
	case h < 6:
		return []line{levels, p.failures(pic, w), p.latency(pic, w), in, out}
	}
	return []line{levels, p.failures(pic, w), p.latency(pic, w), p.theme.ruled("throughput", p.windows(w), w), in, out}
}

// still is what one look can tell: levels and totals, no rates.
func (p *numbersPane) still(pic *picture, w int) []line {
	t := pic.numbers.Totals
	totals := pack([]item{
		{line{{count(t.Submitted), plain}, {" submitted", dim}}, 1},
		{line{{count(t.Ended()), plain}, {" ended", dim}}, 2},
		{line{{count(t.Failed), plain}, {" failed", dim}}, 3},
		{line{{count(t.Cancelled), plain}, {" cancelled", dim}}, 4},
		{line{{count(t.Retried), plain}, {" retried", dim}}, 5},
		{line{{count(t.Lost), plain}, {" lost", dim}}, 6},
		{p.repaired(pic), 1},
	}, w-1, 3)
	return []line{p.levels(pic, w), append(line{{" ", plain}}, totals...)}
}

// levels is the state of this moment.
func (p *numbersPane) levels(pic *picture, w int) line {
	if !pic.seen {
		return nil
	}
	s := pic.numbers
	oldest := p.theme.none
	if s.OldestWait > 0 {
		oldest = millis(float64(s.OldestWait))
	}
	items := []item{
		p.number("queued", count(s.Queued), 5, strong, 1),
		p.number("running", count(s.Running), 4, strong, 2),
		p.number("delayed", count(s.Delayed), 5, strong, 5),
		p.number("slots", fmt.Sprintf("%d/%d", s.Busy, s.Slots), 5, strong, 3),
		p.number("oldest wait", oldest, 6, waiting(time.Duration(s.OldestWait)*time.Millisecond), 4),
		{p.oldestQueue(pic), 6},
	}
	return append(line{{" ", plain}}, pack(items, w-1, 2)...)
}

// oldestQueue names the queue whose task has waited longest, where there are
// several.
func (p *numbersPane) oldestQueue(pic *picture) line {
	name, oldest := "", time.Time{}
	for _, q := range pic.queues {
		if !q.Oldest.IsZero() && (oldest.IsZero() || q.Oldest.Before(oldest)) {
			name, oldest = q.Name, q.Oldest
		}
	}
	if name == "" || len(pic.queues) < 2 {
		return nil
	}
	return line{{"in ", dim}, {clip(clean(name), 24, p.theme.cut), plain}}
}

// number is a word and a figure that keeps its place when it grows.
func (p *numbersPane) number(word, figure string, w int, as role, rank int) item {
	return item{line{{word + " ", dim}, {padded(figure, w, false), as}}, rank}
}

// failures is what went wrong, in all and lately.
func (p *numbersPane) failures(pic *picture, w int) line {
	if !pic.seen {
		return nil
	}
	lately, seconds := pic.failures.sum()
	as := role(plain)
	if lately > 0 {
		as = bad
	}
	var recent line
	if seconds > 0 {
		recent = line{{fmt.Sprintf("%s failed", count(int64(math.Round(lately)))), as}, {fmt.Sprintf(" in the last %ds", seconds), dim}}
	}
	t := pic.numbers.Totals
	rate := p.theme.none
	if ended := t.Ended(); ended > 0 {
		rate = percent(float64(t.Failed) / float64(ended))
	}
	items := []item{
		{recent, 1},
		{line{{"in all ", dim}, {count(t.Failed), plain}, {" failed (" + rate + ")", dim}}, 2},
		{line{{count(t.Cancelled), plain}, {" cancelled", dim}}, 3},
		{line{{count(t.Retried), plain}, {" retried", dim}}, 4},
		{line{{count(t.Lost), plain}, {" lost", dim}}, 5},
		{p.repaired(pic), 1},
	}
	return append(line{{" ", plain}}, pack(items, w-1, 3)...)
}

// repaired is how many index entries were wrong: nothing in health.
func (p *numbersPane) repaired(pic *picture) line {
	if pic.numbers.Repaired == 0 {
		return nil
	}
	return line{{"! " + count(pic.numbers.Repaired) + " repaired", warn}}
}

// latency is how long tasks of the last seconds waited and ran.
func (p *numbersPane) latency(pic *picture, w int) line {
	if !pic.seen {
		return nil
	}
	wait, run := pic.lately()
	figure := func(h core.Histogram, q float64) string {
		if h.Count() == 0 {
			return p.theme.none
		}
		return millis(float64(h.Quantile(q)) / float64(time.Millisecond))
	}
	part := func(name string, h core.Histogram, q float64, word string) line {
		return line{{name, dim}, {word + " ", dim}, {padded(figure(h, q), 6, false), plain}}
	}
	items := []item{
		{part("wait ", wait, 0.5, "p50"), 1}, {part("", wait, 0.95, "p95"), 3}, {part("", wait, 0.99, "p99"), 5},
		{part("run ", run, 0.5, "p50"), 2}, {part("", run, 0.95, "p95"), 4}, {part("", run, 0.99, "p99"), 6},
	}
	return append(line{{" ", plain}}, pack(items, w-1, 2)...)
}

// windows tells what time the rates and the graphs are about.
func (p *numbersPane) windows(w int) string {
	return fmt.Sprintf("averages and quantiles of %ds, graph of the last %s", average, span(time.Duration(p.room(w))*time.Second))
}

// Widths of a flow line.
const (
	flowLabel = 5  // " out "
	flowRate  = 9  // "12345.6k/s"
	flowPeak  = 15 // "  peak 12.3k/s"
	flowTotal = 19 // " 999,999 submitted"
)

// room is how many cells the graph gets.
func (p *numbersPane) room(w int) int {
	w -= flowLabel + flowRate + 2
	if w >= 20+flowPeak {
		w -= flowPeak
	}
	if w >= 28+flowTotal {
		w -= flowTotal
	}
	return max(0, min(w, window))
}

// flow is a rate, its graph, its peak and the total.
func (p *numbersPane) flow(name string, s *series, total int64, noun string, as role, pic *picture, w int) line {
	if !pic.seen {
		return line{{" " + name, dim}}
	}
	cells := p.room(w)
	// Both graphs share one scale, so that they can be compared.
	top := 0.0
	for _, other := range []*series{&pic.in, &pic.out} {
		if peak := other.peak(cells); peak > top {
			top = peak
		}
	}
	l := line{
		{fit(" "+name, flowLabel, false, ""), dim},
		{padded(perSecond(s.mean(average)), flowRate, true), strong},
		{"  ", plain},
		{fit(s.graph(cells, top, p.theme), cells, false, ""), as},
	}
	if l.width()+flowPeak <= w && w >= flowLabel+flowRate+2+20+flowPeak {
		l = append(l, piece{padded("  peak "+perSecond(s.peak(cells)), flowPeak, false), dim})
	}
	if l.width()+flowTotal <= w {
		l = append(l, piece{padded(count(total), flowTotal-1-len("submitted"), true) + " ", plain}, piece{noun, dim})
	}
	return l
}
