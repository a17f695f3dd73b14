package redisstore

import (
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Lua as far as names go: what a part defines, and words that are no fields, texts or comments.
var (
	luaText     = regexp.MustCompile(`'[^'\n]*'|--[^\n]*|K\.\w+`)
	luaFunction = regexp.MustCompile(`(?m)^local function (\w+)`)
	luaLocals   = regexp.MustCompile(`(?m)^local (\w+(?:, \w+)*) =`)
	luaOwn      = regexp.MustCompile(`\blocal (?:function )?(\w+(?:, \w+)*)`)
	luaWord     = regexp.MustCompile(`([\w.]*\w)(\s*=[^=])?`)
)

func luaNames(text string, forms ...*regexp.Regexp) []string {
	var found []string
	for _, form := range forms {
		for _, m := range form.FindAllStringSubmatch(text, -1) {
			found = append(found, strings.Split(m[1], ", ")...)
		}
	}
	return found
}

// TestScriptsUseWhatTheySay: a script names each part that it calls, which a rare branch
// would show too late, and none that it does not, which every call would pay for.
func TestScriptsUseWhatTheySay(t *testing.T) {
	of := map[string]string{} // name → the part that defines it
	for _, part := range parts {
		define, _, _ := strings.Cut(source("parts/"+part), flushLine)
		for _, name := range luaNames(luaText.ReplaceAllString(define, ""), luaFunction, luaLocals) {
			if other := of[name]; other != "" {
				t.Errorf("%s is defined by %s and by %s", name, other, part)
			}
			of[name] = part
		}
	}
	check := func(file, self string) {
		text := luaText.ReplaceAllString(source(file), "")
		own := luaNames(text, luaOwn)
		needed := map[string]bool{}
		for _, m := range luaWord.FindAllStringSubmatch(text, -1) {
			name := strings.SplitN(m[1], ".", 2)[0]
			if part := of[name]; m[2] == "" && part != "" && part != "base" && part != self && !slices.Contains(own, name) {
				needed[part] = true
			}
		}
		said := usedBy(source(file))
		for part := range needed {
			if !slices.Contains(said, part) {
				t.Errorf("%s.lua calls %s.lua and does not say so", file, part)
			}
		}
		for _, part := range said {
			if !needed[part] {
				t.Errorf("%s.lua says that it uses %s.lua and does not", file, part)
			}
		}
	}
	for _, part := range parts {
		check("parts/"+part, part)
	}
	files, err := fs.Glob(sources, "scripts/*.lua")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d scripts, %v", len(files), err)
	}
	for _, file := range files {
		check(strings.TrimSuffix(strings.TrimPrefix(file, "scripts/"), ".lua"), "")
	}
	inside, err := fs.Glob(sources, "scripts/parts/*.lua")
	if err != nil || len(inside) != len(parts) {
		t.Errorf("%d files in parts, %d in the list, %v", len(inside), len(parts), err)
	}
}
