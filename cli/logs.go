package cli

import (
	"context"
	"errors"
	"time"

	urfave "github.com/urfave/cli/v2"

	"faasctl/core"
	"faasctl/httpapi/client"
)

func logsCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "logs", Category: catTasks, Usage: "what tasks printed, or print", ArgsUsage: "TASK... | -",
		Description: `  faasctl logs TASK                  what it has printed: its stdout goes to stdout, its stderr to stderr
  faasctl logs -f TASK               and what it prints, until it has ended
  faasctl logs --time TASK           each line with its time and attempt
  faasctl logs -o json TASK          each line as an object: time, attempt, stream, text

Of each stream the first and the last 32 KiB are kept; what is left out between is told on stderr.
Exit code 10 when a task has not ended yet.`,
		Flags: append(urlFlags(),
			&urfave.BoolFlag{Name: "follow", Aliases: []string{"f"}, Usage: "go on until the task has ended"},
			&urfave.StringFlag{Name: "stream", Usage: "only `STREAM`: stdout or stderr"},
			&urfave.BoolFlag{Name: "time", Aliases: []string{"t"}, Usage: "begin each line with when it was printed, and in which attempt"},
			&urfave.DurationFlag{Name: "wait", Usage: "wait so long for the end, such as 30s (all tasks together)"},
			&urfave.IntFlag{Name: "attempt", Usage: "what attempt `N` printed, of a task that was tried again; the last three are kept"},
			outputFlag("text", "json")),
		Action: e.logs,
	}
}

// logs is the verb.
func (e *environment) logs(c *urfave.Context) error {
	open, err := e.screens(c)
	if err != nil {
		return err
	}
	several := c.NArg() > 1 || c.Args().First() == "-"
	switch {
	case c.IsSet("attempt") && c.Bool("follow"):
		return usage("--attempt and --follow do not go together").WithHint("an attempt's output is kept when it has ended")
	case c.IsSet("attempt"):
		return e.attemptLogs(c, c.Int("attempt"), open)
	case c.Bool("follow") && several:
		return usage("--follow takes one task")
	case c.Bool("follow") && c.IsSet("wait"):
		return usage("--wait and --follow do not go together").WithHint("--follow waits until the task has ended")
	case c.Bool("follow"):
		return e.eachTask(c, func(ctx context.Context, api *client.Client, id core.TaskID) error {
			screen := open()
			defer screen.done()
			err := api.Follow(ctx, id, core.Position{}, screen.news)
			return errors.Join(err, screen.end())
		})
	}
	deadline := time.Now().Add(c.Duration("wait"))
	return e.eachTask(c, func(ctx context.Context, api *client.Client, id core.TaskID) error {
		task, err := api.Task(ctx, id, max(time.Until(deadline), 0))
		if err != nil {
			return err
		}
		output, err := api.Output(ctx, id)
		if err != nil {
			return err
		}
		if several {
			e.note("task %s", id)
		}
		if err := open().rest(task, max(task.Attempt, 1), output); err != nil {
			return err
		}
		if !task.State.Terminal() {
			return &pending{task, "faasctl logs -f " + string(id) + " shows what it prints"}
		}
		if output.Empty() && !several {
			e.note("faasctl: task %s printed nothing", id)
		}
		return nil
	})
}

// screens reads the flags that say how output is shown.
func (e *environment) screens(c *urfave.Context) (func() *screen, error) {
	as, err := format(c, "text", "json")
	if err != nil {
		return nil, err
	}
	if as == "text" && c.Bool("time") {
		as = "time"
	}
	only := core.StreamName(c.String("stream"))
	if only != "" && only != core.Stdout && only != core.Stderr {
		return nil, usage("--stream cannot be %q", clip(string(only), 32)).WithHint("choose one of stdout, stderr")
	}
	return func() *screen {
		s := newScreen(e, as)
		s.only = only
		return s
	}, nil
}

// attemptLogs shows what one attempt of each task printed.
func (e *environment) attemptLogs(c *urfave.Context, number int, open func() *screen) error {
	if number < 1 {
		return usage("--attempt counts from 1")
	}
	if c.IsSet("wait") {
		return usage("--wait and --attempt do not go together").WithHint("an attempt's output is kept when it has ended")
	}
	return e.eachTask(c, func(ctx context.Context, api *client.Client, id core.TaskID) error {
		output, err := api.AttemptOutput(ctx, id, number)
		if err != nil {
			return err
		}
		if c.NArg() > 1 || c.Args().First() == "-" {
			e.note("task %s, attempt %d", id, number)
		}
		if output.Empty() {
			e.note("faasctl: attempt %d of task %s printed nothing", number, id)
		}
		task := core.Task{Attempt: number}
		if attempts, err := api.Attempts(ctx, id); err == nil { // without it the times are not shown
			for _, a := range attempts {
				if a.Number == number {
					task.Started = a.Started
				}
			}
		}
		return open().rest(task, number, output)
	})
}

// aside writes what a function printed to stderr, cleaned if that is a
// terminal.
func (e *environment) aside(text []byte) error {
	if e.stderrTTY {
		text = []byte(clean(string(text)))
	}
	_, err := e.stderr.Write(text)
	return err
}
