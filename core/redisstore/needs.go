package redisstore

import (
	"strconv"
	"strings"
	"sync"

	"faasctl/core"
)

// knownNeeds are the needs of functions that claims have met. What versions of Python
// mean is not for a script to read: it is told for each needs which classes of workers
// fit, and names those that it was not told about.
type knownNeeds struct {
	mu    sync.Mutex
	known map[string]core.Needs
}

// maxKnownNeeds bounds what a claim is told. What is forgotten is learnt again.
const maxKnownNeeds = 512

func (k *knownNeeds) learn(keys []any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, key := range keys {
		text, ok := key.(string)
		if _, again := k.known[text]; !ok || again || text == "" {
			continue
		}
		if k.known == nil {
			k.known = map[string]core.Needs{}
		}
		for other := range k.known {
			if len(k.known) < maxKnownNeeds {
				break
			}
			delete(k.known, other)
		}
		k.known[text] = core.ParseNeeds(text)
	}
}

// fits is what claim.lua is told about classes of workers.
func (k *knownNeeds) fits(classes []core.ClaimClass) []any {
	if classes == nil {
		return []any{""}
	}
	rooms := make([]string, len(classes))
	for i, c := range classes {
		rooms[i] = strconv.Itoa(c.N)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	args := append(make([]any, 0, 1+2*len(k.known)), strings.Join(rooms, ","))
	for text, needs := range k.known {
		digits := make([]byte, len(classes))
		for i, c := range classes {
			digits[i] = '0'
			if c.Fits(needs) {
				digits[i] = '1'
			}
		}
		args = append(args, text, digits)
	}
	return args
}
