package cli

import (
	"runtime"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"faasctl/workers/zmqloop"
)

func versionCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "version", Category: catWatch, Usage: "versions of faasctl and what it is built with",
		Flags: []urfave.Flag{outputFlag("table", "json")},
		Action: func(c *urfave.Context) error {
			as, err := format(c, "table", "json")
			if err != nil {
				return err
			}
			if err := noArguments(c); err != nil {
				return err
			}
			libzmq, _ := zmqloop.Library()
			return e.pairs(as, [][2]string{
				{"faasctl", e.version},
				{"go", strings.TrimPrefix(runtime.Version(), "go")},
				{"libzmq", libzmq},
			})
		},
	}
}

// pairs prints names and values, one a line, or as one JSON object.
func (e *environment) pairs(as string, rows [][2]string) error {
	if as == "json" {
		object := map[string]string{}
		for _, row := range rows {
			object[row[0]] = row[1]
		}
		return e.jsonLine(object)
	}
	wide := 0
	for _, row := range rows {
		wide = max(wide, len(row[0]))
	}
	var text strings.Builder
	for _, row := range rows {
		text.WriteString(row[0] + strings.Repeat(" ", wide-len(row[0])+2) + cleanLine(row[1]) + "\n")
	}
	_, err := e.stdout.Write([]byte(text.String()))
	return err
}

// noArguments refuses positionals where a verb takes none.
func noArguments(c *urfave.Context) error {
	if c.Args().Present() {
		return usage("takes no arguments, but got %q", clip(c.Args().First(), 64))
	}
	return nil
}
