package tui

import (
	"context"
	"io"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"

	"faasctl/core"
)

// Model is the dashboard. Everything it knows came in through Update.
type Model struct {
	url   string
	theme *theme

	w, h       int
	stack      []*place // the overview first
	helping    bool
	helpScroll int      // lines of help above the first that is shown
	prompt     *prompt  // what is being typed; nil for nothing
	plan       proposal // what waits to be confirmed; nil for nothing
	status     status
	lastTask   core.TaskID
	quitting   bool
	fatal      error         // why the program ends by itself
	ends       time.Duration // what tasks have to end when leaving stops the stack; 0: it stops nothing
	live       picture
	held       *picture // what is shown while it is frozen
	panels     map[screen]panel

	ctx       context.Context                   // of everything that is asked
	backend   Backend                           // answers questions; nil for none
	clipboard io.Writer                         // takes what is copied; nil for none
	listen    func(round int, task core.TaskID) // says whose output is wanted; nil for nobody's
	desk      desk
	journal   journal

	header  headerPane
	numbers numbersPane
	workers workersPane
	tasks   tasksPane
	help    helpPane
}

// NewModel returns a dashboard that knows nothing yet. Colours are those of
// the renderer; ascii replaces every symbol by a plain character.
func NewModel(url string, renderer *lipgloss.Renderer, ascii bool) *Model {
	t := newTheme(renderer, ascii)
	return &Model{
		url: clean(url), theme: t, stack: []*place{{screen: overview}}, panels: newPanels(t),
		header: headerPane{theme: t}, numbers: numbersPane{t}, help: helpPane{t, bindings},
		workers: newWorkersPane(t), tasks: newTasksPane(t),
	}
}

// fatalMsg ends the program.
type fatalMsg struct{ err error }

// Init does nothing: the pump sends the first Batch.
func (m *Model) Init() tea.Cmd { return nil }

// Update takes in a Batch, a key or the size of the screen.
func (m *Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	_, cmd := m.update(msg)
	m.attend()
	return m, cmd
}

// attend listens to the task that is looked at.
func (m *Model) attend() {
	pl, log := m.here(), &m.live.log
	task := core.TaskID("")
	if pl.screen == taskScreen {
		task = pl.task
	}
	if log.task == task {
		return
	}
	*log = taskLog{task: task, round: log.round + 1}
	if m.listen != nil {
		m.listen(log.round, task)
	}
}

func (m *Model) update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case Batch:
		operations, record := m.live.operations, m.live.log.record
		m.live.fold(msg)
		m.desk.due = m.desk.due || moved(operations, m.live.operations) || record != m.live.log.record
		m.passed()
		return m, m.refresh()
	case answer:
		m.hear(msg)
	case done:
		m.hearDone(msg)
		return m, m.refresh()
	case planned:
		m.hearPlanned(msg)
	case started:
		m.hearStarted(msg)
		return m, m.refresh()
	case tea.WindowSizeMsg:
		m.w, m.h, m.desk.due = msg.Width, msg.Height, true
		return m, m.refresh()
	case tea.KeyMsg:
		return m, m.pressAll(msg)
	case fatalMsg:
		m.fatal = msg.err
		return m, tea.Quit
	}
	return m, nil
}

// View is exactly as many lines as the screen has, none wider than it.
func (m *Model) View() string {
	if m.w <= 0 || m.h <= 0 {
		return ""
	}
	return m.frame(m.lines(), m.h)
}

// frame paints lines and pads them to h.
func (m *Model) frame(lines []line, h int) string {
	var b strings.Builder
	for i := range h {
		if i > 0 {
			b.WriteByte('\n')
		}
		if i < len(lines) {
			b.WriteString(m.theme.paint(lines[i], m.w))
		}
	}
	return b.String()
}

