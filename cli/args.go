package cli

import (
	"slices"
	"strings"

	urfave "github.com/urfave/cli/v2"

	"faasctl/core"
)

// arrange is the one place that lets flags stand anywhere on the line. It
// reads the line as people mean it and writes it as the flag library wants it:
// verb, flags as --name=value, "--", positionals (see words).
//
//   - "--" ends flags: all that follows is positional.
//   - "-" and negative numbers are positional; after a flag that takes a value
//     whatever comes next is its value, so `--args -1` is `--args=-1`.
//   - Flags may also stand before the verb.
//   - `help VERB` is `VERB --help`, `--version` is `version`.
func arrange(verbs []*urfave.Command, argv []string) (*commandLine, error) {
	line := &commandLine{verbs: verbs}
	for i := 0; i < len(argv); i++ {
		word := argv[i]
		switch {
		case line.ended || !looksLikeFlag(word):
			if err := line.word(word); err != nil {
				return nil, err
			}
		case word == "--":
			line.ended = true
		default:
			used, err := line.flag(word, argv[i+1:])
			if err != nil {
				return nil, err
			}
			i += used
		}
	}
	return line, line.check()
}

// commandLine is a line as far as it has been read.
type commandLine struct {
	verbs []*urfave.Command

	path        []string        // verb and sub-verb
	command     *urfave.Command // the last of path; nil before the verb
	flags       []givenFlag
	positionals []string
	ended       bool // "--" was seen
	help        bool
	version     bool
}

type givenFlag struct {
	written string          // as typed, without its value
	name    string          // the flag's first name
	value   string          // "" for a switch that was only named
	bare    bool            // a switch without a value
	of      *urfave.Command // where it was found
}

// word takes what is not a flag: the verb, a sub-verb or a positional.
func (l *commandLine) word(word string) error {
	choices := l.verbs
	if l.command != nil {
		choices = l.command.Subcommands
	}
	if len(choices) == 0 {
		l.positionals = append(l.positionals, word)
		return nil
	}
	if l.command == nil && word == "help" && !l.help {
		l.help = true
		return nil
	}
	if command := namedIn(choices, word); command != nil {
		l.path, l.command = append(l.path, command.Name), command
		return nil
	}
	names := visible(choices)
	err := core.Errorf(core.ErrMalformed, strings.Join(l.path, " "), "there is no verb %q", clip(word, 64))
	if near := nearest(word, names); near != "" {
		return err.WithHint("did you mean %s?", strings.Join(append(slices.Clone(l.path), near), " "))
	}
	if l.command != nil {
		return err.WithHint("choose one of %s", strings.Join(names, ", "))
	}
	return err.WithHint("faasctl help lists the verbs")
}

// flag takes a flag and says how many of the following words are its value.
func (l *commandLine) flag(word string, rest []string) (used int, err error) {
	written, value, valued := strings.Cut(word, "=")
	name := strings.TrimLeft(written, "-")
	switch name {
	case "help", "h":
		l.help = true
		return 0, nil
	case "version", "v":
		if l.command == nil {
			l.version = true
			return 0, nil
		}
	}
	known, of := l.find(name)
	if known == nil && !valued && strings.HasPrefix(word, "-") && !strings.HasPrefix(word, "--") && len(name) > 1 {
		// -w4 is -w=4
		if short, where := l.find(name[:1]); short != nil && takesValue(short) {
			known, of, written, value, valued = short, where, "-"+name[:1], name[1:], true
		}
	}
	if known == nil {
		return 0, l.unknown(written)
	}
	given := givenFlag{written: written, name: known.Names()[0], value: value, of: of}
	if !takesValue(known) {
		given.bare = !valued
	} else if !valued {
		if len(rest) == 0 {
			return 0, core.Errorf(core.ErrMalformed, strings.Join(l.path, " "), "%s needs a value", written).
				WithHint("write %s VALUE", written)
		}
		given.value, used = rest[0], 1
	}
	l.flags = append(l.flags, given)
	return used, nil
}

// find looks a flag up: in the verb's own flags, or before the verb is known
// in those of all verbs, where one name has one meaning.
func (l *commandLine) find(name string) (urfave.Flag, *urfave.Command) {
	if l.command != nil && len(l.command.Subcommands) == 0 {
		return flagNamed(l.command, name), l.command
	}
	choices := l.verbs
	if l.command != nil {
		choices = l.command.Subcommands
	}
	for _, command := range choices {
		for _, leaf := range append([]*urfave.Command{command}, command.Subcommands...) {
			if known := flagNamed(leaf, name); known != nil {
				return known, leaf
			}
		}
	}
	return nil, nil
}

