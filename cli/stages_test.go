package cli

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// journal is a part that notes when it ends.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) part(name string, slow time.Duration) part {
	return part{name, func(ctx context.Context) error {
		<-ctx.Done()
		time.Sleep(slow) // within a bubble: no time passes
		j.mu.Lock()
		defer j.mu.Unlock()
		j.lines = append(j.lines, name)
		return nil
	}}
}

func (j *journal) list() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.lines)
}

func TestStagesEndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		err := runStages(ctx, nil, []part{j.part("dispatcher", 10*time.Second)}, []part{j.part("http", time.Second)}, []part{j.part("redis", 0)})
		if err != nil || !slices.Equal(j.list(), []string{"dispatcher", "http", "redis"}) {
			t.Errorf("%v %v", j.list(), err)
		}
	})
}

func TestStagesEndWhenOneDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		broken := errors.New("broken")
		err := runStages(t.Context(), nil, []part{j.part("dispatcher", 0)},
			[]part{{"http", func(context.Context) error { return broken }}}, []part{j.part("redis", 0)})
		if !errors.Is(err, broken) || !slices.Equal(j.list(), []string{"dispatcher", "redis"}) {
			t.Errorf("%v %v", j.list(), err)
		}
	})
}

func TestASecondSignalDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		now := make(chan struct{})
		time.AfterFunc(time.Second, func() { close(now) })
		begun := time.Now()
		err := runStages(ctx, now, []part{j.part("dispatcher", time.Minute)}, []part{j.part("http", 0)}, []part{j.part("redis", time.Millisecond)})
		if took := time.Since(begun); err != nil || took != time.Second+stopNow+time.Millisecond || !slices.Equal(j.list(), []string{"http", "redis"}) {
			t.Errorf("%v %v after %v", j.list(), err, took)
		}
		time.Sleep(time.Minute) // so that the bubble ends with its goroutines
	})
}
