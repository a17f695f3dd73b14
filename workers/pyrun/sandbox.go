package pyrun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"faasctl/core"
)

// Sandboxes that functions can be shut in.
const (
	NoSandbox = "none"
	Bwrap     = "bwrap"
)

// The sandbox is a list of what is there, not of what is hidden: the system's
// programs and libraries, the interpreter, the import paths and what the
// operator shares, all of it read-only, and a private /tmp. What is not on the
// list, such as the data directory, keys, other people's homes, sockets, does
// not exist inside. There is no network but a loopback of its own, and no
// process but the child and what it starts.

// jail is a sandbox of one pool: what every child's is made of.
type jail struct {
	program string   // bwrap
	options []string // but for the environment and the place for /tmp
}

// systemDirs are where programs and libraries lie. On most systems all but the
// first are links into it.
var systemDirs = []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store"}

// systemFiles are what programs look up and what holds no secret on any system.
var systemFiles = []string{
	"/etc/alternatives", "/etc/ca-certificates", "/etc/debian_version", "/etc/fonts", "/etc/group", "/etc/hosts", "/etc/ld.so.cache",
	"/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime", "/etc/mime.types", "/etc/nsswitch.conf", "/etc/os-release", "/etc/passwd",
	"/etc/pki/ca-trust/extracted", "/etc/pki/tls/certs", "/etc/protocols", "/etc/services", "/etc/ssl/certs", "/etc/ssl/openssl.cnf",
	"/etc/timezone", "/sys/devices/system/cpu", "/sys/devices/system/node",
}

// privateTmp is how much the sandbox's own /tmp holds, in bytes of memory. What
// asks for a temporary directory is given another, on disk: see arguments.
const privateTmp = "67108864"

// launchers is how many processes of bwrap there are for each child.
const launchers = 2

// argsFD is the descriptor that bwrap reads its options from: a command line
// could be read by every user of the machine.
const argsFD = 9

// newJail composes the sandbox for a pool and tries whether it holds, as a user
// (-1: ours).
func newJail(c Config, env []string, uid int) (*jail, error) {
	const op = "make a sandbox"
	program, err := exec.LookPath("bwrap")
	if err != nil {
		return nil, core.Errorf(core.ErrUnavailable, op, "there is no bwrap on this machine").
			WithHint("install it: apt-get install bubblewrap, dnf install bubblewrap; or --sandbox none")
	}
	if program, err = filepath.Abs(program); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	var needs []string
	for _, python := range c.Interpreters {
		paths, err := interpreterPaths(ctx, python.Path)
		if err != nil {
			return nil, &core.Error{Class: core.ErrUnavailable, Op: op, Detail: python.Path, Err: err}
		}
		needs = append(needs, paths...)
	}
	j := &jail{program: program}
	if err := j.compose(c, needs); err != nil {
		return nil, err
	}
	for _, python := range c.Interpreters {
		if err := j.try(ctx, python.Path, c.Hide, env, uid); err != nil {
			return nil, (&core.Error{Class: core.ErrUnavailable, Op: op, Detail: python.Path, Err: err}).
				WithHint("faasctl doctor says what this machine can do; --sandbox none goes without")
		}
	}
	return j, nil
}

// TrySandbox makes a sandbox for the interpreters of c and looks around in it. It
// returns the launcher's version.
func TrySandbox(c Config) (version string, err error) {
	c = c.withDefaults()
	env, err := childEnv(c)
	if err != nil {
		return "", err
	}
	users, _, err := chooseUsers(c)
	if err != nil {
		return "", err
	}
	j, err := newJail(c, env, users.one())
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, j.program, "--version").Output()
	return toText([]byte(strings.TrimSpace(string(out))), 64), err
}

// compose lists the options.
func (j *jail) compose(c Config, needs []string) error {
	j.options = []string{
		"--unshare-user", "--disable-userns", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try",
		"--die-with-parent", "--cap-drop", "ALL", "--hostname", "sandbox",
		"--size", privateTmp, "--tmpfs", "/tmp", "--size", privateTmp, "--tmpfs", "/var/tmp",
	}
	var v view
	for _, dir := range systemDirs {
		v.system(dir)
	}
	for _, path := range systemFiles {
		v.add("--ro-bind-try", path)
	}
	for _, python := range c.Interpreters {
		v.chain(python.Path, needs)
	}
	for _, path := range append(append(slices.Clone(needs), c.ImportPath...), filepath.SplitList(os.Getenv("PYTHONPATH"))...) {
		if path != "" {
			v.add("--ro-bind-try", path)
		}
	}
	if c.Environments != nil {
		v.add("--ro-bind-try", c.Environments.Dir())
	}
	if c.Environments != nil { // what functions depend on; more come while children live
		v.add("--ro-bind", c.Environments.Dir())
	}
	for _, share := range c.Share {
		path, writable, err := parseShare(share)
		if err != nil {
			return err
		}
		if writable {
			v.add("--bind", path)
		} else {
			v.add("--ro-bind", path)
		}
	}
	j.options = append(j.options, v.options...)
	hidden, err := v.hide(c.Hide)
	if err != nil {
		return err
	}
	j.options = append(append(j.options, hidden...), "--proc", "/proc", "--dev", "/dev")
	return nil
}

