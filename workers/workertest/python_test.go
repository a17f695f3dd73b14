package workertest_test

import (
	"context"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"faasctl/core"
	"faasctl/workers/link"
	"faasctl/workers/pull"
	"faasctl/workers/push"
	"faasctl/workers/pyrun"
	"faasctl/workers/workertest"
)

// TestRealWorkers runs Python behind both kinds of sockets, and drains it.
func TestRealWorkers(t *testing.T) {
	for _, c := range []struct {
		mode workertest.Mode
		make func(link.WorkerConfig) (*link.Worker, error)
	}{{pushing, push.NewWorker}, {pulling, pull.NewWorker}} {
		t.Run(string(c.mode.Name), func(t *testing.T) {
			b := workertest.NewBench(t, c.mode)
			python, _, err := pyrun.Find(b.Ctx, "")
			if err != nil {
				t.Fatal(err)
			}
			b.Start()
			worker, err := c.make(link.WorkerConfig{
				DialConfig: link.DialConfig{URLs: []string{b.URL()}, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))},
				Slots:      2, Interpreters: []core.Interpreter{python}, Version: "test", Beat: 50 * time.Millisecond,
			})
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- worker.Run(context.Background()) }()
			if _, err := b.Service.Register(b.Ctx, core.RegisterRequest{
				Name: "square", Codec: core.Source, Body: []byte("def square(x):\n    print('squaring', x)\n    return x * x\n"), Entry: "square", File: "square.py",
			}); err != nil {
				t.Fatal(err)
			}
			ids := b.Calls("square", 500)
			b.Await(ids, core.Completed)
			for i, id := range ids {
				if _, result, err := b.Service.Result(b.Ctx, id); err != nil || string(result.JSON) != strconv.Itoa(i*i) {
					t.Fatalf("square(%d) is %s (%v)", i, result.JSON, err)
				}
			}
			if _, output, err := b.Service.Output(b.Ctx, ids[7]); err != nil || string(output.Stdout.Head) != "squaring 7\n" {
				t.Errorf("output %+v %v", output, err)
			}
			worker.Drain()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			b.Until("it is gone", func() bool { return len(b.Workers(core.WorkerGone)) == 1 })
		})
	}
}
