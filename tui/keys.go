package tui

import (
	"fmt"
	"slices"

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
	deed   *deed    // what it proposes to do, in place of an action
	ends   *wording // other words, where the stack ends with the dashboard
	bulk   bool     // it proposes something for many tasks
}

// wording is what footer and help say of a key.
type wording struct{ word, help string }

// says is what a key does here.
func (b binding) says(ends bool) wording {
	if ends && b.ends != nil {
		return *b.ends
	}
	return wording{b.word, b.help}
}

// bindings is every key that does something, in the order of the footer; where
// that has no room, the last ones go first.
var bindings = []binding{
	{keys: []string{"y", "enter"}, label: "y", word: "yes", help: "Do what the plan says; Enter as well, unless there is no way back.", where: planning, action: (*Model).confirm},
	{keys: []string{"n", "esc"}, label: "n", word: "no", help: "Leave it undone.", where: planning, action: (*Model).dismiss},
	{keys: []string{"enter"}, label: "enter", word: "accept", help: "Keep the filter, or jump.", where: typing, action: (*Model).accept},
	{keys: []string{"esc"}, label: "esc", word: "leave", help: "Leave the prompt; the filter is as before.", where: typing, action: (*Model).leave},
	{keys: []string{"tab"}, label: "tab", word: "complete", help: "Complete the word, or show what it may become.", where: typing, action: (*Model).complete},
	{keys: []string{"left", "right", "home", "end", "ctrl+a", "ctrl+e", "backspace", "ctrl+h", "delete", "ctrl+w", "ctrl+u"}, label: "ctrl-u",
		help: "Empty the prompt; arrows, Home, End, Backspace and ctrl-w edit it.", where: typing, action: (*Model).edit},

	{keys: []string{"q"}, label: "q", word: "quit", help: "Leave; tasks go on. Ctrl-C does the same anywhere.", where: everywhere, action: (*Model).quit,
		ends: &wording{"stop", "Stop the stack: what runs has its time to end. Ctrl-C does, unasked."}},
	{keys: []string{"?"}, label: "?", word: "help", help: "Open or close this page.", where: everywhere, action: (*Model).toggleHelp},
	{keys: []string{"esc"}, label: "esc", word: "back", help: "Take back marks, then the filter; then go back to where you came from.", where: lists | texts | helping, action: (*Model).back},
	{keys: []string{"enter"}, label: "enter", word: "open", help: "Go on to what the row is about; from the overview to the tasks.", where: overview | lists, action: (*Model).enter},
	{keys: []string{"c"}, label: "c", word: "cancel", help: "Cancel the marked tasks, or this one.", where: tasksScreen | texts, deed: cancelDeed},
	{keys: []string{"r"}, label: "r", word: "again", help: "Run ended tasks again, with the same arguments, as new tasks.", where: tasksScreen | texts, deed: retryDeed},
	{keys: []string{"r"}, label: "r", word: "again", help: "Run the dead letters of this group again, as new tasks.", where: failuresScreen, action: (*Model).retryGroup},
	{keys: []string{"x"}, label: "x", word: "forget", help: "Purge the dead letters of this group: they are forgotten.", where: failuresScreen, action: (*Model).purgeGroup, bulk: true},
	{keys: []string{"d"}, label: "d", word: "drain", help: "Let the marked workers, or this one, end what they hold and leave.", where: workersScreen, deed: drainDeed},
	{keys: []string{"P"}, label: "P", word: "pause", help: "Hand out no more tasks of the marked queues, or of this one.", where: queuesScreen, deed: pauseDeed},
	{keys: []string{"R"}, label: "R", word: "resume", help: "Hand out tasks of paused queues again.", where: queuesScreen, deed: resumeDeed},
	{keys: []string{"w"}, label: "w", word: "why", help: "Say why this task waits, runs long, was tried again or ended as it did.", where: tasksScreen | taskScreen, action: (*Model).why},
	{keys: []string{"/"}, label: "/", word: "filter", help: "Show some rows only: fn=resize state=failed worker=w-2 !ok", where: lists, action: (*Model).openFilter},
	{keys: []string{"u"}, label: "u", help: "Undo what was last done to many tasks, as far as that goes.", where: screens, action: (*Model).undo},
	{keys: []string{"C"}, label: "C", word: "cancel all", help: "Cancel all tasks that the filter selects, also those out of sight.", where: tasksScreen, action: (*Model).bulkCancel, bulk: true},
	{keys: []string{" "}, label: "space", word: "mark", help: "Mark the row, or take the mark away; c, r, d, P and R act on what is marked.", where: tasksScreen | workersScreen | queuesScreen, action: (*Model).mark},
	{keys: []string{"1", "2", "3", "4", "5", "6", "7", "8"}, label: "1-8", word: "screens",
		help: "Overview, tasks, workers, functions, queues, failures, events, the last task.", where: screens, action: (*Model).number},
	{keys: []string{":"}, label: ":", word: "jump", help: "Go to a screen or a task: tasks failed, workers, task ID", where: everywhere, action: (*Model).openJump},
	{keys: []string{"s"}, label: "s", word: "sort", help: "Sort in another order.", where: lists, action: (*Model).sort},
	{keys: []string{"p"}, label: "p", word: "freeze", help: "Hold the picture while the system goes on; again to let go.", where: screens, action: (*Model).freeze},
	{keys: []string{"f"}, label: "f", word: "follow", help: "Stay at the first row as new ones come; of a task, at the end of what it prints.", where: lists | taskScreen, action: (*Model).follow},
	{keys: []string{"V"}, label: "V", word: "mark all", help: "Mark every row listed here, or take all marks away.", where: tasksScreen | workersScreen | queuesScreen, action: (*Model).markAll},
	{keys: []string{"y", "Y"}, label: "y", word: "copy", help: "Copy the id by OSC 52, if the terminal lets it; Y the command that opens it.", where: screens, action: (*Model).copy},
	{keys: []string{"up", "k", "down", "j", "pgup", "pgdown", "home", "g", "end", "G"}, label: "arrows", help: "Move; k, j, g and G, PgUp and PgDn as well.",
		where: lists | texts | helping, action: (*Model).move},
	{keys: []string{"ctrl+z"}, label: "ctrl-z", help: "Suspend; fg in the shell comes back.", where: always, action: (*Model).suspendAll,
		ends: &wording{"", "Suspend the whole stack, after a question; fg in the shell comes back."}},
	{keys: []string{"ctrl+c"}, label: "ctrl-c", help: "Leave, from anywhere.", where: always, action: (*Model).quit,
		ends: &wording{"", "Stop the stack, from anywhere and unasked."}},
}

