package agent

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"faasctl/core"
)

// told is what was said of progress and output.
func (b *boss) told() (progress []core.TaskProgress, printed []core.Printed) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.progress, b.printed
}

func TestFollowing(t *testing.T) {
	work(t, 1, func(b *boss) {
		tasks := b.give(2, "3s")
		runs, waits := tasks[0], tasks[1]
		b.Deliver(core.DownFollow{Tasks: []core.TaskID{waits.Task, "t-unknown"}, On: true})
		synctest.Wait()
		if len(b.runner.followed()) != 0 {
			t.Errorf("the runner was told %v", b.runner.followed())
		}
		s := sink{b.Agent}
		s.Progressed(runs.Lease, core.Progress{Done: 1}) // followed by nobody: the last word, with the beat
		s.Progressed(runs.Lease, core.Progress{Done: 2})
		synctest.Wait()
		if progress, _ := b.told(); len(progress) != 0 {
			t.Errorf("told %v at once", progress)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if progress, _ := b.told(); len(progress) != 1 || progress[0].Task != runs.Task || progress[0].Done != 2 {
			t.Errorf("told %v", progress)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if got := b.runner.followed(); !slices.Equal(got, []string{string(waits.Task) + " true"}) {
			t.Errorf("the runner was told %v", got)
		}
		s.Progressed(waits.Lease, core.Progress{Done: 3})
		s.Printed(waits.Lease, time.Millisecond, []core.Piece{{Stream: core.Stdout, Data: []byte("x")}})
		s.Printed(core.Lease{Task: waits.Task, Epoch: 9}, 0, []core.Piece{{Data: []byte("of a lease that was lost")}})
		synctest.Wait()
		progress, printed := b.told()
		if len(progress) != 2 || progress[1].Done != 3 || len(printed) != 1 || string(printed[0].Data) != "x" || printed[0].Lease != waits.Lease {
			t.Errorf("told %v and %v", progress, printed)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if got := b.runner.followed(); len(got) != 2 || got[1] != string(waits.Task)+" false" || len(b.followed) != 0 {
			t.Errorf("the runner was told %v, and %v is remembered", got, b.followed)
		}
	})
}

// Output that nobody takes is left out, and does not pile up.
func TestOutputWaitsInBounds(t *testing.T) {
	i := newInbox()
	for range 1000 {
		i.print(core.Lease{}, 0, []core.Piece{{Data: make([]byte, core.PieceSize)}})
	}
	if box := i.take(); box.bytes > printedRoom || len(box.printed) != printedRoom/core.PieceSize {
		t.Errorf("%d pieces wait", len(box.printed))
	}
}
