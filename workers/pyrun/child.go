package pyrun

import (
	"bytes"
	"embed"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"faasctl/core"
)

//go:embed runner/*.py
var runnerFiles embed.FS

// bootstrap reads the runner from the calls pipe. It is so short because it is
// what ps shows; the runner comes through the pipe because files would have to
// lie where another user can replace them. python -c puts the working directory,
// where functions may write, in front of sys.path: it is taken out before
// anything is imported.
//
//go:embed bootstrap.py
var bootstrap string

// runnerSource is what bootstrap reads: the files of the runner, each after its
// name and a line's end, with a NUL, which no source has, between them.
var runnerSource = sync.OnceValue(func() []byte {
	var parts [][]byte
	files, _ := fs.Glob(runnerFiles, "runner/*.py")
	for _, path := range files {
		source, _ := runnerFiles.ReadFile(path)
		parts = append(parts, append([]byte(filepath.Base(path)+"\n"), source...))
	}
	return bytes.Join(parts, []byte{0})
})

// protocol is the version of the frames; it must equal PROTOCOL of the runner.
const protocol = 1

// pipeSize is what the calls and results pipes hold where the system lets us.
const pipeSize = 256 << 10

// readSize is how much one read takes, in bytes.
const readSize = 64 << 10

// hello is what a child says when it is ready.
type hello struct {
	Protocol   int    `json:"protocol"`
	PID        int    `json:"pid"`
	Python     string `json:"python"`
	Dill       string `json:"dill"`
	Executable string `json:"executable"`
	Platform   string `json:"platform"`

	Lacking map[string]string `json:"lacking"` // why modules could not be preloaded
}

// child is one Python process and our ends of its pipes. Only the goroutine of
// its slot uses it.
type child struct {
	python string    // path of the interpreter
	held   io.Closer // its environment; nil for none
	pid    int
	pidfd  int // becomes readable when the process ends; -1 where the kernel has none

	calls, results, stdout, stderr int
	notes                          int // see openNotes
	control                        int // see openControl

	strays   []stray
	strayAt  time.Time // when to look at them again
	strayLog time.Time // no line about them is logged before
	strayOut int       // bytes of theirs since the last line

	out  []byte // not written yet
	cell *cell

	in     []byte // read and not parsed yet; a part of buffer
	buffer []byte
	limit  int // of a frame's payload

	hello  hello
	ready  bool
	bodies bodies

	oom    bool  // the kernel has killed for its cell's memory
	jailed bool  // pid is of the sandbox's launcher
	peak   int64 // the most memory it is known to have had, in bytes
	floor  int64 // what a process counts as its peak that we start, in bytes

	bounds core.Limits // in force on its last calls
	env    string      // variables that its calls find, as find has them
	usage  usage
	fresh  bool // its call was to have it for itself
	shared bool // a call has left threads in it that go on
	served int  // calls that were handed to it to run in itself, not in forks
}

