package cli

import (
	"slices"
	"strconv"
	"time"

	urfave "github.com/urfave/cli/v2"

	"faasctl/core"
	"faasctl/workers/pyrun"
)

// ruleFlags are what the operator of a worker says about how functions run on it.
func ruleFlags() []urfave.Flag {
	return slices.Concat(environmentFlags(), []urfave.Flag{
		&urfave.StringFlag{Name: "memory", Usage: "`SIZE` that any call may have at most, whatever its function says; 0 = no ceiling"},
		&urfave.Float64Flag{Name: "cpu-seconds", Usage: "processor time that any call may use at most; 0 = no ceiling"},
		&urfave.IntFlag{Name: "processes", Usage: "at most `N` processes and threads of any call at once; 0 = no ceiling"},
		&urfave.StringSliceFlag{Name: "pass-env", Usage: "variable `NAME` of the worker's environment that functions get which ask for it (--env NAME); may be repeated"},
		&urfave.StringFlag{Name: "run-as", Value: "auto", EnvVars: []string{"FAASCTL_RUN_AS"}, Usage: "as root, `USERS` that functions run as: auto (one unprivileged user per slot, where it can read Python and the import paths), none, or a range of user ids such as 70000-70099"},
	}, isolationFlags())
}

// graceFlag is of dispatchers: it is they who have calls cancelled. A cancel may
// have another.
func graceFlag() urfave.Flag {
	return &urfave.DurationFlag{Name: "grace", Value: 500 * time.Millisecond, Usage: "how long a cancelled call has after SIGTERM before it is killed; one whose time is out has none"}
}

// readGrace is 0 where nothing was said.
func readGrace(c *urfave.Context) (time.Duration, error) {
	if !c.IsSet("grace") {
		return c.Duration("grace"), nil
	}
	grace := c.Duration("grace")
	if grace < 0 || grace > core.MaxGrace {
		return 0, usage("--grace must be between 0 and %s, not %s", core.MaxGrace, grace)
	}
	return core.GraceOf(&grace)
}

// readRules reads them.
func readRules(c *urfave.Context) (pyrun.Rules, error) {
	rules := pyrun.Rules{RunAs: c.String("run-as"), PassEnv: c.StringSlice("pass-env"), Ceiling: core.Limits{CPUSeconds: c.Float64("cpu-seconds"), Processes: c.Int("processes")}}
	if c.IsSet("memory") {
		memory, err := parseMemory(c.String("memory"))
		if err != nil {
			return rules, err
		}
		rules.Ceiling.Memory = memory
	}
	if err := rules.Ceiling.Validate(); err != nil {
		return rules, usageOf("the worker's ceiling", err)
	}
	if err := rules.CheckRunAs(); err != nil {
		return rules, usageOf("--run-as", err)
	}
	err := readIsolation(c, &rules)
	return rules, err
}

// ruleWords are the flags that say the same to a worker that is hired.
func ruleWords(rules pyrun.Rules) []string {
	words := []string{"--run-as", rules.RunAs}
	for _, name := range rules.PassEnv {
		words = append(words, "--pass-env", name)
	}
	for _, limit := range []struct{ flag, value string }{
		{"--memory", strconv.FormatInt(rules.Ceiling.Memory, 10)},
		{"--cpu-seconds", strconv.FormatFloat(rules.Ceiling.CPUSeconds, 'g', -1, 64)},
		{"--processes", strconv.Itoa(rules.Ceiling.Processes)},
	} {
		if limit.value != "0" {
			words = append(words, limit.flag, limit.value)
		}
	}
	return append(words, isolationWords(rules)...)
}

// enforcementRows tell what a worker has in force.
func enforcementRows(e *core.Enforcement, add func(name, value string)) {
	if e == nil {
		return
	}
	add("runs as", e.User)
	add("stops by", e.Stop)
	add("limits by", "memory: "+e.Memory+"; processor time: "+e.CPU+"; processes: "+e.Processes)
	add("sandbox", e.Sandbox)
	describeLimits(e.Ceiling, func(name, value string) {
		if value != "" {
			add(name, value+" (ceiling)")
		}
	})
}
