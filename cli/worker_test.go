package cli

import (
	"flag"
	"runtime"
	"strconv"
	"strings"
	"testing"

	urfave "github.com/urfave/cli/v2"

	"faasctl/core"
)

func TestSlotsAndURLs(t *testing.T) {
	for line, want := range map[string]struct {
		slots int
		urls  string
	}{
		"tcp://127.0.0.1:5555":    {1, "tcp://127.0.0.1:5555"},
		"127.0.0.1:5555":          {1, "tcp://127.0.0.1:5555"},
		"3 box:5555":              {3, "tcp://box:5555"},
		"1024 box:5555":           {1024, "tcp://box:5555"},
		"auto [::1]:5555":         {runtime.NumCPU(), "tcp://[::1]:5555"},
		"2 a:1 tcp://b:2":         {2, "tcp://a:1 tcp://b:2"},
		"2 a:1 tcp://a:1 b:2 a:1": {2, "tcp://a:1 tcp://b:2"},
	} {
		slots, urls, err := slotsAndURLs(strings.Fields(line))
		if err != nil || slots != want.slots || strings.Join(urls, " ") != want.urls {
			t.Errorf("%q: %d %q, %v", line, slots, urls, err)
		}
	}
	for line, want := range map[string]string{
		"":                "which dispatcher?",
		"2":               "which dispatcher?",
		"auto":            "which dispatcher?",
		"0 a:1":           "between 1 and 1024",
		"-1 a:1":          "between 1 and 1024",
		"99999 a:1":       "between 1 and 1024",
		"two a:1":         "neither a number of slots nor",
		"127.0.0.1":       "neither a number of slots nor",
		"a:1 2":           "comes before the address",
		"a:1 auto":        "comes before the address",
		"2 http://a:1":    "only tcp:// is spoken",
		"2 tcp://a":       "host and port are needed",
		"2 tcp://a:99999": "99999 is no port",
		"2 tcp://:5555":   "host and port are needed",
	} {
		_, _, err := slotsAndURLs(strings.Fields(line))
		if err == nil || !strings.Contains(err.Error(), want) || exitOf(err) != core.ExitUsage || core.HintOf(err) == "" {
			t.Errorf("%q: %v → %s", line, err, core.HintOf(err))
		}
	}
}

// flagsOf reads words with these flags.
func flagsOf(t *testing.T, flags []urfave.Flag, words ...string) *urfave.Context {
	t.Helper()
	set := flag.NewFlagSet("test", flag.ContinueOnError)
	for _, known := range flags {
		if err := known.Apply(set); err != nil {
			t.Fatal(err)
		}
	}
	if err := set.Parse(words); err != nil {
		t.Fatal(err)
	}
	return urfave.NewContext(&urfave.App{}, set, nil)
}

func TestLabelsOf(t *testing.T) {
	label := func() []urfave.Flag { return []urfave.Flag{&urfave.StringSliceFlag{Name: "label"}} }
	got, err := labelsOf(flagsOf(t, label(), "--label", "a=b", "--label", "c=d=e", "--label", "f="))
	if err != nil || len(got) != 3 || got["a"] != "b" || got["c"] != "d=e" || got["f"] != "" {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"a", "=b", "="} {
		if _, err := labelsOf(flagsOf(t, label(), "--label", bad)); exitOf(err) != core.ExitUsage {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestReadModes(t *testing.T) {
	for line, want := range map[string]string{ // mode:port of each
		"":                                "local:5555",
		"--mode push":                     "push:5555",
		"--mode pull --port 7000":         "pull:7000",
		"--mode push,pull --port 7000":    "push:7000 pull:7001",
		"--mode pull,push,local --port 1": "pull:2 push:1 local:1",
		"--mode push,pull --port 0":       "push:0 pull:0",
	} {
		m, err := readModes(flagsOf(t, modeFlags(), strings.Fields(line)...))
		var got []string
		for _, mode := range m.list {
			got = append(got, string(mode)+":"+strconv.Itoa(m.portOf(mode)))
		}
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: %q, %v", line, got, err)
		}
	}
	for _, line := range []string{"--mode shove", "--mode push,push", "--mode ,", "--mode push --port -1", "--mode push,pull --port 65535", "--mode push --port 65536",
		"--mode push --allow d", "--mode push --curve k", "--curve k --allow d"} {
		if _, err := readModes(flagsOf(t, modeFlags(), strings.Fields(line)...)); exitOf(err) != core.ExitUsage {
			t.Errorf("%q: %v", line, err)
		}
	}
}
