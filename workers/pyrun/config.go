package pyrun

import (
	"log/slog"
	"time"

	"faasctl/core"
)

// Config says how a Pool runs its children. Only Python is required.
type Config struct {
	// Python is the interpreter's path, not a shim's: see Find. Required.
	Python string

	// Slots is how many children there are, and so how many calls execute at
	// once. Default: 1.
	Slots int

	// ImportPath lists directories that functions may import modules from. They
	// come before the PYTHONPATH of this process. Default: none.
	ImportPath []string

	// Env adds variables to the children's environment, as NAME=value. What they
	// get otherwise is a short allow-list: see childEnv. A name beginning with
	// FAASCTL_ is refused. Default: none.
	Env []string

	// MaxPayload is the largest result in bytes, in each encoding. Default:
	// core.MaxPayload.
	MaxPayload int

	// Grace is how long a cancelled call may take to end after SIGTERM, where
	// Cancel does not say. Default: 500 ms.
	Grace time.Duration

	// StartTimeout is how long a child may take from its start to its hello,
	// which includes importing dill. Default: 30 s.
	StartTimeout time.Duration

	// Logger gets what concerns the children rather than a task. Default: none
	// (discarded).
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Slots == 0 {
		c.Slots = 1
	}
	if c.MaxPayload == 0 {
		c.MaxPayload = core.MaxPayload
	}
	if c.Grace == 0 {
		c.Grace = 500 * time.Millisecond
	}
	if c.StartTimeout == 0 {
		c.StartTimeout = 30 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// maxSlots bounds Slots: each is a process, a thread and nine descriptors.
const maxSlots = 1024

func (c Config) validate() error {
	switch {
	case c.Python == "":
		return core.Errorf(core.ErrInvalid, "", "no Python interpreter is configured")
	case c.Slots < 1 || c.Slots > maxSlots:
		return core.Errorf(core.ErrInvalid, "", "%d worker slots are not between 1 and %d", c.Slots, maxSlots)
	case c.MaxPayload < 1 || c.MaxPayload > 1<<30:
		return core.Errorf(core.ErrInvalid, "", "a payload limit of %d bytes is not between 1 and 1 GiB", c.MaxPayload)
	case c.Grace < 0 || c.StartTimeout < 0:
		return core.Errorf(core.ErrInvalid, "", "a duration is negative")
	}
	_, err := childEnv(c)
	return err
}

// frameLimit is the largest payload of a result frame: JSON and pickle, and
// room for repr, message, traceback and what JSON makes of their characters.
func (c Config) frameLimit() int { return 2*c.MaxPayload + 1<<20 }
