package tui

import (
	"fmt"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"faasctl/core"
)

// why opens the screen that says why the task of the cursor waits, runs long or
// ended as it did.
func (m *Model) why(string) tea.Cmd {
	ids := m.chosenRow()
	if len(ids) == 0 {
		m.say(warn, "there is no task here")
		return nil
	}
	m.open(&place{screen: whyScreen, task: core.TaskID(ids[0])})
	return nil
}

// whyRows name the findings that are no causes.
var whyRows = map[core.WhyCode]string{
	core.WhyPlace: "place", core.WhyHands: "workers", core.WhyExpires: "expiry", core.WhyUsual: "usual",
	core.WhyAttempt: "before", core.WhyVanished: "before", core.WhySpent: "retries",
}

// whyLines is the why screen, as long as it needs to be.
func (m *Model) whyLines(w int) []line {
	t, pl := m.theme, m.here()
	out := []line{t.ruled("why", clean(string(pl.task)), w)}
	why, ok := known[core.Why](m)
	if !ok {
		return append(out, m.unknown())
	}
	v := taskView{&why.Task, m.picture()}
	glyph, _, as := t.state(v.State, v.retried())
	out = append(out, append(line{{" " + glyph + " ", as}}, append(t.stateOf(v), piece{"  " + clean(v.function()), strong})...))
	for _, f := range why.Findings {
		name := whyRows[f.Code]
		switch {
		case f.Cause:
			name = "why"
		case name == "":
			name = "also"
		}
		role := role(plain)
		if f.Cause {
			role = strong
		}
		for _, part := range phrased(clean(f.Text), max(w-factWidth-1, 16)) {
			out = append(out, line{{" " + fit(name, factWidth-1, false, ""), dim}, {part, role}})
			name = ""
		}
		if f.Command != "" && f.Command != why.Command {
			out = append(out, commandLines("", f.Command, w)...)
		}
	}
	if why.Command != "" {
		out = append(out, commandLines("next", why.Command, w)...)
	}
	return append(out, m.attemptLines(why.Attempts, w)...)
}

// commandLines are a command to type, whole however long it is.
func commandLines(name, command string, w int) (out []line) {
	for _, part := range wrapped(command, max(w-factWidth-1, 16)) {
		out = append(out, line{{" " + fit(name, factWidth-1, false, ""), dim}, {part, accent}})
		name = ""
	}
	return out
}

// attemptLines tell of each start of the task.
func (m *Model) attemptLines(attempts []core.Attempt, w int) []line {
	if len(attempts) == 0 {
		return nil
	}
	out := []line{m.theme.ruled("attempts", "UTC", w)}
	for _, a := range attempts {
		at := a.Started
		if at.IsZero() {
			at = a.Claimed
		}
		l := line{{fmt.Sprintf(" %2d ", a.Number), dim}, {at.UTC().Format(time.TimeOnly), dim}, {" " + fit(clean(string(a.End)), 9, false, ""), attemptRole(a.End)}}
		if a.ElapsedMS > 0 {
			l = l.add(plain, " "+padded(millis(a.ElapsedMS), 7, true))
		}
		if a.Worker != "" {
			l = l.add(dim, " "+clean(string(a.Worker)))
		}
		if f := a.Failure; f != nil {
			cause := f.Type
			if cause == "" {
				cause = string(f.Kind)
			}
			l = l.add(bad, " "+clean(cause)).add(plain, " "+clean(strings.TrimSpace(f.Signal+" "+f.Message)))
		}
		out = append(out, l)
	}
	return out
}

// attemptRole is how the end of an attempt looks.
func attemptRole(e core.AttemptEnd) role {
	switch e {
	case core.AttemptRunning:
		return accent
	case core.AttemptCompleted:
		return good
	case core.AttemptFailed, core.AttemptLost:
		return bad
	case core.AttemptRetried, core.AttemptCancelled:
		return warn
	}
	return plain
}

// phrased is a sentence in lines of at most w cells, broken between words.
func phrased(text string, w int) (lines []string) {
	now := ""
	for _, word := range strings.Fields(text) {
		switch {
		case now == "":
			now = word
		case cells(now)+1+cells(word) <= w:
			now += " " + word
		default:
			lines, now = append(lines, now), word
		}
		for cells(now) > w { // one long word
			head := clip(now, w, "")
			if head == "" {
				return lines
			}
			lines, now = append(lines, head), now[len(head):]
		}
	}
	return append(lines, now)
}

// unknown says why a screen about one task has nothing to show yet.
func (m *Model) unknown() line {
	if a := m.desk.now; a.err != nil && a.key == m.question().key {
		return line{{" " + m.theme.failed + " ", bad}, {explained(a.err), plain}}
	}
	if m.here().task == "" {
		return line{{" no task was looked at yet " + m.theme.dot + " choose one among the tasks: 2", dim}}
	}
	return line{{" asking" + m.theme.cut, dim}}
}
