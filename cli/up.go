package cli

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"

	urfave "github.com/urfave/cli/v2"

	"faasctl/core"
	"faasctl/httpapi"
	"faasctl/workers/link"
	"faasctl/workers/pyrun"
)

func upCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "up", Category: catServe, Usage: "start everything here: API, dispatcher, workers and a Redis of its own",
		Description: "Runs until Ctrl-C, which lets running tasks end; a second Ctrl-C does not wait. Data stay in --data.\n" +
			"With --top, leaving the dashboard (q) is what Ctrl-C is, and what is logged goes to up.log in --data.",
		Flags: append(append(append([]urfave.Flag{
			&urfave.IntFlag{Name: "workers", Aliases: []string{"w"}, Value: runtime.NumCPU(), Usage: "run `N` calls at once, in each mode; one per core unless you say"},
		}, modeFlags()...),
			&urfave.BoolFlag{Name: "top", Usage: "show the dashboard of what runs here; leaving it stops all"},
			&urfave.StringFlag{Name: "worker-key", Usage: "with --curve: `FILE` with the secret key of the workers that are started here"},
			flagListen(), flagData(), flagRedis(),
			&urfave.StringFlag{Name: "store", Value: "redis", Usage: "`KIND` of store: redis, or memory, which keeps nothing"},
			flagDurability(), flagKeepResults(), flagKeepFailed(),
			pythonsFlag(), flagImportPath(), flagTokenFile(), flagMaxPayload(), flagVerbose(), graceFlag(),
		), ruleFlags()...),
		Action: func(c *urfave.Context) error {
			if c.Bool("top") {
				return e.upTop(c)
			}
			cfg, err := e.readUp(c)
			if err != nil {
				return err
			}
			return e.serve(c.Context, cfg, job{api: true, dispatcher: true, own: true})
		},
	}
}

// readUp reads the flags of an up.
func (e *environment) readUp(c *urfave.Context) (serverConfig, error) {
	cfg, err := e.readServer(c)
	if err != nil {
		return cfg, err
	}
	if cfg.workerKey = c.String("worker-key"); cfg.workerKey != "" {
		cfg.rules.Hide = cfg.secrets()
		_, err = loadSecret(cfg.workerKey)
	}
	return cfg, err
}

// job is what a server process does.
type job struct {
	api, dispatcher bool
	own             bool // it runs the store, too

	// front makes the part that has the terminal, and whose end ends all.
	// nil: the banner, which stays until the end.
	front func(*server) part
}

// stoppingText is what is said when a server is told to stop.
const stoppingText = "faasctl: stopping; running tasks have 20 s to end (again: stop at once)"

// server is a process with its parts.
type server struct {
	*environment
	cfg     serverConfig
	job     job
	back    *backend
	pythons []core.Interpreter // that functions may run on, the default first; none where none run
	api     *httpapi.Server
	hubs    []*link.Hub
	token   string // by which the hubs know the workers that are hired here
	stages  [][]part
	hired   sync.WaitGroup  // worker processes that are run from here
	now     <-chan struct{} // closed by a second signal
}

// serve starts a server, says what it is, and runs it until it is told to stop.
func (e *environment) serve(parent context.Context, cfg serverConfig, do job) error {
	ctx, now, release := stopSignals(parent, func(second bool) {
		if second {
			cfg.logTo.muted.Store(true) // what is cut off now has no reason to complain
			e.note("%sfaasctl: stopping at once; tasks that ran will start again", e.afterCtrlC())
			return
		}
		e.note("%s%s", e.afterCtrlC(), stoppingText)
	})
	defer release()
	s := &server{environment: e, cfg: cfg, job: do, now: now}
	if err := s.start(ctx); err != nil {
		s.abort()
		return err
	}
	front := part{"banner", s.sayWhenUp}
	if do.front != nil {
		front = do.front(s)
	}
	err := runStages(ctx, now, append([][]part{{front}}, s.stages...)...)
	s.back.close()
	if err == nil {
		e.note("faasctl: stopped")
	}
	return err
}

// start makes all parts; none of them runs yet but the Redis child.
func (s *server) start(ctx context.Context) error {
	var err error
	if s.job.dispatcher && (s.job.own || s.cfg.modes.has(core.Local)) {
		if s.pythons, _, err = pyrun.FindAll(ctx, s.cfg.python); err != nil {
			return err
		}
		if err = pyrun.Undumpable(); err != nil {
			s.cfg.log.Warn("functions can read the environment of this process", "error", err)
		}
	}
	if s.job.own {
		s.back, err = s.cfg.openOwn(ctx)
	} else {
		s.back, err = s.cfg.attach(ctx)
	}
	if err != nil {
		return err
	}
	if !s.cfg.memory { // of which the banner says it
		for _, warning := range s.back.warnings {
			s.warn("%s", warning)
		}
	}
	if err := s.back.buryDead(ctx, s.warn); err != nil {
		return err
	}
	if s.job.dispatcher {
		if err := s.addDispatcher(); err != nil {
			return err
		}
	}
	if s.job.api {
		if err := s.addAPI(); err != nil {
			return err
		}
	}
	if s.back.child != nil {
		s.stages = append(s.stages, []part{{"redis", s.back.child.Run}})
	}
	return nil
}