// pressAll takes keys one by one that a slow line delivered together. Those that
// follow the one that makes a plan are dropped: who typed them had not read it.
func (m *Model) pressAll(msg tea.KeyMsg) tea.Cmd {
	if msg.Type != tea.KeyRunes || len(msg.Runes) < 2 || msg.Paste || msg.Alt {
		return m.press(msg)
	}
	var cmds []tea.Cmd
	for i, r := range msg.Runes {
		if m.screen() == typing {
			m.typed(string(msg.Runes[i:]))
			return tea.Batch(append(cmds, m.refresh())...)
		}
		one := tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{r}}
		if r == ' ' {
			one.Type = tea.KeySpace
		}
		cmds = append(cmds, m.press(one))
		if m.plan != nil {
			break
		}
	}
	return tea.Batch(cmds...)
}

// press runs the action of a key, if it has one here; at a prompt others are text.
func (m *Model) press(msg tea.KeyMsg) tea.Cmd {
	key, here := msg.String(), m.screen()
	for _, b := range bindings {
		if b.where&here == 0 || !slices.Contains(b.keys, key) || msg.Paste {
			continue
		}
		if here&(typing|planning) == 0 && len(m.status.items) == 0 {
			m.status = status{} // it was read
		}
		if b.deed != nil {
			m.propose(b.deed)
		} else if cmd := b.action(m, key); cmd != nil {
			return cmd
		}
		return m.refresh()
	}
	if here == typing && !msg.Alt && (msg.Type == tea.KeyRunes || msg.Type == tea.KeySpace) {
		m.typed(string(msg.Runes))
	}
	return m.refresh()
}

func (m *Model) toggleHelp(string) tea.Cmd { m.helping, m.helpScroll = !m.helping, 0; return nil }

// back closes what was opened last: a report, help, marks, a filter, the screen.
// It never quits.
func (m *Model) back(string) tea.Cmd {
	pl := m.here()
	switch {
	case m.status.items != nil:
		m.status = status{}
	case m.helping:
		m.helping = false
	case len(pl.marks) > 0:
		pl.marks = nil
	case pl.filter.text != pl.led.text:
		m.filterBy(pl.led)
	case len(m.stack) > 1:
		m.stack = m.stack[:len(m.stack)-1]
	}
	return nil
}

// mark marks the row of the cursor and goes on to the next.
func (m *Model) mark(string) tea.Cmd {
	pl := m.here()
	ids := m.panels[pl.screen].ids(m, pl)
	if len(ids) == 0 {
		return nil
	}
	at := pl.row(ids)
	pl.mark(m.targets(ids[at : at+1])[0])
	pl.move(ids, at+1)
	return nil
}

// markAll marks every row that is listed, or none when all of them are marked.
func (m *Model) markAll(string) tea.Cmd {
	pl := m.here()
	ids := m.panels[pl.screen].ids(m, pl)
	missing := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { _, marked := pl.marks[id]; return marked })
	if len(missing) == 0 {
		pl.marks = nil
		return nil
	}
	for _, t := range m.targets(missing) {
		pl.mark(t)
	}
	if page, _ := known[core.TaskPage](m); page.Next != "" {
		m.say(plain, fmt.Sprintf("%d rows of this page are marked; those of other pages are not", len(ids)))
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

func (m *Model) sort(string) tea.Cmd { m.panels[m.here().screen].sort(m.here()); return nil }

// follow stays where new rows or lines come; letting go leaves what is shown.
func (m *Model) follow(string) tea.Cmd {
	pl := m.here()
	if pl.follow = !pl.follow; pl.screen == taskScreen && !pl.follow {
		pl.scroll = max(0, len(m.textLines(m.w))-m.textRoom())
	}
	return nil
}

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
	if m.helping {
		m.helpScroll = max(0, min(m.helpScroll+by, len(m.help.lines(m.ends > 0))-m.textRoom()))
		return nil
	}
	if pl.screen&texts != 0 {
		end := max(0, len(m.textLines(m.w))-m.textRoom())
		if pl.follow && by < 0 {
			pl.follow, pl.scroll = false, end
		}
		pl.scroll = max(0, min(pl.scroll+by, end))
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
