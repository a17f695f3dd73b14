package cli

import (
	"context"
	"io"
	"os"
	"runtime/debug"
	"time"

	"github.com/mattn/go-isatty"
	urfave "github.com/urfave/cli/v2"
	"golang.org/x/term"

	"faasctl/httpapi/client"
)

// environment is what a verb gets from its surroundings. Verbs read and write
// through it and never through package os, so that tests can stand in.
type environment struct {
	stdin  io.Reader
	stdout io.Writer // data
	stderr io.Writer // everything else

	stdinTTY, stdoutTTY, stderrTTY bool

	// width is the number of columns of the terminal that stdout is, 0 when
	// it is none.
	width func() int
	// lookup reads an environment variable.
	lookup func(name string) (string, bool)
	// version is faasctl's own.
	version string
}

// system is the environment of a real process.
func system(version string) *environment {
	return &environment{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		stdinTTY:  isatty.IsTerminal(os.Stdin.Fd()),
		stdoutTTY: isatty.IsTerminal(os.Stdout.Fd()),
		stderrTTY: isatty.IsTerminal(os.Stderr.Fd()),
		width: func() int {
			columns, _, err := term.GetSize(int(os.Stdout.Fd()))
			if err != nil {
				return 0
			}
			return columns
		},
		lookup:  os.LookupEnv,
		version: version,
	}
}

// getenv is the value of an environment variable, "" when it is not set.
func (e *environment) getenv(name string) string {
	value, _ := e.lookup(name)
	return value
}

// colour reports whether stdout takes colours: a terminal that is not dumb,
// and NO_COLOR not set.
func (e *environment) colour() bool { return e.stdoutTTY && e.wantsColour() }

// colourErr is colour for stderr.
func (e *environment) colourErr() bool { return e.stderrTTY && e.wantsColour() }

func (e *environment) wantsColour() bool {
	return e.getenv("NO_COLOR") == "" && e.getenv("TERM") != "dumb" && e.getenv("TERM") != ""
}

// Main runs one command line and returns the exit code of the process.
func Main(argv []string, version string) int {
	if os.Getenv("GOGC") == "" {
		// Half as many collections, for 10 MiB: a fifth of a server's processor time
		// in bulk. At 400 it is a twentieth more, for 30 MiB (docs/PERFORMANCE.md).
		debug.SetGCPercent(200)
	}
	return system(version).main(context.Background(), argv)
}

// main runs one command line: argv[0] is the program's name.
func (e *environment) main(ctx context.Context, argv []string) int {
	app := e.app()
	line, err := arrange(app.Commands, argv[1:])
	switch {
	case err != nil:
	case line.help:
		err = e.showHelp(app, line)
	default:
		err = app.RunContext(ctx, append([]string{app.Name}, line.words()...))
	}
	return e.explain(err)
}

// Categories of verbs. Help shows them in the order in which verbs lists them.
const (
	catFunctions = "Functions"
	catTasks     = "Tasks"
	catServe     = "Servers"
	catWatch     = "Look"
)

// verbs is the table of all verbs.
func (e *environment) verbs() []*urfave.Command {
	return []*urfave.Command{
		registerCommand(e), checkCommand(e),
		runCommand(e),
		fnCommand(e),

		statusCommand(e),
		resultCommand(e),
		logsCommand(e),
		cancelCommand(e),
		retryCommand(e),
		deadCommand(e),
		undoCommand(e),
		taskCommand(e),
		whyCommand(e),
		queueCommand(e),

		upCommand(e),
		serveCommand(e),
		dispatcherCommand(e),
		workerCommand(e),
		workersCommand(e),
		keysCommand(e),

		topCommand(e),
		eventsCommand(e),
		doctorCommand(e),
		benchCommand(e),
		versionCommand(e),
	}
}

// app builds the program for this environment.
func (e *environment) app() *urfave.App {
	app := &urfave.App{
		Name:                      "faasctl",
		HelpName:                  "faasctl",
		Usage:                     "run Python functions as a service, from the terminal",
		Version:                   e.version,
		HideVersion:               true,
		HideHelp:                  true, // help.go shows it
		DisableSliceFlagSeparator: true,
		Reader:                    e.stdin,
		Writer:                    e.stdout,
		ErrWriter:                 e.stderr,
		Commands:                  e.verbs(),
		ExitErrHandler:            func(*urfave.Context, error) {}, // main maps errors to codes
		OnUsageError:              usageError,
	}
	for _, command := range app.Commands {
		prepare(command, "")
	}
	return app
}

// prepare gives a command what all commands share. Without HideHelp
// `faasctl run help` would show help instead of running the function "help".
func prepare(command *urfave.Command, parent string) {
	op := command.Name
	if parent != "" {
		op = parent + " " + op
	}
	command.HideHelp, command.HideHelpCommand = true, true
	command.OnUsageError = usageError
	if action := command.Action; action != nil {
		command.Action = func(c *urfave.Context) error { return withOp(op, action(c)) }
	}
	for _, sub := range command.Subcommands {
		prepare(sub, op)
	}
}

// client is the way to the server that --url or FAASCTL_URL names. It does not
// connect yet.
func (e *environment) client(c *urfave.Context) (*client.Client, error) {
	patience := c.Duration("patience")
	if patience <= 0 {
		patience = -1 // of a Config, 0 is the default
	}
	return e.clientFor(c, patience)
}

// clientFor is client with a patience of its own.
func (e *environment) clientFor(c *urfave.Context, patience time.Duration) (*client.Client, error) {
	at := c.String("url")
	if at == "" {
		at = defaultURL
	}
	return client.New(client.Config{URL: at, TokenFile: c.String("token-file"), Patience: patience, Waiting: func(why error) {
		e.warn("waiting for the server, for %s at most: %s", span(patience), why)
	}})
}

// urlFlags are the common flags of every verb that talks to a server.
func urlFlags() []urfave.Flag {
	return []urfave.Flag{
		&urfave.StringFlag{Name: "url", Usage: "`URL` of the server", EnvVars: []string{"FAASCTL_URL"}, Value: defaultURL},
		&urfave.StringFlag{Name: "token-file", Usage: "`FILE` that holds the server's token", EnvVars: []string{"FAASCTL_TOKEN_FILE"}},
		&urfave.DurationFlag{Name: "patience", Usage: "go on asking so long while the server is away; 0 = ask once", EnvVars: []string{"FAASCTL_CLIENT_PATIENCE"}, Value: 10 * time.Second},
	}
}

const defaultURL = "http://127.0.0.1:8000"
