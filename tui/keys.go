package tui

import tea "github.com/charmbracelet/bubbletea"

// screen is what the keys act on; a set of them says where a key works.
type screen uint8

const (
	overview screen = 1 << iota
	helping
	everywhere = overview | helping
)

// binding is one action: its keys, the words for footer and help, and where it
// works. Footer, help and dispatch all read this one table.
type binding struct {
	keys   []string // as Bubble Tea names them
	label  string   // as people know them
	word   string   // for the footer; "" = help only
	help   string   // a sentence
	where  screen
	action func(*Model) tea.Cmd
}

// bindings is every key that does something.
var bindings = []binding{
	{[]string{"q", "ctrl+c"}, "q", "quit", "Leave; tasks go on. Ctrl-C does the same.", everywhere, (*Model).quit},
	{[]string{"?"}, "?", "help", "Open or close this page.", everywhere, (*Model).toggleHelp},
	{[]string{"esc"}, "esc", "back", "Go back to the dashboard.", helping, (*Model).back},
	{[]string{"ctrl+z"}, "ctrl-z", "", "Suspend; fg in the shell comes back.", everywhere, (*Model).suspend},
}

// press runs the action of a key, if it has one here.
func (m *Model) press(key string) tea.Cmd {
	for _, b := range bindings {
		if b.where&m.screen == 0 {
			continue
		}
		for _, k := range b.keys {
			if k == key {
				return b.action(m)
			}
		}
	}
	return nil
}

func (m *Model) quit() tea.Cmd    { m.quitting = true; return tea.Quit }
func (m *Model) suspend() tea.Cmd { return tea.Suspend }
func (m *Model) back() tea.Cmd    { m.screen = overview; return nil }

func (m *Model) toggleHelp() tea.Cmd {
	if m.screen == helping {
		return m.back()
	}
	m.screen = helping
	return nil
}
