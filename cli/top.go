package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	urfave "github.com/urfave/cli/v2"

	_ "faasctl/cli/colour" // before Bubble Tea asks the terminal for its colours
	"faasctl/core"
	"faasctl/httpapi/client"
	"faasctl/tui"
)

func topCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "top", Category: catWatch, Usage: "watch the system live", ArgsUsage: "[SCREEN|task/ID|why/ID]",
		Description: "A dashboard of workers, queues, throughput and the latest tasks. Without a terminal, or on a dumb one, it prints one frame like --once.\n" +
			"For scripts: --once -o json, or --plain, a line a second until Ctrl-C. docs/MONITORING.md describes what they print.",
		Flags: append(urlFlags(),
			&urfave.BoolFlag{Name: "once", Usage: "print one frame and exit"},
			&urfave.BoolFlag{Name: "plain", Usage: "print a line a second until Ctrl-C, with rates of the last 10 s"},
			outputFlag("table", "json"),
			&urfave.BoolFlag{Name: "ascii", Usage: "draw without Unicode symbols; the default where the locale has none"},
		),
		Action: e.top,
	}
}

func (e *environment) top(c *urfave.Context) error {
	as, err := topFormat(c)
	if err != nil {
		return err
	}
	api, err := client.New(client.Config{URL: c.String("url"), TokenFile: c.String("token-file")})
	if err != nil {
		return err
	}
	defer api.Close()
	ctx, stop := signal.NotifyContext(c.Context, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if c.Bool("plain") {
		return e.topPlain(ctx, api, as)
	}
	if as == "json" {
		return e.topJSON(ctx, api)
	}
	cfg := e.dashboard(api)
	cfg.Open, cfg.ASCII = c.Args().First(), cfg.ASCII || c.Bool("ascii")
	if c.Bool("once") || !e.interactive() {
		if e.stdoutTTY {
			cfg.Width = e.width()
		}
		return tui.Once(ctx, cfg)
	}
	return tui.Run(ctx, cfg)
}

// topFormat reads -o, and refuses words and flags that contradict each other.
func topFormat(c *urfave.Context) (string, error) {
	as, err := format(c, "table", "json")
	switch screen := clip(c.Args().First(), 32); {
	case err != nil:
		return "", err
	case c.NArg() > 1:
		return "", usage("top takes one screen, and %q is another", clip(c.Args().Get(1), 32))
	case c.Bool("once") && c.Bool("plain"):
		return "", usage("--once and --plain are at odds").WithHint("--once prints one frame, --plain a line a second")
	case screen != "" && (as == "json" || c.Bool("plain")):
		return "", usage("%q is a screen, and -o json and --plain show the whole", screen).
			WithHint("leave it out; faasctl task ls -o json lists tasks, faasctl events -o json what happened")
	}
	return as, nil
}

// dashboard is how the dashboard of one server is drawn here.
func (e *environment) dashboard(api *client.Client) tui.Config {
	return tui.Config{
		Backend: topBackend{api}, URL: api.URL(), Input: e.stdin, Output: e.stdout,
		Colour: e.colour(), ASCII: e.plainLocale(),
	}
}

// topJSON prints the picture of this moment as one line of JSON.
func (e *environment) topJSON(ctx context.Context, api *client.Client) error {
	var picture core.Top
	enough := errors.New("enough")
	err := api.Top(ctx, func(t core.Top, whole bool) error {
		if !whole {
			return nil
		}
		picture = t
		return enough
	})
	if !errors.Is(err, enough) {
		return err
	}
	return e.jsonLine(reportOf(picture))
}

// interactive reports whether there is a terminal that can be drawn on and
// typed at.
func (e *environment) interactive() bool {
	term := e.getenv("TERM")
	return e.stdinTTY && e.stdoutTTY && term != "" && term != "dumb"
}

// plainLocale reports whether the locale names a character set other than
// UTF-8. One that names none at all says nothing about the terminal.
func (e *environment) plainLocale() bool {
	if e.getenv("TERM") == "linux" {
		return true // the console's font lacks most symbols
	}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := e.getenv(name); value != "" {
			value = strings.ToUpper(strings.ReplaceAll(value, "-", ""))
			return !strings.Contains(value, "UTF8")
		}
	}
	return false
}

// topBackend lets the dashboard work with a server.
type topBackend struct{ *client.Client }

func (b topBackend) Tasks(ctx context.Context, filter core.TaskFilter) (core.TaskPage, error) {
	return b.List(ctx, filter)
}

// Detail gathers what the server knows of one task. Events of long ago may be
// trimmed away; the rest tells enough.
func (b topBackend) Detail(ctx context.Context, id core.TaskID) (d tui.Detail, err error) {
	if d.Task, d.Result, err = b.Result(ctx, id, 0); err != nil {
		return d, err
	}
	if d.Spec, err = b.Spec(ctx, id); err != nil {
		return d, err
	}
	if d.Output, err = b.Output(ctx, id); err != nil {
		return d, err
	}
	// Nothing happened to it before it was submitted, and all events of that time are
	// read for those of one task.
	after := ""
	if at := d.Task.Submitted; !at.IsZero() {
		after = fmt.Sprintf("%d-0", at.UnixMilli()-1)
	}
	d.Events, err = b.EventsOnceWhere(ctx, core.EventFilter{Task: id}, after, 200)
	if errors.Is(err, core.ErrGone) && after != "" {
		d.Events, err = b.EventsOnceWhere(ctx, core.EventFilter{Task: id}, "", 200)
	}
	if errors.Is(err, core.ErrGone) {
		err = nil
	}
	return d, err
}
