package tui

import (
	"io"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
)

// statusFor is how long a status without anything that failed is shown.
const statusFor = 15 * time.Second

// status is what became of the last key that did more than move: one line, and
// one for each thing that failed.
type status struct {
	as    role
	text  string // "" shows nothing
	items []string
	at    time.Time
}

// say sets the status line.
func (m *Model) say(as role, text string) { m.status = status{as: as, text: text, at: m.live.now} }

// passed forgets a status that was there for long enough. What failed stays
// until Esc.
func (m *Model) passed() {
	if len(m.status.items) == 0 && m.live.now.Sub(m.status.at) > statusFor {
		m.status = status{}
	}
}

// lines tell what failed, and last the whole in one line.
func (s status) lines(m *Model, h int) []line {
	t := m.theme
	if s.text == "" {
		return nil
	}
	var out []line
	shown := min(len(s.items), max(h-2, 0))
	for _, item := range s.items[:shown] {
		out = append(out, line{{" " + t.failed + " ", bad}, {clean(item), plain}})
	}
	glyph := map[role]string{good: t.done, warn: "!", bad: t.failed}[s.as]
	if glyph == "" {
		glyph = t.dot
	}
	last := line{{" " + glyph + " ", s.as}, {clean(s.text), s.as}}
	if rest := len(s.items) - shown; rest > 0 {
		last = last.add(dim, " "+t.dot+" "+count(int64(rest))+" not shown")
	}
	if len(s.items) > 0 {
		last = last.add(dim, " "+t.dot+" Esc closes")
	}
	return append(out, last)
}

// copy puts the id of the row on the terminal's clipboard; deep the command
// that opens it.
func (m *Model) copy(key string) tea.Cmd {
	text := m.link(key == "Y")
	if text == "" {
		m.say(warn, "there is nothing here to copy")
		return nil
	}
	if m.clipboard == nil {
		m.say(warn, "no clipboard to copy to: "+text)
		return nil
	}
	m.say(good, "copied "+text+" by OSC 52")
	out := m.clipboard
	return func() tea.Msg {
		// One write: the renderer's own are whole, too, so they do not mix.
		_, _ = io.WriteString(out, ansi.SetSystemClipboard(text))
		return nil
	}
}

// defaultURL is where `faasctl top` looks by itself.
const defaultURL = "http://127.0.0.1:8000"

// link is the id of what is looked at, or the command that leads to it.
func (m *Model) link(deep bool) string {
	pl := m.here()
	id := ""
	switch {
	case pl.screen&texts != 0:
		id = string(pl.task)
	case pl.screen&lists != 0:
		id = m.panels[pl.screen].named(m, pl)
	}
	id = clean(id)
	if !deep {
		return id
	}
	command := "faasctl top "
	if m.url != "" && m.url != defaultURL {
		command += "--url " + m.url + " "
	}
	if pl.screen == whyScreen && id != "" {
		return command + "why/" + id
	}
	if pl.screen&(taskScreen|tasksScreen) != 0 && id != "" {
		return command + "task/" + id
	}
	for _, s := range screenNames {
		if s.screen == pl.screen && s.screen != taskScreen {
			return command + s.name
		}
	}
	return ""
}
