package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	urfave "github.com/urfave/cli/v2"

	"faasctl/core"
	"faasctl/core/redisstore"
	"faasctl/workers/pyrun"
	"faasctl/workers/zmqloop"
)

// check is one line of doctor.
type check struct {
	Name   string `json:"check"`
	Status string `json:"status"` // ok, warn or fail
	Found  string `json:"found"`
	Type   string `json:"type,omitempty"` // what to type about it
}

func ok(name, format string, args ...any) check {
	return check{Name: name, Status: "ok", Found: fmt.Sprintf(format, args...)}
}

func warning(name, found, do string) check { return check{name, "warn", found, do} }
func failing(name, found, do string) check { return check{name, "fail", found, do} }

func doctorCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "doctor", Category: catWatch, Usage: "look for what faasctl needs here, and say what to type",
		Description: "Exit code 0, or 8 when something that faasctl up needs is missing.",
		Flags:       append(urlFlags(), flagData(), flagListen(), pythonsFlag(), preloadFlag(), outputFlag("table", "json")),
		Action: func(c *urfave.Context) error {
			as, err := format(c, "table", "json")
			if err != nil {
				return err
			}
			if err := noArguments(c); err != nil {
				return err
			}
			checks, err := e.examine(c)
			if err != nil {
				return err
			}
			return e.diagnosis(as, checks, core.ExitUnavailable)
		},
	}
}

// examine makes all checks.
func (e *environment) examine(c *urfave.Context) ([]check, error) {
	data, err := e.dataDir(c.String("data"))
	if err != nil {
		return nil, err
	}
	checks := checkPython(c.Context, c.StringSlice("python"))
	sandbox := make(chan check, 1)
	pythons, _, unusable := pyrun.FindAll(c.Context, c.StringSlice("python"))
	if unusable == nil { // checkPython has told otherwise
		go func() { sandbox <- checkSandbox(pythons) }()
		checks = append(checks, checkBounds(pythons)...)
		checks = append(checks, <-sandbox)
		checks = append(checks, checkPreload(c, pythons)...)
		checks = append(checks, checkEnvironments(pythons[0], os.Getenv("FAASCTL_ENVIRONMENTS")))
	}
	checks = append(checks, checkZMQ(), checkRedis(c.Context))
	checks = append(checks, e.checkData(data)...)
	server, reached := e.checkServer(c)
	checks = append(checks, checkPort(c.String("listen"), c.String("url"), reached), server)
	if reached {
		checks = append(checks, e.checkStore(c)...)
	}
	return checks, nil
}

// diagnosis prints the checks and ends with code when one of them fails.
func (e *environment) diagnosis(as string, checks []check, code int) error {
	failed := 0
	var text strings.Builder
	for _, one := range checks {
		if one.Status == "fail" {
			failed++
		}
		status := fmt.Sprintf("%-4s", one.Status)
		if e.colour() {
			status = paint(status, map[string]string{"ok": paintGreen, "warn": paintYellow, "fail": paintRed}[one.Status])
		}
		fmt.Fprintf(&text, "%s  %-12s %s\n", status, one.Name, cleanLine(one.Found))
		if one.Type != "" {
			fmt.Fprintf(&text, "      %-12s → %s\n", "", cleanLine(one.Type))
		}
	}
	var err error
	if as == "json" {
		err = e.jsonLine(checks)
	} else {
		_, err = e.stdout.Write([]byte(text.String()))
	}
	if err == nil && failed > 0 {
		return exitCode(code)
	}
	return err
}

// checkPython tells of every interpreter that was looked at, up to the one
// that functions would run with.
func checkPython(ctx context.Context, wanted []string) []check {
	_, probes, err := pyrun.FindAll(ctx, wanted)
	var checks []check
	for _, p := range probes {
		where := p.Path + " (" + p.Origin + ")"
		switch {
		case p.Err != nil && err != nil:
			checks = append(checks, failing("python", where+" "+p.Err.Error(), ""))
		case p.Err != nil:
			checks = append(checks, warning("python", where+" "+p.Err.Error()+"; the next one is used", ""))
		case p.Warning != "":
			found, do, _ := strings.Cut(p.Warning, "; type: ")
			checks = append(checks, warning("python", where+" "+found, do))
		default:
			checks = append(checks, ok("python", "%s, Python %s, dill %s", where, p.Interpreter.Version, p.Interpreter.Dill))
		}
	}
	switch {
	case err == nil:
	case len(checks) == 0:
		checks = append(checks, failing("python", err.Error(), "make deps"))
	default:
		checks[len(checks)-1].Type = "make deps, or name one: --python PATH"
	}
	return checks
}

// checkBounds tells what holds functions within bounds on this machine.
func checkBounds(pythons []core.Interpreter) []check {
	found, why, err := pyrun.Survey(pyrun.Config{Interpreters: pythons, Rules: pyrun.Rules{RunAs: "auto"}})
	if err != nil {
		return []check{failing("functions", err.Error(), core.HintOf(err))}
	}
	user := ok("functions", "run as %s", found.User)
	if why != "" {
		user = warning("functions", "run as root: "+why, "make deps, which puts a Python where others can read it; or --python PATH")
	}
	const delegate = "let systemd run it, with Delegate=yes: deploy/ has units"
	stop := ok("stopping", "ends whole control groups")
	if found.Stop != "cgroup" {
		stop = warning("stopping", "ends process trees, also what detaches itself (setsid, double fork); only what detaches itself and also clears or hides its environment may get away", delegate)
	}
	text := "memory by " + found.Memory + ", processor time by " + found.CPU + ", processes by " + found.Processes
	limits := ok("limits", "%s", text)
	if found.Processes == "none" {
		limits = warning("limits", text, delegate)
	}
	return []check{user, stop, limits}
}

