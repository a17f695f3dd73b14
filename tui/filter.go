package tui

import (
	"fmt"
	"slices"
	"strings"

	"faasctl/core"
)

// lexicon is what the words of a filter may be on one list.
type lexicon struct {
	title  string   // of the list
	keys   []string // fields to filter by
	states []string // what state= may be; nil without that field
	ok     string   // the state that "ok" stands for; "" where it means nothing
}

// filter selects rows: every word must match. A word is KEY=VALUE, a state, or
// text that any field may contain; "!" turns it around.
type filter struct {
	text  string
	words []filterWord
}

type filterWord struct {
	not        bool
	key, value string // no key means any field
}

// String is the word as it may be typed.
func (w filterWord) String() string {
	text := w.value
	if w.key != "" {
		text = w.key + "=" + text
	}
	if w.not {
		text = "!" + text
	}
	return text
}

// parse reads a filter; an error says which word it does not understand, and
// what would be understood.
func (x lexicon) parse(text string) (filter, error) {
	f := filter{text: strings.Join(strings.Fields(clean(text)), " ")}
	for _, text := range strings.Fields(f.text) {
		w, err := x.word(text)
		if err != nil {
			return f, err
		}
		f.words = append(f.words, w)
	}
	return f, nil
}

func (x lexicon) word(text string) (w filterWord, err error) {
	rest, not := strings.CutPrefix(text, "!")
	key, value, keyed := strings.Cut(rest, "=")
	if k, turned := strings.CutSuffix(key, "!"); keyed && turned {
		key, not = k, !not
	}
	key = strings.ToLower(key)
	low := strings.ToLower(rest)
	switch {
	case rest == "":
		return w, fmt.Errorf("! turns a word around, as in !ok: it needs one")
	case keyed && !slices.Contains(x.keys, key):
		return w, fmt.Errorf("%s have no %q: filter by %s", x.title, clip(key, 16, ""), strings.Join(x.keys, ", "))
	case keyed && value == "":
		return w, fmt.Errorf("%s= needs a value", key)
	case keyed && key == "state" && !slices.Contains(x.states, strings.ToLower(value)):
		return w, fmt.Errorf("no state %q: %s", clip(value, 16, ""), strings.Join(x.states, ", "))
	case keyed:
		return filterWord{not, key, value}, nil
	case low == "ok" && x.ok != "":
		return filterWord{not, "state", x.ok}, nil
	case slices.Contains(x.states, low):
		return filterWord{not, "state", low}, nil
	}
	return filterWord{not, "", rest}, nil
}

// match reports whether a row with these fields is selected.
func (w filterWord) match(keys []string, field func(key string) string) bool {
	hit := false
	if w.key != "" {
		hit = fits(w.key, field(w.key), w.value)
	} else {
		low := strings.ToLower(w.value)
		hit = slices.ContainsFunc(keys, func(k string) bool { return strings.Contains(strings.ToLower(field(k)), low) })
	}
	return hit != w.not
}

// fits compares one field: states, kinds of failure and queues whole, a function
// with or without its version, others by any part.
func fits(key, text, value string) bool {
	text, value = strings.ToLower(text), strings.ToLower(value)
	switch key {
	case "state", "queue":
		return text == value
	case "fn":
		name, _, _ := strings.Cut(text, "@")
		return text == value || name == value
	}
	return strings.Contains(text, value)
}

// split divides a filter of tasks into what the server does by its indexes, for
// all tasks, and the words that are left for the page that it sends. functions
// are those that were ever called.
func (f filter) split(functions []core.FunctionStats) (server core.TaskFilter, here []filterWord) {
	for _, w := range f.words {
		switch ref := function(w.value, functions); {
		case !w.not && w.key == "state" && server.State == "":
			server.State = core.State(strings.ToUpper(w.value))
		case !w.not && w.key == "fn" && ref != "" && server.Function == "":
			server.Function = ref
		default:
			here = append(here, w)
		}
	}
	return server, here
}

// function is the one function that a word names; "" when it may be several.
func function(word string, functions []core.FunctionStats) core.FunctionID {
	if strings.Contains(word, "@") || len(word) == 36 && strings.Count(word, "-") == 4 {
		return core.FunctionID(word) // any reference will do
	}
	var found core.FunctionID
	for _, f := range functions {
		if name, _, _ := strings.Cut(f.Name, "@"); strings.EqualFold(name, word) {
			if found != "" {
				return ""
			}
			found = f.Function
		}
	}
	return found
}
