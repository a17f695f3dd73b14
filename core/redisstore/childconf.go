package redisstore

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"faasctl/core"
)

// Durability says what a kill -9 of Redis may lose.
type Durability string

const (
	DurabilityMemory   Durability = "memory"   // everything: nothing is written to disk
	DurabilityEverysec Durability = "everysec" // up to two seconds of acknowledged work
	DurabilityAlways   Durability = "always"   // nothing acknowledged
)

// Names of the files in the directory of the embedded server.
const (
	redisDir   = "redis" // within the data directory, 0700
	confFile   = "redis.conf"
	pidFile    = "redis.pid"
	logFile    = "redis.log"
	socketFile = "redis.sock"
)

// maxSocketPath keeps well under the 108 bytes that an address has room for.
const maxSocketPath = 100

// findServer returns the path of the redis-server program.
func findServer() (string, error) {
	const op = "start Redis"
	name := os.Getenv("FAASCTL_REDIS_SERVER")
	if name == "" {
		name = "redis-server"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", core.Errorf(core.ErrUnavailable, op, "there is no %s on this machine", name).
			WithHint("make deps installs it, or the package redis-server; or use --redis URL, or --store memory")
	}
	return path, nil
}

// socketPath chooses where the server listens: beside its data, or at a short
// private place when that path is too long for a socket.
func socketPath(dir string) (path string, err error) {
	if path = filepath.Join(dir, socketFile); len(path) <= maxSocketPath {
		return path, nil
	}
	// A socket of ours from before is used again, so that clients which
	// remember the URL find the server after a restart.
	if old, ok := readIdentity(filepath.Join(dir, pidFile)); ok && len(old.socket) <= maxSocketPath && private(filepath.Dir(old.socket)) {
		return old.socket, nil
	}
	for _, base := range []string{os.Getenv("XDG_RUNTIME_DIR"), os.TempDir(), "/tmp"} {
		if base == "" || len(base)+len("/faasctl-0123456789/"+socketFile) > maxSocketPath {
			continue
		}
		if own, err := os.MkdirTemp(base, "faasctl-*"); err == nil { // mode 0700
			return filepath.Join(own, socketFile), nil
		}
	}
	return "", core.Errorf(core.ErrUnavailable, "start Redis", "no place for its socket: every path is longer than %d bytes", maxSocketPath).
		WithHint("choose a shorter directory with --data")
}

// private reports whether dir exists and only its owner may enter it.
func private(dir string) bool {
	info, err := os.Lstat(dir)
	return err == nil && info.IsDir() && info.Mode().Perm() == 0o700
}

// socketURL is the URL of a server on a unix socket.
func socketURL(path string) string { return (&url.URL{Scheme: "unix", Path: path}).String() }

// configText is the whole configuration of the embedded server.
func configText(dir, socket string, durability Durability) (string, error) {
	aof, fsync := "yes", string(durability)
	switch durability {
	case DurabilityMemory:
		aof, fsync = "no", string(DurabilityEverysec)
	case DurabilityEverysec, DurabilityAlways:
	default:
		return "", core.Errorf(core.ErrInvalid, "start Redis", "%q is no durability of the embedded Redis", durability).
			WithHint("use memory, everysec or always")
	}
	var text strings.Builder
	text.WriteString("# Written by faasctl at each start; changes are lost.\n")
	for _, line := range [][2]string{
		{"port", "0"},
		{"unixsocket", quoted(socket)},
		{"unixsocketperm", "700"},
		{"dir", quoted(dir)},
		{"daemonize", "no"},
		{"loglevel", "notice"},
		{"save", `""`}, // the append-only file is the only copy on disk
		{"appendonly", aof},
		{"appendfsync", fsync},
		{"aof-load-truncated", "yes"}, // a kill -9 cuts the last line
		{"maxmemory-policy", "noeviction"},
	} {
		fmt.Fprintf(&text, "%s %s\n", line[0], line[1])
	}
	return text.String(), nil
}

// quoted writes a value as redis.conf reads it.
func quoted(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			b.WriteString(`\x` + strconv.FormatUint(uint64(c)+0x100, 16)[1:])
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// RunningURL returns the URL of the server that runs on a data directory, if
// one does.
func RunningURL(dir string) (string, bool) {
	id, ok := readIdentity(filepath.Join(dir, redisDir, pidFile))
	if !ok || !id.lives() {
		return "", false
	}
	if _, err := os.Stat(id.socket); err != nil {
		return "", false
	}
	return socketURL(id.socket), true
}
