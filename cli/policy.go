package cli

import (
	"slices"
	"strconv"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"faasctl/core"
	"faasctl/httpapi/wire"
)

// policyFlags are the flags that state how calls of a function are run, tried
// again and limited.
func policyFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.DurationFlag{Name: "timeout", Usage: "how long a call may run; 0 = the server's"},
		&urfave.IntFlag{Name: "retries", Usage: "start a call again up to `N` times when it fails"},
		&urfave.StringFlag{Name: "backoff", Usage: "`WAIT` before each retry, a tenth more or less: exp:FIRST:LAST or fixed:WAIT; default exp:1s:60s"},
		&urfave.StringFlag{Name: "retry-on", Usage: "only these `FAILURES`: exception classes by their exact name, kinds such as timeout, commas between; '' = every"},
		&urfave.IntFlag{Name: "concurrency", Usage: "at most `N` calls at once, over all workers; 0 = no cap"},
		&urfave.StringFlag{Name: "rate", Usage: "hand out at most so many calls per time, such as `100/s` or 30/m; 0 = no limit"},
		&urfave.StringFlag{Name: "memory", Usage: "`SIZE` that a call may have, with all its processes, such as 512MiB; 0 = no limit"},
		&urfave.Float64Flag{Name: "cpu-seconds", Usage: "processor time that a call may use; 0 = no limit"},
		&urfave.IntFlag{Name: "processes", Usage: "at most `N` processes and threads of a call at once; 0 = no limit"},
		&urfave.StringSliceFlag{Name: "env", Usage: "variable `NAME=VALUE` that calls find, or NAME alone for the worker's own value, if the worker has --pass-env NAME; may be repeated; '' = none"},
		&urfave.StringFlag{Name: "isolation", Usage: "`HOW` calls are kept apart: warm (default), fork or fresh"},
		&urfave.DurationFlag{Name: "expires", Usage: "do not run a call that waited longer; 0 = it may wait for ever"},
	}
}

// policyChange reads the flags of policyFlags that were given.
func policyChange(c *urfave.Context) (change core.PolicyChange, err error) {
	if c.IsSet("timeout") {
		change.Timeout = new(c.Duration("timeout"))
	}
	if c.IsSet("retries") {
		change.Retries = new(c.Int("retries"))
	}
	if c.IsSet("concurrency") {
		change.Concurrency = new(c.Int("concurrency"))
	}
	if c.IsSet("expires") {
		change.Expires = new(c.Duration("expires"))
	}
	if c.IsSet("memory") {
		memory, err := parseMemory(c.String("memory"))
		if err != nil {
			return change, err
		}
		change.Memory = &memory
	}
	if c.IsSet("cpu-seconds") {
		change.CPUSeconds = new(c.Float64("cpu-seconds"))
	}
	if c.IsSet("processes") {
		change.Processes = new(c.Int("processes"))
	}
	if c.IsSet("env") {
		words := slices.DeleteFunc(c.StringSlice("env"), func(word string) bool { return word == "" })
		env, err := core.ParseEnv(words)
		if err != nil {
			return change, usageOf("--env", err)
		}
		change.Env = &env
	}
	if c.IsSet("isolation") {
		isolation := core.Isolation(c.String("isolation"))
		if err := isolation.Validate(); err != nil {
			return change, usageOf("--isolation", err)
		}
		change.Isolation = &isolation
	}
	if c.IsSet("backoff") {
		backoff, err := core.ParseBackoff(c.String("backoff"))
		if err != nil {
			return change, usageOf("--backoff", err)
		}
		change.Backoff = &backoff
	}
	if c.IsSet("retry-on") {
		names, err := core.ParseRetryOn(c.String("retry-on"))
		if err != nil {
			return change, usageOf("--retry-on", err)
		}
		change.RetryOn = &names
	}
	if c.IsSet("rate") {
		rate, err := core.ParseRate(c.String("rate"))
		if err != nil {
			return change, usageOf("--rate", err)
		}
		change.Rate = &rate
	}
	return change, nil
}