// spawn starts a child in a cell. The caller runs on the pool's forking thread.
func spawn(c Config, jail *jail, cell *cell, env []string) (*child, error) {
	ch := &child{cell: cell, python: c.Python, pid: -1, pidfd: -1, calls: -1, results: -1, stdout: -1, stderr: -1, notes: -1, control: -1, limit: c.frameLimit()}
	var theirs []int
	defer func() { closeAll(theirs...) }()
	null, err := unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", os.DevNull, err)
	}
	theirs = append(theirs, null)
	pipe := func(ours *int, mine int) (int, error) {
		var p [2]int
		if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
			return -1, fmt.Errorf("make a pipe: %w", err)
		}
		*ours = p[mine]
		theirs = append(theirs, p[1-mine])
		return p[1-mine], unix.SetNonblock(p[mine], true)
	}
	calls, err1 := pipe(&ch.calls, 1)
	results, err2 := pipe(&ch.results, 0)
	stdout, err3 := pipe(&ch.stdout, 0)
	stderr, err4 := pipe(&ch.stderr, 0)
	var err5 error
	ch.notes, err5 = openNotes()
	control := -1
	var err6 error
	ch.control, control, err6 = openControl()
	theirs = append(theirs, control)
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
		ch.close()
		return nil, err
	}
	for _, fd := range []int{ch.calls, ch.results} {
		_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, pipeSize) // smaller ones only cost wake-ups
	}
	files := []uintptr{uintptr(null), uintptr(stdout), uintptr(stderr), uintptr(calls), uintptr(results), uintptr(ch.stdout), uintptr(ch.stderr), uintptr(ch.notes), uintptr(control)}
	attributes := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, PidFD: &ch.pidfd}
	if cell.uid >= 0 {
		attributes.Credential = credential(cell.uid)
		for _, fd := range []int{stdout, stderr} { // /dev/stdout is opened anew, by that user
			_ = unix.Fchown(fd, cell.uid, cell.uid)
		}
	}
	env = cell.env(env)
	ch.floor = peakOf("self")
	// An interpreter finds its virtual environment by the path it was called by.
	program, words, visible := c.Python, []string{c.Python, "-c", bootstrap, "faasctl-child"}, env
	options := -1
	if jail != nil {
		var read int
		if read, options, err = openArgs(); err != nil {
			ch.close()
			return nil, err
		}
		files, theirs = append(files, uintptr(read)), append(theirs, read)
		program, words, visible = jail.program, append([]string{"bwrap", "--args", strconv.Itoa(argsFD), "--"}, words...), []string{}
		attributes.Setpgid, attributes.Setsid = false, true // no terminal either
		ch.jailed, cell.launchers = true, launchers
	}
	closeOnExec()
	ch.pid, err = syscall.ForkExec(program, words, &syscall.ProcAttr{Dir: cell.work, Env: visible, Files: files, Sys: attributes})
	if err != nil {
		ch.pid = -1
		ch.close()
		closeAll(options)
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	// It waits for its program, or its launcher for its options, until it is in.
	if err := cell.admit(ch.pid); err != nil {
		ch.reap()
		closeAll(options)
		return nil, err
	}
	if jail != nil {
		closeAll(theirs...)
		theirs = nil
		if err := sendArgs(options, jail.arguments(cell.work, env)); err != nil {
			ch.reap()
			return nil, fmt.Errorf("tell %s what to do: %w", program, err)
		}
	}
	setup, _ := json.Marshal(map[string]any{"max_payload": c.MaxPayload, "preload": c.Preload, "work": cell.work, "guarded": true})
	runner := runnerSource()
	ch.out = binary.LittleEndian.AppendUint32(ch.out, uint32(len(runner)))
	ch.out = append(ch.out, runner...)
	ch.out = appendFrame(ch.out, kindSetup, setup)
	return ch, nil
}

// send queues one frame; flush writes it.
func (ch *child) send(kind byte, payload ...[]byte) {
	ch.out = appendFrame(ch.out, kind, payload...)
}

// flush writes what the calls pipe takes now. Whether the child is still there
// is not its business: that shows elsewhere.
func (ch *child) flush() {
	for len(ch.out) > 0 {
		n, err := unix.Write(ch.calls, ch.out)
		if err == unix.EINTR {
			continue
		}
		if err == unix.EAGAIN {
			return
		}
		if err != nil || n <= 0 {
			ch.out = nil
			return
		}
		ch.out = ch.out[n:]
	}
	ch.out = nil
}

// receive reads once from the result pipe. more means that it may hold more;
// otherwise it was empty when this returned. closed means that no writer is
// left.
func (ch *child) receive() (more, closed bool, err error) {
	_, _, _, need, _, err := nextFrame(ch.in, ch.limit)
	if err != nil {
		return false, false, err
	}
	if len(ch.in) == 0 && cap(ch.buffer) <= 1<<20 {
		ch.in = ch.buffer[:0] // nothing refers to it any more: results are copied out
	}
	room := max(need-len(ch.in), readSize)
	if cap(ch.in)-len(ch.in) < room {
		ch.in = append(make([]byte, 0, len(ch.in)+room), ch.in...)
		ch.buffer = ch.in
	}
	for {
		n, err := unix.Read(ch.results, ch.in[len(ch.in):len(ch.in)+room])
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return false, false, nil
		case err != nil || n <= 0:
			return false, true, nil
		}
		ch.in = ch.in[:len(ch.in)+n]
		return n == room, false, nil
	}
}

// frame takes the next whole frame that was received. Its payload is valid
// until the next receive.
func (ch *child) frame() (kind byte, payload []byte, ok bool, err error) {
	kind, payload, rest, _, ok, err := nextFrame(ch.in, ch.limit)
	if ok {
		ch.in = rest
	}
	return kind, payload, ok, err
}

// signal sends a signal to the child and all that it started. The child is not
// reaped yet, so the number is its own.
func (ch *child) signal(sig syscall.Signal) {
	if ch.pid > 0 {
		ch.cell.signal(ch.pid, sig)
	}
}

