package cli

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"faasctl/core"
)

// screen shows what a task prints, as it comes: its lines, and on a terminal the
// progress below them. It may be used by several goroutines.
type screen struct {
	e     *environment
	only  core.StreamName // "" = both streams
	aside bool            // stdout goes to stderr as well: our stdout is for the result
	as    string          // text, time (lines begin with time and attempt) or json

	mu      sync.Mutex
	ears    core.Listener
	partial map[core.StreamName]*lineOf // lines that have no end yet
	bar     string                      // progress as it stands on the terminal
	told    time.Time                   // when progress was last told elsewhere
}

// lineOf is a line that is not whole yet.
type lineOf struct {
	text []byte
	at   time.Time
	n    int  // of the attempt
	open bool // its beginning was shown
}

// barEvery is how often progress is told where it cannot be drawn.
const barEvery = 10 * time.Second

func newScreen(e *environment, as string) *screen {
	return &screen{e: e, as: as, ears: core.Listener{Started: map[int]time.Time{}}, partial: map[core.StreamName]*lineOf{
		core.Stdout: {}, core.Stderr: {},
	}}
}

// news shows what a follower is told. What was shown before is skipped.
func (s *screen) news(n core.News) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n.Task != nil {
		s.progress(n.Task)
	}
	if n.Heard == nil {
		return nil
	}
	if !n.Heard.Started.IsZero() {
		s.ears.Started[n.Heard.Attempt] = n.Heard.Started
	}
	return s.piece(n.Heard.Piece)
}

// rest shows what was not shown of an attempt that has ended.
func (s *screen) rest(task core.Task, attempt int, o core.Output) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wipe()
	if !task.Started.IsZero() {
		s.ears.Started[task.Attempt] = task.Started
	}
	if s.as == "text" {
		return errors.Join(s.ears.Rest(attempt, o, s.show), s.finish())
	}
	var all []core.Heard
	_ = s.ears.Rest(attempt, o, func(h core.Heard) error { all = append(all, h); return nil })
	return s.inOrder(all)
}

func (s *screen) piece(p core.Piece) error {
	before := s.ears.Attempt
	h, fresh := s.ears.Piece(p)
	if !fresh {
		return nil
	}
	s.wipe()
	defer s.draw()
	if before > 0 && h.Attempt > before {
		if err := s.finish(); err != nil {
			return err
		}
		if s.as == "text" {
			s.e.note("faasctl: attempt %d", h.Attempt)
		}
	}
	return s.show(h)
}

func (s *screen) show(h core.Heard) error {
	if s.only != "" && h.Stream != s.only {
		return nil
	}
	if h.Cut > 0 {
		if s.as != "json" && h.Stream == core.Stderr && s.partial[h.Stream].open {
			s.e.note("")
		}
		s.partial[h.Stream].open = false
		s.e.note("faasctl: … %d bytes of %s are left out here …", h.Cut, h.Stream)
	}
	if s.as == "text" {
		s.partial[h.Stream].open = len(h.Data) > 0 && h.Data[len(h.Data)-1] != '\n'
		return s.write(h.Stream, h.Data)
	}
	for _, line := range linesOf(h) {
		if err := s.line(h.Stream, line); err != nil {
			return err
		}
	}
	return nil
}

// write passes bytes on to where a stream is shown.
func (s *screen) write(stream core.StreamName, data []byte) error {
	if stream == core.Stderr || s.aside {
		return s.e.aside(data)
	}
	return s.e.data(data)
}

// textLine is a line, or the part of one that has been printed.
type textLine struct {
	stream  core.StreamName
	attempt int
	at      time.Time // zero when it is not known
	text    []byte
	whole   bool
}

// linesOf cuts what was heard into lines, with the time of each one's beginning.
func linesOf(h core.Heard) []textLine {
	var lines []textLine
	offset := h.Offset
	for data := h.Data; len(data) > 0; {
		n := bytes.IndexByte(data, '\n')
		line := textLine{stream: h.Stream, attempt: h.Attempt, text: data, whole: n >= 0}
		if n >= 0 {
			line.text = data[:n]
			n++
		} else {
			n = len(data)
		}
		if !h.Started.IsZero() {
			line.at = h.Started.Add(afterStart(h.Times, offset))
		}
		lines = append(lines, line)
		data, offset = data[n:], offset+int64(n)
	}
	return lines
}

// afterStart is when the byte at offset was printed.
func afterStart(times []core.Tick, offset int64) time.Duration {
	ms := int64(0)
	for _, tick := range times {
		if tick[0] > offset {
			break
		}
		ms = tick[1]
	}
	return time.Duration(ms) * time.Millisecond
}

// longLine is when a line without an end is shown as if it had one, in bytes.
const longLine = 64 << 10

