package cli

import (
	"fmt"
	"io"
	"strings"

	urfave "github.com/urfave/cli/v2"
)

// showHelp prints what there is: all verbs, the sub-verbs of one, or the flags
// of one.
func (e *environment) showHelp(app *urfave.App, line *commandLine) error {
	var text strings.Builder
	switch {
	case line.command == nil:
		helpAll(&text, app)
	case len(line.command.Subcommands) > 0:
		helpGroup(&text, line.command)
	default:
		helpVerb(&text, "faasctl "+strings.Join(line.path, " "), line.command)
	}
	_, err := io.WriteString(e.stdout, text.String())
	return err
}

func helpAll(text *strings.Builder, app *urfave.App) {
	fmt.Fprintf(text, "faasctl: %s\n\n", app.Usage)
	text.WriteString("  faasctl up                          start everything here, in one terminal\n")
	text.WriteString("  faasctl run fn.py --args '[3, 4]'   in another: register the file's function and run it\n")
	category := ""
	for _, command := range app.Commands {
		if command.Hidden {
			continue
		}
		if command.Category != category {
			category = command.Category
			fmt.Fprintf(text, "\n%s\n", category)
		}
		name := command.Name
		if len(command.Subcommands) > 0 {
			name += " " + strings.Join(visible(command.Subcommands), "|")
		}
		fmt.Fprintf(text, "  %-15s %s\n", name, command.Usage)
	}
	text.WriteString("\nfaasctl VERB --help tells the flags of a verb; they may stand before or after its arguments.\n")
	text.WriteString("Data go to stdout, everything else to stderr. Exit codes:\n")
	text.WriteString(exitCodesHelp)
}

// exitCodesHelp is the documented table; core.Class and core.FailureKind hold
// the codes themselves, and a test compares.
const exitCodesHelp = `   0  ok                                   6  task crashed, ran out of memory, or was lost
   1  function raised, or bad result       7  task expired in the queue
   2  command or request makes no sense    8  server, store or a needed program out of reach
   3  task timed out                       9  refused by the server
   4  not found                           10  not finished yet, or detached
   5  task was cancelled                  70  a fault of faasctl
                                          74  stdout could not be written
`

func helpGroup(text *strings.Builder, command *urfave.Command) {
	fmt.Fprintf(text, "faasctl %s: %s\n\n", command.Name, command.Usage)
	for _, sub := range command.Subcommands {
		fmt.Fprintf(text, "  faasctl %-24s %s\n", strings.TrimSpace(command.Name+" "+sub.Name+" "+sub.ArgsUsage), sub.Usage)
	}
}

func helpVerb(text *strings.Builder, name string, command *urfave.Command) {
	fmt.Fprintf(text, "%s: %s\n\n  %s\n", name, command.Usage, strings.Join(strings.Fields(name+" "+command.ArgsUsage+" [flags]"), " "))
	if command.Description != "" {
		fmt.Fprintf(text, "\n%s\n", strings.Trim(command.Description, "\n"))
	}
	rows := [][2]string{}
	wide := 0
	for _, known := range command.VisibleFlags() {
		row := describeFlag(known)
		rows = append(rows, row)
		wide = max(wide, len(row[0]))
	}
	if len(rows) > 0 {
		text.WriteString("\nFlags\n")
	}
	for _, row := range rows {
		fmt.Fprintf(text, "  %-*s  %s\n", wide, row[0], row[1])
	}
}

// describeFlag returns "-w, --workers N" and what it does, with its default
// and its environment variable.
func describeFlag(known urfave.Flag) [2]string {
	names := known.Names()
	var left []string
	for i := len(names) - 1; i >= 0; i-- { // the first name is the long one
		left = append(left, dashed(names[i]))
	}
	documented, ok := known.(urfave.DocGenerationFlag)
	if !ok {
		return [2]string{strings.Join(left, ", "), ""}
	}
	usage, value := documented.GetUsage(), ""
	switch known.(type) {
	case *urfave.DurationFlag:
		value = " TIME"
	case *urfave.IntFlag:
		value = " N"
	}
	if _, after, found := strings.Cut(usage, "`"); found {
		if word, _, closed := strings.Cut(after, "`"); closed {
			value = " " + word
		}
	}
	usage = strings.ReplaceAll(usage, "`", "")
	if text := strings.Trim(documented.GetDefaultText(), `"`); documented.TakesValue() && text != "" && text != "0s" && text != "0" {
		usage += " (default " + text + ")"
	}
	if vars := documented.GetEnvVars(); len(vars) > 0 {
		usage += " [" + "$" + vars[0] + "]"
	}
	return [2]string{strings.Join(left, ", ") + value, usage}
}
