package redisstore

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"faasctl/core"
)

func TestRosterForgets(t *testing.T) {
	b := newBench(t)
	one := core.Announcement{Dispatcher: core.DispatcherInfo{ID: "d-1"}, Workers: []core.Worker{
		{ID: "w-silent", State: core.WorkerRunning}, {ID: "w-gone", State: core.WorkerGone}, {ID: "w-old"}, {ID: "w-here", State: core.WorkerDraining}}}
	b.announce(one)
	ago := func(key, id string, d time.Duration) {
		b.must(b.raw().ZAdd(b.ctx, key, redis.Z{Score: float64(time.Now().Add(-d).UnixMilli()), Member: id}).Err())
	}
	ago(b.keys.workersSeen(), "w-silent", 11*time.Second)
	ago(b.keys.workersSeen(), "w-gone", 11*time.Second)
	ago(b.keys.workersSeen(), "w-old", 61*time.Second)
	ago(b.keys.dispatchersSeen(), "d-1", 61*time.Second)
	roster, err := b.Roster(b.ctx)
	b.must(err)
	states := map[core.WorkerID]core.WorkerState{}
	for _, w := range roster.Workers {
		states[w.ID] = w.State
	}
	if len(states) != 3 || states["w-silent"] != core.WorkerLost || states["w-gone"] != core.WorkerGone || states["w-here"] != core.WorkerDraining || len(roster.Dispatchers) != 0 {
		t.Fatalf("%v, dispatchers %v", states, roster.Dispatchers)
	}
	// The next announcement forgets for good.
	b.announce(core.Announcement{Dispatcher: core.DispatcherInfo{ID: "d-2"}})
	if n := b.raw().HLen(b.ctx, b.keys.workers()).Val() + b.raw().HLen(b.ctx, b.keys.dispatchers()).Val(); n != 4 {
		t.Fatalf("%d documents are left, want 3 workers and 1 dispatcher", n)
	}
}

func TestAnnouncedEventsCannotForgeOthers(t *testing.T) {
	b := newBench(t)
	last, err := b.LastEvent(b.ctx)
	b.must(err)
	b.announce(core.Announcement{Dispatcher: core.DispatcherInfo{ID: "d-1"}, Events: []core.Event{
		{Kind: core.WorkerJoined, Worker: "w-1", Detail: "a\tb\ntask.failed\tt"}, {Kind: core.WorkerLeft, Worker: "=", Dispatcher: "d-1"}}})
	events := b.events(last, 10, 0)
	if len(events) != 2 || strings.ContainsAny(events[0].Detail, "\t\n") || events[1].Worker != "" || events[1].Dispatcher != "d-1" {
		t.Fatalf("%+v", events)
	}
}

func TestListenEndsWithTheStore(t *testing.T) {
	b := newBench(t)
	heard, ended := make(chan core.Hint, 10), make(chan error, 1)
	go func() { ended <- b.Listen(context.Background(), func(h core.Hint) { heard <- h }) }()
	<-heard
	b.Close()
	select {
	case err := <-ended:
		if !errors.Is(err, core.ErrUnavailable) {
			t.Fatal(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("it still listens")
	}
}
