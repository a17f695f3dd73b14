package pyrun

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"faasctl/core"
)

// confinement is what a pool found its system to offer for keeping functions
// within bounds.
type confinement struct {
	cgroups cgroups
	users   users
	why     string // functions run as root though they were not meant to
}

// confine looks at the system. It fails when it does not offer what was asked for.
func confine(c Config) (confinement, error) {
	users, why, err := chooseUsers(c)
	if c.bare {
		return confinement{users: users, why: why}, err
	}
	return confinement{findCgroups(), users, why}, err
}

// enforces says what is in force.
func (f confinement) enforces(c Config) *core.Enforcement {
	e := core.Enforcement{Stop: "process tree", Memory: "rlimit", CPU: "process tree", Processes: "none", User: f.users.String(), Sandbox: "none", Ceiling: c.Ceiling}
	if f.cgroups.kill != "" {
		e.Stop = "cgroup"
	}
	if c.Sandbox == Bwrap {
		e.Stop, e.Sandbox = "pid namespace", Bwrap
	}
	if f.cgroups.memory != "" {
		e.Memory = "cgroup"
	}
	if f.cgroups.cpu != "" {
		e.CPU = "cgroup"
	}
	switch {
	case f.cgroups.pids != "":
		e.Processes = "cgroup"
	case !f.users.none():
		e.Processes = "rlimit"
	case os.Geteuid() != 0:
		e.Processes = "rlimit of the whole user"
	}
	return &e
}

// Survey tells what a pool of this configuration would have in force here, and
// why functions would run as root though they are not meant to.
func Survey(c Config) (e *core.Enforcement, why string, err error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, "", err
	}
	bounds, err := confine(c)
	return bounds.enforces(c), bounds.why, err
}

// quarters are what one slot has for all its children: a user and a directory.
type quarters struct {
	uid  int // of the processes; -1: ours
	hold int // descriptor that reserves uid; -1
	dir  string
	made int // cells

	rubbish *sync.WaitGroup // of the pool: what is being removed
	log     *slog.Logger
}

// assign gives a slot its quarters, below dir.
func (f confinement) assign(p *Pool, dir string, slot int) (q quarters, err error) {
	q = quarters{uid: -1, hold: -1, dir: filepath.Join(dir, "slot-"+strconv.Itoa(slot)), rubbish: &p.rubbish, log: p.config.Logger.With("slot", slot)}
	if !f.users.none() {
		if q.uid, q.hold, err = f.users.take(); err != nil {
			return q, err
		}
	}
	return q, q.furnish()
}

// furnish makes the slot's directory, in which its user can make nothing.
func (q quarters) furnish() error {
	err := os.MkdirAll(q.dir, 0o711)
	if err == nil {
		err = os.Chmod(q.dir, 0o711) // whatever our umask is
	}
	if err != nil {
		return fmt.Errorf("make a directory for functions: %w", err)
	}
	return q.mkdir(q.home())
}

// home is the slot's user's.
func (q quarters) home() string { return filepath.Join(q.dir, "home") }

// mkdir makes a directory for the slot's user alone.
func (q quarters) mkdir(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if err == nil && q.uid >= 0 {
		err = os.Chown(dir, q.uid, q.uid)
	}
	if err != nil && !os.IsExist(err) {
		return fmt.Errorf("make a directory for functions: %w", err)
	}
	return nil
}

func (q quarters) close() { closeAll(q.hold) }

// cell is where one child lives with all that it starts: its user, its control
// groups and its directory.
type cell struct {
	group   *group
	uid     int         // -1: ours
	mark    string      // see markName; "" with control groups
	home    string      // of the slot
	work    string      // of the child: where calls start, and their TMPDIR
	rlimits core.Limits // in force on the child as a process
	slot    *quarters

	launchers int // processes of the sandbox, which are nobody's
	gone      bool
}

