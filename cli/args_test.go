package cli

import (
	"strings"
	"testing"

	urfave "github.com/urfave/cli/v2"

	"faasctl/core"
)

// testVerbs has every kind of flag and a sub-verb.
func testVerbs(seen func(*urfave.Context)) []*urfave.Command {
	action := func(c *urfave.Context) error { seen(c); return nil }
	flags := func() []urfave.Flag {
		return []urfave.Flag{
			&urfave.StringFlag{Name: "args"},
			&urfave.DurationFlag{Name: "timeout"},
			&urfave.BoolFlag{Name: "async"},
			&urfave.IntFlag{Name: "workers", Aliases: []string{"w"}},
			&urfave.StringSliceFlag{Name: "label"},
		}
	}
	return []*urfave.Command{
		{Name: "run", Flags: flags(), Action: action},
		{Name: "version", Action: action},
		{Name: "worker", Subcommands: []*urfave.Command{{Name: "push", Flags: flags(), Action: action}}},
		{Name: "fn", Subcommands: []*urfave.Command{
			{Name: "ls", Flags: []urfave.Flag{&urfave.StringFlag{Name: "output", Aliases: []string{"o"}}}, Action: action},
			{Name: "show", Flags: []urfave.Flag{&urfave.BoolFlag{Name: "source"}}, Action: action},
		}},
	}
}

func TestArrange(t *testing.T) {
	tests := []struct {
		line        string // words are separated by |
		verb        string
		positionals string
		args        string
		async       bool
		workers     int
		labels      string
	}{
		{line: "run|add|--args|[3, 4]", verb: "run", positionals: "add", args: "[3, 4]"},
		{line: "run|--args|[3, 4]|add", verb: "run", positionals: "add", args: "[3, 4]"},
		{line: "run|--args=[3, 4]|add|--async", verb: "run", positionals: "add", args: "[3, 4]", async: true},
		{line: "--args|[1]|run|add", verb: "run", positionals: "add", args: "[1]"},
		{line: "run|add|--args=-1", verb: "run", positionals: "add", args: "-1"},
		{line: "run|add|--args|-1", verb: "run", positionals: "add", args: "-1"},
		{line: "run|add|--args|-", verb: "run", positionals: "add", args: "-"},
		{line: "run|add|--args|--async", verb: "run", positionals: "add", args: "--async"},
		{line: "run|add|--args=", verb: "run", positionals: "add", args: ""},
		{line: "run|add|-1", verb: "run", positionals: "add|-1"},
		{line: "run|-1|--async|-.5", verb: "run", positionals: "-1|-.5", async: true},
		{line: "run|-|--async", verb: "run", positionals: "-", async: true},
		{line: "run|add|--|--async|-w|2", verb: "run", positionals: "add|--async|-w|2"},
		{line: "run|--|--|x", verb: "run", positionals: "--|x"},
		{line: "run|-w|3|add", verb: "run", positionals: "add", workers: 3},
		{line: "run|add|-w3", verb: "run", positionals: "add", workers: 3},
		{line: "run|add|-w=3", verb: "run", positionals: "add", workers: 3},
		{line: "run|add|-workers|3", verb: "run", positionals: "add", workers: 3},
		{line: "run|add|--async=false", verb: "run", positionals: "add"},
		{line: "run|add|--label|a=1,2|--label|b=3", verb: "run", positionals: "add", labels: "a=1,2|b=3"},
		{line: "run|help", verb: "run", positionals: "help"},
		{line: "run|h|--async", verb: "run", positionals: "h", async: true},
		{line: "run|timeout|--timeout|5s", verb: "run", positionals: "timeout"},
		{line: "run|run", verb: "run", positionals: "run"},
		{line: "run||--async", verb: "run", positionals: "", async: true},
		{line: "fn|ls|-o|json", verb: "ls"},
		{line: "fn|-o|json|ls", verb: "ls"},
		{line: "-o|json|fn|ls", verb: "ls"},
		{line: "fn|show|add|--source|more", verb: "show", positionals: "add|more"},
		{line: "worker|push|2|tcp://h:1|--label|a=b", verb: "push", positionals: "2|tcp://h:1", labels: "a=b"},
		{line: "worker|push|--label|a=b|2|tcp://h:1", verb: "push", positionals: "2|tcp://h:1", labels: "a=b"},
		{line: "worker|push|2|--label=a=b|h:1|h:2|--async", verb: "push", positionals: "2|h:1|h:2", labels: "a=b", async: true},
		{line: "--version", verb: "version"},
		{line: "-v", verb: "version"},
	}
	for _, test := range tests {
		t.Run(test.line, func(t *testing.T) {
			var got *urfave.Context
			app := &urfave.App{Name: "faasctl", HideHelp: true, HideVersion: true, DisableSliceFlagSeparator: true,
				Commands: testVerbs(func(c *urfave.Context) { got = c })}
			for _, command := range app.Commands {
				prepare(command, "")
			}
			line, err := arrange(app.Commands, strings.Split(test.line, "|"))
			if err != nil {
				t.Fatal(err)
			}
			if err := app.Run(append([]string{"faasctl"}, line.words()...)); err != nil {
				t.Fatal(err)
			}
			if got == nil || got.Command.Name != test.verb {
				t.Fatalf("verb %q did not run", test.verb)
			}
			if words := strings.Join(got.Args().Slice(), "|"); words != test.positionals {
				t.Errorf("positionals %q, want %q", words, test.positionals)
			}
			if got.String("args") != test.args || got.Bool("async") != test.async || got.Int("workers") != test.workers {
				t.Errorf("args %q async %v workers %d", got.String("args"), got.Bool("async"), got.Int("workers"))
			}
			if labels := strings.Join(got.StringSlice("label"), "|"); labels != test.labels {
				t.Errorf("labels %q, want %q", labels, test.labels)
			}
		})
	}
}

