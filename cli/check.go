package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"faasctl/core"
	"faasctl/core/header"
	"faasctl/workers/pyrun"
)

func checkCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "check", Category: catFunctions, Usage: "look for what would go wrong with a Python file, before anything runs", ArgsUsage: "FILE.py[::NAME]",
		Description: "Looks at the syntax, at what the file says that it needs, at the function's signature, and asks every connected\n" +
			"worker whether it has a Python that fits and finds what the file imports. Nothing is registered or run; --dill\n" +
			"imports the file here, as register --dill does, and weighs what the function would take along.\n\n" +
			"Exit code 0, or 1 when something fails.",
		Flags: append(urlFlags(),
			&urfave.BoolFlag{Name: "dill", Usage: "as register --dill would take it"},
			pythonVersionFlag(), requirementsFlag(), pythonFlag(), outputFlag("table", "json")),
		Action: func(c *urfave.Context) error {
			as, err := format(c, "table", "json")
			if err != nil {
				return err
			}
			target, err := oneArgument(c, "file", "faasctl check fn.py, or fn.py::name for one of several functions")
			if err != nil {
				return err
			}
			path, entry, _ := strings.Cut(target, "::")
			source, err := readSource(path)
			if err != nil {
				return err
			}
			checks, err := e.checkFile(c, path, entry, source)
			if err != nil {
				return err
			}
			return e.diagnosis(as, checks, core.ExitFailed)
		},
	}
}

// checkFile makes all checks that can be made: one that fails ends those that build
// upon it.
func (e *environment) checkFile(c *urfave.Context, path, entry string, source []byte) ([]check, error) {
	python, _, err := pyrun.Find(c.Context, c.String("python"))
	if err != nil {
		return nil, err
	}
	read, err := pyrun.Read(c.Context, python.Path, source, path)
	var syntax *pyrun.SyntaxError
	if errors.As(err, &syntax) {
		return []check{failing("syntax", strings.ReplaceAll(explainSyntax(err).Error(), "\n", " | "), "mend that line")}, nil
	} else if err != nil {
		return nil, err
	}
	checks := []check{ok("syntax", "%s is Python, as %s reads it", path, python.Version)}
	request := core.RegisterRequest{Codec: core.Source}
	said, err := header.Read(source)
	if err == nil {
		request.Python, request.Dependencies = said.Python, said.Dependencies
		err = stateNeeds(c, &request)
	}
	if err != nil {
		return append(checks, failing("needs", err.Error(), core.HintOf(err))), nil
	}
	checks = append(checks, checkNeeds(request))
	def, err := choose(path, entry, read.Functions)
	if err == nil {
		err = core.CheckName(def.Name)
	}
	if err != nil {
		return append(checks, failing("function", strings.ReplaceAll(err.Error(), "\n", " "), core.HintOf(err))), nil
	}
	checks = append(checks, checkSignature(def))
	if c.Bool("dill") {
		request.Codec = core.Dill
		if hook := ignoredSetup(read.Functions, def.Name); hook != "" {
			checks = append(checks, warning("setup", hook, setupHint))
		}
		more, version := checkDill(c.Context, python, path, def.Name, request.Python)
		checks = append(checks, more...)
		if version == "" {
			return checks, nil
		}
		request.Python = version
	}
	return append(checks, e.checkWorkers(c, path, request, read.Imports)...), nil
}

// checkNeeds says what the file and the flags ask for.
func checkNeeds(r core.RegisterRequest) check {
	var parts []string
	if r.Python != "" {
		parts = append(parts, "Python "+r.Python)
	}
	if len(r.Dependencies) > 0 {
		parts = append(parts, "the packages "+core.SayDependencies(r.Dependencies))
	}
	if len(parts) == 0 {
		return ok("needs", "nothing is said: any Python, no packages")
	}
	return ok("needs", "%s", strings.Join(parts, "; "))
}

// checkSignature looks at how the function can be called with JSON.
func checkSignature(def pyrun.Def) check {
	text := def.Name + def.Signature
	if def.Async {
		text = "async " + text
	}
	if def.Generator {
		return warning("function", text+" yields: its result would be a generator, which no JSON and no pickle holds", "return a list")
	}
	return ok("function", "%s", text)
}

// Sizes of what a pickled function takes along.
const (
	heavyGlobal = 1 << 20
	heavyAll    = core.MaxPayload
)

