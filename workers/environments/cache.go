package environments

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"faasctl/core"
)

// Config says where environments are kept and how they are made.
type Config struct {
	// Dir holds them. Default: /var/cache/faasctl/environments for root, where other
	// users can read; else faasctl/environments in the user's cache directory.
	Dir string
	// Offline asks no index: packages come from Wheels, or what uv has cached.
	// Default: false.
	Offline bool
	// Wheels are directories with packages, beside the index. Default: none.
	Wheels []string
	// MaxBytes bounds what all environments take: those that were not used for
	// longest are removed, but none that is in use. Default: 10 GiB.
	MaxBytes int64
	// BuildTime bounds the making of one. Default: 15 min.
	BuildTime time.Duration
	// Remember is how long a failure is remembered and not tried again.
	// Default: 1 min.
	Remember time.Duration
	// NoUV has pip used even where uv is. Default: false.
	NoUV bool
	// Logger hears what is made and removed. Default: none (discarded).
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Dir == "" {
		c.Dir = defaultDir()
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = 10 << 30
	}
	if c.BuildTime == 0 {
		c.BuildTime = 15 * time.Minute
	}
	if c.Remember == 0 {
		c.Remember = time.Minute
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func defaultDir() string {
	if os.Geteuid() == 0 {
		return "/var/cache/faasctl/environments"
	}
	if base, err := os.UserCacheDir(); err == nil {
		return filepath.Join(base, "faasctl", "environments")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("faasctl-environments-%d", os.Getuid()))
}

// Cache makes and keeps environments. It has no state but its directory, so that any
// number of processes may share it.
type Cache struct {
	cfg        Config
	wheelsOnly bool // as root: building a package runs its code
}

// New returns a cache; its directory is made when it is needed.
func New(cfg Config) *Cache { return &Cache{cfg.withDefaults(), os.Geteuid() == 0} }

// Dir is where the environments are.
func (c *Cache) Dir() string { return c.cfg.Dir }

// Key names the environment of a set of packages for an interpreter.
func (c *Cache) Key(python core.Interpreter, dependencies []string) string {
	real, err := filepath.EvalSymlinks(python.Path)
	if err != nil {
		real = python.Path
	}
	data, _ := json.Marshal([]any{1, real, python.Version, python.Platform, python.Dill, dependencies})
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:16])
}

// Python is the path of the interpreter of an environment, whether it is made or not.
func (c *Cache) Python(key string) string { return filepath.Join(c.cfg.Dir, key, "bin", "python") }

// Failure is why an environment could not be made.
type Failure struct {
	Message string    `json:"message"`
	Output  string    `json:"output"` // the last of what the installer said
	At      time.Time `json:"at"`
}

func (f *Failure) Error() string { return f.Message }

// Said is the last of what the installer said.
func (f *Failure) Said() string { return f.Output }

// Ensure makes the environment of a set of packages, unless it is there. tell hears
// what is being done, line by line. With again, a failure that is remembered is tried
// again. The error is a *Failure when the packages cannot be had.
func (c *Cache) Ensure(ctx context.Context, python core.Interpreter, dependencies []string, again bool, tell func(line string)) error {
	key := c.Key(python, dependencies)
	if c.there(key) {
		return nil
	}
	if err := os.MkdirAll(c.cfg.Dir, 0o755); err != nil {
		return fmt.Errorf("keep environments: %w", err)
	}
	asked := time.Now()
	lock, err := c.lock(ctx, key, tell)
	if err != nil {
		return err
	}
	defer lock.Close()
	if c.there(key) {
		return nil // another worker has made it meanwhile
	}
	if failure := c.failed(key); failure != nil && time.Since(failure.At) < c.cfg.Remember && (!again || failure.At.After(asked)) {
		return failure
	}
	begun := time.Now()
	c.cfg.Logger.Info("making an environment", "packages", dependencies, "python", python.Version)
	size, err := c.build(ctx, key, python, dependencies, tell)
	failure := (*Failure)(nil)
	switch {
	case errors.As(err, &failure) && ctx.Err() == nil:
		c.remember(key, failure)
		return failure
	case err != nil:
		return err
	}
	_ = os.Remove(c.path(key, ".failed"))
	c.cfg.Logger.Info("an environment is made", "packages", dependencies, "python", python.Version, "took", time.Since(begun).Round(time.Millisecond), "bytes", size)
	c.evict(key)
	return nil
}

func (c *Cache) path(key, suffix string) string { return filepath.Join(c.cfg.Dir, key+suffix) }

func (c *Cache) there(key string) bool {
	_, err := os.Stat(c.Python(key))
	return err == nil
}

// lock waits until nobody else makes the environment.
func (c *Cache) lock(ctx context.Context, key string, tell func(string)) (*os.File, error) {
	file, err := os.OpenFile(c.path(key, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock an environment: %w", err)
	}
	poll := time.NewTicker(100 * time.Millisecond)
	defer poll.Stop()
	for told := false; ; told = true {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return file, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			file.Close()
			return nil, fmt.Errorf("lock an environment: %w", err)
		}
		if !told {
			tell("another worker on this host is making it")
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			file.Close()
			return nil, context.Cause(ctx)
		}
	}
}

func (c *Cache) failed(key string) *Failure {
	data, err := os.ReadFile(c.path(key, ".failed"))
	failure := &Failure{}
	if err != nil || json.Unmarshal(data, failure) != nil || failure.At.After(time.Now()) {
		return nil
	}
	return failure
}

func (c *Cache) remember(key string, failure *Failure) {
	failure.At = time.Now()
	if data, err := json.Marshal(failure); err == nil {
		_ = os.WriteFile(c.path(key, ".failed"), data, 0o600)
	}
}

// Hold keeps an environment from being removed until the answer is closed; ErrGone when
// it is not there. Whoever runs anything in it holds it.
func (c *Cache) Hold(key string) (io.Closer, error) {
	const op = "use an environment"
	name := filepath.Join(c.cfg.Dir, key, useFile)
	file, err := os.Open(name)
	if err != nil {
		return nil, &core.Error{Class: core.ErrGone, Op: op, Err: err}
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB); err != nil { // being removed
		file.Close()
		return nil, &core.Error{Class: core.ErrGone, Op: op, Err: err}
	}
	held, err1 := file.Stat()
	now, err2 := os.Stat(name)
	if err1 != nil || err2 != nil || !os.SameFile(held, now) {
		file.Close()
		return nil, core.Errorf(core.ErrGone, op, "it was removed just now")
	}
	_ = os.Chtimes(name, time.Time{}, time.Now())
	return file, nil
}
