package redisstore

import (
	"testing"
	"time"

	"faasctl/core"
	"faasctl/core/coretest"
)

func TestConformance(t *testing.T) {
	coretest.RunStore(t, func(t *testing.T) core.Store { return openStore(t) })
}

func TestForgetting(t *testing.T) {
	open := func(t *testing.T) core.Store {
		return openStore(t, func(c *Config) { c.KeepCompleted, c.KeepFailed = 30*time.Millisecond, 30*time.Millisecond })
	}
	coretest.RunForgetting(t, open, func(t *testing.T, s core.Store) {
		if _, _, err := s.(*Store).Sweep(t.Context(), time.Second); err != nil {
			t.Fatal(err)
		}
	})
}
