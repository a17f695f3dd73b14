package pyrun

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// script is a small program for an interpreter outside of the execution path.
type script struct {
	source string
	args   []string
	stdin  []byte
	path   []string // import path, beside that of this process
	alone  bool     // without the user's packages: faster
	dir    string   // working directory; default: /
	answer bool     // the answer comes on descriptor 3, as the program's prints are not ours
}

// maxAnswer bounds what a script may say, in bytes.
const maxAnswer = 64 << 20

// runScript runs a script and returns its answer. The environment is that of
// functions, so that what is found here is found there.
func runScript(ctx context.Context, python string, s script) ([]byte, error) {
	args := []string{"-c", s.source}
	if s.alone {
		args = []string{"-I", "-S", "-c", s.source}
	}
	cmd := exec.CommandContext(ctx, python, append(args, s.args...)...)
	env, err := childEnv(Config{ImportPath: s.path})
	if err != nil {
		return nil, err
	}
	cmd.Env = append(env, shimEnv()...)
	if cmd.Dir = s.dir; cmd.Dir == "" {
		cmd.Dir = "/"
	}
	var out, said bounded
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(s.stdin), &out, &said
	// Its own group, so that a time-out also ends what it started.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = lingering
	if !s.answer {
		err = cmd.Run()
		return out.data, wrap(ctx, err, said.data)
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer read.Close()
	cmd.ExtraFiles = []*os.File{write}
	err = cmd.Start()
	write.Close()
	if err != nil {
		return nil, err
	}
	var answer bounded
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		_, _ = io.Copy(&answer, read)
	}()
	err = cmd.Wait()
	_ = read.SetReadDeadline(time.Now().Add(lingering))
	<-heard
	return answer.data, wrap(ctx, err, said.data)
}

// lingering is how long a pipe is read on after the script has ended: a
// process that it left behind may hold it.
const lingering = time.Second

// shimEnv is what version managers' shims need to find the real interpreter.
func shimEnv() (env []string) {
	for _, pair := range os.Environ() {
		for _, prefix := range []string{"PYENV_", "ASDF_", "MISE_"} {
			if strings.HasPrefix(pair, prefix) {
				env = append(env, pair)
			}
		}
	}
	return env
}

func wrap(ctx context.Context, err error, stderr []byte) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("does not answer: %w", cause)
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	lines := strings.Split(strings.TrimSpace(toText(stderr, 8<<10)), "\n")
	return fmt.Errorf("ends with %w: %s", err, lines[len(lines)-1])
}

// bounded keeps the first bytes written to it.
type bounded struct{ data []byte }

func (b *bounded) Write(data []byte) (int, error) {
	b.data = append(b.data, data[:min(len(data), maxAnswer-len(b.data))]...)
	return len(data), nil
}
