package cli

import (
	urfave "github.com/urfave/cli/v2"
)

func serveCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "serve", Category: catServe, Usage: "the API alone, over a Redis that others share",
		Description: "Without --redis it attaches to the Redis of an up on the same --data. Tasks run where a dispatcher is.",
		Flags:       []urfave.Flag{flagListen(), flagData(), flagRedis(), flagDurability(), flagTokenFile(), flagMaxPayload(), flagVerbose()},
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
		Description: "Without --redis it attaches to the Redis of an up on the same --data. Several may run at once.\n" +
			"In mode local it runs N calls at once itself; to the others, workers connect: faasctl worker push|pull.",
		Flags: append(append(append([]urfave.Flag{
			&urfave.IntFlag{Name: "workers", Aliases: []string{"w"}, Value: 1, Usage: "in mode local, run `N` calls at once"},
		}, modeFlags()...), flagData(), flagRedis(), flagDurability(), flagKeepResults(), flagKeepFailed(), pythonsFlag(), flagImportPath(), flagMaxPayload(), flagVerbose(), graceFlag()), ruleFlags()...),
		Action: func(c *urfave.Context) error {
			cfg, err := e.readServer(c)
			if err != nil {
				return err
			}
			return e.serve(c.Context, cfg, job{dispatcher: true})
		},
	}
}
