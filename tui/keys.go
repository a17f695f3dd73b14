package tui

import (
	tea "github.com/charmbracelet/bubbletea"

	"faasctl/core"
)

// binding is one action: its keys, the words for footer and help, and where it
// works. Footer, help and dispatch all read this one table.
type binding struct {
	keys   []string // as Bubble Tea names them
	label  string   // as people know them
	word   string   // for the footer; "" = help only
	help   string   // a sentence
	where  screen
	action func(m *Model, key string) tea.Cmd
}

// bindings is every key that does something.
var bindings = []binding{
	{[]string{"q", "ctrl+c"}, "q", "quit", "Leave; tasks go on. Ctrl-C does the same.", everywhere, (*Model).quit},
	{[]string{"?"}, "?", "help", "Open or close this page.", everywhere, (*Model).toggleHelp},
	{[]string{"enter"}, "enter", "open", "Go on to what the row is about; from the overview to the tasks.", overview | lists, (*Model).enter},
	{[]string{"esc"}, "esc", "back", "Go back to where you came from.", lists | taskScreen | helping, (*Model).back},
	{[]string{"1", "2", "3", "4", "5", "6", "7", "8"}, "1-8", "screens",
		"Overview, tasks, workers, functions, queues, failures, events, the last task.", screens, (*Model).number},
	{[]string{"s"}, "s", "sort", "Sort in another order.", lists, (*Model).sort},
	{[]string{"f"}, "f", "follow", "Stay at the first row as new ones come.", lists, (*Model).follow},
	{[]string{"p"}, "p", "freeze", "Hold the picture while the system goes on; again to let go.", screens, (*Model).freeze},
	{[]string{"up", "k", "down", "j", "pgup", "pgdown", "home", "g", "end", "G"}, "arrows", "", "Move; k, j, g and G, PgUp and PgDn as well.",
		lists | taskScreen, (*Model).move},
	{[]string{"ctrl+z"}, "ctrl-z", "", "Suspend; fg in the shell comes back.", everywhere, (*Model).suspend},
}

// press runs the action of a key, if it has one here.
func (m *Model) press(key string) tea.Cmd {
	for _, b := range bindings {
		if b.where&m.screen() == 0 {
			continue
		}
		for _, k := range b.keys {
			if k == key {
				if cmd := b.action(m, key); cmd != nil {
					return cmd
				}
				return m.refresh()
			}
		}
	}
	return nil
}

func (m *Model) quit(string) tea.Cmd       { m.quitting = true; return tea.Quit }
func (m *Model) suspend(string) tea.Cmd    { return tea.Suspend }
func (m *Model) toggleHelp(string) tea.Cmd { m.helping = !m.helping; return nil }

// back closes help or leaves the screen; it never quits.
func (m *Model) back(string) tea.Cmd {
	if m.helping {
		m.helping = false
	} else if len(m.stack) > 1 {
		m.stack = m.stack[:len(m.stack)-1]
	}
	return nil
}

func (m *Model) enter(string) tea.Cmd {
	if pl := m.here(); pl.screen == overview {
		m.open(&place{screen: tasksScreen})
	} else {
		m.panels[pl.screen].enter(m, pl)
	}
	return nil
}

func (m *Model) number(key string) tea.Cmd {
	pl := &place{screen: screenNames[key[0]-'1'].screen}
	if pl.screen == taskScreen {
		pl.task = m.lastTask
	}
	m.jump(pl)
	return nil
}

func (m *Model) sort(string) tea.Cmd   { m.panels[m.here().screen].sort(m.here()); return nil }
func (m *Model) follow(string) tea.Cmd { m.here().follow = !m.here().follow; return nil }

func (m *Model) freeze(string) tea.Cmd {
	if m.held != nil {
		m.held = nil
		return nil
	}
	held := m.live
	m.held = &held
	return nil
}

// move moves the cursor, or scrolls text; past an end of a page of tasks lies
// the next one.
func (m *Model) move(key string) tea.Cmd {
	far := max(1, m.h-6)
	by := map[string]int{"up": -1, "k": -1, "down": 1, "j": 1, "pgup": -far, "pgdown": far, "home": -1 << 20, "g": -1 << 20, "end": 1 << 20, "G": 1 << 20}[key]
	pl := m.here()
	if pl.screen == taskScreen {
		pl.scroll = max(0, min(pl.scroll+by, len(m.detailLines(m.w))-1))
		return nil
	}
	ids := m.panels[pl.screen].ids(m, pl)
	at := pl.row(ids)
	if pl.screen == tasksScreen && !m.frozen() && m.turn(pl, at, by, len(ids)) {
		return nil
	}
	pl.move(ids, at+by)
	return nil
}

// turn goes to the page of tasks before or after, if the cursor is at an end.
func (m *Model) turn(pl *place, at, by, rows int) bool {
	page, _ := known[core.TaskPage](m)
	switch {
	case by > 0 && at >= rows-1 && page.Next != "":
		pl.before = append(pl.before, page.Next)
		pl.follow = false
	case by < 0 && at == 0 && len(pl.before) > 0:
		pl.before = pl.before[:len(pl.before)-1]
	default:
		return false
	}
	pl.cursor, pl.index = "", 0
	return true
}
