package pyrun

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// cgroups is where groups of processes may be made: a directory per use, ""
// where there is none. Of version 1 only hierarchies are used in which we are
// in the root group, and of version 2 also a group that was delegated to us:
// one that another manager put us in is that manager's to divide.
type cgroups struct {
	kill   string // any hierarchy, to know and end all processes of a slot
	pids   string // with a limit of processes
	memory string // with a limit of memory
	cpu    string // with a clock
	v2     bool   // memory speaks version 2
}

// findCgroups looks at what the system offers to this process.
func findCgroups() cgroups {
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	own, _ := os.ReadFile("/proc/self/cgroup")
	return cgroupsIn(string(mounts), string(own), canMakeGroups, delegated)
}

// canMakeGroups tries it, as permission, mount options and policies all have a say.
func canMakeGroups(dir string) bool {
	probe := filepath.Join(dir, groupName())
	return os.Mkdir(probe, 0o755) == nil && os.Remove(probe) == nil
}

// cgroupsIn does it for the given mountinfo and cgroup files.
func cgroupsIn(mounts, own string, usable, delegated func(dir string) bool) (c cgroups) {
	paths := map[string]string{} // controller, or "" for version 2, to our group
	for line := range strings.Lines(own) {
		if parts := strings.SplitN(strings.TrimSpace(line), ":", 3); len(parts) == 3 {
			for _, name := range strings.Split(parts[1], ",") {
				paths[name] = parts[2]
			}
		}
	}
	for line := range strings.Lines(mounts) {
		left, right, _ := strings.Cut(strings.TrimSpace(line), " - ")
		fields, kind := strings.Fields(left), strings.Fields(right)
		if len(fields) < 5 || len(kind) < 3 || fields[3] != "/" {
			continue
		}
		switch kind[0] {
		case "cgroup2":
			path := filepath.Join("/", strings.TrimSuffix(paths[""], mainGroup)) // where enable moved us
			dir := filepath.Join(fields[4], path)
			if (path == "/" || delegated(dir)) && usable(dir) {
				c.kill, c.cpu = dir, dir
				c.addV2(dir)
			}
		case "cgroup":
			c.addV1(fields[4], strings.Split(kind[2], ","), paths, usable)
		}
	}
	if c.kill == "" {
		c.kill = c.pids
	}
	return c
}

// addV1 takes a hierarchy of version 1 for what version 2 does not offer.
func (c *cgroups) addV1(dir string, controllers []string, paths map[string]string, usable func(string) bool) {
	for _, name := range controllers {
		into := map[string]*string{"pids": &c.pids, "memory": &c.memory, "cpuacct": &c.cpu}[name]
		if into != nil && *into == "" && paths[name] == "/" && usable(dir) {
			*into = dir
		}
	}
}

// addV2 takes the controllers of version 2 that groups below dir can have.
func (c *cgroups) addV2(dir string) {
	offered, _ := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	for _, name := range strings.Fields(string(offered)) {
		if name != "pids" && name != "memory" {
			continue
		}
		if enable(dir, name) != nil {
			continue
		}
		if name == "pids" {
			c.pids = dir
		} else {
			c.memory, c.v2 = dir, true
		}
	}
}

// mainGroup is where our own processes go in a group that we divide.
const mainGroup = "/faasctl-main"

// enable turns a controller on for the groups below dir. A group with
// processes of its own cannot do that; where it was given to us to divide, they
// move to one below first.
func enable(dir, controller string) error {
	file := filepath.Join(dir, "cgroup.subtree_control")
	err := os.WriteFile(file, []byte("+"+controller), 0)
	if !errors.Is(err, syscall.EBUSY) || !marked(dir) {
		return err
	}
	if err := os.Mkdir(dir+mainGroup, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	for _, pid := range processesIn(dir) {
		_ = os.WriteFile(dir+mainGroup+"/cgroup.procs", []byte(strconv.Itoa(pid)), 0)
	}
	return os.WriteFile(file, []byte("+"+controller), 0)
}

// marked reports whether a group's manager has said that it is ours to divide.
func marked(dir string) bool {
	value := make([]byte, 8)
	for _, name := range []string{"trusted.delegate", "user.delegate"} {
		if n, err := unix.Getxattr(dir, name, value); err == nil && string(value[:n]) == "1" {
			return true
		}
	}
	return false
}

// delegated reports whether groups may be made in a group of version 2: its
// manager has said so, or it belongs to this user.
func delegated(dir string) bool {
	if marked(dir) {
		return true
	}
	info, err := os.Stat(dir)
	if err != nil {
		return false
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	return ok && os.Geteuid() != 0 && int(owner.Uid) == os.Geteuid()
}
