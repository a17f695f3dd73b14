package tui

import "faasctl/core"

// helpPane explains the keys and the symbols.
type helpPane struct {
	theme *theme
	keys  []binding
}

func (p *helpPane) lines(ends bool) []line {
	t := p.theme
	var out []line
	for _, part := range []struct {
		title string
		of    func(screen) bool
	}{
		{"Keys", func(s screen) bool { return s&^(typing|planning) != 0 }},
		{"At a prompt", func(s screen) bool { return s == typing }},
		{"Before something is done", func(s screen) bool { return s == planning }},
	} {
		out = append(out, line{{" " + part.title, title}})
		for _, b := range p.keys {
			if part.of(b.where) {
				out = append(out, line{{" " + fit(b.label, 8, false, ""), accent}, {b.says(ends).help, plain}})
			}
		}
		out = append(out, nil)
	}
	out = append(out, line{{" Tasks", title}})
	for _, s := range []struct {
		state   core.State
		retried bool
		means   string
	}{
		{core.Queued, false, "waits for a worker"},
		{core.Delayed, false, "waits for its time"},
		{core.Delayed, true, "failed and is tried again"},
		{core.Running, false, "a worker has it"},
		{core.Completed, false, "ended with a result"},
		{core.Failed, false, "ended without one: faasctl result TASK tells why"},
		{core.Cancelled, false, "somebody asked for its end"},
	} {
		glyph, word, as := t.state(s.state, s.retried)
		out = append(out, line{{" " + glyph + " ", as}, {fit(word, 10, false, ""), as}, {s.means, dim}})
	}
	return append(out, nil,
		line{{" Numbers", title}},
		line{{" Slots are busy ones of all; held tasks wait at their worker or run there.", dim}},
		line{{" Rates are averages of the last 10 s; times of tasks are the store's clock.", dim}},
		line{{" A picture older than 3 s is marked stale; it comes back by itself.", dim}})
}