// lines lays the screen out.
func (m *Model) lines() []line {
	p := m.picture()
	a := share(m.h, len(p.workers))
	out := make([]line, 0, m.h)
	out = append(out, pad(m.header.lines(&m.live, m.held, m.url, m.w), a.header)...)
	out = append(out, pad(m.problem(), a.problem)...)
	room := m.h - len(out) - a.footer
	bottom := m.bottom(room)
	room -= len(bottom)
	switch pl := m.here(); {
	case m.helping:
		out = append(out, m.scrolled(m.help.lines(m.ends > 0), m.helpScroll, room)...)
	case pl.screen&texts != 0:
		from := pl.scroll
		if pl.follow {
			from = 1 << 20
		}
		out = append(out, m.scrolled(m.textLines(m.w), from, room)...)
	case pl.screen != overview:
		out = append(out, pad(m.panels[pl.screen].lines(m, pl, m.w, room), room)...)
	default:
		body := pad(m.numbers.lines(p, m.w, a.numbers), a.numbers)
		body = append(body, pad(m.workers.lines(p, m.w, a.workers, a.gap), a.workers)...)
		body = append(body, pad(m.tasks.lines(m, m.w, a.tasks, a.gap), a.tasks)...)
		out = append(out, pad(body, room)...)
	}
	out = append(append(out, bottom...), pad(m.footer(), a.footer)...)
	if n := len(bottom); m.screen()&(typing|planning) != 0 && n == 0 {
		copy(out[len(out)-1:], last(m.asking(), 1)) // a question is never out of sight
	}
	return out
}

// tasksShown is how many tasks the overview has room for.
func (m *Model) tasksShown() int {
	if m.header.still || m.h == 0 {
		return onceTasks
	}
	return max(1, share(m.h, len(m.picture().workers)).tasks-2)
}

// textLines is a screen about one task, as long as it needs to be.
func (m *Model) textLines(w int) []line {
	if m.here().screen == whyScreen {
		return m.whyLines(w)
	}
	return m.detailLines(w)
}

// scrolled is the part of a text that is looked at, h lines; the last of them says
// what follows.
func (m *Model) scrolled(lines []line, from int, h int) []line {
	at := max(0, min(from, len(lines)-h))
	if rest := len(lines) - at - h; rest > 0 && h > 1 {
		lines = append(lines[at:at+h-1:at+h-1], line{{" " + m.theme.cut + " " + plural(int64(rest+1), "more line") + ": j, PgDn, G", dim}})
		return lines
	}
	return pad(lines[at:], h)
}

// textRoom is how many lines help and the task screen have.
func (m *Model) textRoom() int {
	a := share(m.h, 0)
	return max(1, m.h-a.header-a.problem-a.footer)
}

// bottom is what stands above the footer for now, in at most room lines: what is
// being typed, what is about to be done, or what was.
func (m *Model) bottom(room int) []line {
	lines := m.asking()
	if lines == nil {
		lines = append(m.operationLines(m.w), m.status.lines(m, min(room, max(3, m.h/2)))...)
	}
	return last(lines, room)
}

// asking is the prompt or the plan that is open.
func (m *Model) asking() []line {
	switch {
	case m.prompt != nil:
		return m.prompt.lines(m, m.w)
	case m.plan != nil:
		return m.plan.lines(m, m.w)
	}
	return nil
}

// last is the end of lines, h of them.
func last(lines []line, h int) []line { return lines[max(0, len(lines)-max(h, 0)):] }

// picture is what is shown: the live one, or the one that is held.
func (m *Model) picture() *picture {
	if m.held != nil {
		return m.held
	}
	return &m.live
}

func (m *Model) frozen() bool { return m.held != nil }

// pad makes exactly h of lines.
func pad(lines []line, h int) []line {
	h = max(h, 0)
	for len(lines) < h {
		lines = append(lines, nil)
	}
	return lines[:h]
}

// footer names the keys that work here.
func (m *Model) footer() []line {
	var items []item
	for i, b := range bindings {
		word := b.says(m.ends > 0).word
		if word == "" || b.where&m.screen() == 0 {
			continue
		}
		key := role(accent)
		if b.bulk || b.deed != nil && b.deed.dangerous {
			key = bad // and it asks first
		}
		items = append(items, item{line{{b.label, key}, {" " + word, dim}}, i})
	}
	l := append(line{{" ", plain}}, pack(items, m.w-1, 2)...)
	return []line{l}
}
