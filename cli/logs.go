package cli

import (
	"context"
	"time"

	urfave "github.com/urfave/cli/v2"

	"faasctl/core"
	"faasctl/httpapi/client"
)

func logsCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "logs", Category: catTasks, Usage: "what tasks printed", ArgsUsage: "TASK... | -",
		Description: "Its stdout goes to stdout and its stderr to stderr. Of each, the first and the last 32 KiB are kept.\n" +
			"Exit code 10 when a task has not ended yet.",
		Flags: append(urlFlags(),
			&urfave.DurationFlag{Name: "wait", Usage: "wait so long for the end, such as 30s (all tasks together)"},
			&urfave.IntFlag{Name: "attempt", Usage: "what attempt `N` printed, of a task that was tried again; the last three are kept"}),
		Action: func(c *urfave.Context) error {
			if c.IsSet("attempt") {
				return e.attemptLogs(c, c.Int("attempt"))
			}
			deadline := time.Now().Add(c.Duration("wait"))
			several := c.NArg() > 1 || c.Args().First() == "-"
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
				if err := e.output(output, e.data); err != nil {
					return err
				}
				if !task.State.Terminal() {
					return &pending{task, "its output is kept when it ends: faasctl logs " + string(id) + " --wait 1m"}
				}
				if output.Empty() && !several {
					e.note("faasctl: task %s printed nothing", id)
				}
				return nil
			})
		},
	}
}

// attemptLogs shows what one attempt of each task printed.
func (e *environment) attemptLogs(c *urfave.Context, number int) error {
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
		return e.output(output, e.data)
	})
}

// output shows what a task printed: its stdout through show, its stderr to
// ours, and on stderr what was cut out.
func (e *environment) output(output core.Output, show func([]byte) error) error {
	if err := e.stream("stdout", output.Stdout, show); err != nil {
		return err
	}
	return e.stream("stderr", output.Stderr, e.aside)
}

func (e *environment) stream(name string, s core.Stream, show func([]byte) error) error {
	if err := show(s.Head); err != nil || s.Cut == 0 && len(s.Tail) == 0 {
		return err
	}
	if s.Cut > 0 {
		if len(s.Head) > 0 && s.Head[len(s.Head)-1] != '\n' && name == "stderr" {
			e.note("")
		}
		e.note("faasctl: … %d bytes of %s are left out here …", s.Cut, name)
	}
	return show(s.Tail)
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
