package cli

import (
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

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
		&urfave.StringFlag{Name: "bind", Value: "127.0.0.1", Usage: "`ADDRESS` that push and pull workers connect to"},
		&urfave.StringFlag{Name: "curve", Usage: "`FILE` with this side's secret key: connections are encrypted"},
		&urfave.StringFlag{Name: "allow", Usage: "`DIR` with a NAME.pub for each worker that may connect; read again when it changes"},
		insecureFlag(),
	}
}

func insecureFlag() urfave.Flag {
	return &urfave.BoolFlag{Name: "insecure", Usage: "leave the loopback without keys"}
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
	switch {
	case m.port < 0 || m.port > 65535-1:
		return m, usage("-p %d is no port", m.port)
	case m.curve == "" && m.allow != "":
		return m, usage("--allow needs --curve").WithHint("faasctl keys new server writes the key: --curve server.key")
	case m.curve != "" && m.allow == "":
		return m, usage("--curve needs --allow").WithHint("name the directory with the .pub files of the workers that may connect")
	case m.curve != "" && !m.sockets():
		return m, usage("--curve is for push and pull workers").WithHint("add -m push or -m pull")
	}
	var err error
	if m.allow != "" {
		m.allow, err = filepath.Abs(m.allow)
	}
	return m, err
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
			worker, err := local.New(local.Config{
				Slots: s.cfg.workers, Python: s.python, ImportPath: s.cfg.importPath, MaxPayload: s.cfg.maxPayload,
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
	cfg := link.HubConfig{Bind: m.bind, Port: m.portOf(mode), Insecure: m.insecure, MaxPayload: s.cfg.maxPayload, Logger: s.cfg.log}
	if m.curve != "" {
		key, err := zmqloop.LoadSecret(m.curve)
		if err != nil {
			return nil, err
		}
		cfg.Curve = &zmqloop.ServerCurve{Secret: key.Secret, Allow: m.allow}
	}
	if err := portFree(m.bind, cfg.Port); err != nil {
		return nil, err
	}
	if mode == core.Push {
		return push.New(cfg)
	}
	return pull.New(cfg)
}

// portFree says early and plainly that a port is taken; libzmq binds it later,
// when half of the program runs.
func portFree(bind string, port int) error {
	if port == 0 {
		return nil
	}
	address := net.JoinHostPort(bind, strconv.Itoa(port))
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return &core.Error{Class: core.ErrConflict, Detail: "workers cannot connect at " + address, Err: err,
			Hint: "another dispatcher may run there; choose another port: -p 0 takes a free one"}
	}
	return listener.Close()
}

// modesText names modes for people.
func modesText(list []core.Mode) string {
	words := make([]string, len(list))
	for i, mode := range list {
		words[i] = string(mode)
	}
	return strings.Join(words, ",")
}
