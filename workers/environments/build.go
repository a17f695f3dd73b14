package environments

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"faasctl/core"
)

// build makes an environment aside and renames it into place. It returns its size.
func (c *Cache) build(ctx context.Context, key string, python core.Interpreter, dependencies []string, tell func(string)) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.BuildTime)
	defer cancel()
	dir, err := os.MkdirTemp(c.cfg.Dir, buildPrefix)
	if err != nil {
		return 0, fmt.Errorf("make an environment: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		return 0, err
	}
	b := &builder{cfg: c.cfg, wheelsOnly: c.wheelsOnly, dir: dir, python: python, tell: tell}
	if err := b.install(ctx, dependencies); err != nil {
		return 0, b.failure(ctx, err, dependencies)
	}
	if err := b.addDill(ctx); err != nil {
		return 0, b.failure(ctx, err, dependencies)
	}
	// For tracebacks to name the right files, and for children that may not write here.
	tell("compiling")
	libs, _ := filepath.Glob(filepath.Join(dir, "lib", "python*", "site-packages"))
	for _, lib := range libs {
		final := filepath.Join(c.path(key, ""), strings.TrimPrefix(lib, dir))
		_ = b.run(ctx, python.Path, "-I", "-m", "compileall", "-q", "-d", final, lib) // some files may be for other versions
	}
	if err := retarget(filepath.Join(dir, "bin"), dir, c.path(key, "")); err != nil {
		return 0, err
	}
	if os.Geteuid() == 0 { // functions run as other users
		if err := readable(dir); err != nil {
			return 0, err
		}
	}
	size := measure(dir)
	for name, text := range map[string]string{sizeFile: strconv.FormatInt(size, 10), useFile: "", "requirements.txt": strings.Join(dependencies, "\n") + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return 0, err
		}
	}
	if _, err := os.Lstat(c.path(key, "")); err == nil && !c.remove(key) { // its interpreter is gone
		return 0, fmt.Errorf("replace the environment %s: it is in use", c.path(key, ""))
	}
	return size, os.Rename(dir, c.path(key, ""))
}

// readable lets every user read what a directory holds, whatever our umask is.
func readable(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm() | 0o444
		if entry.IsDir() || mode&0o100 != 0 {
			mode |= 0o111
		}
		return os.Chmod(path, mode)
	})
}

// builder runs the programs that make one environment.
type builder struct {
	cfg        Config
	wheelsOnly bool
	dir        string
	python     core.Interpreter
	tell       func(string)
	said       tail
}

// install makes the environment with uv where that is, else with venv and pip.
func (b *builder) install(ctx context.Context, dependencies []string) error {
	inside := filepath.Join(b.dir, "bin", "python")
	var options []string
	for _, wheels := range b.cfg.Wheels {
		options = append(options, "--find-links", wheels)
	}
	if b.wheelsOnly {
		options = append(options, "--only-binary", ":all:")
	}
	if uv, err := exec.LookPath("uv"); err == nil && !b.cfg.NoUV {
		if err := b.run(ctx, uv, "venv", "--quiet", "--no-project", "--allow-existing", "--python", b.python.Path, b.dir); err != nil {
			return err
		}
		if b.cfg.Offline {
			options = append(options, "--offline")
		}
		packages, err := b.packages(dependencies)
		if err != nil {
			return err
		}
		words := append([]string{"pip", "install", "--python", inside}, options...)
		return b.run(ctx, uv, append(words, packages...)...)
	}
	if b.cfg.Offline {
		options = append(options, "--no-index")
	}
	options = append([]string{"install", "--no-input", "--disable-pip-version-check", "--no-compile", "--progress-bar", "off",
		"--no-warn-script-location"}, options...)
	packages, err := b.packages(dependencies)
	if err != nil {
		return err
	}
	options = append(options, packages...)
	if b.pipElsewhere(ctx) { // saves unpacking another pip
		if err := b.run(ctx, b.python.Path, "-m", "venv", "--without-pip", b.dir); err != nil {
			return err
		}
		return b.run(ctx, b.python.Path, append([]string{"-m", "pip", "--python", inside}, options...)...)
	}
	if err := b.run(ctx, b.python.Path, "-m", "venv", b.dir); err != nil {
		return err
	}
	return b.run(ctx, inside, append([]string{"-m", "pip"}, options...)...)
}

