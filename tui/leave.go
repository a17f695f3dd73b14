package tui

import (
	"fmt"

	tea "github.com/charmbracelet/bubbletea"
)

// leaving is to stop or to suspend the stack that runs in this process together
// with its dashboard.
type leaving struct{ suspend bool }

// quit ends the dashboard. Where that ends the stack and tasks run in it, q asks
// first; ctrl-c never does.
func (m *Model) quit(key string) tea.Cmd {
	if m.ends > 0 && key != "ctrl+c" && m.live.numbers.Running > 0 {
		m.status, m.plan = status{}, &leaving{}
		return nil
	}
	m.quitting = true
	return tea.Quit
}

// suspendAll stops this process until the shell continues it. Where the stack is a
// part of it, that is asked first.
func (m *Model) suspendAll(string) tea.Cmd {
	if m.ends > 0 {
		m.prompt, m.status, m.plan = nil, status{}, &leaving{suspend: true}
		return nil
	}
	return tea.Suspend
}

func (p *leaving) lines(m *Model, w int) []line {
	t := m.theme
	tell := func(text string) line { return line{{" " + t.cursor + " ", warn}, {text, plain}} }
	if p.suspend {
		return []line{t.ruled("suspend", "the whole stack", w),
			tell("API, dispatcher and workers stand still until fg; clients wait meanwhile"),
			tell("after 25 s workers elsewhere end what they run, and it is run again"),
			{{" Suspend the stack? ", bad}, {"y does it", plain}}}
	}
	n := m.live.numbers
	waits := "there at the next start"
	if m.live.store.Kind == "memory" {
		waits = "lost with the memory"
	}
	out := []line{t.ruled("stop", "the whole stack", w),
		tell(fmt.Sprintf("running: %s, with %s to end", count(n.Running), span(m.ends)))}
	if n.Queued+n.Delayed > 0 {
		out = append(out, tell(fmt.Sprintf("waiting: %s, %s", count(n.Queued+n.Delayed), waits)))
	}
	return append(out, line{{" Stop the stack? ", bad}, {"y or Enter does it", plain}})
}

func (p *leaving) confirm(m *Model, key string) tea.Cmd {
	switch {
	case !p.suspend:
		m.quitting = true
		return tea.Quit
	case key != "y":
		return nil
	}
	m.plan = nil
	return tea.Suspend
}
