package pyrun

import (
	"context"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"faasctl/core"
)

//go:embed inspect_source.py
var inspectSource string

//go:embed freeze_dill.py
var freezeSource string

// How long reading a source and importing a file may take.
const (
	inspectTimeout = 20 * time.Second
	freezeTimeout  = 60 * time.Second
)

// Def is a public function at the top level of a file.
type Def struct {
	Name      string `json:"name"`
	Signature string `json:"signature"` // as in the source, on one line: "(a, b: int = 10) -> int"
	Doc       string `json:"doc"`       // first paragraph of its docstring
	Async     bool   `json:"async"`
	Line      int    `json:"line"`
	Hook      bool   `json:"hook"`      // a setup() that runs before the others' first call
	Generator bool   `json:"generator"` // it yields
}

// SyntaxError is why a file is not Python.
type SyntaxError struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"` // from 1, in characters
	Text    string `json:"text"`   // the line
	Message string `json:"message"`
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

// Excerpt shows the line with a caret under the place, or "".
func (e *SyntaxError) Excerpt() string {
	if strings.TrimSpace(e.Text) == "" {
		return ""
	}
	text := []rune(e.Text)
	caret := text[:max(0, min(e.Column-1, len(text)))]
	blank := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, string(caret))
	return e.Text + "\n" + blank + "^"
}

// Import is a top-level module, not of the standard library, that a file imports.
type Import struct {
	Name     string `json:"name"`
	Line     int    `json:"line"`
	Optional bool   `json:"optional"` // the file does without it: it stands in a try
}

// Reading is what a source file holds.
type Reading struct {
	Functions []Def    `json:"functions"`
	Imports   []Import `json:"imports"` // anywhere in it
}

// Inspect lists the public top-level functions of a source file, in its order.
func Inspect(ctx context.Context, python string, source []byte, filename string) ([]Def, error) {
	read, err := Read(ctx, python, source, filename)
	return read.Functions, err
}

// Read tells what a source file holds. Nothing is executed: python only parses. A file
// that is not Python gives an ErrInvalid that wraps a *SyntaxError.
func Read(ctx context.Context, python string, source []byte, filename string) (Reading, error) {
	ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	var answer struct {
		Reading
		Error *SyntaxError `json:"error"`
	}
	out, err := runScript(ctx, python, script{source: inspectSource, args: []string{filename}, stdin: source, alone: true})
	if err == nil {
		err = json.Unmarshal(out, &answer)
	}
	if err != nil {
		return Reading{}, &core.Error{Class: core.ErrUnavailable, Op: "read " + filename, Detail: python, Err: err}
	}
	if answer.Error != nil {
		answer.Error.File = filename
		return Reading{}, &core.Error{Class: core.ErrInvalid, Err: answer.Error}
	}
	return answer.Reading, nil
}

// Frozen is a function that was pickled by value.
type Frozen struct {
	Pickle    []byte
	Signature string
	Python    string   // minor version that made the pickle, such as "3.11"
	Globals   []Global // that it takes along, the largest first; only of Weigh
}

// Global is a value outside of a function that its pickle holds.
type Global struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Size  int    `json:"size"`  // of its own pickle, in bytes
	Error string `json:"error"` // why it cannot be pickled; "" if it can
}

// Weigh is FreezeDill that also tells what the function takes along. What cannot be
// pickled is no error here when it is a global: it is told as such.
func Weigh(ctx context.Context, python, file, entry string) (Frozen, error) {
	return freeze(ctx, python, file, entry, "weigh")
}

// FreezeDill imports a file and pickles one of its functions by value with
// dill, as `register --dill` wants it. The file's top level is executed. What
// it imports from beside itself is pickled by reference, so that workers need
// an --import-path for it.
func FreezeDill(ctx context.Context, python, file, entry string) (Frozen, error) {
	return freeze(ctx, python, file, entry)
}

func freeze(ctx context.Context, python, file, entry string, more ...string) (Frozen, error) {
	ctx, cancel := context.WithTimeout(ctx, freezeTimeout)
	defer cancel()
	op := fmt.Sprintf("pickle %s of %s", entry, filepath.Base(file))
	path, err := filepath.Abs(file)
	if err != nil {
		return Frozen{}, &core.Error{Class: core.ErrInvalid, Op: op, Err: err}
	}
	var answer struct {
		Pickle, Signature, Python string
		Type, Message, Traceback  string
		Globals                   []Global
	}
	s := script{source: freezeSource, args: append([]string{path, entry}, more...), dir: filepath.Dir(path), answer: true}
	out, err := runScript(ctx, python, s)
	if err == nil {
		err = json.Unmarshal(out, &answer)
	}
	if err != nil {
		return Frozen{}, &core.Error{Class: core.ErrUnavailable, Op: op, Detail: python, Err: err}
	}
	if answer.Type != "" {
		err := core.Errorf(core.ErrInvalid, op, "%s: %s\n%s", answer.Type, answer.Message, strings.TrimRight(answer.Traceback, "\n"))
		if answer.Type == "ModuleNotFoundError" && strings.Contains(answer.Message, "'dill'") {
			err = core.Errorf(core.ErrUnavailable, op, "%s has no dill", python).WithHint("type: make deps, or %s -m pip install dill", python)
		}
		return Frozen{}, err
	}
	pickle, err := hex.DecodeString(answer.Pickle)
	if slices.ContainsFunc(answer.Globals, func(g Global) bool { return g.Error != "" }) {
		return Frozen{Signature: answer.Signature, Python: answer.Python, Globals: answer.Globals}, nil
	}
	if err != nil || len(pickle) == 0 {
		return Frozen{}, core.Errorf(core.ErrInternal, op, "the interpreter's answer cannot be read")
	}
	return Frozen{Pickle: pickle, Signature: answer.Signature, Python: answer.Python, Globals: answer.Globals}, nil
}