func (l *commandLine) unknown(written string) error {
	op := strings.Join(l.path, " ")
	err := core.Errorf(core.ErrMalformed, op, "there is no flag %s", clip(written, 64))
	if l.command != nil {
		var names []string
		for _, known := range l.command.Flags {
			names = append(names, known.Names()...)
		}
		if near := nearest(strings.TrimLeft(written, "-"), names); near != "" {
			return err.WithHint("did you mean %s?", dashed(near))
		}
		if owners := l.owners(strings.TrimLeft(written, "-")); len(owners) > 0 {
			return err.WithHint("%s is a flag of %s", clip(written, 64), strings.Join(owners, ", "))
		}
	}
	return err.WithHint("%s --help lists the flags", strings.TrimSpace("faasctl "+op))
}

// owners are the verbs that have a flag which this one lacks: the first few of them.
func (l *commandLine) owners(name string) []string {
	var owners []string
	for _, command := range l.verbs {
		for _, leaf := range append([]*urfave.Command{command}, command.Subcommands...) {
			if len(owners) == 3 || flagNamed(leaf, name) == nil {
				continue
			}
			verb := leaf.Name
			if leaf != command {
				verb = command.Name + " " + verb
			}
			owners = append(owners, "faasctl "+verb)
		}
	}
	return owners
}

// check looks at the whole line once it has been read.
func (l *commandLine) check() error {
	if l.version && l.command == nil {
		l.path, l.command = []string{"version"}, namedIn(l.verbs, "version")
	}
	if l.command == nil {
		l.help = true
	}
	if l.help {
		return nil
	}
	if len(l.command.Subcommands) > 0 {
		names := visible(l.command.Subcommands)
		return core.Errorf(core.ErrMalformed, l.command.Name, "say which: %s", strings.Join(names, ", ")).
			WithHint("for example faasctl %s %s", l.command.Name, names[0])
	}
	for _, given := range l.flags {
		if given.of != l.command && flagNamed(l.command, given.name) == nil {
			return l.unknown(given.written)
		}
	}
	return nil
}

// words writes the line as the flag library reads it.
func (l *commandLine) words() []string {
	words := slices.Clone(l.path)
	for _, given := range l.flags {
		if given.bare {
			words = append(words, "--"+given.name)
		} else {
			words = append(words, "--"+given.name+"="+given.value)
		}
	}
	return append(append(words, "--"), l.positionals...)
}

// looksLikeFlag tells flags from positionals: "-" stands for stdin, and a dash
// before a digit begins a negative number.
func looksLikeFlag(word string) bool {
	if len(word) < 2 || word[0] != '-' {
		return false
	}
	next := strings.TrimPrefix(word[1:], ".")
	return next == "" || next[0] < '0' || next[0] > '9'
}

func takesValue(known urfave.Flag) bool {
	_, isSwitch := known.(*urfave.BoolFlag)
	return !isSwitch
}

// flagNamed is the flag of that name, nil if the command has none.
func flagNamed(command *urfave.Command, name string) urfave.Flag {
	for _, known := range command.Flags {
		if slices.Contains(known.Names(), name) {
			return known
		}
	}
	return nil
}

func namedIn(commands []*urfave.Command, name string) *urfave.Command {
	for _, command := range commands {
		if command.HasName(name) {
			return command
		}
	}
	return nil
}

// visible lists the names that help shows.
func visible(commands []*urfave.Command) []string {
	var names []string
	for _, command := range commands {
		if !command.Hidden {
			names = append(names, command.Name)
		}
	}
	return names
}

func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// nearest is the name that word was probably meant to be, "" when none is
// near: at most two letters wrong, or its unfinished beginning.
func nearest(word string, names []string) string {
	best, least := "", 3
	for _, name := range names {
		if d := distance(word, name); d < least && d < len(name) {
			best, least = name, d
		}
	}
	if best != "" {
		return best
	}
	for _, name := range names {
		if len(word) >= 2 && strings.HasPrefix(name, word) {
			return name
		}
	}
	return ""
}

// distance counts the letters to insert, drop, change or swap with their
// neighbour to turn a into b.
func distance(a, b string) int {
	if len(a) > 32 || len(b) > 32 {
		return 32
	}
	var rows [34][34]int
	for i := 0; i <= len(a); i++ {
		for j := 0; j <= len(b); j++ {
			if i == 0 || j == 0 {
				rows[i][j] = i + j
				continue
			}
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}
