package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
	urfave "github.com/urfave/cli/v2"
)

// outputFlag is -o with the formats of one verb; the first is its default.
func outputFlag(formats ...string) urfave.Flag {
	return &urfave.StringFlag{
		Name: "output", Aliases: []string{"o"}, Value: formats[0],
		Usage: "`FORMAT` of the data: " + strings.Join(formats, ", "),
	}
}

// format is the value of -o, which must be one of formats.
func format(c *urfave.Context, formats ...string) (string, error) {
	chosen := c.String("output")
	if slices.Contains(formats, chosen) {
		return chosen, nil
	}
	return "", usage("-o cannot be %q", clip(chosen, 32)).WithHint("choose one of %s", strings.Join(formats, ", "))
}

// clean takes out of text whatever steers a terminal: escape sequences, C0 and
// C1 controls but for \n and \t, and the characters that reorder what is read.
func clean(text string) string {
	if !dangerous(text) {
		return text
	}
	text = ansi.Strip(strings.ToValidUTF8(text, "\uFFFD"))
	return strings.Map(func(r rune) rune {
		if controls(r) {
			return -1
		}
		return r
	}, text)
}

// controls reports whether a terminal might do something else with r than show
// it. The last three cases are the controls of bidirectional text.
func controls(r rune) bool {
	switch {
	case r == '\n' || r == '\t':
		return false
	case r < 0x20 || r >= 0x7f && r < 0xa0:
		return true
	case r == 0x061c || r == 0x200e || r == 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
		return true
	}
	return false
}

func dangerous(text string) bool {
	if !utf8.ValidString(text) {
		return true
	}
	return strings.IndexFunc(text, controls) >= 0
}

// cleanLine is clean for text that must stay in one line.
func cleanLine(text string) string {
	return strings.NewReplacer("\n", " ", "\t", " ").Replace(clean(text))
}

// data writes text from a function or a server to stdout: as it is into a file
// or a pipe, cleaned onto a terminal.
func (e *environment) data(text []byte) error {
	if e.stdoutTTY {
		text = []byte(clean(string(text)))
	}
	_, err := e.stdout.Write(text)
	return err
}

// jsonLine writes one value as one line of JSON.
func (e *environment) jsonLine(value any) error {
	encoded, err := encodeJSON(value)
	if err != nil {
		return err
	}
	return e.rawJSON(encoded)
}

func encodeJSON(value any) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return bytes.TrimSpace(buffer.Bytes()), err
}

// rawJSON writes JSON that came from elsewhere as one line. On a terminal, the
// characters that could steer it are written as \u escapes, which changes
// nothing of the value.
func (e *environment) rawJSON(raw []byte) error {
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		return e.data(append(slices.Clone(raw), '\n'))
	}
	line := compact.Bytes()
	if e.stdoutTTY {
		line = escapeControls(line)
	}
	_, err := e.stdout.Write(append(line, '\n'))
	return err
}

// escapeControls relies on controls being allowed in JSON within strings only.
func escapeControls(line []byte) []byte {
	if !dangerous(string(line)) {
		return line
	}
	var safe bytes.Buffer
	for _, r := range string(line) {
		if controls(r) {
			fmt.Fprintf(&safe, `\u%04x`, r)
		} else {
			safe.WriteRune(r)
		}
	}
	return safe.Bytes()
}

// table is a listing: columns as wide as their widest cell. On a terminal the
// last column gives way.
type table struct {
	head []string
	rows [][]cell
	// right are the columns whose cells end flush: numbers.
	right []int
}

// cell is text and how it looks; the look is dropped where there is no colour.
type cell struct {
	text  string
	paint string // parameters of an SGR sequence, such as "1" or "31"; may be empty
}

func plain(format string, args ...any) cell { return cell{text: fmt.Sprintf(format, args...)} }

// SGR parameters out of the sixteen colours that follow the user's theme.
const (
	paintBold   = "1"
	paintDim    = "2"
	paintRed    = "31"
	paintGreen  = "32"
	paintYellow = "33"
	paintCyan   = "36"
)

func (t *table) add(cells ...cell) { t.rows = append(t.rows, cells) }

// printTable writes t to stdout.
func (e *environment) printTable(t *table) error {
	widths := make([]int, len(t.head))
	head := make([]cell, len(t.head))
	for i, title := range t.head {
		head[i] = cell{title, paintBold}
		widths[i] = len(title)
	}
	for _, row := range t.rows {
		for i := range row {
			row[i].text = cleanLine(row[i].text)
			widths[i] = max(widths[i], ansi.StringWidth(row[i].text))
		}
	}
	room := 0
	if e.stdoutTTY {
		room = e.width()
	}
	var text strings.Builder
	for _, row := range append([][]cell{head}, t.rows...) {
		text.WriteString(strings.TrimRight(t.line(row, widths, room, e.colour()), " "))
		text.WriteByte('\n')
	}
	_, err := io.WriteString(e.stdout, text.String())
	return err
}

func (t *table) line(row []cell, widths []int, room int, colour bool) string {
	var line strings.Builder
	used := 0
	for i, c := range row {
		last := i == len(row)-1
		if last && room > 0 {
			c.text = ansi.Truncate(c.text, max(room-used, 8), "…")
		}
		pad := strings.Repeat(" ", max(widths[i]-ansi.StringWidth(c.text), 0))
		if slices.Contains(t.right, i) {
			line.WriteString(pad)
			pad = ""
		}
		if colour && c.paint != "" {
			c.text = paint(c.text, c.paint)
		}
		line.WriteString(c.text)
		if !last {
			line.WriteString(pad + "  ")
			used += widths[i] + 2
		}
	}
	return line.String()
}

func paint(text, with string) string { return "\x1b[" + with + "m" + text + "\x1b[0m" }

// ago is how long before now a moment was, for people.
func ago(at, now time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return span(max(now.Sub(at), 0)) + " ago"
}

// span is a duration with two or three digits that matter.
func span(d time.Duration) string {
	switch {
	case d < time.Millisecond: // the store's times are no finer
		return "<1ms"
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd", int(d.Hours())/24)
}

// clip shortens text for a message to about n bytes.
func clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n], "") + "…"
}
