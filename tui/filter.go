package tui

import (
	"slices"
	"strings"

	"faasctl/core"
)

// filter selects rows: every word must match. A word is KEY=VALUE, or text that
// any column may contain; "!" turns it around, "ok" means completed.
type filter struct {
	text  string
	words []filterWord
}

type filterWord struct {
	not        bool
	key, value string // lower case; no key means any
}

func parseFilter(text string) filter {
	f := filter{text: strings.Join(strings.Fields(clean(text)), " ")}
	for _, word := range strings.Fields(f.text) {
		var w filterWord
		word, w.not = strings.CutPrefix(strings.ToLower(word), "!")
		key, value, keyed := strings.Cut(word, "=")
		switch {
		case keyed:
			w.key, w.value = key, value
		case word == "ok":
			w.key, w.value = "state", "completed"
		case core.State(strings.ToUpper(word)).Valid():
			w.key, w.value = "state", word
		default:
			w.value = word
		}
		if w.value != "" {
			f.words = append(f.words, w)
		}
	}
	return f
}

// match reports whether a row with these fields is selected.
func (f filter) match(keys []string, field func(key string) string) bool {
	for _, w := range f.words {
		hit := false
		if w.key != "" {
			hit = fits(w.key, field(w.key), w.value)
		} else {
			hit = slices.ContainsFunc(keys, func(k string) bool { return strings.Contains(strings.ToLower(field(k)), w.value) })
		}
		if hit == w.not {
			return false
		}
	}
	return true
}

// fits compares one field: states and queues whole, a function with or without its
// version, others by any part.
func fits(key, text, value string) bool {
	text = strings.ToLower(text)
	switch key {
	case "state", "queue":
		return text == value
	case "fn":
		name, _, _ := strings.Cut(text, "@")
		return text == value || name == value
	}
	return strings.Contains(text, value)
}

// tasks is what of the filter the server can do by its indexes.
func (f filter) tasks() (out core.TaskFilter) {
	for _, w := range f.words {
		switch {
		case w.not:
		case w.key == "state":
			if s := core.State(strings.ToUpper(w.value)); s.Valid() {
				out.State = s
			}
		case w.key == "fn" && strings.Contains(w.value, "@"):
			out.Function = core.FunctionID(w.value) // any reference will do
		}
	}
	return out
}
