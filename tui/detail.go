package tui

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"faasctl/core"
)

// Detail is all there is to know of one task.
type Detail struct {
	Task   core.Task
	Spec   core.Spec
	Result *core.Result // nil: it has not ended
	Output core.Output
	Events []core.Event // oldest first
}

// factWidth is how wide the names of facts are, in cells.
const factWidth = 11

// mostLines bounds what is shown of one text.
const mostLines = 500

// detailLines is the task screen, as long as it needs to be.
func (m *Model) detailLines(w int) []line {
	t, pl := m.theme, m.here()
	d, ok := known[Detail](m)
	if !ok {
		return []line{t.ruled("task", clean(string(pl.task)), w), m.unknown()}
	}
	log := m.picture().log
	if r := log.record; r != nil && log.task == d.Task.ID && !d.Task.State.Terminal() { // it is told as it changes
		d.Task.State, d.Task.Progress, d.Task.Attempt, d.Task.Worker, d.Task.Cancelling = r.State, r.Progress, r.Attempt, r.Worker, r.Cancelling
	}
	v := taskView{&d.Task, m.picture()}
	glyph, _, as := t.state(v.State, v.retried())
	out := []line{t.ruled("task", clean(string(v.ID)), w)}
	out = append(out, append(line{{" " + glyph + " ", as}}, append(t.stateOf(v), piece{"  " + clean(v.function()), strong})...))
	fact := func(name, text string) {
		if text != "" {
			out = append(out, line{{" " + fit(name, factWidth-1, false, ""), dim}, {clean(text), plain}})
		}
	}
	if took, did := v.took(); did {
		fact("ran", millis(float64(took)/float64(time.Millisecond)))
	}
	if p := v.Progress; p != nil {
		out = append(out, append(line{{" " + fit("progress", factWidth-1, false, ""), dim}}, t.progress(*p, 20)...))
	}
	fact("worker", string(v.Worker))
	fact("queue", fmt.Sprintf("%s, priority %d", v.Queue, v.Priority))
	fact("attempt", fmt.Sprintf("%d of %d", v.Attempt, d.Spec.Retries+1))
	fact("retry of", string(d.Spec.RetryOf))
	args, kwargs := arguments(d.Spec)
	out = append(out, named("arguments", args, w)...)
	if kwargs != "" {
		out = append(out, named("keywords", kwargs, w)...)
	}
	if r := d.Result; r != nil {
		out = append(out, m.resultLines(r, w)...)
	}
	out = append(out, m.timeline(d.Events, w)...)
	if shown := m.logLines(&log, w); log.task == d.Task.ID && len(shown) > 0 {
		return append(out, shown...) // last, where it grows
	}
	out = append(out, m.printed("stdout", d.Output.Stdout, w)...)
	return append(out, m.printed("stderr", d.Output.Stderr, w)...)
}

// resultLines is what the task ended with.
func (m *Model) resultLines(r *core.Result, w int) []line {
	t := m.theme
	f := r.Failure
	if f == nil {
		text := string(r.JSON)
		if text == "" || text == "null" && r.Repr != "" {
			text = r.Repr
		}
		return append([]line{t.ruled("result", "", w)}, block(text, plain, w)...)
	}
	head := string(f.Kind)
	if f.Type != "" {
		head = f.Type
	}
	out := []line{t.ruled("failure", clean(head), w)}
	out = append(out, block(f.Message, bad, w)...)
	switch {
	case f.Exit != nil:
		out = append(out, line{{fmt.Sprintf(" its process ended with status %d", *f.Exit), dim}})
	case f.Signal != "":
		out = append(out, line{{" its process was ended by " + clean(f.Signal), dim}})
	}
	if f.Traceback != "" {
		out = append(out, t.ruled("traceback", "", w))
		out = append(out, block(f.Traceback, plain, w)...)
	}
	return out
}

// printed is one captured stream.
func (m *Model) printed(name string, s core.Stream, w int) []line {
	if len(s.Head) == 0 {
		return nil
	}
	out := append([]line{m.theme.ruled(name, "", w)}, block(string(s.Head), plain, w)...)
	if s.Cut > 0 {
		out = append(out, line{{" " + m.theme.cut + " " + size(s.Cut) + " left out " + m.theme.cut, dim}})
	}
	if len(s.Tail) > 0 {
		out = append(out, block(string(s.Tail), plain, w)...)
	}
	return out
}

// timeline is what happened to the task, each event with its distance to the
// one before.
func (m *Model) timeline(events []core.Event, w int) []line {
	if len(events) == 0 {
		return nil
	}
	out := []line{m.theme.ruled("timeline", plural(int64(len(events)), "event")+", UTC", w)}
	before := time.Time{}
	for _, e := range events[:min(len(events), mostLines)] {
		since := ""
		if !before.IsZero() {
			since = "+" + millis(float64(e.At.Sub(before))/float64(time.Millisecond))
		}
		l := line{
			{" " + e.At.UTC().Format("15:04:05.000"), dim},
			{" " + padded(since, 8, true), dim},
			{" " + fit(strings.TrimPrefix(clean(string(e.Kind)), "task."), 10, false, m.theme.cut), strong},
		}
		for _, more := range []string{string(e.Worker), e.Detail} {
			if more != "" {
				l = l.add(plain, " "+clean(more))
			}
		}
		out, before = append(out, l), e.At
	}
	return out
}

// block is text from outside, line by line; what is longer than w goes on in
// the next line.
func block(text string, as role, w int) []line {
	var out []line
	for part := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		for _, shown := range wrapped(strings.ReplaceAll(part, "\t", "    "), max(w-2, 8)) {
			if len(out) == mostLines {
				return append(out, line{{" and more: faasctl result and faasctl logs have the whole", dim}})
			}
			out = append(out, line{{" " + shown, as}})
		}
	}
	return out
}

// wrapped is text in lines of at most w cells, fit to show.
func wrapped(text string, w int) (lines []string) {
	text = text[:min(len(text), mostLines*maxText)]
	for text != "" || lines == nil {
		cut := min(len(text), maxText) // clean takes no more at once
		for cut < len(text) && cut > maxText-utf8.UTFMax && !utf8.RuneStart(text[cut]) {
			cut--
		}
		shown := clean(text[:cut])
		if n := len(lines) - 1; n >= 0 { // go on where the last piece ended
			lines, shown = lines[:n], lines[n]+shown
		}
		for text = text[cut:]; cells(shown) > w; {
			head := clip(shown, w, "")
			if head == "" || len(lines) > mostLines {
				return lines
			}
			lines, shown = append(lines, head), shown[len(head):]
		}
		lines = append(lines, shown)
	}
	return lines
}

// arguments are those by position and those by keyword, "" for none: JSON as it
// is, a pickle by its size.
func arguments(spec core.Spec) (args, kwargs string) {
	var parts []json.RawMessage
	switch {
	case spec.Codec == core.Dill || !utf8.Valid(spec.Args):
		return fmt.Sprintf("pickled, %d bytes", len(spec.Args)), ""
	case json.Unmarshal(spec.Args, &parts) != nil || len(parts) != 2:
		return string(spec.Args), ""
	}
	if kwargs = string(parts[1]); kwargs == "{}" {
		kwargs = ""
	}
	return string(parts[0]), kwargs
}

// named is a fact that may take several lines.
func named(name, text string, w int) []line {
	out := block(text, plain, w-factWidth)
	for i := range out {
		head := ""
		if i == 0 {
			head = name
		}
		out[i] = append(line{{" " + fit(head, factWidth-2, false, ""), dim}}, out[i]...)
	}
	return out
}
