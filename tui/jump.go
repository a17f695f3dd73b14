package tui

import (
	"fmt"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"faasctl/core"
)

// jumps are the first words of the ":" prompt.
func jumps() []string {
	var out []string
	for _, s := range screenNames {
		out = append(out, s.name)
	}
	return append(out, "why", "help", "quit")
}

// jumpTo goes where text says: a screen, with a filter if it is a list, or
// task ID. A beginning will do where it leaves no doubt.
func (m *Model) jumpTo(text string) (tea.Cmd, error) {
	name, rest, _ := strings.Cut(strings.Join(strings.Fields(text), " "), " ")
	name, id, slash := strings.Cut(strings.ToLower(name), "/") // as in the command line: task/ID
	if slash {
		rest = id
	}
	if name == "" {
		return nil, nil
	}
	if name == "q" {
		name = "quit"
	}
	name, err := theOne(name, jumps())
	if err != nil {
		return nil, err
	}
	switch {
	case name == "help":
		m.helping = true
		return nil, nil
	case name == "quit":
		return m.quit("q"), nil
	case textNames[name] != 0:
		return nil, m.jumpToTask(rest, textNames[name])
	}
	pl, _ := placeNamed(name)
	if rest != "" {
		if m.panels[pl.screen] == nil {
			return nil, fmt.Errorf("%s takes no filter", name)
		}
		if pl.filter, err = m.panels[pl.screen].parse(rest); err != nil {
			return nil, err
		}
		pl.led = pl.filter
	}
	m.jump(pl)
	return nil, nil
}

// jumpToTask opens a task by its id, or by the beginning or the end of one that
// is in sight.
func (m *Model) jumpToTask(text string, to screen) error {
	text = strings.ToLower(text)
	if text == "" {
		if m.lastTask == "" {
			return fmt.Errorf("task and why need an id: Tab completes those in sight")
		}
		text = string(m.lastTask)
	}
	id, err := core.ParseTaskID(text)
	if err != nil {
		var found []string
		for _, known := range m.tasksInSight() {
			if strings.HasPrefix(known, text) || strings.HasSuffix(known, strings.TrimPrefix(text, m.theme.cut)) {
				found = append(found, known)
			}
		}
		switch len(found) {
		case 0:
			return fmt.Errorf("%q is no task id, nor a part of one in sight", clip(clean(text), 36, m.theme.cut))
		case 1:
			id = core.TaskID(found[0])
		default:
			return fmt.Errorf("%q may be any of %d tasks in sight", clip(clean(text), 36, m.theme.cut), len(found))
		}
	}
	m.open(&place{screen: to, task: id})
	return nil
}

// tasksInSight are the ids that the screen knows, and the last task.
func (m *Model) tasksInSight() []string {
	page, _ := known[core.TaskPage](m)
	var out []string
	for _, t := range page.Tasks {
		out = append(out, string(t.ID))
	}
	if m.lastTask != "" && !slices.Contains(out, string(m.lastTask)) {
		out = append(out, string(m.lastTask))
	}
	return out
}

// theOne is the word of choices that is meant: itself, or the only one that
// begins so.
func theOne(word string, choices []string) (string, error) {
	var found []string
	for _, choice := range choices {
		if choice == word {
			return choice, nil
		}
		if strings.HasPrefix(choice, word) {
			found = append(found, choice)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", fmt.Errorf("there is no %q: %s", clip(clean(word), 20, ""), strings.Join(choices, ", "))
	}
	return "", fmt.Errorf("%s: which of %s?", word, strings.Join(found, ", "))
}
