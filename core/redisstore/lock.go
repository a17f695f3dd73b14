package redisstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"faasctl/core"
)

// DirLock is the right to use a data directory. Holding it proves that the
// previous holder is dead, as the kernel gives it up with the process, and so are
// the processes that it shared the lock with.
type DirLock struct {
	// Dir is the absolute path of the directory.
	Dir string
	// ID is random and belongs to the directory for ever: the principal of
	// the dispatchers and local workers that run on it.
	ID string

	file *os.File
}

// LockDir makes the directory if need be, mode 0700, and locks it. It fails
// with ErrConflict while another process has it, and with ErrForbidden when
// others could write into it. Processes that a dead one shared the lock with have
// a moment to follow it.
func LockDir(dir string) (*DirLock, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, dirError(dir, err)
	}
	op := "lock the data directory " + dir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, dirError(dir, err)
	}
	if err := checkDir(op, dir); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, dirError(dir, err)
	}
	if err := waitForDead(file); err != nil {
		defer file.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, dirError(dir, err)
		}
		return nil, core.Errorf(core.ErrConflict, op, "%s uses it", holder(file)).
			WithHint("stop that one, or choose another directory with --data")
	}
	lock := &DirLock{Dir: dir, file: file}
	if lock.ID, err = lock.prepare(); err != nil {
		_ = lock.Close()
		return nil, dirError(dir, err)
	}
	return lock, nil
}

// Close gives the directory up, unless a process that it is shared with lives.
func (l *DirLock) Close() error { return l.file.Close() }

// Share is what a child process inherits that must not outlive us unnoticed: while
// it has the file open, the directory cannot be locked anew.
func (l *DirLock) Share() *os.File { return l.file }

// dying is how long the children of a dead holder may take to end.
const dying = 5 * time.Second

// waitForDead takes the lock, and waits for it while its holder is dead.
func waitForDead(file *os.File) error {
	for deadline := time.Now().Add(dying); ; time.Sleep(5 * time.Millisecond) { // nothing tells of a lock that is given up
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(deadline) {
			return err
		}
		if pid, ok := holderOf(file); !ok || running(pid) {
			return err
		}
	}
}

func running(pid int) bool {
	_, state, ok := processStart(pid)
	return ok && state != 'Z'
}

// prepare writes our pid and reads the directory's id, or makes one.
func (l *DirLock) prepare() (string, error) {
	if err := l.file.Truncate(0); err != nil {
		return "", err
	}
	if _, err := l.file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return "", err
	}
	path := filepath.Join(l.Dir, "id")
	if text, err := os.ReadFile(path); err == nil {
		if id, err := uuid.Parse(strings.TrimSpace(string(text))); err == nil {
			return id.String(), nil
		}
	}
	id := uuid.NewString()
	return id, writeFile(path, []byte(id+"\n"))
}

// checkDir refuses a directory that is not ours alone to write.
func checkDir(op, dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return dirError(dir, err)
	}
	if !info.IsDir() {
		return core.Errorf(core.ErrInvalid, op, "it is not a directory").WithHint("choose another with --data")
	}
	if info.Mode().Perm()&0o022 != 0 {
		return core.Errorf(core.ErrForbidden, op, "others can write into it (mode %04o)", info.Mode().Perm()).
			WithHint("chmod go-w %s, or choose another directory with --data", dir)
	}
	return nil
}

func dirError(dir string, err error) error {
	class := core.ErrUnavailable
	if errors.Is(err, os.ErrPermission) {
		class = core.ErrForbidden
	}
	e := &core.Error{Class: class, Op: "use the data directory " + dir, Err: err}
	return e.WithHint("choose another directory with --data or FAASCTL_DATA")
}

// holder names the process that wrote the lock file.
func holder(file *os.File) string {
	pid, ok := holderOf(file)
	switch {
	case !ok:
		return "another faasctl"
	case !running(pid):
		return fmt.Sprintf("a worker of an earlier faasctl, process %d, which is dead,", pid)
	}
	return fmt.Sprintf("another faasctl, process %d,", pid)
}

// holderOf reads the process that wrote the lock file.
func holderOf(file *os.File) (pid int, ok bool) {
	text := make([]byte, 32)
	n, _ := file.ReadAt(text, 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text[:n])))
	return pid, err == nil
}

// writeFile replaces a file of ours at once: a reader sees the old text or the
// new, and a crash leaves one of the two.
func writeFile(path string, text []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = temp.Write(text)
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(temp.Name())
	}
	return err
}
