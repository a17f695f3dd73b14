package cli

import (
	urfave "github.com/urfave/cli/v2"

	"faasctl/core"
)

func cancelCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "cancel", Category: catTasks, Usage: "end tasks: waiting ones at once, running ones by a signal", ArgsUsage: "TASK... | - | --fn NAME | --all",
		Description: "Exit code 9 when a task had ended before, 4 when there is no such task.\n" +
			"With --fn, --state, --queue or --all: every task that has not ended and fits. Shows how many there are and asks;\n" +
			"--yes does not ask. Takes effect after 5 s: until then faasctl undo stops it.\n" +
			"A call that runs gets SIGTERM, and SIGKILL when its grace is over; its slot is free within a second of that. Cancel it\n" +
			"again with a shorter --grace to have it ended sooner. A call whose time is out is killed, whatever its grace.",
		Flags: append(urlFlags(), fnFlag(), queueFlag(),
			&urfave.StringFlag{Name: "state", Usage: "only tasks in this `STATE`: queued, delayed, running"},
			&urfave.BoolFlag{Name: "all", Usage: "every task that has not ended"},
			&urfave.DurationFlag{Name: "grace", Usage: "how long calls that run have to end after SIGTERM: 5s, at most 1h; 0 kills at once (default: that of their dispatcher)"},
			yesFlag(), nowFlag(), outputFlag("table", "json", "id")),
		Action: func(c *urfave.Context) error {
			if filtered := given(c, "fn", "queue", "state", "all"); filtered != "" {
				if c.Args().Present() {
					return usage("--%s chooses the tasks, but %q names one as well", filtered, clip(c.Args().First(), 64))
				}
				return e.bulk(c, core.OperationCancel)
			}
			if flag := given(c, "yes", "now"); flag != "" {
				return usage("--%s is for a cancel of many tasks", flag).WithHint("choose them with --fn, --state, --queue or --all")
			}
			as, err := format(c, "table", "json", "id")
			if err != nil {
				return err
			}
			ids, err := e.taskIDs(c.Args().Slice())
			if err != nil {
				return err
			}
			api, err := e.client(c)
			if err != nil {
				return err
			}
			defer api.Close()
			grace, err := readGrace(c)
			if err != nil {
				return err
			}
			verdicts, err := api.CancelWithin(c.Context, ids, grace)
			if err != nil {
				return err
			}
			return e.verdicts(as, ids, verdicts)
		},
	}
}

// given is the first of these flags that is on the line, or "".
func given(c *urfave.Context, names ...string) string {
	for _, name := range names {
		if c.IsSet(name) {
			return name
		}
	}
	return ""
}

// verdicts prints what a cancel did to each task.
func (e *environment) verdicts(as string, ids []core.TaskID, verdicts []core.CancelVerdict) error {
	codes := make([]int, len(verdicts))
	for i, verdict := range verdicts {
		said, err := string(verdict), error(nil)
		switch verdict {
		case core.CancelRequested:
			said = "cancelling: it runs, and its worker is told"
		case core.CancelTooLate:
			err = core.Errorf(core.ErrConflict, "cancel", "task %s had ended before", ids[i]).
				WithHint("faasctl result %s shows how", ids[i])
		case core.CancelUnknown:
			err = core.Errorf(core.ErrNotFound, "cancel", "there is no task %s", ids[i]).WithHint("faasctl task ls lists what there is")
		}
		if codes[i] = e.explain(err); err != nil && as != "json" {
			continue
		}
		switch as {
		case "json":
			err = e.jsonLine(map[string]string{"id": string(ids[i]), "verdict": string(verdict)})
		case "id":
			err = e.data([]byte(string(ids[i]) + "\n"))
		default:
			err = e.data([]byte(string(ids[i]) + "  " + said + "\n"))
		}
		if err != nil {
			return err
		}
	}
	return firstCode(codes)
}