// newCell makes a cell in a slot's quarters.
func (f confinement) newCell(q *quarters) (*cell, error) {
	q.made++
	c := &cell{group: &group{}, uid: q.uid, home: q.home(), work: filepath.Join(q.dir, strconv.Itoa(q.made)), slot: q}
	if _, err := os.Stat(q.dir); err != nil { // a function has removed it
		if err := q.furnish(); err != nil {
			return nil, err
		}
	}
	if err := q.mkdir(c.work); err != nil {
		return nil, err
	}
	var err error
	if c.group, err = f.cgroups.group(); err != nil {
		_ = os.RemoveAll(c.work)
		return nil, err
	}
	if c.group.kill == "" {
		c.mark = fmt.Sprintf("%016x", rand.Uint64())
	}
	return c, nil
}

// giveBack ends what a child has left running, once it has ended itself, and
// removes its cell.
func (c *cell) giveBack() {
	if c.gone {
		return
	}
	c.gone = true
	if c.group.kill == "" {
		endMarked(c.mark)
	} else if !c.group.empty() {
		c.slot.log.Error("processes of a function do not end", "pids", c.group.processes())
	}
	c.slot.rubbish.Go(func() { // there may be a lot in the directory
		if !unmount(c.work) {
			c.slot.log.Error("a function has mounted something in its directory, which is left", "directory", c.work)
		} else {
			_ = os.RemoveAll(c.work)
		}
		c.group.remove()
	})
}

// unmount takes away what a function that is root has mounted in a directory: it
// must not be emptied with it.
func unmount(dir string) bool {
	if os.Geteuid() != 0 {
		return true
	}
	below := strings.ReplaceAll(dir, " ", `\040`) + "/"
	for range 8 {
		mounts, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			return false
		}
		found := false
		for line := range strings.Lines(string(mounts)) {
			if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4], below) {
				found = true
				_ = unix.Unmount(strings.ReplaceAll(fields[4], `\040`, " "), unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
			}
		}
		if !found {
			return true
		}
	}
	return false
}

// env changes the pool's environment to the cell's.
func (c *cell) env(pool []string) []string {
	own := map[string]string{"TMPDIR": c.work}
	if c.mark != "" {
		own[markName] = c.mark
	}
	if c.uid >= 0 { // those of the worker's user say nothing about this one
		own["HOME"], own["USER"], own["LOGNAME"] = c.home, "faasctl", "faasctl"
	}
	env := make([]string, 0, len(pool)+len(own))
	for _, pair := range pool {
		if name, _, _ := strings.Cut(pair, "="); own[name] == "" {
			env = append(env, pair)
		}
	}
	for name, value := range own {
		env = append(env, name+"="+value)
	}
	return env
}

// admit takes a new child in, before it has run anything of a function's.
func (c *cell) admit(pid int) error {
	if err := c.group.add(pid); err != nil {
		return err
	}
	// When the system runs out of memory, a function is what it costs least to lose.
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte("500"), 0)
	return nil
}

// processes lists the child and all that it started.
func (c *cell) processes(pid int) (pids []int) {
	if c.group.kill != "" {
		return c.group.processes()
	}
	for _, p := range descendants(processTable(), pid) {
		pids = append(pids, p.pid)
	}
	return pids
}

// orphaned reports whether something runs that the child has started and that is no
// descendant of it any more, such as what a forked call has left: where there are no
// control groups, processes does not see it.
func (c *cell) orphaned(pid int) bool {
	if c.mark == "" {
		return false
	}
	table := processTable()
	since := table[pid].start
	for _, p := range descendants(table, pid) {
		delete(table, p.pid)
	}
	for _, p := range table {
		if !p.ended && p.start >= since && carries(p.pid, []byte(markName+"="+c.mark)) {
			return true
		}
	}
	return false
}

// tasks counts the processes and threads of a child and all that it started.
func (c *cell) tasks(pid int) (n int) {
	for _, one := range c.processes(pid) {
		if p, _ := readProcess(strconv.Itoa(one)); !p.ended {
			n += p.threads
		}
	}
	return n - c.launchers
}