// parseShare reads PATH or PATH:rw.
func parseShare(text string) (path string, writable bool, err error) {
	path, writable = strings.CutSuffix(text, ":rw")
	path, _ = strings.CutSuffix(path, ":ro")
	if path, err = filepath.Abs(path); err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		return "", false, core.Errorf(core.ErrInvalid, "", "--share %s: %s", text, err).WithHint("name what exists here: --share /data, or --share /data:rw to let functions write there")
	}
	if path == "/" {
		return "", false, core.Errorf(core.ErrInvalid, "", "--share / would leave nothing of the sandbox").WithHint("share what functions need, or say --sandbox none")
	}
	return path, writable, nil
}

// view is the file system inside, as far as it was put together.
type view struct {
	options []string
	shown   []string // what can be seen, with all below it
	links   []string // links that stand in its place
}

// system shows a directory of the system, as what it is: a directory or a link.
func (v *view) system(path string) {
	if target, err := os.Readlink(path); err == nil {
		v.options = append(v.options, "--symlink", target, path)
		v.links = append(v.links, path)
		return
	}
	v.add("--ro-bind-try", path)
}

// add shows a path under its name, and where that is a link also under what it
// is a link to: programs ask for both.
func (v *view) add(how, path string) {
	path, err := filepath.Abs(path)
	if err != nil {
		return
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return // it is not there, and need not be
	}
	for _, dest := range []string{real, path} {
		if how != "--bind" && v.has(dest) {
			continue
		}
		v.options = append(v.options, how, real, dest)
		v.shown = append(v.shown, dest)
	}
}

// chain shows the links that lead from an interpreter's path to its file, where
// no directory does that is shown anyway.
func (v *view) chain(link string, dirs []string) {
	for range 40 {
		target, err := os.Readlink(link)
		if err != nil {
			return
		}
		if !v.has(link) && !within(link, dirs) {
			v.options = append(v.options, "--symlink", target, link)
			v.links = append(v.links, link)
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(link), target)
		}
		link = target
	}
}

func (v *view) has(path string) bool { return within(path, v.shown) || within(path, v.links) }

// within reports whether path is one of dirs or below one.
func within(path string, dirs []string) bool {
	return slices.ContainsFunc(dirs, func(dir string) bool {
		return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
	})
}

// hide covers paths that must not be seen and would be, because they lie in
// what is shown.
func (v *view) hide(paths []string) (options []string, err error) {
	for _, given := range paths {
		path, err := filepath.Abs(given)
		if err != nil {
			return nil, err
		}
		names := []string{path}
		if real, err := filepath.EvalSymlinks(path); err == nil && real != path {
			names = append(names, real)
		}
		for _, name := range names {
			info, err := os.Stat(name)
			if err != nil {
				continue
			}
			for _, shown := range v.shown {
				if within(shown, []string{name}) {
					return nil, core.Errorf(core.ErrInvalid, "", "%s is to be read by functions, and lies in %s, which holds secrets", shown, name).
						WithHint("keep what functions read elsewhere")
				}
			}
			switch {
			case !within(name, v.shown):
			case info.IsDir():
				options = append(options, "--tmpfs", name, "--remount-ro", name)
			default:
				options = append(options, "--ro-bind", os.DevNull, name)
			}
		}
	}
	return options, nil
}

// arguments is what bwrap reads from argsFD for a child that works in work: a
// directory that has the same name inside, and that alone it may write to.
func (j *jail) arguments(work string, env []string) []byte {
	options := append(slices.Clone(j.options), "--bind", work, work, "--chdir", work, "--remount-ro", "/")
	for _, pair := range inside(env, work) {
		name, value, _ := strings.Cut(pair, "=")
		options = append(options, "--setenv", name, value)
	}
	return []byte(strings.Join(options, "\x00") + "\x00")
}

// inside changes an environment to what is true in the sandbox.
func inside(env []string, work string) (changed []string) {
	own := []string{"TMPDIR=" + work, "HOME=" + work}
	for _, pair := range env {
		name, _, _ := strings.Cut(pair, "=")
		if name != "TMPDIR" && name != "HOME" {
			changed = append(changed, pair)
		}
	}
	return append(changed, own...)
}

