package memstore_test

import (
	"testing"
	"time"

	"faasctl/core"
	"faasctl/core/coretest"
	"faasctl/core/memstore"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	coretest.RunStore(t, func(*testing.T) core.Store { return memstore.New(memstore.Config{}) })
}

func TestForgetting(t *testing.T) {
	open := func(*testing.T) core.Store {
		return memstore.New(memstore.Config{KeepCompleted: 30 * time.Millisecond, KeepFailed: 30 * time.Millisecond})
	}
	coretest.RunForgetting(t, open, func(t *testing.T, s core.Store) {
		if _, err := s.Reap(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
	})
}
