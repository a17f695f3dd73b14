package core

import (
	"context"
	"sync"
	"time"
)

// functionCache remembers functions by id. They are immutable but for their
// removal, which the store checks again at submit, and their policy: who needs
// that asks for a fresh one.
type functionCache struct {
	store interface {
		FunctionByID(context.Context, FunctionID) (Function, error)
	}

	mu    sync.Mutex
	known map[FunctionID]*Function
	read  map[FunctionID]time.Time // when each of known was
	bytes int                      // of the bodies in known
}

const (
	cachedFunctions = 1024
	cachedBytes     = 64 << 20
	// policyAge is how old the policy may be that a call goes by: a change
	// made through another process is seen after so long at the latest.
	policyAge = time.Second
)

func newFunctionCache(store interface {
	FunctionByID(context.Context, FunctionID) (Function, error)
}) *functionCache {
	return &functionCache{store: store, known: map[FunctionID]*Function{}, read: map[FunctionID]time.Time{}}
}

// get returns a function with its body; callers must not change it.
func (c *functionCache) get(ctx context.Context, id FunctionID) (*Function, error) {
	return c.within(ctx, id, 0)
}

// fresh is get with a policy that is not older than policyAge.
func (c *functionCache) fresh(ctx context.Context, id FunctionID) (*Function, error) {
	return c.within(ctx, id, policyAge)
}

// within returns a function as it was no longer than age ago; 0 = ever.
func (c *functionCache) within(ctx context.Context, id FunctionID, age time.Duration) (*Function, error) {
	c.mu.Lock()
	f, read := c.known[id], c.read[id]
	c.mu.Unlock()
	if f != nil && (age == 0 || time.Since(read) < age) {
		return f, nil
	}
	asked := time.Now()
	found, err := c.store.FunctionByID(ctx, id)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(id)
	c.makeRoom(len(found.Body))
	c.known[id], c.read[id] = &found, asked
	c.bytes += len(found.Body)
	return &found, nil
}

// forget has a function read anew.
func (c *functionCache) forget(id FunctionID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(id)
}

func (c *functionCache) drop(id FunctionID) {
	if f := c.known[id]; f != nil {
		c.bytes -= len(f.Body)
		delete(c.known, id)
		delete(c.read, id)
	}
}

// makeRoom evicts at random, which map iteration gives for nothing: a working
// set that fits is never evicted, and one that does not gains little from age.
func (c *functionCache) makeRoom(size int) {
	for id := range c.known {
		if len(c.known) < cachedFunctions && c.bytes+size <= cachedBytes {
			return
		}
		c.drop(id)
	}
}
