package workertest_test

import (
	"testing"

	"go.uber.org/goleak"

	"faasctl/core"
	"faasctl/workers/pull"
	"faasctl/workers/push"
	"faasctl/workers/workertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	local   = workertest.Mode{Name: core.Local}
	pushing = workertest.Mode{Name: core.Push, Hub: push.New, Dial: push.Dial}
	pulling = workertest.Mode{Name: core.Pull, Hub: pull.New, Dial: pull.Dial}
)

func TestLocal(t *testing.T) { workertest.Run(t, local) }
func TestPush(t *testing.T)  { workertest.Run(t, pushing) }
func TestPull(t *testing.T)  { workertest.Run(t, pulling) }
