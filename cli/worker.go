package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	urfave "github.com/urfave/cli/v2"

	"faasctl/core"
	"faasctl/workers/link"
	"faasctl/workers/pull"
	"faasctl/workers/push"
	"faasctl/workers/pyrun"
	"faasctl/workers/zmqloop"
)

func workerCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "worker", Category: catServe, Usage: "a worker for a dispatcher, here or on another machine",
		Subcommands: []*urfave.Command{workerModeCommand(e, core.Push, push.NewWorker), workerModeCommand(e, core.Pull, pull.NewWorker)},
	}
}

func workerModeCommand(e *environment, mode core.Mode, dial func(link.WorkerConfig) (*link.Worker, error)) *urfave.Command {
	about := map[core.Mode]string{core.Push: "is sent tasks as they come (DEALER)", core.Pull: "asks for tasks when it has room (REQ)"}
	return &urfave.Command{
		Name: string(mode), Usage: about[mode], ArgsUsage: "[N | auto] URL...",
		Description: "Runs N calls at once (1; auto = one per core) for the dispatcher at URL: tcp://HOST:PORT or HOST:PORT. Of\n" +
			"several it is with one at a time, and goes to the next when that one is silent. It never gives up. The first\n" +
			"Ctrl-C or SIGTERM lets running tasks end; a second one does not.",
		Flags: append([]urfave.Flag{
			&urfave.StringFlag{Name: "curve", Usage: "`FILE` with the worker's secret key"},
			&urfave.StringFlag{Name: "server-key", Usage: "`FILE` with the dispatcher's public key"},
			insecureFlag(),
			&urfave.StringSliceFlag{Name: "label", Usage: "`NAME=VALUE` about the worker; may be repeated"},
			pythonsFlag(), flagImportPath(), flagMaxPayload(), flagVerbose(),
			&urfave.BoolFlag{Name: "hired", Hidden: true}, // by an up, which speaks for it
		}, ruleFlags()...),
		Action: func(c *urfave.Context) error { return e.work(c, mode, dial) },
	}
}

// work runs a worker until it has drained or is stopped.
func (e *environment) work(c *urfave.Context, mode core.Mode, dial func(link.WorkerConfig) (*link.Worker, error)) error {
	hired, token := c.Bool("hired"), ""
	if hired {
		token = hiredToken(e.stdin)
	}
	base, err := e.readWorker(c)
	if err != nil {
		return err
	}
	if hired {
		base.log = base.log.With("mode", mode) // it shares the terminal with others
	}
	slots, urls, err := slotsAndURLs(c.Args().Slice())
	if err != nil {
		return err
	}
	base.openEnvironments()
	cfg := link.WorkerConfig{Slots: slots, ImportPath: base.importPath, Version: e.version, Rules: base.rules}
	cfg.URLs, cfg.MaxPayload, cfg.Logger, cfg.Insecure = urls, base.maxPayload, base.log, c.Bool("insecure")
	cfg.Token = token
	if cfg.Labels, err = labelsOf(c); err != nil {
		return err
	}
	if cfg.Curve, err = clientCurve(c); err != nil {
		return err
	}
	if err := checkReach(urls, cfg.Curve != nil, cfg.Insecure); err != nil {
		return err
	}
	if cfg.Interpreters, _, err = pyrun.FindAll(c.Context, base.python); err != nil {
		return err
	}
	if err := pyrun.Undumpable(); err != nil {
		base.log.Warn("functions can read the environment of this process", "error", err)
	}
	worker, err := dial(cfg)
	if err != nil {
		return err
	}
	if !hired {
		e.workerBanner(mode, worker, cfg, c.String("curve"))
	}
	return e.workUntilDrained(c.Context, worker, hired)
}

// hiredToken reads what an up gives to a worker that it hires, by which its hub
// knows it. The worker has also inherited the lock of the data directory, which
// stays taken as long as it lives: the next up does not run its tasks beside it.
// Its own children must not keep the lock.
func hiredToken(from io.Reader) string {
	syscall.CloseOnExec(inheritedLock)
	line, _ := bufio.NewReader(io.LimitReader(from, 256)).ReadString('\n') // without it, the worker is one like others
	return strings.TrimSpace(line)
}

// inheritedLock is the descriptor of the first of exec.Cmd's ExtraFiles.
const inheritedLock = 3

// workerBanner says what the worker is, and what has to be true for it to get
// tasks. If it is not true, the log says what is wrong.
func (e *environment) workerBanner(mode core.Mode, worker *link.Worker, cfg link.WorkerConfig, key string) {
	text := fmt.Sprintf("faasctl %s: %s worker %s, %s\n  to       %s\n", e.version, mode, worker.ID(), slotsText(cfg.Slots),
		strings.Join(cfg.URLs, " or "))
	for _, python := range cfg.Interpreters {
		text += "  python   " + e.pythonText(python) + "\n"
	}
	if os.Geteuid() == 0 {
		text += "  run as   " + worker.Enforces().User + "\n"
	}
	needs := ""
	if key != "" {
		name, _ := strings.CutSuffix(filepath.Base(key), ".key")
		text += "  key      " + e.homely(key) + "\n"
		needs = " with " + name + ".pub in its --allow directory"
	}
	e.note("%s  next     it says \"registered\" when a dispatcher -m %s%s answers; until then it keeps trying", text, mode, needs)
}

