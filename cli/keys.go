package cli

import (
	"os"
	"path/filepath"
	"strings"

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
			e.note("%s.key is a secret, and stays where it is used\n"+
				"  → of a worker: %s.pub goes into the dispatcher's --allow directory\n"+
				"  → of a dispatcher: --curve %s.key there, and --server-key %s.pub at its workers", name, name, name, name)
			return nil
		},
	}
}

// loadSecret reads NAME.key.
func loadSecret(path string) (zmqloop.KeyPair, error) {
	if strings.HasSuffix(path, ".pub") {
		return zmqloop.KeyPair{}, usage("%s is a public key", path).WithHint("here goes the secret one, NAME.key")
	}
	return zmqloop.LoadSecret(path)
}

// loadPublic reads the NAME.pub of a dispatcher.
func loadPublic(path string) (string, error) {
	if strings.HasSuffix(path, ".key") {
		return "", usage("%s is a secret key", path).WithHint("here goes the dispatcher's public one, such as server.pub; the secret one stays with it")
	}
	return zmqloop.LoadPublic(path)
}
