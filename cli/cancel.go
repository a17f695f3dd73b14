package cli

import (
	urfave "github.com/urfave/cli/v2"

	"faasctl/core"
)

func cancelCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "cancel", Category: catTasks, Usage: "end tasks: waiting ones at once, running ones by a signal", ArgsUsage: "TASK... | -",
		Description: "Exit code 9 when a task had ended before, 4 when there is no such task.",
		Flags:       append(urlFlags(), outputFlag("table", "json", "id")),
		Action: func(c *urfave.Context) error {
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
			verdicts, err := api.Cancel(c.Context, ids)
			if err != nil {
				return err
			}
			return e.verdicts(as, ids, verdicts)
		},
	}
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
