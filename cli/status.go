package cli

import (
	"context"

	urfave "github.com/urfave/cli/v2"

	"faasctl/core"
	"faasctl/httpapi/client"
)

func statusCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "status", Category: catTasks, Usage: "where tasks stand", ArgsUsage: "TASK... | -",
		Description: "Exit code 0 when the task is known, whatever its state; result tells by its exit code how it ended.",
		Flags:       append(urlFlags(), outputFlag("table", "json", "state", "id")),
		Action: func(c *urfave.Context) error {
			as, err := format(c, "table", "json", "state", "id")
			if err != nil {
				return err
			}
			var found []core.Task
			err = e.eachTask(c, func(ctx context.Context, api *client.Client, id core.TaskID) error {
				task, err := api.Task(ctx, id, 0)
				if err != nil {
					return err
				}
				found = append(found, task)
				return nil
			})
			if shown := e.showTasks(as, found); shown != nil {
				return shown
			}
			return err
		},
	}
}

// showTasks prints tasks in one of the formats of status: a line each.
func (e *environment) showTasks(as string, tasks []core.Task) error {
	if as == "table" {
		if len(tasks) == 0 {
			return nil
		}
		return e.listTasks(tasks)
	}
	for _, task := range tasks {
		var err error
		switch as {
		case "json":
			err = e.jsonLine(task)
		case "state":
			err = e.data([]byte(string(task.State) + "\n"))
		default:
			err = e.data([]byte(string(task.ID) + "\n"))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
