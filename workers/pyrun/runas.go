package pyrun

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"faasctl/core"
)

// users is the range of user ids that slots run under, one each; zero = our own.
type users struct{ first, last int }

// The range that auto takes. No distribution hands these ids out: they lie
// between those of people and those of services that are made on the fly.
var autoUsers = users{60578, 61183}

func (u users) none() bool { return u.first == 0 }

// one is a user to try things as; -1: ours.
func (u users) one() int {
	if u.none() {
		return -1
	}
	return u.first
}

func (u users) String() string {
	if u.none() {
		if os.Geteuid() == 0 {
			return "root"
		}
		return "uid " + strconv.Itoa(os.Geteuid())
	}
	return fmt.Sprintf("uids %d-%d, one per slot", u.first, u.last)
}

// parseUsers reads auto, none or FIRST-LAST.
func parseUsers(text string) (u users, auto bool, err error) {
	switch text {
	case "auto":
		return autoUsers, true, nil
	case "", "none":
		return users{}, false, nil
	}
	first, last, several := strings.Cut(text, "-")
	if !several {
		last = first
	}
	u.first, err = strconv.Atoi(first)
	if err == nil {
		u.last, err = strconv.Atoi(last)
	}
	if err != nil || u.first < 1 || u.last < u.first || u.last > 1<<31-2 {
		return users{}, false, core.Errorf(core.ErrInvalid, "", "--run-as cannot be %q", clip(text, 32)).
			WithHint("write auto, none, or a range of unprivileged user ids such as 70000-70099")
	}
	return u, false, nil
}

// CheckRunAs reports a RunAs that means nothing.
func (r Rules) CheckRunAs() error {
	_, _, err := parseUsers(r.RunAs)
	return err
}

// chooseUsers says under which users the slots of c run, and why not under
// unprivileged ones.
func chooseUsers(c Config) (u users, why string, err error) {
	u, auto, err := parseUsers(c.RunAs)
	if err != nil || u.none() {
		return users{}, "", err
	}
	if os.Geteuid() != 0 {
		if auto {
			return users{}, "", nil
		}
		return users{}, "", core.Errorf(core.ErrInvalid, "", "--run-as %s needs a worker that runs as root", clip(c.RunAs, 32))
	}
	if n := u.last - u.first + 1; n < c.Slots {
		if auto {
			return users{}, fmt.Sprintf("%d slots are more than there are users for", c.Slots), nil
		}
		return users{}, "", core.Errorf(core.ErrInvalid, "", "--run-as %s has %d users for %d slots", c.RunAs, n, c.Slots).
			WithHint("each slot needs one of its own")
	}
	for _, python := range c.Interpreters {
		err := tryUser(c, python.Path, u.first)
		switch {
		case err != nil && auto:
			return users{}, err.Error(), nil
		case err != nil:
			return users{}, "", core.Errorf(core.ErrUnavailable, "", "--run-as %s: %s", c.RunAs, err)
		}
	}
	return u, "", nil
}

// readable is run as a user that functions are to run as: can it start the
// interpreter, import dill where there is one, and read the import paths?
const readable = `import sys
import os, json, ctypes, importlib.util
dill = importlib.util.find_spec("dill")
for path in sys.argv[1:]:
    try:
        entries = list(os.scandir(path))[:200]
    except (FileNotFoundError, NotADirectoryError):
        continue
    for entry in entries:
        if entry.name.endswith(".py"):
            open(entry.path).close()
if dill is not None:
    open(dill.origin).close()
`

// workDir makes a private directory for functions to work in, below which slots
// have theirs: functions write files without saying where, and neither the
// directory that the server was started in nor a shared one is a place for that.
func workDir() (string, error) {
	dir, err := os.MkdirTemp("", "faasctl-work-")
	if err == nil {
		err = os.Chmod(dir, 0o711) // the slots' users only pass through
	}
	if err != nil {
		return "", fmt.Errorf("make the functions' working directory: %w", err)
	}
	return dir, nil
}

// tryUser reports why functions cannot run as a user.
func tryUser(c Config, python string, uid int) error {
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	env, err := childEnv(c)
	if err != nil {
		return err
	}
	dir, err := workDir()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path := filepath.SplitList(importPath(c.ImportPath))
	cmd := exec.CommandContext(ctx, python, append([]string{"-c", readable}, path...)...)
	cmd.Env, cmd.Dir = env, dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential(uid)}
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	lines := strings.Split(strings.TrimSpace(toText(out, 4096)), "\n")
	if last := lines[len(lines)-1]; last != "" {
		return fmt.Errorf("uid %d cannot use %s and the import paths: %s", uid, python, last)
	}
	return fmt.Errorf("uid %d cannot run %s: %w", uid, python, err)
}

func credential(uid int) *syscall.Credential {
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)} // and no other groups
}

// take reserves a user for one slot: no other worker of this machine has it as
// long as the returned descriptor is open. The reservation is a name that ends
// with its process, however that ends.
func (u users) take() (uid, fd int, err error) {
	for uid = u.first; uid <= u.last; uid++ {
		fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return -1, -1, fmt.Errorf("reserve a user: %w", err)
		}
		if unix.Bind(fd, &unix.SockaddrUnix{Name: "@faasctl-uid-" + strconv.Itoa(uid)}) == nil {
			return uid, fd, nil
		}
		_ = unix.Close(fd)
	}
	return -1, -1, fmt.Errorf("every user of %d-%d is taken by another slot", u.first, u.last)
}
