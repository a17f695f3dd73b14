package tui

import (
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"
)

// maxPrompt bounds what is typed at a prompt, in characters.
const maxPrompt = 200

// prompt is a line that is being typed: "/" filters the list as it is typed,
// ":" jumps when Enter is pressed.
type prompt struct {
	sign   string
	text   []rune
	at     int      // where the next character goes
	err    error    // what is wrong with the text so far
	offers []string // what Tab found, if it was more than one
	before filter   // of the list, when the prompt was opened
}

// openFilter begins to filter the list, with the filter that it has.
func (m *Model) openFilter(string) tea.Cmd {
	m.prompt = &prompt{sign: "/", before: m.here().filter}
	if text := m.here().filter.text; text != "" {
		m.prompt.set(text + " ")
	}
	return nil
}

// openJump asks where to go.
func (m *Model) openJump(string) tea.Cmd {
	m.helping = false
	m.prompt = &prompt{sign: ":"}
	return nil
}

func (p *prompt) set(text string) {
	p.text = []rune(text)
	p.text = p.text[:min(len(p.text), maxPrompt)]
	p.at = len(p.text)
}

// typed takes in what was typed or pasted.
func (m *Model) typed(text string) {
	p := m.prompt
	fresh := []rune(clean(text))
	fresh = fresh[:min(len(fresh), maxPrompt-len(p.text))]
	p.text = slices.Insert(p.text, p.at, fresh...)
	p.at += len(fresh)
	m.retyped()
}

// retyped looks at the text anew. A filter that makes sense is applied at once;
// while one does not, the last that did stays.
func (m *Model) retyped() {
	p, pl := m.prompt, m.here()
	p.offers, p.err = nil, nil
	if p.sign != "/" {
		return
	}
	var f filter
	if f, p.err = m.panels[pl.screen].parse(string(p.text)); p.err == nil {
		m.filterBy(f)
	}
}

// filterBy shows the rows that a filter selects, from the first page on.
func (m *Model) filterBy(f filter) {
	if pl := m.here(); pl.filter.text != f.text {
		pl.filter, pl.before = f, nil
	}
}

// edit moves in the text or takes some of it away.
func (m *Model) edit(key string) tea.Cmd {
	p := m.prompt
	from := p.at
	switch key {
	case "backspace", "ctrl+h":
		from = max(0, p.at-1)
	case "delete":
		if p.at < len(p.text) {
			p.at++
		}
	case "ctrl+w":
		from = len([]rune(strings.TrimRight(string(p.text[:p.at]), " ")))
		for from > 0 && p.text[from-1] != ' ' {
			from--
		}
	case "ctrl+u":
		from = 0
	default:
		p.at = map[string]int{
			"left": max(0, p.at-1), "right": min(len(p.text), p.at+1), "home": 0, "ctrl+a": 0, "end": len(p.text), "ctrl+e": len(p.text),
		}[key]
		return nil
	}
	p.text, p.at = slices.Delete(p.text, from, p.at), from
	m.retyped()
	return nil
}

// accept ends the prompt; text that makes no sense keeps it open.
func (m *Model) accept(string) tea.Cmd {
	p := m.prompt
	p.offers = nil
	if p.err != nil && p.sign == "/" {
		return nil
	}
	if p.sign == "/" {
		m.prompt = nil
		return nil
	}
	cmd, err := m.jumpTo(string(p.text))
	if p.err = err; err == nil {
		m.prompt = nil
	}
	return cmd
}

// leave ends the prompt as if it had never been opened.
func (m *Model) leave(string) tea.Cmd {
	if m.prompt.sign == "/" {
		m.filterBy(m.prompt.before)
	}
	m.prompt = nil
	return nil
}

// complete adds what all that may follow has in common, and names the choices
// when there are several.
func (m *Model) complete(string) tea.Cmd {
	p := m.prompt
	before := string(p.text[:p.at])
	start := strings.LastIndexByte(before, ' ') + 1
	word := before[start:]
	var found []string
	for _, choice := range m.choices(before[:start], word) {
		if strings.HasPrefix(strings.ToLower(choice), strings.ToLower(word)) && !slices.Contains(found, choice) {
			found = append(found, choice)
		}
	}
	if len(found) == 0 {
		return nil
	}
	same := common(found)
	if len(found) == 1 && !strings.HasSuffix(same, "=") {
		same += " "
	}
	p.text = slices.Concat([]rune(before[:start]+same), p.text[p.at:])
	p.text = p.text[:min(len(p.text), maxPrompt)]
	p.at = min(len([]rune(before[:start]+same)), len(p.text))
	m.retyped()
	if len(found) > 1 {
		p.offers = found
	}
	return nil
}

// common is what all words begin with, in the spelling of the first.
func common(words []string) string {
	same := []rune(words[0])
	for _, word := range words[1:] {
		other := []rune(word)
		n := 0
		for n < min(len(same), len(other)) && strings.EqualFold(string(same[n]), string(other[n])) {
			n++
		}
		same = same[:n]
	}
	return string(same)
}

// choices are what a word may become after what stands before it.
func (m *Model) choices(before, word string) []string {
	screen := m.here().screen
	if m.prompt.sign == ":" {
		name, rest, _ := strings.Cut(strings.TrimLeft(before, " "), " ")
		if name == "" {
			return jumps()
		}
		if textNames[name] != 0 {
			if strings.TrimSpace(rest) != "" {
				return nil
			}
			return m.tasksInSight()
		}
		pl, ok := placeNamed(name)
		if !ok {
			return nil
		}
		screen = pl.screen
	}
	if m.panels[screen] == nil {
		return nil
	}
	return m.panels[screen].offers(m, word)
}

// lines draw the prompt, what is wrong with it or may follow above it.
func (p *prompt) lines(m *Model, w int) []line {
	t := m.theme
	var out []line
	switch {
	case len(p.offers) > 0:
		out = append(out, line{{"   ", plain}, {clip(clean(strings.Join(p.offers, "  ")), max(w-4, 1), t.cut), dim}})
	case p.err != nil:
		out = append(out, line{{" ! ", bad}, {clean(p.err.Error()), bad}})
	}
	// The end of a long text is what one is typing.
	room := max(w-3, 1)
	text := clean(string(p.text[:p.at]))
	for cells(text) > room-1 {
		text = string([]rune(text)[1:])
	}
	l := line{{p.sign, accent}, {text, strong}, {t.caret, accent}, {clean(string(p.text[p.at:])), strong}}
	if len(p.text) == 0 {
		hint := "tasks failed, workers, task ID"
		if p.sign == "/" {
			hint = m.panels[m.here().screen].hint()
		}
		l = l.add(dim, " "+hint+" "+t.dot+" Tab completes")
	}
	return append(out, l)
}
