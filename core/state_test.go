package core

import "testing"

func TestTerminalStatesNeverChange(t *testing.T) {
	for _, tr := range Transitions {
		if tr.From.Terminal() {
			t.Errorf("%s leaves %s", tr.Verb, tr.From)
		}
	}
}

func TestEveryStateIsReachedAndLeadsToAnEnd(t *testing.T) {
	reached := map[State]bool{"": true}
	for range States {
		for _, tr := range Transitions {
			if reached[tr.From] {
				reached[tr.To] = true
			}
		}
	}
	for _, s := range States {
		if !reached[s] {
			t.Errorf("%s cannot be reached", s)
		}
		if _, ends := s.Next(VerbCancel); !ends && !s.Terminal() {
			t.Errorf("%s cannot be cancelled", s)
		}
	}
}

func TestOneVerbLeadsToOneState(t *testing.T) {
	seen := map[Transition]bool{}
	for _, tr := range Transitions {
		key := Transition{From: tr.From, Verb: tr.Verb}
		if seen[key] {
			t.Errorf("%s of %q stands twice", tr.Verb, tr.From)
		}
		seen[key] = true
	}
}
