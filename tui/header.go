package tui

import (
	"strings"
	"time"

	"faasctl/core"
)

// headerPane says what is watched and whether what is seen is true.
type headerPane struct {
	theme *theme
	still bool // of a single frame, which says when it was taken
}

// lines draw the header of the live picture; held is the one that is shown
// instead, nil for none.
func (p *headerPane) lines(pic, held *picture, url string, w int) []line {
	t := p.theme
	glyph, word, as := p.link(pic)
	if held != nil {
		word, as = "frozen "+span(pic.now.Sub(held.now))+", "+word, warn
	}
	left := line{{glyph, as}}
	if w >= 20 {
		left = line{{" " + glyph, as}, {" faasctl", title}}
	}
	tail := line{{word, as}, {" ", plain}}
	room := w - tail.width() - 2
	if room < left.width() {
		room, tail = w, nil
	}
	l := pack([]item{
		{left, 1},
		{line{{strings.TrimPrefix(url, "http://"), plain}}, 3},
		{line{{p.store(pic, w >= 100), dim}}, 4},
		{p.dispatcher(pic), 2},
	}, room, 2)
	if tail != nil { // at the right edge, where it is always found
		l = l.right(w, tail, t)
	}
	if _, stale := pic.stale(); stale {
		return []line{alarmed(l, w)}
	}
	return []line{l}
}

// alarmed makes the whole line cry out.
func alarmed(l line, w int) line {
	out := make(line, 0, len(l)+1)
	for _, part := range l {
		out = out.add(alarm, part.text)
	}
	return out.add(alarm, strings.Repeat(" ", max(0, w-l.width())))
}

// link tells whether the feed is fresh.
func (p *headerPane) link(pic *picture) (glyph, word string, as role) {
	t := p.theme
	if !pic.seen {
		return t.empty, "connecting" + t.cut, warn
	}
	if old, stale := pic.stale(); stale {
		return t.failed, "stale " + span(old), bad
	}
	if p.still {
		return t.full, pic.now.Format(time.TimeOnly), good
	}
	return t.full, "live", good
}

// store names the store and how safe it is, and if there is room the rest.
func (p *headerPane) store(pic *picture, all bool) string {
	s := pic.store
	if s.Kind == "memory" {
		s.Durability = "" // it has none, as the kind says
	}
	if !all {
		s.Version, s.Memory = "", 0
	}
	var words []string
	for _, word := range []string{s.Kind, s.Version, s.Durability} {
		if word = clean(word); word != "" && (len(words) == 0 || words[len(words)-1] != word) {
			words = append(words, word)
		}
	}
	if s.Memory > 0 {
		words = append(words, size(s.Memory))
	}
	return strings.Join(words, " ")
}

func (p *headerPane) dispatcher(pic *picture) line {
	if !pic.seen {
		return nil
	}
	t := p.theme
	alive, seen := dispatchers(pic)
	switch {
	case len(alive) == 1:
		var modes []string
		for _, m := range alive[0].Modes {
			modes = append(modes, clean(string(m)))
		}
		return line{{t.full, good}, {" dispatcher " + clip(strings.Join(modes, "+"), 24, t.cut), plain}}
	case len(alive) > 1:
		return line{{t.full, good}, {" " + plural(int64(len(alive)), "dispatcher"), plain}}
	case !seen.IsZero():
		return line{{t.failed + " dispatcher gone " + span(pic.storeNow().Sub(seen)), bad}}
	}
	return line{{t.failed + " no dispatcher", bad}}
}

// dispatchers returns those that had been heard from when the picture was told,
// and when the last of the others was.
func dispatchers(pic *picture) (alive []core.DispatcherInfo, seen time.Time) {
	for _, d := range pic.dispatchers {
		if pic.roster.Sub(d.Seen) <= silentAfter {
			alive = append(alive, d)
		} else if d.Seen.After(seen) {
			seen = d.Seen
		}
	}
	return alive, seen
}

// problem is the line that says what is wrong and what to type; blank when all
// is well.
func (m *Model) problem() []line {
	p, t := &m.live, m.theme
	say := func(as role, text, hint string) []line {
		hint = " " + t.dot + " " + clean(hint)
		text = clip(clean(text), max(m.w-3-cells(hint), 20), t.cut) // the way out matters most
		return []line{{{" ! ", as}, {text, as}, {hint, plain}}}
	}
	_, stale := p.stale()
	alive, _ := dispatchers(p)
	switch {
	case p.trouble != nil && (stale || !p.seen):
		hint := core.HintOf(p.trouble)
		if hint == "" {
			hint = "trying again"
		}
		return say(bad, p.trouble.Error(), hint)
	case stale:
		return say(bad, "the server does not answer", "trying again")
	case !p.seen:
		return nil
	case len(alive) == 0:
		return say(bad, "no dispatcher runs, so tasks wait", "faasctl dispatcher -w 2")
	case p.trouble != nil:
		return say(bad, p.trouble.Error(), "trying again")
	case m.frozen() && m.desk.asked.After(m.held.now):
		return say(warn, "frozen, but this screen was asked for later", "p lets go")
	case m.frozen():
		return say(warn, "frozen: the system goes on", "p lets go")
	case p.numbers.Slots == 0 && p.numbers.Queued > 0:
		return say(bad, plural(p.numbers.Queued, "task")+" wait and there is no worker", "faasctl dispatcher -w 2")
	case p.numbers.Repaired > p.repaired:
		return say(warn, plural(p.numbers.Repaired-p.repaired, "index entry was", "index entries were")+" wrong and repaired while you watched", "the dispatcher's log names them")
	}
	return nil
}