func checkZMQ() check {
	version, curve := zmqloop.Library()
	if !curve {
		return warning("libzmq", version+", without CURVE encryption (a later version needs it for workers on other machines)", "make deps")
	}
	return ok("libzmq", "%s, with CURVE", version)
}

var redisVersion = regexp.MustCompile(`v=([0-9]+)\.([0-9]+)(\.[0-9]+)?`)

// checkRedis looks for the program that up starts.
func checkRedis(ctx context.Context) check {
	const name, do = "redis-server", "make deps, or use a server elsewhere: faasctl up --redis URL"
	program := os.Getenv("FAASCTL_REDIS_SERVER")
	if program == "" {
		program = "redis-server"
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return failing(name, "there is none on this machine", do)
	}
	limited, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(limited, path, "--version").Output()
	found := redisVersion.FindStringSubmatch(string(out))
	if err != nil || found == nil {
		return failing(name, path+" does not tell its version", do)
	}
	major, _ := strconv.Atoi(found[1])
	least, _ := strconv.Atoi(found[2])
	version := strings.TrimPrefix(found[0], "v=")
	if major < 6 || major == 6 && least < 2 {
		return failing(name, path+" is version "+version+", and 6.2 is the oldest that works", do)
	}
	return ok(name, "%s, version %s", path, version)
}

// checkData looks at the data directory without touching it.
func (e *environment) checkData(dir string) []check {
	const name = "data"
	info, err := os.Stat(dir)
	switch {
	case os.IsNotExist(err):
		return []check{ok(name, "%s will be made by faasctl up", dir)}
	case err != nil:
		return []check{failing(name, err.Error(), "faasctl up --data DIR")}
	case !info.IsDir():
		return []check{failing(name, dir+" is not a directory", "faasctl up --data DIR")}
	case info.Mode().Perm()&0o022 != 0:
		return []check{failing(name, fmt.Sprintf("%s can be written by others (mode %04o)", dir, info.Mode().Perm()), "chmod 700 "+dir)}
	case info.Mode().Perm()&0o055 != 0:
		return []check{warning(name, fmt.Sprintf("%s can be read by others (mode %04o)", dir, info.Mode().Perm()), "chmod 700 "+dir)}
	}
	if url, running := redisstore.RunningURL(dir); running {
		return []check{ok(name, "%s, in use: Redis at %s", dir, url)}
	}
	return []check{ok(name, "%s, not in use", dir)}
}

// checkPort tells whether up could listen, or whether a server of ours does.
func checkPort(listen, url string, reached bool) check {
	const name = "port"
	listener, err := net.Listen("tcp", listen)
	switch {
	case err == nil:
		_ = listener.Close()
		return ok(name, "%s is free", listen)
	case errors.Is(err, syscall.EADDRINUSE) && reached && strings.HasSuffix(url, listen):
		return ok(name, "%s is in use by faasctl", listen)
	case errors.Is(err, syscall.EADDRINUSE):
		return warning(name, listen+" is in use by another program", "faasctl up --listen 127.0.0.1:8001")
	}
	return failing(name, err.Error(), "faasctl up --listen 127.0.0.1:8001")
}

// checkServer asks the server that clients would talk to.
func (e *environment) checkServer(c *urfave.Context) (found check, reached bool) {
	const name = "server"
	api, err := e.clientFor(c, -1)
	if err != nil {
		return failing(name, err.Error(), core.HintOf(err)), false
	}
	defer api.Close()
	limited, cancel := context.WithTimeout(c.Context, 5*time.Second)
	defer cancel()
	version, err := api.Version(limited)
	switch {
	case err != nil && core.ClassOf(err) == core.ErrUnavailable:
		return warning(name, "none at "+api.URL(), "faasctl up"), false
	case err != nil:
		return warning(name, api.URL()+": "+err.Error(), core.HintOf(err)), true
	}
	if err := api.Ready(limited); err != nil {
		return warning(name, api.URL()+" is up but runs nothing: "+err.Error(), core.HintOf(err)), true
	}
	if version != e.version {
		return warning(name, fmt.Sprintf("%s is ready, of version %s; this is %s", api.URL(), version, e.version), ""), true
	}
	return ok(name, "%s is ready, version %s", api.URL(), version), true
}

// checkStore tells what the store of a server that was reached says of itself.
func (e *environment) checkStore(c *urfave.Context) []check {
	const name = "store"
	api, err := e.clientFor(c, -1)
	if err != nil {
		return nil // checkServer has told
	}
	defer api.Close()
	limited, cancel := context.WithTimeout(c.Context, 5*time.Second)
	defer cancel()
	stats, err := api.Stats(limited)
	switch {
	case err != nil && core.ClassOf(err) != core.ErrUnavailable:
		return nil // not for us to see
	case err != nil:
		return []check{failing(name, err.Error(), core.HintOf(err))}
	}
	text := stats.Store.Kind + " " + stats.Store.Version + ", " + keeps(stats.Store.Durability)
	if since := stats.Store.Since; !since.IsZero() {
		text += ", in use since " + since.Local().Format(time.DateTime)
	}
	if n := stats.Repaired; n > 0 {
		return []check{warning(name, fmt.Sprintf("%s; its indexes were wrong %d times and were repaired", text, n),
			"look for the first repair in the dispatcher's log; please report it")}
	}
	return []check{ok(name, "%s", text)}
}
