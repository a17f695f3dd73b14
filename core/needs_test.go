package core

import (
	"strings"
	"testing"
)

func TestVersionsOfPython(t *testing.T) {
	for _, c := range []struct{ text, fits, not string }{
		{"", "3.8.1 3.13.0", ""},
		{"3.11", "3.11.0 3.11.7", "3.1.1 3.10.13 3.12.0"},
		{"3.11.7", "3.11.7", "3.11.2"},
		{"3", "3.8.1 3.13.0", "2.7.18"},
		{">=3.10", "3.10.0 3.13.0", "3.9.18"},
		{">=3.10,<3.13", "3.10.13 3.12.1", "3.9.18 3.13.0"},
		{" >= 3.10 , < 3.13 ", "3.12.1", "3.13.0"},
		{"~=3.10", "3.10.0 3.13.0", "3.9.1 4.0.0"},
		{"~=3.10.2", "3.10.2 3.10.13", "3.10.1 3.11.0"},
		{"==3.11.*", "3.11.0 3.11.7", "3.12.0"},
		{"==3.11", "3.11.0", "3.11.7"}, // as packages mean it
		{"!=3.11.*,>=3.9", "3.10.1 3.12.0", "3.11.2 3.8.18"},
		{"!=3.11.2", "3.11.3", "3.11.2"},
		{">3.11", "3.11.1 3.12.0", "3.11.0"},
		{"<=3.11", "3.11.0 3.10.9", "3.11.1"},
		{"===3.11.7", "3.11.7", "3.11.2"},
		{">=3.13.0rc1", "3.13.0", "3.12.9"},
		{"3.11,>=3.11.5", "3.11.7", "3.11.2 3.12.0"},
	} {
		if err := CheckPython(c.text); err != nil {
			t.Errorf("%q: %v", c.text, err)
		}
		for _, version := range strings.Fields(c.fits) {
			if !fitsPython(c.text, version) {
				t.Errorf("%s is not among %q", version, c.text)
			}
		}
		for _, version := range strings.Fields(c.not) {
			if fitsPython(c.text, version) {
				t.Errorf("%s is among %q", version, c.text)
			}
		}
	}
	for _, text := range []string{"python3", ">=", "3.x", ">=3.*", "~=3", "3..11", "-1", "3.11 3.12", strings.Repeat("3.11,", 20)} {
		if CheckPython(text) == nil {
			t.Errorf("%q was read", text)
		}
	}
}

func TestNeedsAndInterpreters(t *testing.T) {
	plain, dill := Interpreter{Version: "3.9.18"}, Interpreter{Version: "3.11.2", Dill: "0.4.1"}
	for _, c := range []struct {
		needs Needs
		place int
	}{
		{Needs{}, 0}, {Needs{Python: "3.9"}, 0}, {Needs{Python: "3.11"}, 1}, {Needs{Dill: true}, 1},
		{Needs{Python: "3.9", Dill: true}, -1}, {Needs{Python: ">=3.12"}, -1},
	} {
		if place := c.needs.Choose([]Interpreter{plain, dill}); place != c.place {
			t.Errorf("%v: place %d, want %d", c.needs, place, c.place)
		}
		if c.needs.Choose(nil) != 0 {
			t.Errorf("%v: who says nothing does not fit", c.needs)
		}
		if back := ParseNeeds(c.needs.Key()); back != c.needs {
			t.Errorf("%v comes back as %v", c.needs, back)
		}
	}
}

func FuzzVersionsOfPython(f *testing.F) {
	f.Add(">=3.10,<3.13", "3.11.7")
	f.Add("~=3.10.2,!=3.11.*", "3")
	f.Fuzz(func(t *testing.T, text, version string) {
		if CheckPython(text) != nil && text != "" && version != "" && fitsPython(text, version) {
			t.Fatalf("%q means nothing, and %q fits it", text, version)
		}
		if clean := CleanPython(text); fitsPython(clean, version) != fitsPython(text, version) && CheckPython(text) == nil && clean != "" {
			t.Fatalf("%q is cleaned to %q, which means something else for %q", text, clean, version)
		}
	})
}