// workUntilDrained turns the first signal into a drain and the second into a stop.
func (e *environment) workUntilDrained(parent context.Context, worker *link.Worker, quiet bool) error {
	say := func(format string, args ...any) {
		if !quiet {
			e.note(format, args...)
		}
	}
	drain, now, release := stopSignals(parent, func(second bool) {
		if second {
			say("%sfaasctl: stopping at once; tasks that ran will start again elsewhere", e.afterCtrlC())
			return
		}
		say("%sfaasctl: draining: no more tasks, and it leaves when the running ones have ended (again: stop at once)", e.afterCtrlC())
	})
	defer release()
	running, stop := context.WithCancel(context.WithoutCancel(parent))
	defer stop()
	defer context.AfterFunc(drain, worker.Drain)()
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-now:
			stop()
		case <-ended:
		}
	}()
	err := worker.Run(running)
	if err == nil {
		say("faasctl: worker %s has left", worker.ID())
	}
	return err
}

// readWorker reads the flags that workers share with servers.
func (e *environment) readWorker(c *urfave.Context) (serverConfig, error) {
	cfg := serverConfig{python: c.StringSlice("python"), importPath: c.StringSlice("import-path")}
	cfg.logToStderr(e, c.Bool("verbose"))
	if err := cfg.checkImportPath(); err != nil {
		return cfg, err
	}
	var err error
	if cfg.environments, err = readEnvironments(c); err != nil {
		return cfg, err
	}
	if cfg.rules, err = readRules(c); err != nil {
		return cfg, err
	}
	if key := c.String("curve"); key != "" {
		cfg.rules.Hide = append(cfg.rules.Hide, key)
	}
	cfg.maxPayload, err = parseSize(c.String("max-payload"))
	return cfg, err
}

// slotsAndURLs reads [N | auto] URL..., the order of the system we descend from.
func slotsAndURLs(words []string) (slots int, urls []string, err error) {
	slots = 1
	if len(words) > 0 {
		n, err := strconv.Atoi(words[0])
		switch {
		case words[0] == "auto":
			slots, words = runtime.NumCPU(), words[1:]
		case err == nil && (n < 1 || n > 1024):
			return 0, nil, usage("a worker has between 1 and 1024 slots, not %d", n).WithHint("auto has one per core")
		case err == nil:
			slots, words = n, words[1:]
		case !strings.Contains(words[0], ":"):
			return 0, nil, usage("%q is neither a number of slots nor tcp://HOST:PORT", clip(words[0], 64)).
				WithHint("such as faasctl worker push 2 tcp://127.0.0.1:5555; auto has one slot per core")
		}
	}
	if len(words) == 0 {
		return 0, nil, usage("which dispatcher?").WithHint("name its address, such as tcp://127.0.0.1:5555; faasctl dispatcher -m push prints it")
	}
	for _, word := range words {
		if _, err := strconv.Atoi(word); err == nil || word == "auto" {
			return 0, nil, usage("the number of slots comes before the address").WithHint("faasctl worker push %s %s", word, words[0])
		}
		address, err := zmqloop.Address(word)
		if err != nil {
			return 0, nil, err
		}
		if strings.HasSuffix(address, ":0") || strings.HasSuffix(address, ":*") {
			return 0, nil, usage("%s has no port to connect to", clip(word, 64)).WithHint("the dispatcher's banner tells it")
		}
		if !slices.Contains(urls, address) {
			urls = append(urls, address)
		}
	}
	return slots, urls, nil
}

// checkReach refuses addresses of other machines without keys.
func checkReach(urls []string, curve, insecure bool) error {
	for _, url := range urls {
		if zmqloop.CheckReach(url, curve, insecure) != nil {
			return usage("%s is on another machine, so it needs keys", url).
				WithHint("faasctl keys new NAME makes one: --curve NAME.key, and --server-key with the dispatcher's .pub; or insist with --insecure")
		}
	}
	return nil
}

func labelsOf(c *urfave.Context) (map[string]string, error) {
	var labels map[string]string
	for _, label := range c.StringSlice("label") {
		name, value, ok := strings.Cut(label, "=")
		if !ok || name == "" {
			return nil, usage("--label %q is not NAME=VALUE", clip(label, 64)).WithHint("such as --label rack=7")
		}
		if labels == nil {
			labels = map[string]string{}
		}
		labels[name] = value
	}
	return labels, nil
}

func clientCurve(c *urfave.Context) (*zmqloop.ClientCurve, error) {
	own, server := c.String("curve"), c.String("server-key")
	switch {
	case own == "" && server == "":
		return nil, nil
	case own == "" || server == "":
		return nil, usage("--curve and --server-key go together").
			WithHint("--curve w.key is the worker's secret key, --server-key server.pub the dispatcher's public one")
	}
	key, err := loadSecret(own)
	if err != nil {
		return nil, err
	}
	public, err := loadPublic(server)
	if err != nil {
		return nil, err
	}
	if public == key.Public {
		return nil, usage("--server-key %s is this worker's own", server).WithHint("here goes the dispatcher's public key, such as server.pub")
	}
	return &zmqloop.ClientCurve{Key: key, Server: public}, nil
}
