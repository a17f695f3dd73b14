package tui

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"faasctl/core"
)

// logKept is how many of the last lines of a task's output are held, and logWide
// how many bytes of each.
const (
	logKept = 1000
	logWide = maxText
)

// taskLog is what a task printed, as far as it was heard. Whole lines are never
// changed, so that a copy of it stays as it is.
type taskLog struct {
	task  core.TaskID
	round int // counts the tasks that were listened to: news of earlier ones are late

	lines  []logLine             // in the order of their times, within an attempt
	open   map[streamKey]logLine // lines without an end
	starts map[int]time.Time     // of attempts
	left   int                   // whole lines before the first that is held
	record *core.Task            // as it was told last
	err    error                 // why nothing more is heard; nil when all is well
}

// streamKey is one stream of one attempt.
type streamKey struct {
	attempt int
	stream  core.StreamName
}

// logLine is one line, without its end.
type logLine struct {
	streamKey
	after time.Duration // its attempt's start
	text  []byte        // at most logWide
	cut   int64         // bytes before it that nobody kept
}

// fold takes in what was heard.
func (l *taskLog) fold(n NewsOutput) {
	if n.Round != l.round {
		return
	}
	if l.err = n.Err; n.Lost > 0 {
		l.add(logLine{cut: n.Lost})
	}
	for _, news := range n.News {
		if t := news.Task; t != nil {
			l.record = t
			l.began(t.Attempt, t.Started)
		}
		if h := news.Heard; h != nil {
			l.began(h.Attempt, h.Started)
			l.hear(*h)
		}
	}
}

// began notes when an attempt started, which may be told after what it printed.
func (l *taskLog) began(attempt int, at time.Time) {
	if at.IsZero() || l.starts[attempt].Equal(at) {
		return
	}
	l.starts = maps.Clone(l.starts)
	if l.starts == nil {
		l.starts = map[int]time.Time{}
	}
	l.starts[attempt] = at
}

// hear cuts a part of a stream into lines. What follows a carriage return replaces
// what stands before it, as on a terminal.
func (l *taskLog) hear(h core.Heard) {
	key := streamKey{h.Attempt, h.Stream}
	l.open = maps.Clone(l.open)
	if l.open == nil {
		l.open = map[streamKey]logLine{}
	}
	line, offset := l.open[key], h.Offset
	if h.Cut > 0 {
		if len(line.text) > 0 {
			l.add(line)
		}
		line = logLine{cut: h.Cut}
	}
	for data := h.Data; len(data) > 0; {
		if len(line.text) == 0 {
			line.streamKey, line.after = key, printedAfter(h, offset)
		}
		n := bytes.IndexByte(data, '\n')
		whole := n >= 0
		if !whole {
			n = len(data)
		}
		line.text = overwritten(line.text, data[:n])
		if whole {
			n++
			l.add(line)
			line = logLine{}
		}
		data, offset = data[n:], offset+int64(n)
	}
	if delete(l.open, key); len(line.text) > 0 || line.cut > 0 {
		line.streamKey = key
		l.open[key] = line
	}
}

// overwritten is a line after more was printed on it.
func overwritten(line, more []byte) []byte {
	tail := bytes.TrimRight(more, "\r")
	if i := bytes.LastIndexByte(tail, '\r'); i >= 0 {
		line, tail = nil, tail[i+1:]
	}
	if len(tail) > 0 && len(line) > 0 && line[len(line)-1] == '\r' {
		line = nil
	}
	out := append(slices.Clip(line), tail...)
	if out = out[:min(len(out), logWide)]; len(tail) < len(more) {
		out = append(out, '\r') // what comes next begins anew
	}
	return out
}

// printedAfter is how long after its attempt's start the byte at an offset was
// printed; without a tick, at the start.
func printedAfter(h core.Heard, offset int64) time.Duration {
	after := time.Duration(0)
	for _, tick := range h.Times {
		if tick[0] > offset {
			break
		}
		after = time.Duration(tick[1]) * time.Millisecond
	}
	return after
}

// add puts a whole line where its time says: the two streams of a task that has
// ended come one after the other.
func (l *taskLog) add(line logLine) {
	at := len(l.lines)
	for at > 0 && l.lines[at-1].attempt == line.attempt && l.lines[at-1].after > line.after {
		at--
	}
	if at < len(l.lines) {
		l.lines = slices.Clone(l.lines)
	}
	l.lines = slices.Insert(l.lines, at, line)
	if over := len(l.lines) - logKept; over > 0 {
		l.lines, l.left = l.lines[over:], l.left+over
	}
}

// all are the lines, those without an end last.
func (l *taskLog) all() []logLine {
	open := slices.Collect(maps.Values(l.open))
	slices.SortFunc(open, func(a, b logLine) int {
		return cmp.Or(cmp.Compare(a.attempt, b.attempt), cmp.Compare(a.after, b.after), cmp.Compare(a.stream, b.stream))
	})
	return append(slices.Clip(l.lines), open...)
}

// logLines draw the output with its time, stream and attempt.
func (m *Model) logLines(l *taskLog, w int) []line {
	t := m.theme
	detail := "UTC, as it comes " + t.dot + " f follows"
	switch {
	case l.record != nil && l.record.State.Terminal():
		detail = "UTC"
	case m.here().follow:
		detail = "UTC, following"
	}
	all := l.all()
	if len(all) == 0 {
		return nil
	}
	out := []line{t.ruled("output", detail, w)}
	if l.left > 0 {
		out = append(out, line{{" " + t.cut + " " + plural(int64(l.left), "line") + " before: faasctl logs has them", dim}})
	}
	attempt := 0
	for _, one := range all {
		if one.attempt != attempt && one.attempt > 0 {
			if attempt > 0 || one.attempt > 1 {
				out = append(out, line{{fmt.Sprintf(" attempt %d", one.attempt), accent}})
			}
			attempt = one.attempt
		}
		out = append(out, m.logLine(one, l.starts, w)...)
	}
	return out
}

// logLine is one line of output, in as many lines as it takes.
func (m *Model) logLine(l logLine, starts map[int]time.Time, w int) (out []line) {
	t := m.theme
	if l.cut > 0 {
		out = append(out, line{{" " + t.cut + " " + size(l.cut) + " left out " + t.cut, dim}})
		if len(l.text) == 0 {
			return out
		}
	}
	head := ""
	if w >= 60 {
		head = "         "
		if start := starts[l.attempt]; !start.IsZero() {
			head = " " + start.Add(l.after).UTC().Format(time.TimeOnly)
		}
	}
	mark, as := " out ", role(plain)
	if l.stream == core.Stderr {
		mark, as = " err ", warn
	}
	for i, part := range wrapped(expanded(l.text), max(w-len(head)-len(mark)-1, 8)) {
		if i > 0 {
			head, mark = fit("", len(head), false, ""), "     "
		}
		out = append(out, line{{head + mark, dim}, {part, as}})
	}
	return out
}

// expanded is printed text without tabs and returns.
func expanded(text []byte) string {
	return string(bytes.ReplaceAll(bytes.TrimRight(text, "\r"), []byte("\t"), []byte("    ")))
}
