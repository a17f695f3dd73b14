package core

import (
	"context"
	"sync"
)

// functionCache remembers functions by id. They are immutable but for their
// removal, which the store checks again at submit.
type functionCache struct {
	store interface {
		FunctionByID(context.Context, FunctionID) (Function, error)
	}

	mu    sync.Mutex
	known map[FunctionID]*Function
	bytes int // of the bodies in known
}

const (
	cachedFunctions = 1024
	cachedBytes     = 64 << 20
)

func newFunctionCache(store interface {
	FunctionByID(context.Context, FunctionID) (Function, error)
}) *functionCache {
	return &functionCache{store: store, known: map[FunctionID]*Function{}}
}

// get returns a function with its body; callers must not change it.
func (c *functionCache) get(ctx context.Context, id FunctionID) (*Function, error) {
	c.mu.Lock()
	f := c.known[id]
	c.mu.Unlock()
	if f != nil {
		return f, nil
	}
	found, err := c.store.FunctionByID(ctx, id)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known[id] == nil {
		c.makeRoom(len(found.Body))
		c.known[id] = &found
		c.bytes += len(found.Body)
	}
	return c.known[id], nil
}

// makeRoom evicts at random, which map iteration gives for nothing: a working
// set that fits is never evicted, and one that does not gains little from age.
func (c *functionCache) makeRoom(size int) {
	for id, f := range c.known {
		if len(c.known) < cachedFunctions && c.bytes+size <= cachedBytes {
			return
		}
		c.bytes -= len(f.Body)
		delete(c.known, id)
	}
}