// packages are the words by which an installer is told what to install. Hashes can only
// be said in a file, in which a package cannot say more than itself: see
// core.CleanDependencies.
func (b *builder) packages(dependencies []string) ([]string, error) {
	if !slices.ContainsFunc(dependencies, core.Hashed) {
		return append([]string{"--"}, dependencies...), nil
	}
	path := filepath.Join(b.dir, "requirements.txt")
	if err := os.WriteFile(path, []byte(strings.Join(dependencies, "\n")+"\n"), 0o644); err != nil {
		return nil, err
	}
	return []string{"--require-hashes", "-r", path}, nil
}

var pipVersion = regexp.MustCompile(`^pip ([0-9]+)\.([0-9]+)`)

// pipElsewhere reports whether the interpreter's own pip can install into another
// environment, as it can from 22.3 on.
func (b *builder) pipElsewhere(ctx context.Context) bool {
	cmd := exec.CommandContext(ctx, b.python.Path, "-m", "pip", "--version")
	cmd.Env, cmd.Dir = buildEnv(), b.dir
	out, err := cmd.Output()
	found := pipVersion.FindStringSubmatch(string(out))
	if err != nil || found == nil {
		return false
	}
	major, _ := strconv.Atoi(found[1])
	minor, _ := strconv.Atoi(found[2])
	return major > 22 || major == 22 && minor >= 3
}

// addDill copies the interpreter's dill, as arguments and functions may be pickles. It
// is one directory of Python files.
func (b *builder) addDill(ctx context.Context) error {
	libs, _ := filepath.Glob(filepath.Join(b.dir, "lib", "python*", "site-packages"))
	if b.python.Dill == "" || len(libs) != 1 {
		return nil
	}
	if _, err := os.Stat(filepath.Join(libs[0], "dill")); err == nil {
		return nil // it asked for one itself
	}
	cmd := exec.CommandContext(ctx, b.python.Path, "-c", "import dill; print(dill.__path__[0])")
	cmd.Env, cmd.Dir = buildEnv(), "/"
	out, err := cmd.Output()
	if err != nil {
		return nil // it is not there any more: then neither here
	}
	from := strings.TrimSpace(string(out))
	return os.CopyFS(filepath.Join(libs[0], "dill"), os.DirFS(from))
}

// failure makes what people are told of a failed step.
func (b *builder) failure(ctx context.Context, err error, dependencies []string) error {
	what := "the packages " + core.SayDependencies(dependencies)
	if len(what) > 300 {
		what = what[:300] + "…"
	}
	message := fmt.Sprintf("the environment with %s cannot be made for Python %s: %s", what, b.python.Version, b.reason(err))
	if b.wheelsOnly && lacksWheel.MatchString(b.said.text()) {
		message += "; this worker runs as root and installs only wheels, as building a package runs its code: if there is only its source," +
			" build it with pip wheel PACKAGE -w DIR and start workers with --wheels DIR, or start them as another user"
	}
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		message = fmt.Sprintf("the environment with %s was not made within %s", what, b.cfg.BuildTime)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return &Failure{Message: message, Output: b.said.text()}
}

// lacksWheel finds pip's and uv's words for a package that is not there in a form that
// may be installed. Both say the same of one that is not there at all.
var lacksWheel = regexp.MustCompile(`(?i)no matching distribution|no (usable |compatible )?wheels|building from source is disabled|was not found in the`)

