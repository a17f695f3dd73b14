package redisstore

import (
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// lowSpace is how little room on a disk explains why a server on it is down: a
// Redis that writes each change at once ends when it cannot, and cannot start
// again before there is room.
const lowSpace = 1 << 20 // bytes

// Trouble says in a phrase what keeps the server of a data directory from
// running, as far as it can be seen from outside, or "".
func Trouble(dir string) string {
	var disk unix.Statfs_t
	if err := unix.Statfs(filepath.Join(dir, redisDir), &disk); err != nil {
		return ""
	}
	if free := disk.Bavail * uint64(disk.Bsize); free < lowSpace {
		return fmt.Sprintf("the disk of %s is full (%d KiB free)", dir, free>>10)
	}
	return ""
}

// Trouble says in a phrase why the server is away, or "".
func (c *Child) Trouble() string {
	if why := Trouble(c.cfg.Dir); why != "" {
		return why
	}
	if how := c.died.Load(); how != nil {
		return "it died and is started again (" + *how + ")"
	}
	return ""
}