// exited reports whether the process has ended, without reaping it.
func (ch *child) exited() bool {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, ch.pid, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return err == nil && info.Signo != 0
}

// reap kills what is left of the group, waits for the child and closes
// everything. The group is killed first: afterwards its number may be another's.
func (ch *child) reap() syscall.WaitStatus {
	var wait syscall.WaitStatus
	if ch.pid > 0 {
		ch.signal(syscall.SIGKILL)
		for {
			var used syscall.Rusage
			_, err := syscall.Wait4(ch.pid, &wait, 0, &used)
			if peak := used.Maxrss << 10; err == nil && peak > ch.floor && !ch.jailed {
				ch.peak = max(ch.peak, peak)
			}
			if err != syscall.EINTR {
				break
			}
		}
		ch.pid = -1
		ch.oom = ch.cell.group.outOfMemory()
	}
	ch.cell.giveBack()
	ch.close()
	if ch.jailed {
		wait = outside(wait)
	}
	return wait
}

func (ch *child) close() {
	if ch.held != nil {
		ch.held.Close()
		ch.held = nil
	}
	closeAll(ch.calls, ch.results, ch.stdout, ch.stderr, ch.pidfd, ch.notes, ch.control)
	ch.calls, ch.results, ch.stdout, ch.stderr, ch.pidfd, ch.notes, ch.control = -1, -1, -1, -1, -1, -1, -1
	for _, one := range ch.strays {
		closeAll(one.fd)
	}
	ch.strays = nil
}

func closeAll(fds ...int) {
	for _, fd := range fds {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// grown reports whether the child and what it has left running hold more than
// limit bytes for themselves.
func (ch *child) grown(limit int64) bool { return ch.cell.memory(ch.pid, limit) > limit }

// weigh notes the most memory that the child has had so far. Of one in a sandbox
// that cannot be told: what we started is its launcher.
func (ch *child) weigh() {
	if !ch.jailed {
		ch.peak = max(ch.peak, peakOf(strconv.Itoa(ch.pid)))
	}
}

// peakOf is the most memory that a living process has had, in bytes; 0 when that
// cannot be read. When it has ended the system tells, but no less than what we
// had ourselves when we started it.
func peakOf(pid string) int64 {
	text, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		return 0
	}
	_, rest, found := strings.Cut(string(text), "\nVmHWM:")
	kib, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, err := strconv.ParseInt(kib, 10, 64)
	if !found || err != nil {
		return 0
	}
	return n << 10
}

// waiting returns how many bytes a pipe holds.
func waiting(fd int) int {
	n, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
	if err != nil {
		return 0
	}
	return n
}

// cachedBodies must equal CACHED_BODIES of the runner.
const cachedBodies = 64

// bodies is what the parent knows of the child's cache: the same least
// recently used order over the same number of entries. Where the two differ,
// the child says so with a miss.
type bodies struct {
	numbers map[string]uint32
	order   []string // least recently used first
	next    uint32
	last    *core.Function // most calls name the same function as the one before
	env     string
	number  uint32
}

// find returns the number of f's body in the child, and whether it must be
// sent first.
// It is loaded anew for other variables, as a module may read them.
func (b *bodies) find(f *core.Function, env string) (n uint32, send bool) {
	if f == b.last && env == b.env {
		return b.number, false
	}
	key := string(f.Codec) + "\x00" + f.BodyHash + "\x00" + f.Entry + "\x00" + f.File + "\x00" + env
	n, known := b.numbers[key]
	if known {
		for i, k := range b.order {
			if k == key {
				b.order = append(append(b.order[:i:i], b.order[i+1:]...), key)
				break
			}
		}
	} else {
		if b.numbers == nil {
			b.numbers = map[string]uint32{}
		}
		b.next++
		n = b.next
		b.numbers[key] = n
		b.order = append(b.order, key)
		if len(b.order) > cachedBodies {
			delete(b.numbers, b.order[0])
			b.order = b.order[1:]
		}
	}
	b.last, b.env, b.number = f, env, n
	return n, !known
}

// sendBody sends f's body under number n.
func (ch *child) sendBody(n uint32, f *core.Function) {
	description, _ := json.Marshal(map[string]string{
		"codec": string(f.Codec), "entry": f.Entry, "file": f.File, "hash": f.BodyHash,
	})
	ch.send(kindBody, number(n), number(uint32(len(description))), description, f.Body)
}
