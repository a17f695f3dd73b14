package cli

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	urfave "github.com/urfave/cli/v2"

	"faasctl/core"
	"faasctl/workers/link"
	"faasctl/workers/local"
	"faasctl/workers/pull"
	"faasctl/workers/push"
	"faasctl/workers/zmqloop"
)

// modeFlags are those of a server that dispatches.
func modeFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "mode", Aliases: []string{"m"}, Value: "local", Usage: "`MODES` of workers, one or several: local,push,pull"},
		&urfave.IntFlag{Name: "port", Aliases: []string{"p"}, Value: 5555, Usage: "`PORT` for push or pull workers; with both, pull takes the next; 0 = free ones"},
		&urfave.StringFlag{Name: "bind", Value: "127.0.0.1", Usage: "IP `ADDRESS` that push and pull workers connect to; 0.0.0.0 = all of this machine"},
		&urfave.StringFlag{Name: "curve", Usage: "`FILE` with this side's secret key: connections are encrypted"},
		&urfave.StringFlag{Name: "allow", Usage: "`DIR` with a NAME.pub for each worker that may connect; read again when it changes"},
		insecureFlag(),
	}
}

func insecureFlag() urfave.Flag {
	return &urfave.BoolFlag{Name: "insecure", Usage: "connect beyond this machine without keys, open to all who can reach it"}
}

// modes is what the flags of a dispatcher say about its workers.
type modes struct {
	list         []core.Mode
	port         int
	bind         string
	curve, allow string // paths; "" = no keys
	insecure     bool
}

func (m modes) has(mode core.Mode) bool { return slices.Contains(m.list, mode) }

// sockets reports whether workers of other processes may connect.
func (m modes) sockets() bool { return m.has(core.Push) || m.has(core.Pull) }

func readModes(c *urfave.Context) (modes, error) {
	m := modes{port: c.Int("port"), bind: c.String("bind"), curve: c.String("curve"), allow: c.String("allow"), insecure: c.Bool("insecure")}
	for _, word := range strings.Split(c.String("mode"), ",") {
		mode := core.Mode(strings.TrimSpace(word))
		switch {
		case mode != core.Local && mode != core.Push && mode != core.Pull:
			return m, usage("there is no mode %q", clip(word, 32)).WithHint("choose of local, push and pull, such as -m push or -m local,pull")
		case m.has(mode):
			return m, usage("mode %s stands twice", mode)
		}
		m.list = append(m.list, mode)
	}
	if err := m.check(c.String("worker-key")); err != nil {
		return m, err
	}
	var err error
	if m.allow != "" {
		m.allow, err = filepath.Abs(m.allow)
	}
	if err == nil && m.sockets() {
		err = m.checkReach()
	}
	return m, err
}

// check refuses flags that contradict each other.
func (m modes) check(workerKey string) error {
	highest := 65535
	if m.has(core.Push) && m.has(core.Pull) {
		highest-- // pull takes the next
	}
	switch {
	case m.port < 0 || m.port > highest:
		return usage("-p must be between 0 and %d, not %d", highest, m.port)
	case m.curve == "" && m.allow != "":
		return usage("--allow needs --curve").WithHint("faasctl keys new server writes the key: --curve server.key")
	case m.curve != "" && m.allow == "":
		return usage("--curve needs --allow").WithHint("name the directory with the .pub files of the workers that may connect")
	case m.curve == "" && workerKey != "":
		return usage("--worker-key needs --curve and --allow").WithHint("it is the key of the workers that are started here; without --curve they need none")
	case m.curve != "" && !m.sockets():
		return usage("--curve is for push and pull workers").WithHint("add -m push or -m pull")
	}
	return nil
}

// checkReach makes --bind an IP address, and refuses one that other machines
// reach unless there are keys or somebody insists.
func (m *modes) checkReach() error {
	ip, err := zmqloop.Bindable(m.bind)
	if err != nil {
		return usage("--bind %q is not an IP address", clip(m.bind, 64)).WithHint("name one of this machine's (ip addr lists them), or 0.0.0.0 for all of them")
	}
	m.bind = ip.String()
	if zmqloop.CheckReach("tcp://"+net.JoinHostPort(m.bind, "1"), m.curve != "", m.insecure) != nil {
		return usage("--bind %s lets other machines connect, so it needs keys", m.bind).
			WithHint("faasctl keys new server writes one for --curve server.key, and --allow DIR names who may connect; or insist with --insecure")
	}
	return nil
}

// beyond reports whether other machines can connect.
func (m modes) beyond() bool {
	ip, err := netip.ParseAddr(m.bind)
	return err == nil && !ip.IsLoopback()
}

// portOf is where a socket mode listens.
func (m modes) portOf(mode core.Mode) int {
	if mode == core.Pull && m.has(core.Push) && m.port > 0 {
		return m.port + 1
	}
	return m.port
}

// open makes the transports, and the hubs among them.
func (m modes) open(s *server) ([]core.Transport, []*link.Hub, error) {
	var transports []core.Transport
	var hubs []*link.Hub
	for _, mode := range m.list {
		if mode == core.Local {
			s.cfg.openEnvironments()
			worker, err := local.New(local.Config{
				Slots: s.cfg.workers, Interpreters: s.pythons, ImportPath: s.cfg.importPath, Rules: s.cfg.rules, MaxPayload: s.cfg.maxPayload,
				Principal: s.back.principal, Version: s.version, Logger: s.cfg.log,
			})
			if err != nil {
				return nil, nil, err
			}
			transports = append(transports, worker)
			continue
		}
		hub, err := m.hub(mode, s)
		if err != nil {
			return nil, nil, err
		}
		transports, hubs = append(transports, hub), append(hubs, hub)
	}
	return transports, hubs, nil
}

func (m modes) hub(mode core.Mode, s *server) (*link.Hub, error) {
	cfg := link.HubConfig{
		Bind: m.bind, Port: m.portOf(mode), Insecure: m.insecure, MaxPayload: s.cfg.maxPayload, Logger: s.cfg.log,
		Hired: s.token, Owner: s.back.principal, Foreign: s.back.share,
	}
	if m.curve != "" {
		key, err := loadSecret(m.curve)
		if err != nil {
			return nil, err
		}
		cfg.Curve = &zmqloop.ServerCurve{Secret: key.Secret, Allow: m.allow}
	}
	if err := portFree(mode, m.bind, cfg.Port); err != nil {
		return nil, err
	}
	if mode == core.Push {
		return push.New(cfg)
	}
	return pull.New(cfg)
}

// portFree says early and plainly that a port cannot be had; libzmq binds it
// later, when half of the program runs.
func portFree(mode core.Mode, bind string, port int) error {
	if port == 0 {
		return nil
	}
	address := net.JoinHostPort(bind, strconv.Itoa(port))
	listener, err := net.Listen("tcp", address)
	switch {
	case err == nil:
		return listener.Close()
	case errors.Is(err, syscall.EADDRINUSE):
		return core.Errorf(core.ErrConflict, "", "%s, where %s workers were to connect, is taken", address, mode).
			WithHint("another dispatcher may run there; -p N chooses another port, -p 0 a free one")
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return usage("--bind %s is no address of this machine", bind).WithHint("ip addr lists them; 0.0.0.0 is all of them")
	}
	return &core.Error{Class: core.ErrUnavailable, Detail: fmt.Sprintf("%s workers cannot connect at %s", mode, address), Err: err}
}

// modesText names modes for people.
func modesText(list []core.Mode) string {
	words := make([]string, len(list))
	for i, mode := range list {
		words[i] = string(mode)
	}
	return strings.Join(words, ",")
}