// line shows a line with its time, once it is whole.
func (s *screen) line(stream core.StreamName, l textLine) error {
	p := s.partial[stream]
	if len(p.text) == 0 {
		p.at, p.n = l.at, l.attempt
	}
	p.text = append(p.text, l.text...)
	if !l.whole && len(p.text) < longLine {
		return nil
	}
	return s.flush(stream)
}

func (s *screen) flush(stream core.StreamName) error {
	p := s.partial[stream]
	text, at := p.text, p.at
	p.text = nil
	if s.as == "json" {
		return s.e.jsonLine(struct {
			Time    time.Time       `json:"time,omitzero"`
			Attempt int             `json:"attempt"`
			Stream  core.StreamName `json:"stream"`
			Text    string          `json:"text"`
		}{at, p.n, stream, strings.ToValidUTF8(string(text), "\uFFFD")})
	}
	when := "            "
	if !at.IsZero() {
		when = at.Local().Format("15:04:05.000")
	}
	return s.write(stream, fmt.Appendf(nil, "%s #%d  %s\n", when, p.n, text))
}

// finish shows lines that will never be whole.
func (s *screen) finish() error {
	for _, stream := range []core.StreamName{core.Stdout, core.Stderr} {
		if len(s.partial[stream].text) > 0 {
			if err := s.flush(stream); err != nil {
				return err
			}
		}
	}
	return nil
}

// inOrder shows lines of both streams in the order of their times.
func (s *screen) inOrder(all []core.Heard) error {
	var next [2][]core.Heard
	for _, h := range all {
		i := 0
		if h.Stream == core.Stderr {
			i = 1
		}
		for _, l := range linesOf(h) {
			one := h
			one.Data, one.Cut = l.text, h.Cut
			if l.whole {
				one.Data = append(append([]byte(nil), l.text...), '\n')
			}
			h.Cut = 0
			one.Offset = h.Offset
			h.Offset += int64(len(one.Data))
			next[i] = append(next[i], one)
		}
	}
	for len(next[0])+len(next[1]) > 0 {
		i := 0
		if len(next[0]) == 0 || len(next[1]) > 0 && afterStart(next[1][0].Times, next[1][0].Offset) < afterStart(next[0][0].Times, next[0][0].Offset) {
			i = 1
		}
		if err := s.show(next[i][0]); err != nil {
			return err
		}
		next[i] = next[i][1:]
	}
	return s.finish()
}

// progress shows how far a task has come: on a terminal as a line that stays below
// all others, elsewhere as a line of its own now and then.
func (s *screen) progress(task *core.Task) {
	s.wipe()
	s.bar = ""
	if task.Progress == nil || task.State != core.Running || s.as == "json" {
		return
	}
	if !s.e.steers() {
		if time.Since(s.told) >= barEvery {
			s.told = time.Now()
			s.e.note("faasctl: progress %s", progressText(task.Progress))
		}
		return
	}
	s.bar = progressBar(task.Progress)
	s.draw()
}

// wipe takes the bar off the terminal, and draw puts it back where a line begins.
func (s *screen) wipe() {
	if s.bar != "" {
		_, _ = s.e.stderr.Write([]byte("\r\x1b[K"))
	}
}

func (s *screen) draw() {
	if s.bar != "" && !s.partial[core.Stdout].open && !s.partial[core.Stderr].open {
		_, _ = s.e.stderr.Write([]byte(s.bar))
	}
}

// end shows lines that were never ended.
func (s *screen) end() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wipe()
	s.bar = ""
	return s.finish()
}

// done takes the bar away for good.
func (s *screen) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wipe()
	s.bar = ""
}

// progressText is such as "40/100 (40%)  epoch 3".
func progressText(p *core.Progress) string {
	text := number(p.Done)
	if p.Total > 0 {
		text = fmt.Sprintf("%s/%s (%.0f%%)", number(p.Done), number(p.Total), 100*p.Done/p.Total)
	}
	if p.Note != "" {
		text += "  " + cleanLine(p.Note)
	}
	return text
}

func number(f float64) string { return fmt.Sprintf("%.6g", f) }

// progressBar is progressText behind a bar, in one short line.
func progressBar(p *core.Progress) string {
	const cells = 20
	if p.Total <= 0 {
		return clip(progressText(p), 76)
	}
	full := int(cells * min(max(p.Done/p.Total, 0), 1))
	return clip("["+strings.Repeat("#", full)+strings.Repeat("-", cells-full)+"] "+progressText(p), 76)
}

// steers says whether stderr is a terminal that a line can be drawn anew on.
func (e *environment) steers() bool {
	return e.stderrTTY && e.getenv("TERM") != "dumb" && e.getenv("TERM") != ""
}
