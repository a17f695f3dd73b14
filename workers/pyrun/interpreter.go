package pyrun

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"faasctl/core"
)

// minPython is the oldest minor version of Python 3 that the runner runs on.
const minPython = 8

// probeTimeout bounds one look at an interpreter. A shim alone takes 170 ms.
const probeTimeout = 20 * time.Second

//go:embed probe.py
var probeSource string

// Probe is one interpreter that was looked at, for doctor and for errors.
type Probe struct {
	Origin      string // why it was looked at: "--python", "FAASCTL_PYTHON", "make deps", "PATH", "system"
	Path        string // as it was given
	Interpreter core.Interpreter
	Err         error  // why it cannot be used; nil if it can
	Warning     string // what does not work with it; "" for nothing
	Cached      bool   // known from an earlier look
}

// Find chooses the interpreter that functions run with: wanted (--python), or
// FAASCTL_PYTHON, or the first that imports dill of: the environment that
// `make deps` made, python3 on PATH, the system's. It returns all that it
// looked at. One that was named explicitly is never replaced by another: it is
// taken without dill, with a Warning, because source functions with JSON
// arguments need none; when it does not run at all that is an error.
func Find(ctx context.Context, wanted string) (core.Interpreter, []Probe, error) {
	origin := "--python"
	if wanted == "" {
		origin, wanted = "FAASCTL_PYTHON", os.Getenv("FAASCTL_PYTHON")
	}
	memory := openProbes()
	defer memory.save()
	if wanted != "" {
		probe := memory.look(ctx, origin, wanted)
		if probe.Err != nil {
			err := &core.Error{Class: core.ErrUnavailable, Op: origin + " " + wanted, Err: probe.Err}
			return core.Interpreter{}, []Probe{probe}, err.WithHint("name a Python 3.%d or later", minPython)
		}
		if probe.Interpreter.Dill == "" {
			probe.Warning = fmt.Sprintf("has no dill: functions and arguments that were pickled cannot be loaded; type: %s -m pip install dill", probe.Interpreter.Path)
		}
		return probe.Interpreter, []Probe{probe}, nil
	}
	var probes []Probe
	for _, c := range candidates() {
		probe := memory.look(ctx, c.origin, c.path)
		if probe.Err == nil && probe.Interpreter.Dill == "" {
			probe.Err = errors.New("has no dill")
		}
		probes = append(probes, probe)
		if probe.Err == nil {
			return probe.Interpreter, probes, nil
		}
	}
	detail := "there is no Python here"
	if len(probes) > 0 {
		var seen []string
		for _, p := range probes {
			seen = append(seen, p.Path+" "+p.Err.Error())
		}
		detail = "no Python here can be used: " + strings.Join(seen, "; ")
	}
	return core.Interpreter{}, probes, core.Errorf(core.ErrUnavailable, "find a Python interpreter", "%s", detail).
		WithHint("type: make deps, or name one with --python PATH")
}

// FindAll is Find for a worker that may use several: all that were named, in that
// order, each once; else the one that Find chooses. The first is the default.
func FindAll(ctx context.Context, wanted []string) ([]core.Interpreter, []Probe, error) {
	if len(wanted) == 0 {
		wanted = []string{""}
	}
	var found []core.Interpreter
	var probes []Probe
	for _, one := range wanted {
		interpreter, looked, err := Find(ctx, one)
		probes = append(probes, looked...)
		if err != nil {
			return nil, probes, err
		}
		if !slices.ContainsFunc(found, func(i core.Interpreter) bool { return i.Path == interpreter.Path }) {
			found = append(found, interpreter)
		}
	}
	return found, probes, nil
}

type candidate struct{ origin, path string }

// candidates lists the interpreters that nobody named and that exist.
func candidates() (list []candidate) {
	seen := map[string]bool{}
	add := func(origin, path string) {
		if path == "" || seen[path] {
			return
		}
		seen[path] = true
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			list = append(list, candidate{origin, path})
		}
	}
	if os.Geteuid() == 0 {
		add("make deps", "/opt/faasctl/python/bin/python3")
	}
	add("make deps", under("XDG_DATA_HOME", ".local/share", "faasctl/python/bin/python3"))
	if path, err := exec.LookPath("python3"); err == nil {
		add("PATH", path)
	}
	add("system", "/usr/bin/python3")
	return list
}

// under is a path in one of the user's XDG directories, "" when there is none.
func under(variable, fallback, path string) string {
	if base := os.Getenv(variable); filepath.IsAbs(base) {
		return filepath.Join(base, path)
	}
	if home, err := os.UserHomeDir(); err == nil && home != "" {
		return filepath.Join(home, fallback, path)
	}
	return ""
}

// probe runs an interpreter once to learn what it is.
func probe(ctx context.Context, path string) (core.Interpreter, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var info struct {
		core.Interpreter
		Why string `json:"why"`
	}
	out, err := runScript(ctx, path, script{source: probeSource})
	if err != nil {
		return core.Interpreter{}, err
	}
	out = bytes.TrimSpace(out)
	if err := json.Unmarshal(out[bytes.LastIndexByte(out, '\n')+1:], &info); err != nil || info.Path == "" {
		return core.Interpreter{}, errors.New("does not behave like a Python interpreter")
	}
	if !supported(info.Version) {
		return info.Interpreter, fmt.Errorf("is Python %s, and 3.%d is the oldest that works", info.Version, minPython)
	}
	return info.Interpreter, nil
}

// supported reports whether the runner runs on a Python version.
func supported(version string) bool {
	parts := strings.Split(version, ".")
	if len(parts) < 2 || parts[0] != "3" {
		return false
	}
	minor, err := strconv.Atoi(parts[1])
	return err == nil && minor >= minPython
}
