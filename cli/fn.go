package cli

import (
	"fmt"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"faasctl/core"
	"faasctl/httpapi/client"
	"faasctl/httpapi/wire"
)

func fnCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "fn", Category: catFunctions, Usage: "list, show, change or remove functions",
		Subcommands: []*urfave.Command{fnListCommand(e), fnShowCommand(e), fnSetCommand(e), fnRemoveCommand(e)},
	}
}

func fnListCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "ls", Usage: "the registered functions",
		Flags: append(urlFlags(),
			&urfave.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "older versions as well"},
			outputFlag("table", "json", "id")),
		Action: e.listing(func(c *urfave.Context, api *client.Client, as string) error {
			all, err := api.Functions(c.Context)
			if err != nil {
				return err
			}
			shown := make([]core.Function, 0, len(all))
			for _, f := range all {
				if f.Latest || c.Bool("all") {
					shown = append(shown, f)
				}
			}
			if len(shown) == 0 && as == "table" {
				e.note("no functions yet\n  → faasctl register fn.py adds one")
				return nil
			}
			if err := e.listFunctions(as, shown); err != nil {
				return err
			}
			if hidden := len(all) - len(shown); hidden > 0 && as == "table" && e.stdoutTTY {
				e.note("older versions: %d (--all)", hidden)
			}
			return nil
		}),
	}
}

func (e *environment) listFunctions(as string, functions []core.Function) error {
	switch as {
	case "json":
		documents := make([]wire.Function, len(functions))
		for i, f := range functions {
			documents[i] = document(f)
		}
		return e.jsonLine(documents)
	case "id":
		return ids(e, functions, func(f core.Function) string { return string(f.ID) })
	}
	list := &table{head: []string{"FUNCTION", "ID", "KIND", "REGISTERED", "SIGNATURE"}}
	now := time.Now()
	for _, f := range functions {
		list.add(plain("%s", f.Ref()), plain("%s", f.ID), plain("%s", f.Codec), plain("%s", ago(f.Created, now)), plain("%s", f.Signature))
	}
	return e.printTable(list)
}

// document is a function as JSON: times as text.
func document(f core.Function) wire.Function { return wire.FunctionOf(f) }

func fnShowCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "show", Usage: "all about one function", ArgsUsage: "FUNCTION",
		Flags: append(urlFlags(), &urfave.BoolFlag{Name: "source", Usage: "print its source text"}, outputFlag("table", "json", "id")),
		Action: func(c *urfave.Context) error {
			as, err := format(c, "table", "json", "id")
			if err != nil {
				return err
			}
			ref, err := oneArgument(c, "function", "faasctl fn ls lists what there is")
			if err != nil {
				return err
			}
			api, err := e.client(c)
			if err != nil {
				return err
			}
			defer api.Close()
			if c.Bool("source") {
				f, err := api.FunctionBody(c.Context, ref)
				if err != nil {
					return err
				}
				if f.Codec != core.Source {
					return core.Errorf(core.ErrInvalid, "", "%s is a pickle; its source text is not kept", f.Ref())
				}
				return e.data(f.Body)
			}
			f, err := api.Function(c.Context, ref)
			if err != nil {
				return err
			}
			switch as {
			case "json":
				return e.jsonLine(document(f))
			case "id":
				return e.data([]byte(string(f.ID) + "\n"))
			}
			return e.pairs(as, describeFunction(f))
		},
	}
}

func describeFunction(f core.Function) [][2]string {
	version := f.Ref()
	if f.Latest {
		version += " (latest)"
	}
	rows := [][2]string{{"function", version}, {"id", string(f.ID)}}
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, [2]string{name, value})
		}
	}
	add("signature", f.Signature)
	add("doc", strings.TrimSpace(f.Doc))
	add("kind", fmt.Sprintf("%s, %d bytes", f.Codec, f.BodySize))
	add("file", f.File)
	add("entry", f.Entry)
	python := f.Python
	if f.Assumed {
		python += " (assumed)"
	}
	add("python", python)
	add("needs", core.SayDependencies(f.Dependencies))
	describePolicy(f.Policy, add)
	add("registered", clock(f.Created))
	return rows
}

func fnRemoveCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "rm", Usage: "take functions out of service", ArgsUsage: "FUNCTION...",
		Description: "NAME removes all versions, NAME@VERSION or an id one. Tasks that were accepted still run.",
		Flags:       append(urlFlags(), outputFlag("table", "json", "id")),
		Action: func(c *urfave.Context) error {
			as, err := format(c, "table", "json", "id")
			if err != nil {
				return err
			}
			if !c.Args().Present() {
				return usage("which function?").WithHint("faasctl fn ls lists what there is")
			}
			api, err := e.client(c)
			if err != nil {
				return err
			}
			defer api.Close()
			var codes []int
			removed := []core.Function{}
			for _, ref := range c.Args().Slice() {
				gone, err := api.RemoveFunction(c.Context, ref)
				removed = append(removed, gone...)
				codes = append(codes, e.explain(withOp("fn rm", err)))
			}
			if as == "table" {
				for _, f := range removed {
					if err := e.data([]byte("removed " + f.Ref() + "  " + string(f.ID) + "\n")); err != nil {
						return err
					}
				}
			} else if err := e.listFunctions(as, removed); err != nil {
				return err
			}
			return firstCode(codes)
		},
	}
}

// oneArgument is the only positional of a verb.
func oneArgument(c *urfave.Context, what, hint string) (string, error) {
	switch words := c.Args().Slice(); {
	case len(words) == 0 || words[0] == "":
		return "", usage("which %s?", what).WithHint("%s", hint)
	case len(words) > 1:
		return "", usage("one %s at a time, but got %q as well", what, clip(words[1], 64))
	default:
		return words[0], nil
	}
}
