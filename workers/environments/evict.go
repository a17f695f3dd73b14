package environments

import (
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Files in an environment's directory.
const (
	useFile  = ".faasctl-use"  // locked while it is used; its time is the last use
	sizeFile = ".faasctl-size" // how many bytes it takes
)

// The names under which environments are made and removed begin so.
const (
	buildPrefix = ".build-"
	trashPrefix = ".trash-"
)

// staleAfter is how old a directory of a build or a removal is that nobody works on.
const staleAfter = time.Hour

// evict removes those that were not used for longest until all others fit into the
// bound; keep stays, and what is in use. It also clears away what was left over.
func (c *Cache) evict(keep string) {
	entries, err := os.ReadDir(c.cfg.Dir)
	if err != nil {
		return
	}
	type kept struct {
		key  string
		size int64
		used time.Time
	}
	var all []kept
	total := int64(0)
	for _, entry := range entries {
		name := entry.Name()
		info, err := entry.Info()
		if err != nil {
			continue
		}
		old := time.Since(info.ModTime()) > staleAfter+c.cfg.BuildTime
		switch {
		case !entry.IsDir():
			if old && strings.HasSuffix(name, ".failed") {
				_ = os.Remove(filepath.Join(c.cfg.Dir, name))
			}
		case strings.HasPrefix(name, "."):
			if old {
				_ = os.RemoveAll(filepath.Join(c.cfg.Dir, name))
			}
		default:
			used, err := os.Stat(filepath.Join(c.cfg.Dir, name, useFile))
			if err != nil {
				continue
			}
			one := kept{name, c.size(name), used.ModTime()}
			total += one.size
			all = append(all, one)
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].used.Before(all[j].used) })
	for _, one := range all {
		if total <= c.cfg.MaxBytes {
			return
		}
		if one.key != keep && c.remove(one.key) {
			total -= one.size
			c.cfg.Logger.Info("an environment was removed to make room", "key", one.key, "bytes", one.size, "used", one.used)
		}
	}
	if total > c.cfg.MaxBytes {
		c.cfg.Logger.Warn("environments take more room than they may, as all are in use", "bytes", total, "most", c.cfg.MaxBytes)
	}
}

// remove takes an environment away unless somebody uses it.
func (c *Cache) remove(key string) bool {
	dir := c.path(key, "")
	file, err := os.Open(filepath.Join(dir, useFile))
	if err != nil {
		return false
	}
	defer file.Close()
	if unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return false
	}
	trash, err := os.MkdirTemp(c.cfg.Dir, trashPrefix)
	if err != nil {
		return false
	}
	err = os.Rename(dir, filepath.Join(trash, key)) // at once: who looks finds it whole or not at all
	_ = os.RemoveAll(trash)
	return err == nil
}

func (c *Cache) size(key string) int64 {
	data, _ := os.ReadFile(filepath.Join(c.cfg.Dir, key, sizeFile))
	n, _ := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	return n
}

// measure adds up what a directory holds.
func measure(dir string) (size int64) {
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			if info, err := entry.Info(); err == nil {
				size += info.Size()
			}
		}
		return nil
	})
	return size
}
