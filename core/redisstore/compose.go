package redisstore

import (
	"regexp"
	"slices"
	"strings"
)

// parts are the files of scripts/parts, of which each script has those in front that it
// names under "uses", with those that they use: what a call does not need it does not
// pay for. They stand in this order.
//
// What a part does when all of a batch was gathered stands below its line "--- flush";
// that of all parts of a script becomes its function flush.
var parts = []string{
	"base", "text", "clock", "many", "drain", "into", "hash", "class", "record", "holds", "index", "events", "observe",
	"awaken", "depth", "lines", "unpark", "uncap", "unthrottle", "running", "refund", "dead", "history", "finish",
	"journal", "overdue", "cancelone", "forget", "giveback", "policy",
}

const flushLine = "--- flush\n"

var (
	usesLine = regexp.MustCompile(`(?m)^-- uses +(.*)$`)
	keyName  = regexp.MustCompile(`\bK\.(\w+)`)
)

// compose makes the text of a script: its parts, and the files that it is made of. A file
// or key that does not exist is a mistake in this package and shows at the first start.
func compose(files ...string) string {
	used := map[string]bool{}
	use(used, "base")
	body := ""
	for _, name := range files {
		text := source(name)
		use(used, usedBy(text)...)
		body += text + "\n"
	}
	var script, flush strings.Builder
	for _, name := range parts {
		if !used[name] {
			continue
		}
		define, write, _ := strings.Cut(source("parts/"+name), flushLine)
		script.WriteString(define + "\n" + planted(name) + "\n")
		flush.WriteString(write)
	}
	if flush.Len() > 0 {
		script.WriteString("local function flush(front)\n" + flush.String() + "end\n")
	}
	return keyName.ReplaceAllStringFunc(script.String()+body, func(name string) string {
		ending, ok := keyEndings[strings.TrimPrefix(name, "K.")]
		if !ok {
			panic("redisstore: a script names a key that is not in keys.go: " + name)
		}
		return "KEY..'" + ending + "'"
	})
}

// source is the text of a file of scripts.
func source(name string) string {
	text, err := sources.ReadFile("scripts/" + name + ".lua")
	if err != nil {
		panic("redisstore: " + err.Error())
	}
	return string(text)
}

// usedBy are the parts that a file says it uses.
func usedBy(text string) []string {
	if line := usesLine.FindStringSubmatch(text); line != nil {
		return strings.Fields(line[1])
	}
	return nil
}

// use adds parts, and those that they use.
func use(used map[string]bool, names ...string) {
	for _, name := range names {
		if used[name] {
			continue
		}
		if !slices.Contains(parts, name) {
			panic("redisstore: a script uses a part that is not in the list: " + name)
		}
		used[name] = true
		use(used, usedBy(source("parts/"+name))...)
	}
}