func TestArrangeRefuses(t *testing.T) {
	tests := []struct{ line, message, hint string }{
		{"stauts", `there is no verb "stauts"`, "faasctl help lists the verbs"},
		{"rnu|add", `there is no verb "rnu"`, "did you mean run?"},
		{"fn|lss", `fn: there is no verb "lss"`, "did you mean fn ls?"},
		{"fn|remove", `fn: there is no verb "remove"`, "choose one of ls, show"},
		{"fn", "fn: say which: ls, show", "for example faasctl fn ls"},
		{"run|add|--agrs|[1]", "run: there is no flag --agrs", "did you mean --args?"},
		{"run|add|--asinc", "run: there is no flag --asinc", "did you mean --async?"},
		{"run|add|-x", "run: there is no flag -x", "faasctl run --help lists the flags"},
		{"run|add|--args", "run: --args needs a value", "write --args VALUE"},
		{"--source|run|add", "run: there is no flag --source", "--source is a flag of faasctl fn show"},
		{"--nonsense|run", "there is no flag --nonsense", "faasctl --help lists the flags"},
	}
	for _, test := range tests {
		t.Run(test.line, func(t *testing.T) {
			_, err := arrange(testVerbs(nil), strings.Split(test.line, "|"))
			if err == nil {
				t.Fatal("accepted")
			}
			if err.Error() != test.message || core.HintOf(err) != test.hint {
				t.Errorf("got %q → %q, want %q → %q", err, core.HintOf(err), test.message, test.hint)
			}
			if exitOf(err) != core.ExitUsage {
				t.Errorf("exit code %d, want %d", exitOf(err), core.ExitUsage)
			}
		})
	}
}

func TestArrangeHelp(t *testing.T) {
	for _, line := range []string{"", "help", "--help", "-h", "help|run", "run|--help", "run|add|-h", "help|fn", "fn|--help", "fn|ls|--help", "help|fn|ls"} {
		var words []string
		if line != "" {
			words = strings.Split(line, "|")
		}
		got, err := arrange(testVerbs(nil), words)
		if err != nil || !got.help {
			t.Errorf("%q: help %v, error %v", line, got.help, err)
		}
	}
}

// One name takes a value in every verb or in none: flags before the verb are
// read on that promise.
func TestFlagsMeanTheSameEverywhere(t *testing.T) {
	valued := map[string]bool{}
	where := map[string]string{}
	var visit func(commands []*urfave.Command)
	visit = func(commands []*urfave.Command) {
		for _, command := range commands {
			for _, known := range command.Flags {
				for _, name := range known.Names() {
					if other, ok := where[name]; ok && valued[name] != takesValue(known) {
						t.Errorf("--%s takes a value in only one of %s and %s", name, other, command.Name)
					}
					valued[name], where[name] = takesValue(known), command.Name
				}
			}
			visit(command.Subcommands)
		}
	}
	visit(newFake("").app().Commands)
}

func FuzzArrange(f *testing.F) {
	for _, seed := range []string{"run|add|--args|[1]", "fn|ls", "--|run", "run|-w3", "-|-1|--"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		words := strings.Split(text, "|")
		line, err := arrange(testVerbs(nil), words)
		if err != nil || line.help {
			return
		}
		again, err := arrange(testVerbs(nil), line.words())
		if err != nil {
			t.Fatalf("%q was written as %q, which is refused: %v", words, line.words(), err)
		}
		if a, b := strings.Join(line.words(), "|"), strings.Join(again.words(), "|"); a != b {
			t.Fatalf("%q became %q and then %q", words, a, b)
		}
	})
}
