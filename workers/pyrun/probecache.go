package pyrun

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"faasctl/core"
)

// probeAge is how long a look at an interpreter is believed: a virtual
// environment can lose its dill without the interpreter's file changing.
// Behind a shim another version can appear at any time.
const (
	probeAge = 24 * time.Hour
	shimAge  = 10 * time.Minute
)

// probeEntry is one interpreter that could be used with dill. Others are not
// remembered: installing dill must be noticed at once.
type probeEntry struct {
	Interpreter core.Interpreter `json:"interpreter"`
	Modified    int64            `json:"modified"`      // of the file that was named, ns
	Size        int64            `json:"size"`          // of it
	Real        int64            `json:"real_modified"` // of the interpreter's file, ns
	Looked      time.Time        `json:"looked"`
	Shim        bool             `json:"shim,omitempty"`
	Choice      string           `json:"choice,omitempty"` // what a shim may be told by
}

// probes is the memory of looks at interpreters: a map in this process and a
// file beside it, for commands that live for a moment. Losing it costs time only.
type probes struct {
	path    string
	entries map[string]probeEntry
	changed bool
}

var (
	probeLock   sync.Mutex
	probeMemory = map[string]map[string]probeEntry{} // by file
)

func openProbes() *probes {
	p := &probes{path: under("XDG_CACHE_HOME", ".cache", "faasctl/interpreters.json"), entries: map[string]probeEntry{}}
	probeLock.Lock()
	known := probeMemory[p.path]
	for path, entry := range known {
		p.entries[path] = entry
	}
	probeLock.Unlock()
	if known == nil && p.path != "" {
		if data, err := os.ReadFile(p.path); err == nil && json.Unmarshal(data, &p.entries) != nil || p.entries == nil {
			p.entries = map[string]probeEntry{}
		}
	}
	return p
}

// look probes an interpreter, or remembers.
func (p *probes) look(ctx context.Context, origin, path string) Probe {
	found := Probe{Origin: origin, Path: path}
	named, err := exec.LookPath(path)
	if err != nil {
		found.Err = err
		return found
	}
	if named, err = filepath.Abs(named); err != nil {
		found.Err = err
		return found
	}
	info, err := os.Stat(named)
	if err != nil {
		found.Err = err
		return found
	}
	entry, known := p.entries[named]
	if known && entry.fresh(info, time.Now()) {
		found.Interpreter, found.Cached = entry.Interpreter, true
		return found
	}
	found.Interpreter, found.Err = probe(ctx, named)
	if found.Err != nil || found.Interpreter.Dill == "" {
		return found
	}
	p.entries[named] = probeEntry{
		Interpreter: found.Interpreter, Modified: info.ModTime().UnixNano(), Size: info.Size(),
		Real: modified(found.Interpreter.Path), Looked: time.Now(), Shim: isScript(named), Choice: choice(),
	}
	p.changed = true
	return found
}

func (e probeEntry) fresh(info os.FileInfo, now time.Time) bool {
	age := probeAge
	if e.Shim {
		age = shimAge
	}
	return e.Modified == info.ModTime().UnixNano() && e.Size == info.Size() && e.Real == modified(e.Interpreter.Path) &&
		(!e.Shim || e.Choice == choice()) && now.After(e.Looked) && now.Sub(e.Looked) < age
}

// isScript reports whether a file is a script, as a version manager's shim is.
func isScript(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	var start [2]byte
	_, _ = file.Read(start[:])
	return string(start[:]) == "#!"
}

// choice is what tells a shim which version to start, as far as we can know.
func choice() string { return os.Getenv("PYENV_VERSION") }

func modified(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.ModTime().UnixNano()
}

// save remembers, where that is possible.
func (p *probes) save() {
	if !p.changed {
		return
	}
	probeLock.Lock()
	defer probeLock.Unlock()
	probeMemory[p.path] = p.entries
	data, err := json.Marshal(p.entries)
	if err != nil || p.path == "" || os.MkdirAll(filepath.Dir(p.path), 0o700) != nil {
		return
	}
	file, err := os.CreateTemp(filepath.Dir(p.path), ".interpreters-*")
	if err != nil {
		return
	}
	_, err = file.Write(data)
	if closed := file.Close(); err == nil && closed == nil && os.Rename(file.Name(), p.path) == nil {
		return
	}
	_ = os.Remove(file.Name())
}
