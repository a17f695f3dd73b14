package cli

import (
	urfave "github.com/urfave/cli/v2"
)

func serveCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "serve", Category: catServe, Usage: "the API alone, over a Redis that others share",
		Description: "Without --redis it attaches to the Redis of an up on the same --data. Tasks run where a dispatcher is.",
		Flags:       []urfave.Flag{flagListen(), flagData(), flagRedis(), flagTokenFile(), flagMaxPayload(), flagVerbose()},
		Action: func(c *urfave.Context) error {
			cfg, err := e.readServer(c)
			if err != nil {
				return err
			}
			return e.serve(c.Context, cfg, job{api: true})
		},
	}
}

func dispatcherCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "dispatcher", Category: catServe, Usage: "a dispatcher with workers, over a Redis that others share",
		Description: "Without --redis it attaches to the Redis of an up on the same --data. Several may run at once.",
		Flags: []urfave.Flag{
			&urfave.StringFlag{Name: "mode", Aliases: []string{"m"}, Value: "local", Usage: "`MODE` of its workers: local"},
			&urfave.IntFlag{Name: "workers", Aliases: []string{"w"}, Value: 1, Usage: "run `N` calls at once"},
			flagData(), flagRedis(), pythonFlag(), flagImportPath(), flagMaxPayload(), flagVerbose(),
		},
		Action: func(c *urfave.Context) error {
			switch mode := c.String("mode"); mode {
			case "local":
			case "push", "pull":
				return usage("mode %s is not in this version", mode).WithHint("workers run in the dispatcher's own process: -m local")
			default:
				return usage("there is no mode %q", clip(mode, 32)).WithHint("choose -m local")
			}
			cfg, err := e.readServer(c)
			if err != nil {
				return err
			}
			return e.serve(c.Context, cfg, job{dispatcher: true})
		},
	}
}
