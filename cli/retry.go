package cli

import (
	urfave "github.com/urfave/cli/v2"

	"faasctl/core"
)

func retryCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "retry", Category: catTasks, Usage: "run ended tasks again, as new tasks", ArgsUsage: "TASK... | - | --dead",
		Description: "A new task has the function, the arguments and the limits of the old one and points at it. Prints the new ids.\n" +
			"With --dead: all dead letters, or those that --fn, --error and --queue choose. Shows how many there are and asks;\n" +
			"--yes does not ask. Prints the operation, which faasctl undo takes back as far as the new tasks have not begun.",
		Flags: append(urlFlags(), &urfave.BoolFlag{Name: "dead", Usage: "dead letters: see faasctl dead ls"},
			fnFlag(), errorFlag(), queueFlag(), yesFlag(), outputFlag("id", "table", "json")),
		Action: func(c *urfave.Context) error {
			if c.Bool("dead") {
				if c.Args().Present() {
					return usage("--dead chooses the tasks, but %q names one as well", clip(c.Args().First(), 64))
				}
				return e.bulk(c, core.OperationRetry)
			}
			if flag := given(c, "fn", "error", "queue", "yes"); flag != "" {
				return usage("--%s goes with --dead", flag).WithHint("faasctl retry --dead --%s …", flag)
			}
			as, err := format(c, "id", "table", "json")
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
			answers, err := api.Retry(c.Context, ids)
			if err != nil {
				return err
			}
			return e.retried(as, ids, answers)
		},
	}
}

// retried prints what became of each task that was to be run again.
func (e *environment) retried(as string, ids []core.TaskID, answers []core.Submitted) error {
	codes := make([]int, len(answers))
	for i, answer := range answers {
		if codes[i] = e.explain(withOp("retry", answer.Err)); answer.Err != nil {
			continue
		}
		var err error
		switch as {
		case "json":
			err = e.jsonLine(map[string]string{"id": string(answer.ID), "retry_of": string(ids[i])})
		case "id":
			err = e.data([]byte(string(answer.ID) + "\n"))
		default:
			err = e.data([]byte(string(ids[i]) + "  again as " + string(answer.ID) + "\n"))
		}
		if err != nil {
			return err
		}
	}
	return firstCode(codes)
}
