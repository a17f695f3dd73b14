package tui

import (
	"fmt"
	"strings"

	"github.com/charmbracelet/lipgloss"

	"faasctl/core"
)

// role says what a piece of text means; the theme says how that looks. Nothing
// is told by the look alone: each role also has words or a glyph of its own.
type role uint8

const (
	plain role = iota
	dim
	strong
	good
	warn
	bad
	accent
	title
	alarm // readable from across the room
	roles // how many there are
)

// glyphs are the symbols of the screen; each set has the same widths.
type glyphs struct {
	done, failed, running, queued, retry, delayed, cancelled string
	full, empty                                              string // of a bar
	spark                                                    []string
	rule, cut, dot, none, cursor, mark, caret                string
}

var (
	unicodeGlyphs = glyphs{
		done: "✓", failed: "✗", running: "●", queued: "○", retry: "↻", delayed: "◌", cancelled: "⊘",
		full: "●", empty: "○", rule: "─", cut: "…", dot: "·", none: "–", cursor: "▸", mark: "+", caret: "▏",
		spark: []string{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"},
	}
	asciiGlyphs = glyphs{
		done: "+", failed: "x", running: "*", queued: "o", retry: "r", delayed: ".", cancelled: "-",
		full: "#", empty: ".", rule: "-", cut: "~", dot: "|", none: "-", cursor: ">", mark: "+", caret: "_",
		spark: []string{"_", ".", ":", "-", "=", "+", "*", "#"},
	}
)

// theme is how everything looks: 16 colours, so that the user's own palette
// wins, or none.
type theme struct {
	glyphs
	ascii  bool
	styles [roles]lipgloss.Style
}

func newTheme(r *lipgloss.Renderer, ascii bool) *theme {
	t := &theme{glyphs: unicodeGlyphs, ascii: ascii}
	if ascii {
		t.glyphs = asciiGlyphs
	}
	for i := range t.styles {
		t.styles[i] = r.NewStyle().Inline(true)
	}
	colour := func(of role, number string) {
		t.styles[of] = t.styles[of].Foreground(lipgloss.Color(number))
	}
	t.styles[dim] = t.styles[dim].Faint(true)
	t.styles[strong] = t.styles[strong].Bold(true)
	t.styles[title] = t.styles[title].Bold(true)
	t.styles[alarm] = t.styles[alarm].Bold(true).Reverse(true)
	colour(good, "2")
	colour(warn, "3")
	colour(bad, "1")
	colour(accent, "6")
	colour(title, "6")
	colour(alarm, "1")
	return t
}

// piece is text that means one thing.
type piece struct {
	text string
	role role
}

// line is one line of the screen, made of plain pieces: it is measured and cut
// before it is coloured, so that no escape sequence is ever cut in the middle.
type line []piece

func (l line) add(as role, text string) line { return append(l, piece{text, as}) }

func (l line) width() int {
	w := 0
	for _, p := range l {
		w += cells(p.text)
	}
	return w
}

// right puts tail at the end of a line of w cells, after what fits of l.
func (l line) right(w int, tail line, t *theme) line {
	room := w - tail.width()
	if room < 1 {
		return l
	}
	l = l.clip(room-1, t)
	return append(l.add(plain, strings.Repeat(" ", room-l.width())), tail...)
}

// clip cuts the line to w cells.
func (l line) clip(w int, t *theme) line {
	if l.width() <= w {
		return l
	}
	out := make(line, 0, len(l))
	for _, p := range l {
		if n := cells(p.text); n > w || n == w && len(out)+1 < len(l) {
			return out.add(p.role, clip(p.text+" ", w, t.cut))
		}
		out, w = append(out, p), w-cells(p.text)
	}
	return out
}

// paint turns the line into text of at most w cells.
func (t *theme) paint(l line, w int) string {
	var b strings.Builder
	for _, p := range l.clip(w, t) {
		switch {
		case p.text == "":
		case p.role == plain:
			b.WriteString(p.text)
		default:
			b.WriteString(t.styles[p.role].Render(p.text))
		}
	}
	return b.String()
}

// state is the glyph, the word and the role of a task's state. A task that
// waits for its next attempt is told apart from one that was put off.
func (t *theme) state(s core.State, retried bool) (glyph, word string, as role) {
	switch s {
	case core.Queued:
		return t.queued, "queued", plain
	case core.Delayed:
		if retried {
			return t.retry, "retries", warn
		}
		return t.delayed, "delayed", dim
	case core.Running:
		return t.running, "running", accent
	case core.Completed:
		return t.done, "completed", good
	case core.Failed:
		return t.failed, "failed", bad
	case core.Cancelled:
		return t.cancelled, "cancelled", warn
	}
	return "?", "unknown", dim
}

// progress is a bar of w cells, where there is a total, and how far a task says that
// it has come.
func (t *theme) progress(p core.Progress, w int) line {
	text := fmt.Sprintf("%.6g", p.Done)
	var out line
	if p.Total > 0 {
		out = append(t.bar(int(float64(w)*min(max(p.Done/p.Total, 0), 1)), w, w), piece{" ", plain})
		text += fmt.Sprintf("/%.6g %s", p.Total, share100(p))
	}
	if p.Note != "" {
		text += "  " + clean(p.Note)
	}
	return append(out, piece{text, plain})
}

// share100 is how far a task has come, in a word.
func share100(p core.Progress) string {
	if p.Total <= 0 {
		return fmt.Sprintf("%.6g", p.Done)
	}
	return fmt.Sprintf("%.0f%%", 100*min(max(p.Done/p.Total, 0), 1))
}

// bar shows used of total as glyphs, at most w of them; a longer one is scaled
// and never rounds something to nothing or nearly all to all.
func (t *theme) bar(used, total, w int) line {
	used, total = max(0, min(used, total)), max(0, total)
	if total == 0 || w <= 0 {
		return line{{t.none, dim}}
	}
	if total > w {
		scaled := used * w / total
		if scaled == 0 && used > 0 {
			scaled = 1
		}
		used, total = scaled, w
	}
	return line{{strings.Repeat(t.full, used), accent}, {strings.Repeat(t.empty, total-used), dim}}
}
