package tui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"

	"faasctl/core"
)

// Config says what to watch and how to draw it.
type Config struct {
	// Backend is the source of everything. Required.
	Backend Backend
	// URL names the server in the header. Default: "" (not named).
	URL string
	// Input and Output are the terminal. Both are required by Run; Once needs
	// Output alone.
	Input  io.Reader
	Output io.Writer
	// Colour allows the 16 ANSI colours and bold. Default: neither.
	Colour bool
	// ASCII replaces symbols by plain characters. Default: Unicode symbols.
	ASCII bool
	// Width is how many cells wide the frame of Once is.
	// Default: 80.
	Width int
	// Open is the screen to begin with: its name, or task/ID.
	// Default: the overview.
	Open string
	// Ends is for how long running tasks may end when leaving the dashboard stops the
	// stack that it shows. Default: 0, leaving stops nothing.
	Ends time.Duration
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

func (c Config) withDefaults() Config {
	if c.Width <= 0 {
		c.Width = 80
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func (c Config) validate() error {
	if c.Backend == nil || c.Output == nil {
		return core.Errorf(core.ErrInternal, "top", "backend and output are required")
	}
	if _, ok := placeNamed(c.Open); !ok {
		return core.Errorf(core.ErrInvalid, "", "there is no screen %q", clip(clean(c.Open), 64, "")).
			WithHint("choose overview, tasks, workers, functions, queues, failures, events, task/ID or why/ID")
	}
	return nil
}

// model makes the dashboard. The renderer is our own and is told everything,
// so that it never asks the terminal.
func (c Config) model() *Model {
	r := lipgloss.NewRenderer(c.Output)
	r.SetHasDarkBackground(true)
	r.SetColorProfile(termenv.Ascii)
	if c.Colour {
		r.SetColorProfile(termenv.ANSI)
	}
	m := NewModel(c.URL, r, c.ASCII)
	m.ends = c.Ends
	if pl, ok := placeNamed(c.Open); ok {
		m.jump(pl)
	}
	return m
}

// Run shows the dashboard until a key or ctx ends it. An unreachable server is
// no error: it is shown, and tried again. When it returns, the terminal is as
// it was and nothing of it runs any more.
func Run(ctx context.Context, cfg Config) error {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return err
	}
	pumping, stop := context.WithCancel(ctx)
	defer stop()
	m := cfg.model()
	m.ctx, m.backend, m.clipboard = pumping, cfg.Backend, cfg.Output
	// Signals are ctx's affair, and its end is a request to quit: a program that
	// Bubble Tea kills does not wait for its reader of keys, and its own handler of
	// signals waits for ever when ctx has ended by the same one.
	program := tea.NewProgram(m, tea.WithoutSignalHandler(), tea.WithAltScreen(), tea.WithFPS(30),
		tea.WithInput(cfg.Input), tea.WithOutput(cfg.Output))
	defer context.AfterFunc(ctx, program.Quit)()
	pumped := make(chan error, 1)
	p := newPump(cfg.Backend, cfg.Now, func(b Batch) { program.Send(b) })
	m.listen = p.listen
	go func() {
		err := p.run(pumping)
		if err != nil {
			program.Send(fatalMsg{err})
		}
		pumped <- err
	}()
	_, err := program.Run()
	stop()
	if fatal := <-pumped; fatal != nil {
		return core.Errorf(core.ErrInternal, "", "%v", fatal)
	}
	switch {
	case err == nil || ctx.Err() != nil || errors.Is(err, tea.ErrInterrupted):
		return nil // told to end, and did
	case errors.Is(err, tea.ErrProgramPanic):
		return core.Errorf(core.ErrInternal, "", "the dashboard broke; this is a bug, and its traceback is above")
	}
	return &core.Error{Class: core.ErrInternal, Detail: "cannot use this terminal", Err: err,
		Hint: "faasctl top --once prints one frame anywhere"}
}

// onceTasks is how many tasks the frame of Once lists.
const onceTasks = 10

// Once writes one frame, as high as it needs to be, and nothing else.
func Once(ctx context.Context, cfg Config) error {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return err
	}
	top, err := cfg.snapshot(ctx)
	if err != nil {
		return err
	}
	m, now := cfg.model(), cfg.Now()
	m.Update(Batch{At: now, News: []News{NewsTop{now, top}}})
	if err := m.settle(ctx, cfg.Backend); err != nil {
		return err
	}
	return cfg.write(m.still(cfg.Width))
}

func (c Config) write(text string) error {
	if _, err := fmt.Fprintln(c.Output, text); err != nil {
		return &core.Error{Class: core.ErrInternal, Detail: "cannot write", Err: err}
	}
	return nil
}

// snapshot is the whole picture of this moment.
func (c Config) snapshot(ctx context.Context) (picture core.Top, err error) {
	enough := errors.New("enough")
	err = c.Backend.Top(ctx, func(t core.Top, whole bool) error {
		if !whole {
			return nil
		}
		picture = t
		return enough
	})
	if errors.Is(err, enough) {
		err = nil
	}
	return picture, err
}

// settle answers the question of the screen on the spot.
func (m *Model) settle(ctx context.Context, b Backend) error {
	q := m.question()
	if q.key == "" {
		return nil
	}
	value, err := q.ask(ctx, b)
	m.desk.now = answer{key: q.key, value: value, err: err}
	return err
}

// still is a picture of w cells for a page rather than a screen: no keys, no
// graphs that one look cannot fill, and every worker.
func (m *Model) still(w int) string {
	m.w, m.header.still = w, true
	p := m.picture()
	if m.here().screen != overview {
		return m.stillScreen(w)
	}
	page, _ := known[core.TaskPage](m)
	workers := listLines(len(p.workers), true)
	tasks := listLines(min(len(page.Tasks), onceTasks), true)
	lines := m.header.lines(p, nil, m.url, w)
	lines = append(lines, m.problem()...)
	lines = append(lines, m.numbers.still(p, w)...)
	lines = append(lines, m.workers.lines(p, w, workers, true)...)
	lines = append(lines, m.tasks.lines(m, w, tasks, true)...)
	return m.trimmed(lines)
}

// stillScreen is one screen other than the overview, whole.
func (m *Model) stillScreen(w int) string {
	pl := m.here()
	lines := append(m.header.lines(m.picture(), nil, m.url, w), nil)
	if pl.screen&texts != 0 {
		return m.trimmed(append(lines, m.textLines(w)...))
	}
	panel := m.panels[pl.screen]
	return m.trimmed(append(lines, panel.lines(m, pl, w, max(3, len(panel.ids(m, pl))+2))...))
}

// trimmed is lines as text without blanks at their ends.
func (m *Model) trimmed(lines []line) string {
	text := strings.Split(m.frame(lines, len(lines)), "\n")
	for i := range text {
		text[i] = strings.TrimRight(text[i], " ")
	}
	return strings.Join(text, "\n")
}
