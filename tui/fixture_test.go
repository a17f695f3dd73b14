package tui

import (
	"context"
	"io"
	"math/rand"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"
	"go.uber.org/goleak"

	"faasctl/core"
)

func TestMain(m *testing.M) {
	// teatest itself leaves one goroutine behind, which waits for a signal.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/charmbracelet/x/exp/teatest.NewTestModel.func2"))
}

// noon is the time of every fixture. The store's clock is 90 s ahead of it.
var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

const ahead = 90 * time.Second

func newTestModel(profile termenv.Profile, ascii bool) *Model {
	r := lipgloss.NewRenderer(io.Discard)
	r.SetHasDarkBackground(true)
	r.SetColorProfile(profile)
	return NewModel("http://127.0.0.1:8000", r, ascii)
}

// sized tells the model the size of its screen and returns what it shows.
func sized(m *Model, w, h int) string {
	m.Update(tea.WindowSizeMsg{Width: w, Height: h})
	return m.View()
}

func fixtureTop(submitted, completed int64, at time.Time) core.Top {
	store := at.Add(ahead)
	workers := []core.Worker{
		{ID: "w-1f2e3d4c5b6a", Mode: core.Local, Host: "quay", State: core.WorkerRunning, Slots: 4, Busy: 3, Held: 5, Done: 1840, Failures: 2, Joined: store.Add(-time.Hour), Seen: store},
		{ID: "w-aabbccddeeff", Mode: core.Push, Host: "lighthouse-of-the-north-sea", State: core.WorkerDraining, Slots: 4, Busy: 1, Held: 1, Done: 912, Joined: store.Add(-time.Minute), Seen: store},
		{ID: "w-0123456789ab", Mode: core.Pull, Host: "buoy", State: core.WorkerRunning, Slots: 32, Busy: 2, Held: 2, Done: 1234567, Joined: store.Add(-time.Minute), Seen: store},
		{ID: "w-deadbeef0000", Mode: core.Push, Host: "wreck", State: core.WorkerLost, Slots: 2, Done: 7, Failures: 7, Joined: store.Add(-time.Minute), Seen: store.Add(-20 * time.Second)},
	}
	dispatchers := []core.DispatcherInfo{{ID: "d-1", Host: "quay", Modes: []core.Mode{core.Local, core.Push}, Seen: store}}
	wait, run := core.Histogram{}, core.Histogram{}
	for i := range 100 { // most of the time they take 2 and 40 ms
		wait[core.BucketOf(time.Duration(2+i*i/100)*time.Millisecond)] += submitted / 100
		run[core.BucketOf(time.Duration(40+i*i/10)*time.Millisecond)] += completed / 100
	}
	return core.Top{
		Now: store,
		Numbers: &core.TopNumbers{
			Totals: core.Totals{Submitted: submitted, Started: completed + 6, Completed: completed, Failed: 12, Cancelled: 3, Retried: 7, Lost: 1},
			Queued: submitted - completed - 21, Delayed: 2, Running: 6, Slots: 12, Busy: 6, OldestWait: 12_400,
		},
		Wait: wait, Run: run, Workers: &workers, Dispatchers: &dispatchers,
		Queues: &[]core.QueueInfo{{Name: "default", Queued: 120, Oldest: store.Add(-2 * time.Second)},
			{Name: "slow_\x1b[31mones", Queued: 9, Oldest: store.Add(-12 * time.Second), Paused: store.Add(-5 * time.Minute)}},
		Functions: []core.FunctionStats{
			{Function: "f-1", Name: "resize@3", Totals: core.Totals{Submitted: completed, Started: completed, Completed: completed - 12, Failed: 12}, Wait: wait, Run: run},
			{Function: "f-2", Name: "pi@1", Totals: core.Totals{Submitted: 12}},
		},
		Store: &core.StoreInfo{Kind: "redis", Version: "7.2.4", Durability: "everysec"},
	}
}

func taskID(n int) core.TaskID {
	return core.TaskID("019cec2f-4a00-7" + string(rune('a'+n%6)) + "33-8d4e-5f6071" + string(rune('a'+n/10%6)) + "3c" + string(rune('0'+n%10)) + "d0")
}

// fixtureTasks is a task in every state, submitted up to noon.
func fixtureTasks() []core.Task {
	at := func(seconds float64) time.Time {
		return noon.Add(ahead).Add(-time.Duration(seconds * float64(time.Second)))
	}
	return []core.Task{
		{ID: taskID(1), Function: "f-1", Name: "resize@3", State: core.Running, Worker: "w-1f2e3d4c5b6a", Attempt: 2, Submitted: at(14), Claimed: at(9), Started: at(9)},
		{ID: taskID(2), Name: "word_count@12", State: core.Completed, Worker: "w-0123456789ab", Attempt: 1, Submitted: at(8), Claimed: at(8), Started: at(8), Finished: at(7.9877)},
		{ID: taskID(3), Name: "fetch_everything_from_the_harbour@1", State: core.Failed, Failure: core.KindException, Worker: "w-1f2e3d4c5b6a", Attempt: 1, Submitted: at(95), Claimed: at(95), Started: at(94), Finished: at(3)},
		{ID: taskID(4), Function: "f-2", Name: "pi@1", State: core.Queued, Submitted: at(2)},
		{ID: taskID(5), Function: "f-2", Name: "pi@1", State: core.Delayed, Submitted: at(1.5)},
		{ID: taskID(6), Name: "flaky@2", State: core.Delayed, Failure: core.KindTimeout, Attempt: 1, Submitted: at(400), Claimed: at(390), Started: at(390)},
		{ID: taskID(7), Function: "f-2", Name: "pi@1", State: core.Cancelled, Submitted: at(7300), Finished: at(60)},
	}
}

// lively is 90 s of a system with something in every corner.
func lively() []Batch {
	var batches []Batch
	submitted, completed := int64(1000), int64(900)
	random := rand.New(rand.NewSource(7))
	for i := range 61 {
		at := noon.Add(time.Duration(i-60) * time.Second)
		submitted += int64(100 + 80*(i%20)/10 + random.Intn(30))
		completed = submitted - 150 - int64(random.Intn(60))
		batches = append(batches, Batch{At: at, News: []News{NewsTop{at, fixtureTop(submitted, completed, at)}}})
	}
	return batches
}

// feedAll lets the model fold batches.
func feedAll(m *Model, batches []Batch) *Model {
	for _, b := range batches {
		m.Update(b)
	}
	ask(m)
	return m
}

// ask lets the model's question be answered with the fixtures.
func ask(m *Model) { _ = m.settle(context.Background(), stillBackend{}) }
