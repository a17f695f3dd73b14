package pyrun

import (
	"log/slog"
	"regexp"
	"time"

	"faasctl/core"
)

// Config says how a Pool runs its children. Python or Interpreters is required.
type Config struct {
	// Python is the path of the interpreter that children are started with before
	// anything is known of their work; not a shim's: see Find. Default: the first of
	// Interpreters.
	Python string

	// Interpreters are those that functions may run on. A function runs on the first
	// that fits. Default: Python, of which nothing is known, so that it fits all.
	Interpreters []core.Interpreter

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

	// Rules are the operator's for functions here.
	Rules

	// MaxPayload is the largest result in bytes, in each encoding. Default:
	// core.MaxPayload.
	MaxPayload int

	// Grace is how long a cancelled call may take to end after SIGTERM, where
	// Cancel does not say. Default: 500 ms.
	Grace time.Duration

	// StartTimeout is how long a child may take from its start to its hello,
	// which includes importing dill. Default: 30 s, with Preload 2 min.
	StartTimeout time.Duration

	// Logger gets what concerns the children rather than a task. Default: none
	// (discarded).
	Logger *slog.Logger

	bare bool // tests: as if the system had no control groups
}

// Rules are what a worker's operator says about how functions run. The zero
// value lets them do what the worker's own user may.
type Rules struct {
	// Environments makes what functions depend on. Default: none, so that functions
	// that depend on packages cannot be run.
	Environments Environments

	// Ceiling is the most that any call may use, whatever its function says, and
	// how far calls are kept apart at least. Default: no limit.
	Ceiling core.Limits

	// PassEnv names variables of the worker's own environment that functions which
	// ask for them by name get. Default: none.
	PassEnv []string

	// RunAs says who functions run as, where the worker is root: "none" is root,
	// "auto" one unprivileged user per slot where that user can read the
	// interpreter and the import paths, and a range of user ids, 70000-70099,
	// insists on it. Default: none.
	RunAs string

	// SetupTimeout is how long a function's setup() may take, which a child runs
	// once before its first call. It is not part of the call's time-out.
	// Default: 5 min.
	SetupTimeout time.Duration

	// Preload names modules that a child imports when it starts. One that cannot
	// be imported is logged and otherwise left to the functions that want it.
	// Default: none.
	Preload []string

	// RecycleAfter replaces a child once so many calls ran in it. Default: 0,
	// never.
	RecycleAfter int

	// RecycleMemory replaces a child that holds more than so many bytes of its
	// own when its calls have ended. Default: 0, never.
	RecycleMemory int64

	// Sandbox shuts functions in: NoSandbox or Bwrap. Default: NoSandbox.
	Sandbox string

	// Share lists paths that functions in a sandbox may read, beside what every
	// program needs; PATH:rw lets them write there. Default: none.
	Share []string

	// Hide lists paths that no function in a sandbox may see, wherever they lie:
	// data, keys, tokens. Default: none.
	Hide []string
}

// CheckIsolation reports what of the rules about sandbox, modules and recycling
// makes no sense.
func (r Rules) CheckIsolation() error {
	switch {
	case r.SetupTimeout < 0:
		return core.Errorf(core.ErrInvalid, "", "a time-out for setup() of %s is negative", r.SetupTimeout)
	case r.RecycleAfter < 0 || r.RecycleMemory < 0:
		return core.Errorf(core.ErrInvalid, "", "a process cannot be replaced after a negative number of calls or bytes").
			WithHint("0 = never")
	case r.Sandbox != "" && r.Sandbox != NoSandbox && r.Sandbox != Bwrap:
		return core.Errorf(core.ErrInvalid, "", "a sandbox cannot be %q", clip(r.Sandbox, 32)).WithHint("choose none or bwrap")
	}
	for _, name := range r.Preload {
		if !moduleName.MatchString(name) {
			return core.Errorf(core.ErrInvalid, "", "%q is no name of a module", clip(name, 64)).WithHint("such as --preload numpy or --preload app.models")
		}
	}
	for _, share := range r.Share {
		if _, _, err := parseShare(share); err != nil {
			return err
		}
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.Slots == 0 {
		c.Slots = 1
	}
	if c.Python == "" && len(c.Interpreters) > 0 {
		c.Python = c.Interpreters[0].Path
	}
	if len(c.Interpreters) == 0 && c.Python != "" {
		c.Interpreters = []core.Interpreter{{Path: c.Python, Dill: "?"}}
	}
	if c.MaxPayload == 0 {
		c.MaxPayload = core.MaxPayload
	}
	if c.Grace == 0 {
		c.Grace = 500 * time.Millisecond
	}
	if c.StartTimeout == 0 {
		c.StartTimeout = 30 * time.Second
		if len(c.Preload) > 0 {
			c.StartTimeout = 2 * time.Minute
		}
	}
	if c.SetupTimeout == 0 {
		c.SetupTimeout = 5 * time.Minute
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
	if err := c.CheckIsolation(); err != nil {
		return err
	}
	if err := c.Ceiling.Validate(); err != nil {
		return err
	}
	_, err := childEnv(c)
	return err
}

var moduleName = regexp.MustCompile(`^[\pL_][\pL\pN_]*(\.[\pL_][\pL\pN_]*)*$`)

// frameLimit is the largest payload of a result frame: JSON and pickle, and
// room for repr, message, traceback and what JSON makes of their characters.
func (c Config) frameLimit() int { return 2*c.MaxPayload + 1<<20 }