// usageOf is a mistake in the value of a flag.
func usageOf(flag string, err error) error {
	return usage("%s: %s", flag, err.Error()).WithHint("%s", core.HintOf(err))
}

func fnSetCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "set", Usage: "change how calls of a function are run, tried again and limited", ArgsUsage: "FUNCTION",
		Description: "  faasctl fn set resize --retries 3 --retry-on ValueError,timeout --rate 100/s\n\n" +
			"--concurrency and --rate concern what waits already, the other flags later calls. What is not named stays.",
		Flags: append(append(urlFlags(), policyFlags()...), outputFlag("table", "json", "id")),
		Action: func(c *urfave.Context) error {
			as, err := format(c, "table", "json", "id")
			if err != nil {
				return err
			}
			ref, err := oneArgument(c, "function", "faasctl fn ls lists what there is")
			if err != nil {
				return err
			}
			change, err := policyChange(c)
			if err != nil {
				return err
			}
			if change.Empty() {
				return usage("what shall be changed?").WithHint("such as faasctl fn set %s --retries 3; faasctl fn set --help lists the flags", ref)
			}
			api, err := e.client(c)
			if err != nil {
				return err
			}
			defer api.Close()
			f, changed, err := api.SetPolicy(c.Context, ref, change)
			if err != nil {
				return err
			}
			switch as {
			case "json":
				return e.jsonLine(wire.Changed{Function: document(f), Changed: append([]string{}, changed...)})
			case "id":
				return e.data([]byte(string(f.ID) + "\n"))
			}
			return e.data([]byte(string(f.ID) + "  " + f.Ref() + "  " + changedText(changed) + "\n"))
		},
	}
}

func changedText(changed []string) string {
	if len(changed) == 0 {
		return "unchanged"
	}
	return "changed: " + strings.ReplaceAll(strings.Join(changed, ", "), "_", "-")
}

// describePolicy lists what a function's policy states.
func describePolicy(p core.Policy, add func(name, value string)) {
	if p.Timeout > 0 {
		add("time-out", p.Timeout.String())
	}
	if p.Retries > 0 {
		add("retries", count(p.Retries, "more attempt")+" after "+p.Backoff.String())
		add("retry on", strings.Join(p.RetryOn, ", "))
	}
	if p.Concurrency > 0 {
		add("concurrency", count(p.Concurrency, "call")+" at once")
	}
	add("rate", p.Rate.String())
	add("env", strings.Join(p.Env, " "))
	describeLimits(p.Limits, add)
	if p.Expires > 0 {
		add("expires", "after waiting "+p.Expires.String())
	}
}

// describeLimits lists what a call may use, as far as anything limits it.
func describeLimits(l core.Limits, add func(name, value string)) {
	if l.Memory > 0 {
		add("memory", sizeText(l.Memory))
	}
	if l.CPUSeconds > 0 {
		add("cpu-seconds", strconv.FormatFloat(l.CPUSeconds, 'g', -1, 64))
	}
	if l.Processes > 0 {
		add("processes", "at most "+strconv.Itoa(l.Processes))
	}
	add("isolation", string(l.Isolation))
}

// parseMemory reads 0, 536870912, 512MiB or 2GiB.
func parseMemory(text string) (int64, error) {
	number, shift := strings.TrimRight(strings.ToLower(strings.TrimSpace(text)), "ib"), 0
	for i, unit := range []string{"k", "m", "g", "t"} {
		if trimmed, ok := strings.CutSuffix(number, unit); ok {
			number, shift = trimmed, 10*(i+1)
		}
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	size := n * float64(int64(1)<<shift)
	if err != nil || !(size >= 0 && size <= core.MaxMemory) {
		return 0, usage("--memory %q is not a size", clip(text, 32)).WithHint("write 512MiB, 2GiB or a number of bytes; 0 = no limit")
	}
	if err := (core.Limits{Memory: int64(size)}).Validate(); err != nil {
		return 0, usageOf("--memory", err)
	}
	return int64(size), nil
}
