package cli

import (
	"os"
	"path/filepath"

	urfave "github.com/urfave/cli/v2"

	"faasctl/workers/zmqloop"
)

func keysCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "keys", Category: catServe, Usage: "make keys for workers on other machines",
		Subcommands: []*urfave.Command{keysNewCommand(e)},
	}
}

func keysNewCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "new", Usage: "write NAME.key, a secret, and NAME.pub", ArgsUsage: "NAME",
		Description: "One pair for the dispatcher (--curve server.key) and one for each worker, whose .pub goes into the\n" +
			"dispatcher's --allow directory. NAME is who the worker is. Nothing is overwritten.",
		Flags: []urfave.Flag{&urfave.StringFlag{Name: "out", Value: ".", Usage: "`DIR` to write to; made if it is not there"}},
		Action: func(c *urfave.Context) error {
			if c.NArg() != 1 {
				return usage("name one key").WithHint("such as faasctl keys new laptop")
			}
			pair, err := zmqloop.NewKeyPair()
			if err != nil {
				return err
			}
			name, dir := c.Args().First(), c.String("out")
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return usage("--out %s cannot be written to: %s", dir, err)
			}
			if err := zmqloop.WriteKeyPair(dir, name, pair); err != nil {
				return err
			}
			for _, suffix := range []string{".key", ".pub"} {
				if err := e.data([]byte(filepath.Join(dir, name+suffix) + "\n")); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
