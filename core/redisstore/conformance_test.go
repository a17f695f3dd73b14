package redisstore

import (
	"testing"

	"faasctl/core"
	"faasctl/core/coretest"
)

func TestConformance(t *testing.T) {
	coretest.RunStore(t, func(t *testing.T) core.Store { return openStore(t) })
}
