package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	urfave "github.com/urfave/cli/v2"

	"faasctl/core"
	"faasctl/httpapi/client"
	"faasctl/httpapi/wire"
)

func registerCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "register", Category: catFunctions, Usage: "register a function of a Python file", ArgsUsage: "FILE.py[::NAME]",
		Description: "A file with one public function (no _ before its name) needs no ::NAME. Its whole text is kept; it is read\n" +
			"by Python's own parser and not executed. Registering an equal one again changes nothing.\n" +
			"--dill imports the file here instead and keeps the function by value, as a pickle.\n\n" +
			"What it needs stands in a comment at its top (PEP 723), or is said here:\n" +
			"  # /// script\n  # requires-python = \">=3.10\"\n  # dependencies = [\"numpy>=2\"]\n  # ///\n\n" +
			"Time-out, retries and limits may change without making another version: what is named here is set, also for\n" +
			"an equal function; what is not stays, and a new version takes it over from the latest. See faasctl fn set.",
		Flags: append(append(urlFlags(), policyFlags()...),
			&urfave.StringFlag{Name: "name", Usage: "register it under another `NAME`"},
			&urfave.BoolFlag{Name: "dill", Usage: "by value, through the local interpreter and dill"},
			pythonVersionFlag(), requirementsFlag(),
			&urfave.BoolFlag{Name: "no-wait", Usage: "do not wait until workers have what it depends on"},
			pythonFlag(),
			outputFlag("table", "json", "id")),
		Action: func(c *urfave.Context) (err error) {
			as, err := format(c, "table", "json", "id")
			if err != nil {
				return err
			}
			target, err := oneArgument(c, "file", "faasctl register fn.py, or fn.py::name for one of several functions")
			if err != nil {
				return err
			}
			policy, err := policyChange(c)
			if err != nil {
				return err
			}
			api, err := e.client(c)
			if err != nil {
				return err
			}
			defer api.Close()
			registration, err := e.register(c.Context, c, api, target,
				registerOptions{name: c.String("name"), dill: c.Bool("dill"), policy: policy})
			if err != nil {
				return err
			}
			defer func() {
				if err == nil && len(registration.Function.Dependencies) > 0 && registration.Unfit == "" && !c.Bool("no-wait") {
					err = e.waitPrepared(c.Context, api, registration.Function)
				}
			}()
			switch as {
			case "json":
				return e.jsonLine(wire.Registration{
					Function: document(registration.Function), Outcome: registration.Outcome, Changed: registration.Changed, Unfit: registration.Unfit})
			case "id":
				return e.data([]byte(string(registration.Function.ID) + "\n"))
			}
			return e.data([]byte(registrationLine(registration) + "\n"))
		},
	}
}

func pythonFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "python", Usage: "`PATH` of the Python interpreter; default: one that has dill [$FAASCTL_PYTHON]"}
}

func pythonVersionFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "python-version", Usage: "run it only on these `VERSIONS` of Python: 3.11, or a range such as '>=3.10,<3.13'"}
}

func requirementsFlag() urfave.Flag {
	return &urfave.StringFlag{Name: "requirements", Usage: "`FILE` with packages that it needs, one per line, beside those that it names itself"}
}

// pythonsFlag is for workers, which may use several.
func pythonsFlag() urfave.Flag {
	return &urfave.StringSliceFlag{Name: "python", Usage: "`PATH` of a Python interpreter; repeated, functions run on the first that fits; default: one that has dill [$FAASCTL_PYTHON]"}
}

// registrationLine says what a registration did.
func registrationLine(r core.Registration) string {
	f := r.Function
	did := "registered"
	switch r.Outcome {
	case core.RegisteredSame:
		did = "unchanged"
	case core.RegisteredBack:
		did = fmt.Sprintf("back to @%d", f.Version)
	}
	if len(r.Changed) > 0 {
		did += "; " + changedText(r.Changed)
	}
	return fmt.Sprintf("%s  %s%s  %s", f.ID, f.Ref(), cleanLine(f.Signature), did)
}

// isFile tells fn.py, fn.py::name and ./anything from the name of a function.
func isFile(target string) bool {
	path, _, several := strings.Cut(target, "::")
	return several || strings.HasSuffix(path, ".py") || strings.ContainsRune(path, filepath.Separator)
}

type registerOptions struct {
	name   string // "" = the function's own
	dill   bool
	policy core.PolicyChange
}

// register registers what target, FILE[::NAME], stands for.
func (e *environment) register(ctx context.Context, c *urfave.Context, api *client.Client, target string, opt registerOptions) (core.Registration, error) {
	path, entry, _ := strings.Cut(target, "::")
	source, err := readSource(path)
	if err != nil {
		return core.Registration{}, err
	}
	request, err := e.describeSource(ctx, c.String("python"), path, entry, source, opt)
	if err != nil {
		return core.Registration{}, err
	}
	if err := stateNeeds(c, &request); err != nil {
		return core.Registration{}, err
	}
	registration, err := api.Register(ctx, request)
	if err == nil && registration.Unfit != "" {
		e.warn("%s; its calls wait for a worker that can\n  → faasctl worker push auto URL --python PATH adds one", cleanLine(registration.Unfit))
	}
	return registration, err
}

// stateNeeds adds what the flags say that a function needs.
func stateNeeds(c *urfave.Context, r *core.RegisterRequest) error {
	if text := c.String("python-version"); text != "" {
		if err := core.CheckPython(text); err != nil {
			return err
		}
		r.Python = core.CleanPython(r.Python + "," + text)
	}
	path := c.String("requirements")
	if path == "" {
		return nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return fileError(err)
	}
	list, err := core.ParseRequirements(data)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	r.Dependencies = append(r.Dependencies, list...)
	return nil
}

// readSource reads a Python file as far as that can be told without Python.
func readSource(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case os.IsNotExist(err):
		return nil, usage("there is no file %s", path).WithHint("a registered function is called by its name: faasctl fn ls")
	case err != nil:
		return nil, fileError(err)
	case info.IsDir():
		return nil, usage("%s is a directory, not a Python file", path)
	}
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, fileError(err)
	}
	source = bytes.TrimPrefix(source, []byte("\xef\xbb\xbf"))
	switch {
	case bytes.IndexByte(source, 0) >= 0:
		return nil, usage("%s is not a Python file: it holds binary data", path)
	case !utf8.Valid(source):
		return nil, usage("%s is not a Python file in UTF-8: line %d holds other bytes", path, badLine(source)).
			WithHint("save it as UTF-8")
	case len(bytes.TrimSpace(source)) == 0:
		return nil, usage("%s is empty", path)
	}
	return source, nil
}

// badLine is the number of the first line that is not UTF-8.
func badLine(source []byte) int {
	for number, line := range bytes.Split(source, []byte("\n")) {
		if !utf8.Valid(line) {
			return number + 1
		}
	}
	return 0
}
