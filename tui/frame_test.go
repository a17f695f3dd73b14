package tui

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/exp/golden"
	"github.com/muesli/termenv"

	"faasctl/core"
)

var sizes = [][2]int{{200, 60}, {120, 40}, {80, 24}, {60, 16}, {40, 10}, {1, 1}}

var profiles = map[string]termenv.Profile{"plain": termenv.Ascii, "ansi": termenv.ANSI}

// scenes are the states of the dashboard that the goldens show.
var scenes = map[string]func(*Model){
	"lively":     func(m *Model) { feedAll(m, lively()) },
	"connecting": func(m *Model) { m.Update(Batch{At: noon, News: []News{NewsDown{unreachable}}}) },
	"empty": func(m *Model) {
		m.Update(Batch{At: noon, News: []News{
			NewsTop{noon, core.Top{Numbers: &core.TopNumbers{}, Store: &core.StoreInfo{Kind: "memory", Durability: "memory"}}},
		}})
		m.desk.now = answer{key: m.question().key, value: core.TaskPage{}}
	},
	"stale": func(m *Model) {
		feedAll(m, lively())
		m.Update(Batch{At: noon.Add(4 * time.Second), News: []News{NewsDown{unreachable}}})
	},
	"help": func(m *Model) {
		feedAll(m, lively())
		m.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("?")})
	},
}

// acting are scenes of keys that were pressed one after the other.
var acting = map[string][]string{
	"marks":   {"2", " ", "j", " "},
	"filter":  {"2", "/", "fn=resize state=r", "tab"},
	"wrong":   {"2", "/", "state=faild"},
	"among":   {"2", "/", "worker=w-1", "enter"},
	"jump":    {":", "f", "tab"},
	"nowhere": {":", "tusks", "enter"},
	"cancel":  {"2", "V", "c"},
	"again":   {"2", "j", "r"},
	"drain":   {"3", "V", "d"},
	"purge":   {"6", "x"},
	"bulk":    {"2", "/", "fn=pi", "enter", "C", "y"},
	"retried": {"6", "r", "y"},
	"did":     {"2", "V", "c", "y"},
	"copied":  {"2", "Y"},
	"stop":    {"OWN", "q"},
	"pause":   {"5", "V", "P"},
	"why":     {"2", "j", "j", "w"},
	"live":    {"2", "enter", "HEAR", "f"},
}

func init() {
	for name, keys := range acting {
		scenes[name] = func(m *Model) {
			feedAll(m, lively())
			m.backend, m.ctx, m.clipboard = stillBackend{}, context.Background(), io.Discard
			for _, key := range keys {
				switch key {
				case "OWN": // the stack of this process
					m.ends = 20 * time.Second
				case "HEAR": // what the task prints
					m.Update(Batch{At: m.live.now, News: []News{NewsOutput{Round: m.live.log.round, News: fixtureNews(taskID(1))}}})
				default:
					play(m, key)
				}
			}
		}
	}
	for i, s := range screenNames[1:] {
		scenes[s.name] = func(m *Model) {
			feedAll(m, lively())
			m.lastTask = taskID(3)
			press(m, string(rune('2'+i)))
			ask(m)
		}
	}
}

var unreachable = core.Errorf(core.ErrUnavailable, "", "cannot reach http://127.0.0.1:8000: connection refused").
	WithHint("start it: faasctl up")

func TestFrames(t *testing.T) {
	for scene, play := range scenes {
		for _, size := range sizes {
			for name, profile := range profiles {
				one := scene == "stale" || scene == "help" || scene == "connecting" || scene == "empty"
				if one && (name == "ansi" || size[0] == 120) && (scene != "stale" || size[0] != 80) {
					continue // one picture tells it
				}
				t.Run(fmt.Sprintf("%s/%dx%d/%s", scene, size[0], size[1], name), func(t *testing.T) {
					m := newTestModel(profile, false)
					play(m)
					frame := sized(m, size[0], size[1])
					checkFrame(t, frame, size[0], size[1])
					golden.RequireEqual(t, []byte(frame+"\n"))
				})
			}
		}
	}
}

// TestFrameASCII draws without a single character that is not ASCII.
func TestFrameASCII(t *testing.T) {
	m := feedAll(newTestModel(termenv.Ascii, true), lively())
	frame := sized(m, 80, 24)
	checkFrame(t, frame, 80, 24)
	for _, r := range frame {
		if r > 0x7e {
			t.Errorf("%q is not ASCII", r)
		}
	}
	golden.RequireEqual(t, []byte(frame+"\n"))
}

// TestScenesASCII keeps every scene to ASCII.
func TestScenesASCII(t *testing.T) {
	for scene, play := range scenes {
		m := newTestModel(termenv.ANSI, true)
		play(m)
		for _, r := range sized(m, 120, 40) {
			if r > 0x7e {
				t.Errorf("%s: %q is not ASCII", scene, r)
			}
		}
	}
}

// TestColourOnly shows that a frame says the same with colours and without.
func TestColourOnly(t *testing.T) {
	for scene, play := range scenes {
		bare, coloured := newTestModel(termenv.Ascii, false), newTestModel(termenv.ANSI, false)
		play(bare)
		play(coloured)
		want, got := sized(bare, 80, 24), sized(coloured, 80, 24)
		if want != ansi.Strip(got) {
			t.Errorf("%s: the coloured frame has other words", scene)
		}
		if strings.Contains(want, "\x1b") {
			t.Errorf("%s: an escape sequence in the frame without colour", scene)
		}
		for _, sequence := range []string{"38;5;", "38;2;", "48;"} {
			if strings.Contains(got, sequence) {
				t.Errorf("%s: a colour beyond the 16 of ANSI: %q", scene, sequence)
			}
		}
	}
}

// checkFrame asserts the size that the renderer relies on.
func checkFrame(t *testing.T, frame string, w, h int) {
	t.Helper()
	lines := strings.Split(frame, "\n")
	if len(lines) != h {
		t.Errorf("%d×%d: %d lines", w, h, len(lines))
	}
	for i, l := range lines {
		if n := ansi.StringWidth(l); n > w {
			t.Errorf("%d×%d: line %d is %d cells wide: %q", w, h, i, n, l)
		}
	}
}

// play presses a key and lets what comes of it come back.
func play(m *Model, key string) {
	if cmd := press(m, key); cmd != nil {
		m.Update(cmd())
	}
	ask(m)
}
