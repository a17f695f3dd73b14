package cli

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"faasctl/core"
	"faasctl/workers/pyrun"
)

// Flags of servers. Each verb takes those that concern it.
var (
	flagListen = func() urfave.Flag {
		return &urfave.StringFlag{Name: "listen", Value: "127.0.0.1:8000", Usage: "`HOST:PORT` of the HTTP API; port 0 takes a free one"}
	}
	flagData = func() urfave.Flag {
		return &urfave.StringFlag{Name: "data", Usage: "`DIR` with the tasks of the embedded Redis; default ~/.local/state/faasctl", EnvVars: []string{"FAASCTL_DATA"}}
	}
	flagRedis = func() urfave.Flag {
		return &urfave.StringFlag{Name: "redis", Usage: "use the Redis at this `URL` instead of an embedded one", EnvVars: []string{"FAASCTL_REDIS"}}
	}
	flagImportPath = func() urfave.Flag {
		return &urfave.StringSliceFlag{Name: "import-path", Usage: "`DIR` that functions may import modules from; may be repeated"}
	}
	flagTokenFile = func() urfave.Flag {
		return &urfave.StringFlag{Name: "token-file", Usage: "`FILE` with the token that clients must send", EnvVars: []string{"FAASCTL_TOKEN_FILE"}}
	}
	flagKeepResults = func() urfave.Flag {
		return &urfave.DurationFlag{Name: "keep-results", Value: 24 * time.Hour, Usage: "forget completed and cancelled tasks with their results so long after their end"}
	}
	flagKeepFailed = func() urfave.Flag {
		return &urfave.DurationFlag{Name: "keep-failed", Value: 14 * 24 * time.Hour, Usage: "forget failed tasks so long after their end"}
	}
	flagDurability = func() urfave.Flag {
		return &urfave.StringFlag{Name: "durability", Usage: "`WHEN` a write counts: memory (nothing is on disk), everysec (default), always (on disk), replicated (in a replica, with --redis)"}
	}
	flagMaxPayload = func() urfave.Flag {
		return &urfave.StringFlag{Name: "max-payload", Value: "8MiB", Usage: "`SIZE` that a function, its arguments or its result may have"}
	}
	flagVerbose = func() urfave.Flag {
		return &urfave.BoolFlag{Name: "verbose", Usage: "log more"}
	}
)

// serverConfig is what the flags of a server say.
type serverConfig struct {
	listen, tokenFile string
	data              string // absolute
	redis             string // "" = embedded, or that of data
	memory            bool   // --store memory
	durability        string // "" = the default
	keepResults       time.Duration
	keepFailed        time.Duration
	python            []string // as named; none = the default
	importPath        []string
	rules             pyrun.Rules
	grace             time.Duration // of cancelled calls
	environments      environmentConfig
	workers           int
	modes             modes
	workerKey         string // of workers that an up starts; "" = none
	maxPayload        int
	verbose           bool
	log               *slog.Logger
	logTo             *logWriter // where log writes
}

// readServer reads whichever flags the verb has.
func (e *environment) readServer(c *urfave.Context) (serverConfig, error) {
	cfg := serverConfig{
		listen: c.String("listen"), tokenFile: c.String("token-file"), redis: c.String("redis"), durability: c.String("durability"),
		python: c.StringSlice("python"), importPath: c.StringSlice("import-path"), workers: c.Int("workers"),
	}
	if err := noArguments(c); err != nil {
		return cfg, err
	}
	cfg.logToStderr(e, c.Bool("verbose"))
	if flagNamed(c.Command, "mode") != nil {
		var err error
		if cfg.modes, err = readModes(c); err != nil {
			return cfg, err
		}
	}
	switch store := c.String("store"); store {
	case "", "redis":
	case "memory":
		cfg.memory = true
	default:
		return cfg, usage("--store cannot be %q", clip(store, 32)).WithHint("choose redis or memory")
	}
	if cfg.workers < 1 || cfg.workers > 1024 {
		if flagNamed(c.Command, "workers") != nil {
			return cfg, usage("-w must be between 1 and 1024, not %d", cfg.workers)
		}
	}
	if err := cfg.checkImportPath(); err != nil {
		return cfg, err
	}
	if text := c.String("max-payload"); text != "" {
		size, err := parseSize(text)
		if err != nil {
			return cfg, err
		}
		cfg.maxPayload = size
	}
	if err := cfg.readKeeping(c); err != nil {
		return cfg, err
	}
	if err := cfg.checkStore(); err != nil {
		return cfg, err
	}
	var err error
	if cfg.environments, err = readEnvironments(c); err != nil {
		return cfg, err
	}
	if cfg.rules, err = readRules(c); err != nil {
		return cfg, err
	}
	if cfg.grace, err = readGrace(c); err != nil {
		return cfg, err
	}
	cfg.data, err = e.dataDir(c.String("data"))
	cfg.rules.Hide = cfg.secrets()
	return cfg, err
}

