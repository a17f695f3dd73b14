package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"faasctl/core"
	"faasctl/core/header"
	"faasctl/workers/pyrun"
)

// describeSource asks Python what is in a file and chooses its function.
func (e *environment) describeSource(ctx context.Context, python, path, entry string, source []byte, opt registerOptions) (core.RegisterRequest, error) {
	request := core.RegisterRequest{Codec: core.Source, Body: source, File: filepath.Base(path), Policy: opt.policy}
	interpreter, _, err := pyrun.Find(ctx, python)
	if err != nil {
		return request, err
	}
	found, err := pyrun.Inspect(ctx, interpreter.Path, source, path)
	if err != nil {
		return request, explainSyntax(err)
	}
	def, err := choose(path, entry, found)
	if err != nil {
		return request, err
	}
	request.Name, request.Entry, request.Signature, request.Doc = def.Name, def.Name, def.Signature, def.Doc
	if opt.name != "" {
		request.Name = opt.name
	}
	if err := core.CheckName(request.Name); err != nil || !opt.dill {
		return request, err
	}
	frozen, err := pyrun.FreezeDill(ctx, interpreter.Path, path, def.Name)
	if err != nil {
		return request, err
	}
	if hook := ignoredSetup(found, def.Name); hook != "" {
		e.warn("%s\n  → %s", hook, setupHint)
	}
	request.Codec, request.Body, request.Python = core.Dill, frozen.Pickle, frozen.Python
	request.Entry = "" // a pickle is the function itself
	said, err := header.Read(source)
	if err != nil {
		return request, fmt.Errorf("%s: %w", path, err)
	}
	if needs := (core.Needs{Python: said.Python}); !needs.Fit(core.Interpreter{Version: frozen.Python}) && !needs.Fit(interpreter) {
		return request, usage("%s needs %s, and this pickle would be made by Python %s", path, needs, interpreter.Version).
			WithHint("name another interpreter: --python PATH")
	}
	request.Dependencies = said.Dependencies
	if request.Signature == "" {
		request.Signature = frozen.Signature
	}
	return request, nil
}

// ignoredSetup says that a file's setup() does not run for its function when that is
// pickled: a pickle holds the function and not the module around it. "" without one.
func ignoredSetup(found []pyrun.Def, entry string) string {
	if !slices.ContainsFunc(found, func(d pyrun.Def) bool { return d.Hook && d.Name != entry }) {
		return ""
	}
	return "setup() does not run for a pickled function: the pickle holds " + entry + " and not its file"
}

const setupHint = "register the file without --dill, or prepare inside the function"

// explainSyntax shows where a file stops being Python.
func explainSyntax(err error) error {
	var syntax *pyrun.SyntaxError
	if !errors.As(err, &syntax) {
		return err
	}
	text := syntax.Error()
	if excerpt := syntax.Excerpt(); excerpt != "" {
		text += "\n    " + strings.ReplaceAll(excerpt, "\n", "\n    ")
	}
	return core.Errorf(core.ErrInvalid, "", "%s", text)
}

// choose picks the function that was asked for, or the only one. A setup() that
// is there for another one does not count.
func choose(path, entry string, found []pyrun.Def) (pyrun.Def, error) {
	if entry == "" && len(found) > 1 {
		found = slices.DeleteFunc(slices.Clone(found), func(d pyrun.Def) bool { return d.Hook })
	}
	at := slices.IndexFunc(found, func(d pyrun.Def) bool { return d.Name == entry })
	switch {
	case at >= 0:
		return found[at], nil
	case len(found) == 0:
		return pyrun.Def{}, usage("%s defines no public function at its top level", path).
			WithHint("write one: def add(a, b): return a + b")
	case entry == "" && len(found) == 1:
		return found[0], nil
	case entry == "":
		return pyrun.Def{}, usage("%s defines %d functions:\n%s", path, len(found), candidateLines(found)).
			WithHint("say which: %s::%s", path, found[0].Name)
	}
	names := make([]string, len(found))
	for i, d := range found {
		names[i] = d.Name
	}
	err := usage("%s has no public function %q; it defines:\n%s", path, clip(entry, 64), candidateLines(found))
	if near := nearest(entry, names); near != "" {
		return pyrun.Def{}, err.WithHint("did you mean %s::%s?", path, near)
	}
	return pyrun.Def{}, err
}

// candidateLines lists functions with their signatures.
func candidateLines(found []pyrun.Def) string {
	var lines []string
	for _, d := range found {
		kind := "def "
		if d.Async {
			kind = "async def "
		}
		lines = append(lines, "    "+kind+cleanLine(d.Name+d.Signature))
	}
	return strings.Join(lines, "\n")
}