// checkDill pickles the function here and weighs what it takes along. version is that
// of the Python that made the pickle, "" when there is none.
func checkDill(ctx context.Context, python core.Interpreter, path, name, needs string) (checks []check, version string) {
	weighed, err := pyrun.Weigh(ctx, python.Path, path, name)
	if err != nil {
		return []check{failing("pickle", strings.ReplaceAll(err.Error(), "\n", " | "), core.HintOf(err))}, ""
	}
	if wants := (core.Needs{Python: needs}); !wants.Fit(python) {
		return []check{failing("pickle", fmt.Sprintf("it would be made by Python %s, and the file needs %s", python.Version, wants), "name another interpreter: --python PATH")}, ""
	}
	size := len(weighed.Pickle)
	switch {
	case size > heavyAll:
		checks = append(checks, failing("pickle", fmt.Sprintf("%s, above the limit of %s", sizeText(int64(size)), sizeText(heavyAll)), "load the data inside the function"))
	default:
		checks = append(checks, ok("pickle", "%s, by Python %s", sizeText(int64(size)), weighed.Python))
	}
	for _, g := range weighed.Globals {
		text := fmt.Sprintf("%s (%s): %s", g.Name, g.Type, sizeText(int64(g.Size)))
		switch {
		case g.Error != "":
			checks = append(checks, failing("global", fmt.Sprintf("%s (%s) cannot be pickled: %s", g.Name, g.Type, g.Error), "make it inside the function"))
		case g.Size > heavyGlobal:
			checks = append(checks, warning("global", text+", sent with the function to every worker", "load it inside the function, or in setup() and register without --dill"))
		default:
			checks = append(checks, ok("global", "%s", text))
		}
	}
	return checks, weighed.Python
}

// checkWorkers asks every worker that is connected.
func (e *environment) checkWorkers(c *urfave.Context, path string, r core.RegisterRequest, imports []pyrun.Import) []check {
	api, err := e.clientFor(c, 0)
	if err != nil {
		return []check{warning("workers", "cannot be asked: "+err.Error(), core.HintOf(err))}
	}
	defer api.Close()
	var names []string
	for _, one := range imports {
		names = append(names, one.Name)
	}
	answers, err := api.Check(c.Context, core.Check{Codec: r.Codec, Python: r.Python, Dependencies: r.Dependencies, Imports: names})
	switch {
	case err != nil:
		return []check{warning("workers", "cannot be asked: "+err.Error(), core.HintOf(err))}
	case len(answers) == 0:
		return []check{warning("workers", "none is connected: a call would wait for one", "faasctl dispatcher -m local -w 2")}
	}
	var checks []check
	for _, a := range answers {
		checks = append(checks, checkWorker(a, path, r, imports)...)
	}
	return checks
}

// checkWorker turns one answer into lines: its Python, and each import it does not find.
func checkWorker(a core.WorkerCheck, path string, r core.RegisterRequest, imports []pyrun.Import) (checks []check) {
	who := string(a.Worker) + " on " + a.Host
	needs := core.Needs{Python: r.Python, Dill: r.Codec == core.Dill}
	switch {
	case a.Lacks != "":
		return []check{warning("worker", fmt.Sprintf("%s %s, and %s is needed: it gets no call of it", who, a.Lacks, needs), "start it with --python PATH of one that fits")}
	case a.Text != "":
		return []check{warning("worker", who+" could not look: "+a.Text, "")}
	case !a.Answered:
		return []check{warning("worker", who+" has not answered", "faasctl workers show "+string(a.Worker))}
	case len(a.Missing) == 0 && len(imports) > 0:
		return []check{ok("worker", "%s has Python %s and finds %s", who, a.Python, importNames(imports))}
	case len(a.Missing) == 0:
		return []check{ok("worker", "%s has Python %s; nothing beyond the standard library is imported", who, a.Python)}
	}
	for _, name := range a.Missing {
		at := slices.IndexFunc(imports, func(i pyrun.Import) bool { return i.Name == name })
		text, line := fmt.Sprintf("%s has Python %s and does not find %s", who, a.Python, name), 0
		if at >= 0 {
			line = imports[at].Line
			text += fmt.Sprintf(" (line %d)", line)
		}
		_, beside := os.Stat(filepath.Join(filepath.Dir(path), name+".py"))
		switch {
		case at >= 0 && imports[at].Optional:
			checks = append(checks, warning("import", text+"; the file goes on without it", ""))
		case beside == nil:
			checks = append(checks, failing("import", text+": it lies beside the file, and only the file is sent", "start workers with --import-path, or move it into the file"))
		case len(r.Dependencies) > 0:
			checks = append(checks, warning("import", text+" yet; one of its packages may bring it", ""))
		default:
			checks = append(checks, failing("import", text, "name its package in the file: # /// script, # dependencies = [\""+name+"\"], # ///"))
		}
	}
	return checks
}

func importNames(imports []pyrun.Import) string {
	var names []string
	for _, one := range imports {
		names = append(names, one.Name)
	}
	return strings.Join(names, ", ")
}
