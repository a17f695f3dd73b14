package pyrun

import (
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"faasctl/core"
)

// allowed lists what of our own environment a function may see, beside LC_*.
// It is an allow-list because a server's environment holds its tokens.
var allowed = map[string]bool{
	"PATH": true, "HOME": true, "LANG": true, "LANGUAGE": true, "TZ": true,
	"TMPDIR": true, "USER": true, "LOGNAME": true,
	// How many threads numeric libraries start. We set none where the operator has
	// not: what is right depends on how many slots are busy, and 1 would slow down
	// a lone large call without a word.
	"OMP_NUM_THREADS": true, "OPENBLAS_NUM_THREADS": true, "MKL_NUM_THREADS": true, "NUMEXPR_NUM_THREADS": true,
}

// childEnv composes the children's environment.
func childEnv(c Config) ([]string, error) {
	var env []string
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		if allowed[name] || strings.HasPrefix(name, "LC_") {
			env = append(env, pair)
		}
	}
	if path := importPath(c.ImportPath); path != "" {
		env = append(env, "PYTHONPATH="+path)
	}
	for _, pair := range c.Env {
		name, _, ok := strings.Cut(pair, "=")
		if !ok || name == "" || strings.HasPrefix(name, "FAASCTL_") || strings.ContainsRune(pair, 0) {
			return nil, core.Errorf(core.ErrInvalid, "", "%q is no variable for a function's environment", name).
				WithHint("write NAME=value; names beginning with FAASCTL_ are kept back")
		}
		env = append(env, pair)
	}
	return env, nil
}

// importPath joins the configured directories and our own PYTHONPATH, made
// absolute, because children work in another directory.
func importPath(dirs []string) string {
	var path []string
	for _, dir := range append(append([]string(nil), dirs...), filepath.SplitList(os.Getenv("PYTHONPATH"))...) {
		if dir == "" {
			continue
		}
		if whole, err := filepath.Abs(dir); err == nil {
			dir = whole
		}
		path = append(path, dir)
	}
	return strings.Join(path, string(filepath.ListSeparator))
}

// closeOnExec keeps every descriptor of this process from what it starts: some
// may have come to us from whoever started us, or from a careless library.
func closeOnExec() {
	if unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return
	}
	names, err := os.ReadDir("/proc/self/fd") // a kernel before 5.11
	if err != nil {
		return
	}
	for _, name := range names {
		if fd, err := strconv.Atoi(name.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}

// Undumpable hides this process's memory and environment from the children of
// the same user: without it any function may read them in procfs. It also
// turns core dumps off. Root still sees everything.
func Undumpable() error { return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) }
