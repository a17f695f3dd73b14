package core_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"faasctl/core"
	"faasctl/core/memstore"
)

// slowStore takes a millisecond for each write of tasks, counts them, and refuses all
// in a write with a call of priority 9.
type slowStore struct {
	*memstore.Store
	writes  atomic.Int32
	largest atomic.Int32
	refuse  func(batch []core.Submission) error
}

func (s *slowStore) Submit(ctx context.Context, batch []core.Submission) ([]error, error) {
	s.writes.Add(1)
	if n := int32(len(batch)); n > s.largest.Load() {
		s.largest.Store(n)
	}
	time.Sleep(time.Millisecond) // of the bubble
	if s.refuse != nil {
		if err := s.refuse(batch); err != nil {
			return nil, err
		}
	}
	return s.Store.Submit(ctx, batch)
}

func collecting(t *testing.T) (*slowStore, *core.Service, core.SubmitRequest) {
	t.Helper()
	store := &slowStore{Store: memstore.New(memstore.Config{})}
	service, err := core.NewService(core.ServiceConfig{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	_, err = service.Register(t.Context(), core.RegisterRequest{Name: "f", Codec: core.Source, Entry: "f", File: "f.py", Body: []byte("def f(): pass\n")})
	if err != nil {
		t.Fatal(err)
	}
	return store, service, core.SubmitRequest{Function: "f", Codec: core.JSON, Args: []byte("[[],{}]")}
}

// Calls that come while a write is under way become the next write, each is answered
// with a task of its own, and nobody before the write that holds it.
func TestSubmitsBecomeOneWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = 2*core.MaxBatch + 200
		store, service, r := collecting(t)
		var mu sync.Mutex
		ids := map[core.TaskID]bool{}
		var group sync.WaitGroup
		for i := range many {
			group.Go(func() {
				one := r
				one.Args = fmt.Appendf(nil, "[[%d],{}]", i)
				answer, err := service.Submit(t.Context(), one)
				if err != nil {
					t.Error(err)
					return
				}
				spec, err := store.Spec(t.Context(), answer.ID) // the write is done
				if err != nil || string(spec.Args) != string(one.Args) {
					t.Errorf("call %d became %s, %v", i, spec.Args, err)
				}
				mu.Lock()
				defer mu.Unlock()
				ids[answer.ID] = true
			})
		}
		group.Wait()
		if n := store.writes.Load(); n < 3 || n > 6 {
			t.Errorf("%d writes of %d calls", n, many)
		}
		if n := store.largest.Load(); n > core.MaxBatch {
			t.Errorf("a write of %d", n)
		}
		if len(ids) != many {
			t.Errorf("%d tasks of %d calls", len(ids), many)
		}
	})
}

// One that comes alone does not wait, and one that is at fault fails alone.
func TestACallAtFaultFailsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, service, r := collecting(t)
		began := time.Now()
		if _, err := service.Submit(t.Context(), r); err != nil || time.Since(began) != time.Millisecond {
			t.Errorf("alone: %v after %s", err, time.Since(began))
		}
		bad := errors.New("cannot be stored")
		store.refuse = func(batch []core.Submission) error {
			for _, one := range batch {
				if one.Spec.Priority == 9 {
					return bad
				}
			}
			return nil
		}
		var group sync.WaitGroup
		var failed, unknown atomic.Int32
		for i := range 20 {
			group.Go(func() {
				one := r
				switch i {
				case 7:
					one.Priority = new(9)
				case 8:
					one.Function = "nobody"
				}
				_, err := service.Submit(t.Context(), one)
				switch {
				case i == 7 && errors.Is(err, bad):
					failed.Add(1)
				case i == 8 && errors.Is(err, core.ErrNotFound):
					unknown.Add(1)
				case err != nil:
					t.Errorf("call %d: %v", i, err)
				}
			})
		}
		group.Wait()
		if failed.Load() != 1 || unknown.Load() != 1 {
			t.Errorf("%d failed, %d of an unknown function", failed.Load(), unknown.Load())
		}
	})
}

// A client that leaves does not take those along who wait with it, and the same token
// makes one task, also within one write.
func TestWhoLeavesLeavesTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, service, r := collecting(t)
		var group sync.WaitGroup
		for range 10 {
			ctx, leave := context.WithCancel(t.Context())
			group.Go(func() {
				if _, err := service.Submit(ctx, r); err != nil {
					t.Errorf("who leaves: %v", err)
				}
			})
			group.Go(func() {
				if _, err := service.Submit(t.Context(), r); err != nil {
					t.Errorf("who stays: %v", err)
				}
			})
			synctest.Wait()
			leave()
		}
		group.Wait()
		var ids sync.Map
		for range 5 {
			group.Go(func() {
				answer, err := service.SubmitOne(t.Context(), "token", r)
				if err != nil {
					t.Error(err)
				}
				ids.Store(answer.ID, true)
			})
		}
		group.Wait()
		n := 0
		ids.Range(func(any, any) bool { n++; return true })
		stats, err := store.Stats(t.Context())
		if err != nil || n != 1 || stats.Totals.Submitted != 21 {
			t.Errorf("%d tasks under one token, %d in all, %v", n, stats.Totals.Submitted, err)
		}
	})
}
