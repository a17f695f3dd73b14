package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"faasctl/core"
	"faasctl/workers/pyrun"
)

// secondPython finds an interpreter of another minor version than functions run with
// by default, and a directory by which it imports the dill of that one.
var secondPython = sync.OnceValues(func() ([]string, error) {
	first, _, err := pyrun.Find(context.Background(), "")
	if err != nil {
		return nil, err
	}
	out, err := exec.Command(first.Path, "-c", "import dill; print(dill.__path__[0])").Output()
	if err != nil {
		return nil, err
	}
	lib := filepath.Join(scratch, "dill")
	if err := os.CopyFS(filepath.Join(lib, "dill"), os.DirFS(strings.TrimSpace(string(out)))); err != nil {
		return nil, err
	}
	for _, path := range pythonsHere() {
		cmd := exec.Command(path, "-c", "import sys, dill; print('%d.%d' % sys.version_info[:2]); print(sys.executable)")
		cmd.Env = append(os.Environ(), "PYTHONPATH="+lib)
		out, err := cmd.Output()
		version, real, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
		if err != nil || version == minor(first.Version) || core.CheckPython(version) != nil || strings.HasPrefix(version, "2.") {
			continue
		}
		return []string{"PYTHON=" + first.Path, "VERSION1=" + minor(first.Version), "PYTHON2=" + real, "VERSION2=" + version, "DILL=" + lib}, nil
	}
	return nil, fmt.Errorf("only Python %s is here", first.Version)
})

// pythonsHere are paths that may be interpreters.
func pythonsHere() (paths []string) {
	dirs := filepath.SplitList(os.Getenv("PATH"))
	if home, err := os.UserHomeDir(); err == nil {
		more, _ := filepath.Glob(filepath.Join(home, ".pyenv/versions/3.*/bin"))
		dirs = append(more, dirs...)
	}
	for _, dir := range dirs {
		more, _ := filepath.Glob(filepath.Join(dir, "python3.[0-9]*[0-9]"))
		paths = append(paths, more...)
	}
	return paths
}