func (cfg *serverConfig) logToStderr(e *environment, verbose bool) {
	level := slog.LevelInfo
	if cfg.verbose = verbose; verbose {
		level = slog.LevelDebug
	}
	cfg.logTo = &logWriter{to: e.stderr}
	cfg.log = slog.New(&logHandler{to: cfg.logTo, level: level})
}

// checkImportPath makes the directories absolute, as Python works elsewhere.
func (cfg *serverConfig) checkImportPath() error {
	for i, dir := range cfg.importPath {
		info, err := os.Stat(dir)
		if err != nil || !info.IsDir() {
			return usage("--import-path %s is not a directory", dir)
		}
		if cfg.importPath[i], err = filepath.Abs(dir); err != nil {
			return usage("--import-path %s: %s", dir, err)
		}
	}
	return nil
}

// readKeeping reads how long ended tasks are kept; 0 is the store's default.
func (cfg *serverConfig) readKeeping(c *urfave.Context) error {
	for _, keep := range []struct {
		name string
		into *time.Duration
	}{{"keep-results", &cfg.keepResults}, {"keep-failed", &cfg.keepFailed}} {
		if flagNamed(c.Command, keep.name) == nil {
			continue
		}
		if *keep.into = c.Duration(keep.name); *keep.into < time.Second {
			return usage("--%s %s is too short for anybody to fetch a result", keep.name, *keep.into).WithHint("a day is --%s 24h", keep.name)
		}
	}
	return nil
}

// checkStore refuses flags about the store that contradict each other.
func (cfg *serverConfig) checkStore() error {
	switch {
	case cfg.memory && cfg.redis != "":
		return usage("--store memory and --redis are at odds").WithHint("give one of them (FAASCTL_REDIS counts as --redis)")
	case cfg.memory && cfg.durability != "" && cfg.durability != "memory":
		return usage("--store memory keeps nothing, so --durability %s cannot hold", clip(cfg.durability, 32))
	case cfg.durability == "replicated" && cfg.redis == "":
		return usage("--durability replicated needs a Redis with replicas").WithHint("name it: --redis URL; or choose --durability always")
	case cfg.durability != "" && durabilityRank(cfg.durability) < 0:
		return usage("--durability cannot be %q", clip(cfg.durability, 32)).WithHint("choose memory, everysec, always or replicated")
	}
	return nil
}

// durabilityRank orders what a Redis promises; -1 for an unknown word.
func durabilityRank(word string) int {
	for rank, known := range []string{"memory", "everysec", "always", "replicated"} {
		if word == known {
			return rank
		}
	}
	return -1
}

// dataDir is where the embedded Redis keeps its data, absolute.
func (e *environment) dataDir(wanted string) (string, error) {
	if wanted == "" {
		state := e.getenv("XDG_STATE_HOME")
		if !filepath.IsAbs(state) { // the specification says to ignore others
			home := e.getenv("HOME")
			if home == "" {
				return "", usage("there is no home directory to keep data in").WithHint("name one: --data DIR")
			}
			state = filepath.Join(home, ".local", "state")
		}
		wanted = filepath.Join(state, "faasctl")
	}
	whole, err := filepath.Abs(wanted)
	if err != nil {
		return "", usage("--data %s: %s", wanted, err)
	}
	return whole, nil
}

// parseSize reads 8388608, 512KiB, 8MiB, 8M or 1GiB.
func parseSize(text string) (int, error) {
	number := strings.TrimRight(strings.ToLower(strings.TrimSpace(text)), "ib")
	shift := 0
	for i, unit := range []string{"k", "m", "g"} {
		if trimmed, ok := strings.CutSuffix(number, unit); ok {
			number, shift = trimmed, 10*(i+1)
		}
	}
	n, err := strconv.Atoi(strings.TrimSpace(number))
	if err != nil || n < 1 || n > (1<<30)>>shift {
		return 0, usage("%q is not a size between 1 byte and 1 GiB", clip(text, 32)).WithHint("write 8MiB, 512KiB or a number of bytes")
	}
	return n << shift, nil
}

// sizeText is a size as people write it.
func sizeText(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}

// homely shortens a path below the home directory.
func (e *environment) homely(path string) string {
	home := e.getenv("HOME")
	if rest, ok := strings.CutPrefix(path, home+string(filepath.Separator)); ok && home != "" {
		return "~" + string(filepath.Separator) + rest
	}
	return path
}

// slotsText says how many calls execute at once.
func slotsText(n int) string {
	text := fmt.Sprintf("%d slots", n)
	if n == 1 {
		text = "1 slot"
	}
	if n == runtime.NumCPU() {
		return text + ", one per core"
	}
	return text
}

// pythonText names an interpreter.
func (e *environment) pythonText(python core.Interpreter) string {
	text := e.homely(python.Path) + " (" + python.Version
	if python.Dill == "" {
		return text + ", without dill: pickled functions will not run)"
	}
	return text + ", dill " + python.Dill + ")"
}
