package header

import (
	"fmt"
	"strings"
	"testing"

	"faasctl/core"
)

func TestRead(t *testing.T) {
	for name, c := range map[string]struct {
		source, python string
		dependencies   []string
	}{
		"none":          {source: "def f(): pass\n"},
		"both":          {"#!/usr/bin/env python3\n# /// script\n# requires-python = \">=3.10, <3.13\"\n# dependencies = [\n#   \"numpy>=2\", # numbers\n#   'requests[socks]; python_version < \"3.12\"',\n# ]\n# ///\ndef f(): pass\n", ">=3.10,<3.13", []string{"numpy>=2", `requests[socks]; python_version < "3.12"`}},
		"python only":   {"# /// script\n# requires-python = '~=3.11'\n# ///\n", "~=3.11", nil},
		"other tables":  {"# /// script\n# dependencies = [\"a\"]\n#\n# [tool.uv]\n# exclude-newer = \"2024-01-01T00:00:00Z\"\n# ///\nx = 1\n", "", []string{"a"}},
		"other blocks":  {"# /// other\n# dependencies = [\"b\"]\n# ///\n", "", nil},
		"never closed":  {"# /// script\n# dependencies = [\"b\"]\ndef f(): pass\n", "", nil},
		"from a window": {"# /// script\r\n# dependencies = [\"a\"]\r\n# ///\r\ndef f(): pass\r\n", "", []string{"a"}},
		"in a function": {"def f():\n    # /// script\n    # dependencies = [\"a\"]\n    # ///\n    pass\n", "", nil},
		"ordered":       {"# /// script\n# dependencies = [\"b\", \" a \", \"b\", \"\"]\n# ///\n", "", []string{"a", "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := Read([]byte(c.source))
			if err != nil || h.Python != c.python || fmt.Sprint(h.Dependencies) != fmt.Sprint(c.dependencies) {
				t.Errorf("%+v, %v", h, err)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	for said, source := range map[string]string{
		"line 3: the header": "# /// script\n# dependencies = []\n# requires-python = >=3.10\n# ///\n",
		"line 2: the header": "# /// script\n# dependencies = \"numpy\"\n# ///\n",
		"no versions":        "# /// script\n# requires-python = \"3.x\"\n# ///\n",
		"second header":      "# /// script\n# dependencies = []\n# ///\n\n# /// script\n# dependencies = []\n# ///\n",
		"--index-url":        "# /// script\n# dependencies = [\"--index-url=x\"]\n# ///\n",
	} {
		_, err := Read([]byte(source))
		if err == nil || !strings.Contains(err.Error(), said) || core.ClassOf(err) != core.ErrInvalid {
			t.Errorf("%q: %v", said, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("# /// script\n# requires-python = \">=3.10\"\n# dependencies = [\"a\"]\n# ///\n"))
	f.Fuzz(func(t *testing.T, source []byte) {
		h, err := Read(source)
		if err == nil && core.CheckPython(h.Python) != nil {
			t.Fatalf("%q was let through", h.Python)
		}
		for _, d := range h.Dependencies {
			if strings.HasPrefix(d, "-") || strings.ContainsAny(d, "\n\r\x00") {
				t.Fatalf("%q was let through", d)
			}
		}
	})
}