// abort gives back what an unfinished start has taken.
func (s *server) abort() {
	if s.api != nil {
		_ = s.api.Close()
	}
	if s.back == nil {
		return
	}
	if s.back.child != nil {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.back.child.Run(ended)
	}
	s.back.close()
}

// addDispatcher adds the first stages to stop: workers of other processes that
// are run from here drain while the dispatcher is there to take their results,
// and then it drains its own.
func (s *server) addDispatcher() error {
	s.token = rand.Text()
	transports, hubs, err := s.cfg.modes.open(s)
	if err != nil {
		return err
	}
	s.hubs = hubs
	dispatcher, err := core.NewDispatcher(core.DispatcherConfig{
		Store: s.back.store, Transports: transports, Principal: s.back.principal, Grace: s.cfg.grace, Logger: s.cfg.log,
	})
	if err != nil {
		return err
	}
	for _, hub := range hubs {
		hub.Name(dispatcher.ID())
	}
	run := dispatcher.Run
	if s.hires() {
		run = s.afterHired(run)
		var hired []part
		for _, hub := range hubs {
			hired = append(hired, part{"worker", s.hire(hub)})
		}
		s.stages = append(s.stages, hired)
	}
	s.stages = append(s.stages, []part{{"dispatcher", run}})
	return s.back.remember(dispatcher.ID())
}

// addAPI stops after the dispatcher, so that who waits for a task that ends
// during the drain still hears of it.
func (s *server) addAPI() error {
	service, err := core.NewService(core.ServiceConfig{
		Store: s.back.store, MaxPayload: s.cfg.maxPayload, Keep: s.cfg.keepResults, Python: s.defaultPython(), Logger: s.cfg.log,
	})
	if err != nil {
		return err
	}
	s.api, err = httpapi.New(httpapi.Config{
		Service: service, Listen: s.cfg.listen, TokenFile: s.cfg.tokenFile,
		Version: s.version, Logger: s.cfg.log, Warnings: s.back.warnings,
	})
	if err != nil {
		return err
	}
	if err := s.api.Listen(); err != nil {
		return err
	}
	s.stages = append(s.stages, []part{{"http", s.api.Run}}, []part{{"service", service.Run}})
	return nil
}

// defaultPython is the version that is assumed of a pickle whose client did not say.
func (s *server) defaultPython() string {
	if len(s.pythons) == 0 {
		return ""
	}
	return minor(s.pythons[0].Version)
}

// minor is 3.11 of 3.11.7.
func minor(version string) string {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return ""
	}
	return parts[0] + "." + parts[1]
}

// sayWhenUp prints the banner once workers can connect.
func (s *server) sayWhenUp(ctx context.Context) error {
	if s.workersCanConnect(ctx) {
		s.banner()
		<-ctx.Done()
	}
	return nil
}

// workersCanConnect waits for that; false when ctx is done before.
func (s *server) workersCanConnect(ctx context.Context) bool {
	for _, hub := range s.hubs {
		select {
		case <-hub.Ready():
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// banner says in one glance what runs, where, and what to type next.
func (s *server) banner() {
	rows := [][2]string{}
	what := "everything is up"
	switch {
	case !s.job.api:
		what = "dispatcher is up"
	case !s.job.dispatcher:
		what = "API is up"
	}
	if s.api != nil {
		rows = append(rows, [2]string{"url", s.api.URL()})
	}
	rows = append(rows, [2]string{"store", s.back.says})
	if s.back.child != nil {
		rows = append(rows, [2]string{"data", s.homely(s.cfg.data)})
	}
	for _, python := range s.pythons {
		rows = append(rows, [2]string{"python", s.pythonText(python)})
	}
	if os.Geteuid() == 0 && len(s.pythons) > 0 { // whoever starts it as root should know
		if force, _, err := pyrun.Survey(pyrun.Config{Interpreters: s.pythons, ImportPath: s.cfg.importPath, Rules: s.cfg.rules}); err == nil {
			rows = append(rows, [2]string{"run as", force.User})
		}
	}
	rows = append(rows, s.workerRows()...)
	var text strings.Builder
	fmt.Fprintf(&text, "faasctl %s: %s, pid %d\n", s.version, what, os.Getpid())
	for _, row := range rows {
		fmt.Fprintf(&text, "  %-8s %s\n", row[0], row[1])
	}
	text.WriteString("  next     " + s.next() + "\n")
	s.note("%s", strings.TrimRight(text.String(), "\n"))
}

// next is what to type after the banner.
func (s *server) next() string {
	same := " --data " + s.homely(s.cfg.data)
	if s.cfg.redis != "" {
		same = " --redis URL" // which may hold a secret
	}
	switch {
	case !s.job.dispatcher:
		return "in another terminal: faasctl dispatcher -m local -w 2" + same
	case !s.job.api:
		return "for clients, unless an API runs already: faasctl serve" + same
	}
	command := "faasctl run fn.py --args '[3, 4]'"
	if s.api.URL() != defaultURL {
		command = "export FAASCTL_URL=" + s.api.URL() + "; " + command
	}
	return "in another terminal: " + command
}
