// Package proc starts the running test binary again as processes that play roles,
// so that tests can kill them. Only what a test started itself is ever signalled.
package proc

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
)

// Variables that make a test binary play a role instead of running tests.
const (
	roleVar   = "CORETEST_ROLE"
	configVar = "CORETEST_CONFIG" // of the role, as JSON
)

// Main is for TestMain: in a process that Start started it plays the role and does
// not return. A role ends when the process shall.
func Main(roles map[string]func(config []byte) error) {
	name := os.Getenv(roleVar)
	if name == "" {
		return
	}
	role := roles[name]
	if role == nil {
		fmt.Fprintf(os.Stderr, "there is no role %q\n", name)
		os.Exit(2)
	}
	if err := role([]byte(os.Getenv(configVar))); err != nil {
		fmt.Fprintln(os.Stderr, name+":", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Role makes a role of a method of its configuration.
func Role[C interface{ Run() error }](text []byte) error {
	var cfg C
	if err := json.Unmarshal(text, &cfg); err != nil {
		return err
	}
	return cfg.Run()
}

// Config says what to start.
type Config struct {
	Name   string   // for people. Default: Role
	Role   string   // of Main. No default
	Config any      // of the role
	Log    string   // the file that its stderr becomes. No default
	Temp   string   // its TMPDIR. Default: ours
	Binary string   // a test binary. Default: this one
	Env    []string // further variables, as NAME=value
}

// Process is a test binary in a role.
type Process struct {
	Name  string
	cmd   *exec.Cmd
	log   string
	in    io.Writer
	out   *bufio.Scanner
	ended chan struct{}
	err   error // of Wait; valid after ended
}

// Start starts a process that ends with this one at the latest. The kernel kills it
// when the thread that started it ends, so that one is kept.
func Start(cfg Config) (*Process, error) {
	text, err := json.Marshal(cfg.Config)
	if err != nil {
		return nil, err
	}
	binary := cfg.Binary
	if binary == "" {
		if binary, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	p := &Process{Name: cmp.Or(cfg.Name, cfg.Role), cmd: exec.Command(binary), log: cfg.Log, ended: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), roleVar+"="+cfg.Role, configVar+"="+string(text), "GORACE=atexit_sleep_ms=0")
	p.cmd.Env = append(p.cmd.Env, cfg.Env...)
	if cfg.Temp != "" {
		p.cmd.Env = append(p.cmd.Env, "TMPDIR="+cfg.Temp)
	}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	p.cmd.Stderr = log
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.in, p.out = in, bufio.NewScanner(out)
	begun := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.ended)
		defer log.Close()
		err := p.cmd.Start()
		begun <- err
		if err == nil {
			p.err = p.cmd.Wait()
		}
	}()
	if err := <-begun; err != nil {
		return nil, err
	}
	return p, nil
}

// PID is the process's.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal sends a signal; os.ErrProcessDone when the process has been waited for.
func (p *Process) Signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

// Kill is kill -9, whatever state the process is in, and waits for its end.
func (p *Process) Kill() {
	_ = p.Signal(syscall.SIGKILL) // it may have ended
	<-p.ended
}

// Ended is closed when the process is gone.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Err says how it ended; valid after Ended.
func (p *Process) Err() error { return p.err }

// Said is what it wrote to stderr.
func (p *Process) Said() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Flaw returns what it said when that tells of a panic or a data race, else "".
func (p *Process) Flaw() string {
	said := p.Said()
	for _, sign := range []string{"DATA RACE", "panic: ", "fatal error: "} {
		if strings.Contains(said, sign) {
			return said
		}
	}
	return ""
}

// Tell writes a line to its stdin.
func (p *Process) Tell(line string) error {
	_, err := fmt.Fprintln(p.in, line)
	return err
}

// Hear reads one line of JSON that it writes to stdout.
func (p *Process) Hear(what any) error {
	if !p.out.Scan() {
		<-p.ended
		return fmt.Errorf("%s says nothing: %v %v\n%s", p.Name, p.out.Err(), p.err, p.Said())
	}
	return json.Unmarshal(p.out.Bytes(), what)
}

// Say is for roles: it writes a line for Hear.
func Say(what any) error {
	text, err := json.Marshal(what)
	if err != nil {
		return err
	}
	_, err = fmt.Println(string(text))
	return err
}