// signal sends a signal to a child and what it started.
func (c *cell) signal(pid int, sig unix.Signal) {
	if c.launchers > 0 && sig != unix.SIGKILL {
		c.signalInside(pid, sig)
		return
	}
	_ = unix.Kill(-pid, sig)
	_ = unix.Kill(pid, sig) // between fork and setpgid there is no group yet
	switch {
	case sig != unix.SIGKILL:
		for _, one := range c.processes(pid) {
			if group, err := unix.Getpgid(one); err == nil && group != pid {
				_ = unix.Kill(one, sig)
			}
		}
	case c.group.kill != "":
		c.group.end()
	default:
		endTree(pid)
	}
}

// signalInside sends a signal to what runs in a sandbox, and not to the sandbox
// itself, whose end would be the end of all: to its launcher and that one's
// child, which is the first process inside.
func (c *cell) signalInside(launcher int, sig unix.Signal) {
	for _, one := range c.processes(launcher) {
		if p, ok := readProcess(strconv.Itoa(one)); ok && one != launcher && p.parent != launcher {
			_ = unix.Kill(one, sig)
		}
	}
}

// memory is what a child and all that it started have for themselves, in bytes.
// above is a bound below which a quick overestimate will do.
func (c *cell) memory(pid int, above int64) int64 {
	if c.group.memory != "" {
		return c.group.resident()
	}
	pids := c.processes(pid)
	if n := private(pids); n <= above || len(pids) == 1 {
		return n
	}
	return proportional(pids)
}

// cpu is the processor time that a child and all that it started have used.
func (c *cell) cpu(pid int) (used time.Duration) {
	if c.group.cpu != "" {
		return c.group.used()
	}
	for _, p := range descendants(processTable(), pid) {
		used += p.cpu
	}
	return used
}

// hardMemory is where the kernel refuses a single process more memory, where
// nothing but looking bounds it: far enough above the limit for what is asked
// for and never touched.
func hardMemory(limit int64) uint64 {
	if limit == 0 {
		return unix.RLIM_INFINITY
	}
	return uint64(2*limit + 1<<30)
}

// elbow is how many more processes a user may have than the limit of a call
// says, where all of the user's count: others come and go meanwhile.
const elbow = 32

// limit puts limits in force for a child and all that it started, as far as
// control groups can. It costs nothing where they are already. The rest is for
// the child to set for itself, before it runs another call: change says whether
// there is any.
func (c *cell) limit(pid int, l core.Limits) (data, processes uint64, change bool, err error) {
	grouped := l
	if l.Processes > 0 && c.group.pids != "" { // the dead count there until somebody has looked at them, and launchers do
		grouped.Processes += max(0, c.group.tasks()-c.tasks(pid))
	}
	if err := c.group.limit(grouped); err != nil {
		return 0, 0, false, err
	}
	want := core.Limits{}
	if c.group.memory == "" {
		want.Memory = l.Memory
	}
	if c.group.pids == "" {
		want.Processes = l.Processes
	}
	if want == c.rlimits {
		return 0, 0, false, nil
	}
	c.rlimits = want
	processes = unix.RLIM_INFINITY
	if want.Processes > 0 {
		processes = uint64(want.Processes)
		if c.uid < 0 {
			processes += uint64(threadsOf(os.Geteuid()) + elbow)
		}
	}
	return hardMemory(want.Memory), processes, true, nil
}

// threadsOf counts the threads of a user.
func threadsOf(uid int) (n int) {
	for pid, p := range processTable() {
		if owner(pid) == uid {
			n += p.threads
		}
	}
	return n
}

// Bounds of the time between two looks at what a call uses.
const (
	quickLook = 20 * time.Millisecond
	usualLook = 100 * time.Millisecond
	slowLook  = time.Second
)

// nextLook is after what time a call under a limit of processor time has to be
// looked at again: it cannot have used the rest before.
func nextLook(rest time.Duration) time.Duration {
	return min(max(rest/time.Duration(runtime.NumCPU()), quickLook), slowLook)
}
