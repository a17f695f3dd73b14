package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	urfave "github.com/urfave/cli/v2"

	"faasctl/core"
	"faasctl/httpapi/client"
	"faasctl/workers/environments"
)

// environmentFlags say where workers get what functions depend on.
func environmentFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.BoolFlag{Name: "offline", Usage: "ask no package index for what functions depend on: only --wheels, and what uv has cached"},
		&urfave.StringSliceFlag{Name: "wheels", Usage: "`DIR` with packages that functions may depend on, beside the index; may be repeated"},
		&urfave.StringFlag{Name: "environments", EnvVars: []string{"FAASCTL_ENVIRONMENTS"}, Usage: "keep the environments of functions in `DIR`; default: faasctl/environments in the user's cache, for root in /var/cache"},
	}
}

// environmentConfig is what the flags say.
type environmentConfig struct {
	dir     string
	offline bool
	wheels  []string
}

func readEnvironments(c *urfave.Context) (environmentConfig, error) {
	cfg := environmentConfig{dir: c.String("environments"), offline: c.Bool("offline"), wheels: c.StringSlice("wheels")}
	for i, dir := range cfg.wheels {
		info, err := os.Stat(dir)
		if err != nil || !info.IsDir() {
			return cfg, usage("--wheels %s is not a directory", dir)
		}
		if cfg.wheels[i], err = filepath.Abs(dir); err != nil {
			return cfg, usage("--wheels %s: %s", dir, err)
		}
	}
	if cfg.dir != "" {
		whole, err := filepath.Abs(cfg.dir)
		if err != nil {
			return cfg, usage("--environments %s: %s", cfg.dir, err)
		}
		cfg.dir = whole
	}
	return cfg, nil
}

// words are the flags that say the same to a worker that is hired.
func (e environmentConfig) words() (words []string) {
	if e.dir != "" {
		words = append(words, "--environments", e.dir)
	}
	if e.offline {
		words = append(words, "--offline")
	}
	for _, dir := range e.wheels {
		words = append(words, "--wheels", dir)
	}
	return words
}

// open makes the cache; nil, with a warning, where it has no place.
func (cfg *serverConfig) openEnvironments() {
	e := cfg.environments
	cache := environments.New(environments.Config{Dir: e.dir, Offline: e.offline, Wheels: e.wheels, Logger: cfg.log})
	if err := os.MkdirAll(cache.Dir(), 0o755); err != nil {
		cfg.log.Warn("functions that depend on packages cannot run here", "error", err)
		return
	}
	cfg.rules.Environments = cache
}

// checkEnvironments says how environments are made here.
func checkEnvironments(python core.Interpreter, dir string) check {
	const name = "environments"
	where := environments.New(environments.Config{Dir: dir}).Dir()
	if uv, err := exec.LookPath("uv"); err == nil {
		return ok(name, "made by %s, kept in %s", uv, where)
	}
	// Where its library lies tells without starting it, in the usual layout.
	real, _ := filepath.EvalSymlinks(python.Path)
	library := filepath.Join(filepath.Dir(real), "..", "lib", "python"+minor(python.Version))
	_, known := os.Stat(library)
	if _, err := os.Stat(filepath.Join(library, "ensurepip")); err != nil && known == nil {
		return warning(name, "neither uv nor Python's venv with pip is here: functions that depend on packages cannot run", "install uv, or your system's python3-venv")
	}
	return ok(name, "made by venv and pip of %s, kept in %s", python.Path, where)
}

// Times of waiting for environments.
const (
	prepareLook  = 250 * time.Millisecond // between two looks
	prepareStart = 10 * time.Second       // for a worker to begin
	prepareMost  = 20 * time.Minute
)

// waitPrepared shows how far workers are with the environment of a function, until all
// of them are through. It fails when none could make it.
func (e *environment) waitPrepared(ctx context.Context, api *client.Client, f core.Function) error {
	begun := time.Now()
	shown := map[core.WorkerID]string{}
	look := time.NewTicker(prepareLook)
	defer look.Stop()
	for {
		workers, err := api.Workers(ctx)
		if err != nil {
			return err
		}
		ready, failed, open, news := preparedBy(workers, f)
		for id, line := range news {
			if shown[id] != line {
				shown[id] = line
				e.note("%s  %s", id, cleanLine(line))
			}
		}
		switch {
		case open > 0 && time.Since(begun) < prepareMost:
		case len(failed) > 0 && ready == 0:
			e.environmentFailed(f, failed[0])
			return exitCode(core.ExitFailed)
		case len(failed) > 0:
			e.warn("%s of %d workers could not make the environment of %s; see faasctl workers show", count(len(failed), "worker"), ready+len(failed), f.Ref())
			return nil
		case ready > 0:
			return nil
		case time.Since(begun) > prepareStart || len(workers) == 0:
			e.warn("no worker has begun to make the environment of %s; the first that is given a call of it does", f.Ref())
			return nil
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// preparedBy counts how far workers are with the environment of a function.
func preparedBy(workers []core.Worker, f core.Function) (ready int, failed []core.Preparation, open int, news map[core.WorkerID]string) {
	news = map[core.WorkerID]string{}
	for _, w := range workers {
		if w.State != core.WorkerRunning {
			continue
		}
		at := slices.IndexFunc(w.Preparations, func(p core.Preparation) bool { return p.Function == f.ID })
		if at < 0 {
			continue
		}
		switch p := w.Preparations[at]; p.State {
		case core.Prepared:
			ready++
			news[w.ID] = "is ready"
			if p.Took >= 100*time.Millisecond {
				news[w.ID] += " after " + span(p.Took)
			}
		case core.Unprepared:
			failed = append(failed, p)
			news[w.ID] = "failed"
		default:
			open++
			news[w.ID] = "makes the environment"
			if p.Text != "" {
				news[w.ID] += ": " + p.Text
			}
		}
	}
	return ready, failed, open, news
}

// environmentFailed tells what an installer said.
func (e *environment) environmentFailed(f core.Function, p core.Preparation) {
	why, output, _ := strings.Cut(p.Text, "\n")
	text := fmt.Sprintf("%s is registered, but its calls will fail: %s", f.Ref(), why)
	if output != "" {
		text += "\n    " + strings.ReplaceAll(output, "\n", "\n    ")
	}
	e.warn("%s\n  → change what it depends on, or register it again when the packages can be had", text)
}