// reason is the installer's own word where it has one.
func (b *builder) reason(err error) string {
	lines := strings.Split(strings.TrimSpace(b.said.text()), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		line := strings.TrimSpace(lines[i])
		if lower := strings.ToLower(line); strings.HasPrefix(lower, "error") || strings.HasPrefix(line, "×") {
			return line + causes(lines[i+1:])
		}
	}
	return err.Error()
}

// ofCause begins a line of uv's, in old and new words.
var ofCause = regexp.MustCompile(`^(Caused by|cause): `)

// causes are what uv says below an error to be its reasons.
func causes(below []string) (said string) {
	for _, line := range below {
		line = strings.TrimSpace(line)
		word := ofCause.FindString(line)
		if word == "" {
			return said
		}
		said += ": " + strings.TrimPrefix(line, word)
	}
	return said
}

// run runs a program, telling each line that it prints.
func (b *builder) run(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = b.dir, buildEnv()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	lines := &lineWriter{each: func(line string) {
		b.said.add(line)
		b.tell(line)
	}}
	cmd.Stdout, cmd.Stderr = io.Writer(lines), lines
	err := cmd.Run()
	lines.flush()
	if err != nil {
		return fmt.Errorf("%s %s: %w", filepath.Base(name), args[0], err)
	}
	return nil
}

// buildEnv is what installers get of our environment: a server's may hold tokens.
func buildEnv() (env []string) {
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		upper := strings.ToUpper(name)
		switch {
		case strings.HasPrefix(name, "PIP_"), strings.HasPrefix(name, "UV_"), strings.HasPrefix(name, "SSL_CERT_"), strings.HasPrefix(name, "XDG_"),
			strings.HasPrefix(name, "LC_"), strings.HasSuffix(upper, "_PROXY"),
			upper == "PATH", upper == "HOME", upper == "LANG", upper == "TMPDIR", upper == "REQUESTS_CA_BUNDLE", upper == "NETRC":
			env = append(env, pair)
		}
	}
	return append(env, "PYTHONDONTWRITEBYTECODE=", "PIP_ROOT_USER_ACTION=ignore", "UV_NO_PROGRESS=1", "NO_COLOR=1")
}

// retarget has the scripts of an environment that was made at one place run at another.
func retarget(dir, from, to string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || !info.Mode().IsRegular() || info.Size() > 1<<20 {
			continue
		}
		path := filepath.Join(dir, entry.Name())
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if changed := bytes.ReplaceAll(data, []byte(from), []byte(to)); !bytes.Equal(changed, data) {
			if err := os.WriteFile(path, changed, info.Mode().Perm()); err != nil {
				return err
			}
		}
	}
	return nil
}

// tail keeps the last lines that were said.
type tail struct {
	lines []string
	size  int
}

const tailBytes = 8 << 10

func (t *tail) add(line string) {
	t.lines = append(t.lines, line)
	for t.size += len(line) + 1; t.size > tailBytes && len(t.lines) > 1; t.lines = t.lines[1:] {
		t.size -= len(t.lines[0]) + 1
	}
}

func (t *tail) text() string { return strings.Join(t.lines, "\n") }

// lineWriter cuts what is written into lines of bounded length.
type lineWriter struct {
	each func(line string)
	rest []byte
}

const lineBytes = 1 << 10

func (w *lineWriter) Write(data []byte) (int, error) {
	w.rest = append(w.rest, data...)
	for {
		at := bytes.IndexAny(w.rest, "\r\n")
		if at < 0 && len(w.rest) < lineBytes {
			return len(data), nil
		}
		if at < 0 || at > lineBytes {
			at = lineBytes - 1
		}
		w.tell(w.rest[:at+1])
		w.rest = w.rest[at+1:]
	}
}

func (w *lineWriter) tell(line []byte) {
	if text := strings.TrimRight(strings.ToValidUTF8(string(line), "\uFFFD"), "\r\n "); text != "" {
		w.each(text)
	}
}

func (w *lineWriter) flush() {
	w.tell(w.rest)
	w.rest = nil
}
