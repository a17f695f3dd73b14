package memstore_test

import (
	"testing"

	"faasctl/core"
	"faasctl/core/coretest"
	"faasctl/core/memstore"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	coretest.RunStore(t, func(*testing.T) core.Store { return memstore.New(memstore.Config{}) })
}
