package core_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"faasctl/core"
	"faasctl/core/memstore"
)

// A dispatcher carries operations out when the API server that wrote them is gone,
// and without a worker; not a moment too early.
func TestADispatcherCarriesOutOperations(t *testing.T) {
	dispatch(t, core.Local, func(r *rig) {
		r.submit(3, nil)
		op, err := r.PutOperation(r.ctx, core.Operation{ID: core.NewOperationID(), Kind: core.OperationCancel}, 5*time.Second)
		r.must(err)
		time.Sleep(4900 * time.Millisecond)
		synctest.Wait()
		if now, err := r.Operation(r.ctx, op.ID); err != nil || now.State != core.OperationPending {
			t.Fatalf("before it is due: %+v, %v", now, err)
		}
		time.Sleep(1500 * time.Millisecond)
		synctest.Wait()
		done, err := r.Operation(r.ctx, op.ID)
		r.must(err)
		if done.State != core.OperationDone || done.Applied != 3 {
			t.Fatalf("%+v", done)
		}
	})
}

// One that is written while the store is away takes effect when it is back.
func TestAnOperationOutlivesAnOutage(t *testing.T) {
	dispatch(t, core.Local, func(r *rig) {
		r.submit(1, nil)
		op, err := r.PutOperation(r.ctx, core.Operation{ID: core.NewOperationID(), Kind: core.OperationCancel}, time.Second)
		r.must(err)
		r.down.Store(true)
		time.Sleep(10 * time.Second)
		r.down.Store(false)
		if now, err := r.Operation(r.ctx, op.ID); err != nil || now.State != core.OperationPending {
			t.Fatalf("while the store was away: %+v, %v", now, err)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if now, err := r.Operation(r.ctx, op.ID); err != nil || now.State != core.OperationDone || now.Applied != 1 {
			t.Fatalf("%+v, %v", now, err)
		}
	})
}

// The service that wrote an operation knows when it is due, and need not poll.
func TestAPendingOperationTakesEffectOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New(memstore.Config{})
		s, err := core.NewService(core.ServiceConfig{Store: store})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); _ = s.Run(ctx) }()
		defer func() { stop(); <-ended }()
		asked := time.Now()
		op, err := s.StartOperation(ctx, core.OperationRequest{Kind: core.OperationPurge})
		if err != nil || op.Due.Sub(asked) != 5*time.Second {
			t.Fatalf("%+v, %v", op, err)
		}
		for time.Since(asked) < 5*time.Second {
			if now, err := s.Operation(ctx, op.ID, 0); err != nil || now.State != core.OperationPending {
				t.Fatalf("after %v: %+v, %v", time.Since(asked), now, err)
			}
			time.Sleep(250 * time.Millisecond)
		}
		done, err := s.Operation(ctx, op.ID, time.Minute)
		if err != nil || done.State != core.OperationDone || done.Ended.Sub(done.Due) > 10*time.Millisecond {
			t.Fatalf("%+v, %v", done, err)
		}
	})
}
