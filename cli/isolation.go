package cli

import (
	"strconv"

	urfave "github.com/urfave/cli/v2"

	"faasctl/core"
	"faasctl/workers/pyrun"
)

// isolationFlags are what the operator of a worker says about how calls are kept
// apart, and about the processes that they run in.
func isolationFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "isolation", Usage: "`HOW` calls are kept apart at least: warm (default), fork or fresh"},
		&urfave.StringFlag{Name: "sandbox", Usage: "`WHAT` functions are shut in: none (default) or bwrap, which has no network and no files but those listed"},
		&urfave.StringSliceFlag{Name: "share", Usage: "`PATH` that functions in a sandbox may read, or PATH:rw; may be repeated"},
		&urfave.StringSliceFlag{Name: "hide", Hidden: true}, // of an up, to a worker that it hires
		preloadFlag(),
		&urfave.DurationFlag{Name: "setup-timeout", Usage: "how long a function's setup() may take (default: 5m)"},
		&urfave.IntFlag{Name: "recycle-after", Usage: "replace a process after `N` calls; 0 = never"},
		&urfave.StringFlag{Name: "recycle-memory", Usage: "replace a process that holds more than `SIZE`, such as 2GiB, between calls; 0 = never"},
	}
}

func preloadFlag() urfave.Flag {
	return &urfave.StringSliceFlag{Name: "preload", Usage: "`MODULE` that processes import when they start; may be repeated"}
}

// readIsolation reads them.
func readIsolation(c *urfave.Context, rules *pyrun.Rules) error {
	rules.Ceiling.Isolation = core.Isolation(c.String("isolation"))
	if err := rules.Ceiling.Isolation.Validate(); err != nil {
		return usageOf("--isolation", err)
	}
	rules.Sandbox, rules.Share, rules.Hide = c.String("sandbox"), c.StringSlice("share"), c.StringSlice("hide")
	rules.Preload, rules.RecycleAfter, rules.SetupTimeout = c.StringSlice("preload"), c.Int("recycle-after"), c.Duration("setup-timeout")
	if len(rules.Share) > 0 && (rules.Sandbox == "" || rules.Sandbox == pyrun.NoSandbox) {
		return usage("--share is for a sandbox").WithHint("add --sandbox bwrap; without one, functions read what their user may")
	}
	if text := c.String("recycle-memory"); text != "" {
		size, err := parseMemory(text)
		if err != nil {
			return usage("--recycle-memory %q is not a size", clip(text, 32)).WithHint("write 512MiB, 2GiB or a number of bytes; 0 = never")
		}
		rules.RecycleMemory = size
	}
	if err := rules.CheckIsolation(); err != nil {
		return usageOf("how functions run", err)
	}
	return nil
}

// isolationWords are the flags that say the same to a worker that is hired.
func isolationWords(rules pyrun.Rules) (words []string) {
	add := func(flag, value string) {
		if value != "" && value != "0" && value != "0s" {
			words = append(words, flag, value)
		}
	}
	add("--isolation", string(rules.Ceiling.Isolation))
	add("--sandbox", rules.Sandbox)
	for _, path := range rules.Share {
		add("--share", path)
	}
	for _, path := range rules.Hide {
		add("--hide", path)
	}
	for _, module := range rules.Preload {
		add("--preload", module)
	}
	add("--setup-timeout", rules.SetupTimeout.String())
	add("--recycle-after", strconv.Itoa(rules.RecycleAfter))
	add("--recycle-memory", strconv.FormatInt(rules.RecycleMemory, 10))
	return words
}

// secrets are the paths that no function may see, wherever they lie.
func (cfg serverConfig) secrets() (paths []string) {
	for _, path := range []string{cfg.data, cfg.tokenFile, cfg.workerKey, cfg.modes.curve} {
		if path != "" {
			paths = append(paths, path)
		}
	}
	return paths
}

// checkSandbox tells whether functions can be shut in here.
func checkSandbox(python []core.Interpreter) check {
	const name = "sandbox"
	version, err := pyrun.TrySandbox(pyrun.Config{Interpreters: python, Rules: pyrun.Rules{RunAs: "auto"}})
	if err != nil {
		return warning(name, err.Error(), core.HintOf(err))
	}
	return ok(name, "%s works: --sandbox bwrap keeps functions from network, files and processes", version)
}

// checkPreload tries modules that --preload would name.
func checkPreload(c *urfave.Context, python []core.Interpreter) (checks []check) {
	modules := c.StringSlice("preload")
	if len(modules) == 0 {
		return nil
	}
	for _, one := range python {
		lacking, err := pyrun.TryPreload(c.Context, one.Path, modules)
		for _, module := range modules {
			switch why := lacking[module]; {
			case err != nil:
				checks = append(checks, failing("preload", one.Path+": "+err.Error(), ""))
			case why != "":
				checks = append(checks, warning("preload", module+" cannot be imported by "+one.Path+": "+why, one.Path+" -m pip install, or --import-path where it lies"))
			default:
				checks = append(checks, ok("preload", "%s, by %s", module, one.Path))
			}
		}
	}
	return checks
}