// interpreterPaths asks an interpreter what it consists of.
func interpreterPaths(ctx context.Context, python string) (paths []string, err error) {
	const ask = `import json, os, sys
paths = [sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix, os.__file__, *sys.path]
print("\n" + json.dumps([p for p in dict.fromkeys(paths) if p and p != "/" and os.path.isabs(p)]))
`
	out, err := runScript(ctx, python, script{source: ask})
	if err == nil {
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		err = json.Unmarshal([]byte(lines[len(lines)-1]), &paths)
	}
	return paths, err
}

// look is what a program inside says it sees.
type look struct {
	PID        int      `json:"pid"`
	Networks   []string `json:"networks"`
	Launcher   int      `json:"launcher"` // bytes of its environment
	Writable   []string `json:"writable"` // directories of the system in which it could make a file
	Visible    []string `json:"visible"`  // of what is to be hidden
	Privileges string   `json:"privileges"`
}

const lookAround = `import json, os, socket, sys
def writable(path):
    try:
        os.close(os.open(os.path.join(path, ".faasctl-probe"), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        os.unlink(os.path.join(path, ".faasctl-probe"))
        return True
    except OSError:
        return False
def visible(path):
    try:
        return bool(os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(1))
    except OSError:
        return False
try:
    with open("/proc/1/environ", "rb") as file:
        launcher = len(file.read())
except OSError:
    launcher = 0
with open("/proc/self/status") as file:
    privileges = [line.split()[1] for line in file if line.startswith("CapEff")][0]
print(json.dumps({
    "pid": os.getpid(), "networks": [name for _, name in socket.if_nameindex()], "launcher": launcher, "privileges": privileges,
    "writable": [p for p in ("/usr", "/etc", "/usr/bin", "/bin", "/opt") if writable(p)], "visible": [p for p in sys.argv[1:] if visible(p)],
}))
`

// try runs a program in the sandbox that looks around, and fails unless it saw
// what it should and nothing else: a sandbox that does not hold is none.
func (j *jail) try(ctx context.Context, python string, hide, env []string, uid int) error {
	work, err := os.MkdirTemp("", "faasctl-sandbox-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	attributes := &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if uid >= 0 {
		attributes.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}
		if err := os.Chown(work, uid, uid); err != nil {
			return err
		}
	}
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close()
	defer write.Close()
	cmd := exec.CommandContext(ctx, j.program, append([]string{"--args", "3", "--", python, "-I", "-S", "-c", lookAround}, hide...)...)
	var out, said bounded
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = []string{}, "/", &out, &said
	cmd.ExtraFiles, cmd.SysProcAttr, cmd.WaitDelay = []*os.File{read}, attributes, lingering
	if err := cmd.Start(); err != nil {
		return err
	}
	_, failed := write.Write(j.arguments(work, env))
	err = errors.Join(failed, write.Close(), cmd.Wait())
	if err != nil {
		return wrap(ctx, err, said.data)
	}
	var saw look
	if err := json.Unmarshal(out.data, &saw); err != nil {
		return fmt.Errorf("a program inside does not say what it sees: %w", err)
	}
	return saw.judge()
}

func (l look) judge() error {
	var holes []string
	add := func(broken bool, format string, args ...any) {
		if broken {
			holes = append(holes, fmt.Sprintf(format, args...))
		}
	}
	add(l.PID > 9, "processes of the machine")
	add(len(l.Networks) > 1 || len(l.Networks) == 1 && l.Networks[0] != "lo", "the network (%s)", strings.Join(l.Networks, " "))
	add(l.Launcher > 0, "the launcher's environment")
	add(len(l.Writable) > 0, "%s, and may write there", strings.Join(l.Writable, ", "))
	add(len(l.Visible) > 0, "%s", strings.Join(l.Visible, ", "))
	add(strings.Trim(l.Privileges, "0") != "", "privileges (%s)", l.Privileges)
	if len(holes) > 0 {
		return fmt.Errorf("it does not hold: a program inside sees %s", strings.Join(holes, "; "))
	}
	return nil
}

// outside is how the process inside ended, whose launcher ended so: it passes a
// signal on as an exit status above 128, as shells do. A function that calls
// os._exit with such a number cannot be told apart.
func outside(wait syscall.WaitStatus) syscall.WaitStatus {
	if status := wait.ExitStatus(); wait.Exited() && status > 128 && status <= 128+64 {
		return syscall.WaitStatus(status - 128)
	}
	return wait
}

// openArgs makes the pipe that bwrap reads its options from. It starts nothing
// before it has read them all, so that until then it can be put where it belongs.
func openArgs() (read, write int, err error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return -1, -1, fmt.Errorf("make a pipe: %w", err)
	}
	return p[0], p[1], nil
}

// sendArgs writes the options and closes the pipe.
func sendArgs(write int, data []byte) error {
	file := os.NewFile(uintptr(write), "options")
	_, err := file.Write(data)
	return errors.Join(err, file.Close())
}
