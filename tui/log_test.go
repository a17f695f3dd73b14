package tui

import (
	"errors"
	"fmt"
	"math/rand"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"context"

	"github.com/muesli/termenv"

	"faasctl/core"
)

// said makes news of what an attempt prints.
func said(attempt int, stream core.StreamName, offset int64, text string, ticks ...core.Tick) core.News {
	return core.News{Heard: &core.Heard{Piece: core.Piece{Attempt: attempt, Stream: stream, Offset: offset, Data: []byte(text), Times: ticks}, Started: noon}}
}

// told is a log as text: one line each, stderr behind an exclamation mark.
func told(l *taskLog) string {
	var out []string
	for _, one := range l.all() {
		text := expanded(one.text)
		if one.stream == core.Stderr {
			text = "!" + text
		}
		if one.cut > 0 {
			text = fmt.Sprintf("<%d>", one.cut) + text
		}
		out = append(out, text)
	}
	return strings.Join(out, "|")
}

func TestTaskLog(t *testing.T) {
	for name, c := range map[string]struct {
		news []core.News
		want string
	}{
		"lines":           {[]core.News{said(1, core.Stdout, 0, "one\ntwo\n")}, "one|two"},
		"a line in parts": {[]core.News{said(1, core.Stdout, 0, "on"), said(1, core.Stdout, 2, "e\ntw"), said(1, core.Stdout, 6, "o")}, "one|two"},
		"empty lines":     {[]core.News{said(1, core.Stdout, 0, "\n\nx\n")}, "||x"},
		"a progress bar":  {[]core.News{said(1, core.Stderr, 0, "10%\r"), said(1, core.Stderr, 4, "20%\r30%"), said(1, core.Stderr, 11, "\n")}, "!30%"},
		"a bar and more":  {[]core.News{said(1, core.Stderr, 0, "\r10%\r20%"), said(1, core.Stderr, 8, "\r100%\ndone")}, "!100%|!done"},
		"two streams":     {[]core.News{said(1, core.Stdout, 0, "o"), said(1, core.Stderr, 0, "E\n"), said(1, core.Stdout, 1, "ut\n")}, "!E|out"},
		"in order of time": {[]core.News{
			said(1, core.Stdout, 0, "1\n3\n", core.Tick{0, 10}, core.Tick{2, 30}), said(1, core.Stderr, 0, "2\n4\n", core.Tick{0, 20}, core.Tick{2, 40})}, "1|!2|3|!4"},
		"attempts apart": {[]core.News{said(1, core.Stdout, 0, "late\n", core.Tick{0, 5000}), said(2, core.Stdout, 0, "again\n", core.Tick{0, 1})}, "late|again"},
		"a gap":          {[]core.News{said(1, core.Stdout, 0, "a"), {Heard: &core.Heard{Piece: core.Piece{Attempt: 1, Stream: core.Stdout, Offset: 900, Data: []byte("z\n")}, Cut: 899}}}, "a|<899>z"},
	} {
		var whole, apart taskLog
		whole.fold(NewsOutput{News: c.news})
		for _, n := range c.news {
			apart.fold(NewsOutput{News: []core.News{n}})
		}
		if told(&whole) != c.want || told(&apart) != c.want {
			t.Errorf("%s: %q, %q one by one, want %q", name, told(&whole), told(&apart), c.want)
		}
	}
}

// TestTaskLogIsBounded however much is printed, also without an end of a line.
func TestTaskLogIsBounded(t *testing.T) {
	var l taskLog
	for i := range 50 {
		l.fold(NewsOutput{News: []core.News{said(1, core.Stdout, int64(i)<<20, strings.Repeat(fmt.Sprintf("line %d\n", i), 100))}})
	}
	if len(l.lines) != logKept || l.left != 5000-logKept || string(l.lines[logKept-1].text) != "line 49" {
		t.Errorf("%d lines, %d left out", len(l.lines), l.left)
	}
	for i := range 100 {
		l.fold(NewsOutput{News: []core.News{said(1, core.Stderr, int64(i)<<16, strings.Repeat("x", 1<<16))}})
	}
	if n := len(l.open[streamKey{1, core.Stderr}].text); n != logWide {
		t.Errorf("a line of %d bytes", n)
	}
}

// TestTaskLogCopy: what is frozen stays as it was.
func TestTaskLogCopy(t *testing.T) {
	var l taskLog
	l.fold(NewsOutput{News: []core.News{said(1, core.Stdout, 0, "one\nthr", core.Tick{0, 10}, core.Tick{4, 30})}})
	held := l
	before := told(&held)
	l.fold(NewsOutput{News: []core.News{said(1, core.Stderr, 0, "two\n", core.Tick{0, 20}), said(1, core.Stdout, 7, "ee\nfour\n")}})
	l.fold(NewsOutput{News: []core.News{said(1, core.Stderr, 4, "zero\n", core.Tick{4, 1})}})
	if told(&held) != before {
		t.Errorf("%q became %q", before, told(&held))
	}
	l.fold(NewsOutput{Round: 7, News: []core.News{said(1, core.Stdout, 0, "of another task\n")}})
	if strings.Contains(told(&l), "another") {
		t.Error("news of another task were taken in")
	}
}

// TestAnyOutputAnySize draws whatever is printed, in the size of the screen.
func TestAnyOutputAnySize(t *testing.T) {
	for seed := range int64(30) {
		r := rand.New(rand.NewSource(seed))
		m := atWork(stillBackend{}, "2", "enter")
		for range 6 {
			var news []core.News
			for range r.Intn(30) {
				h := core.Heard{Piece: core.Piece{Attempt: r.Intn(4) - 1, Stream: []core.StreamName{core.Stdout, core.Stderr, "?"}[r.Intn(3)],
					Offset: int64(r.Intn(100)), Data: []byte(nasty[r.Intn(len(nasty))])}, Cut: int64(r.Intn(3) - 1)}
				if r.Intn(2) == 0 {
					h.Started, h.Times = noon, []core.Tick{{int64(r.Intn(50)), int64(r.Intn(9000)) - 1000}}
				}
				news = append(news, core.News{Heard: &h})
			}
			progress := &core.Progress{Done: r.NormFloat64() * 1e3, Total: r.NormFloat64() * 1e3, Note: nasty[r.Intn(len(nasty))]}
			news = append(news, core.News{Task: &core.Task{State: core.States[r.Intn(len(core.States))], Progress: progress}})
			m.Update(Batch{At: noon, News: []News{NewsOutput{Round: m.live.log.round, News: news, Lost: int64(r.Intn(2))}}})
			press(m, []string{"f", "j", "k", "G", "g", "p"}[r.Intn(6)])
			w, h := 1+r.Intn(150), 1+r.Intn(60)
			checkFrame(t, sized(m, w, h), w, h)
			for _, c := range m.View() {
				if c < 0x20 && c != '\n' {
					t.Fatalf("seed %d: %q in the frame", seed, c)
				}
			}
		}
	}
}

// TestFollowing stays at the end of the output until one looks back.
func TestFollowing(t *testing.T) {
	m := atWork(stillBackend{}, "2", "enter")
	sized(m, 80, 24)
	line := 0
	print := func() string {
		line++
		m.Update(Batch{At: m.live.now.Add(time.Second), News: []News{NewsOutput{Round: m.live.log.round, News: []core.News{said(1, core.Stdout, 0, fmt.Sprintf("line %03d\n", line))}}}})
		return m.View()
	}
	for range 50 {
		print()
	}
	if frame := m.View(); !strings.Contains(frame, "progress") && strings.Contains(frame, "line 050") {
		t.Errorf("it follows unasked:\n%s", frame)
	}
	press(m, "f")
	if frame := print(); !strings.Contains(frame, "line 051") {
		t.Errorf("it does not follow:\n%s", frame)
	}
	press(m, "k")
	press(m, "k")
	print()
	if frame := print(); strings.Contains(frame, "line 053") || !strings.Contains(frame, "line 048") {
		t.Errorf("who looks back is torn away:\n%s", frame)
	}
	press(m, "f")
	if frame := print(); !strings.Contains(frame, "line 054") {
		t.Errorf("it does not follow again:\n%s", frame)
	}
}

// talker is a feed of which each task prints its name, over and over.
type talker struct {
	*fakeFeed
	opened []core.TaskID
	closed int
	fails  int
}

func (f *talker) Follow(ctx context.Context, id core.TaskID, from core.Position, each func(core.News) error) error {
	f.mu.Lock()
	f.opened = append(f.opened, id)
	fails := f.fails > 0
	f.fails--
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.closed++
		f.mu.Unlock()
	}()
	if fails {
		return errors.New("no such luck")
	}
	for n := from.Stdout; id != "ended" || n < 3; n++ {
		news := said(1, core.Stdout, n, string(id)+"\n")
		news.Position = core.Position{Attempt: 1, Stdout: n + 1}
		if err := each(news); err != nil {
			return err
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// TestListening: one task at a time, news of the former are never mistaken for
// those of the latter, and what fails is tried again from where it broke.
func TestListening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed := &talker{fakeFeed: newFakeFeed(), fails: 1}
		ctx, cancel := context.WithCancel(context.Background())
		var batches []Batch
		pump := newPump(feed, time.Now, func(b Batch) { batches = append(batches, b) })
		ended := make(chan error)
		go func() { ended <- pump.run(ctx) }()
		heard := func(round int) (texts, errs int, other bool) {
			time.Sleep(2 * time.Second)
			synctest.Wait()
			for _, n := range of[NewsOutput](batches) {
				if n.Round != round {
					other = true
				}
				if n.Err != nil {
					errs++
				}
				texts += len(n.News)
			}
			batches = nil
			return texts, errs, other
		}
		pump.listen(1, "a")
		if texts, errs, other := heard(1); texts < 100 || errs != 1 || other {
			t.Errorf("a: %d news, %d errors, of others %v", texts, errs, other)
		}
		pump.listen(2, "b")
		pump.listen(3, "c")
		if texts, _, other := heard(3); texts < 100 || other {
			t.Errorf("c: %d news, of others %v", texts, other)
		}
		pump.listen(4, "")
		if texts, _, _ := heard(4); texts != 0 {
			t.Errorf("%d news although nobody listens", texts)
		}
		pump.listen(5, "ended")
		if texts, _, _ := heard(5); texts != 3 {
			t.Errorf("%d news of a task that said three lines", texts)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if feed.closed != len(feed.opened) || feed.opened[len(feed.opened)-1] != "ended" {
			t.Errorf("%v were opened, %d closed", feed.opened, feed.closed)
		}
	})
}

// TestListeningIsBounded drops the oldest when nobody takes what is heard.
func TestListeningIsBounded(t *testing.T) {
	p := newPump(newFakeFeed(), time.Now, nil)
	p.listen(1, "a")
	task := core.News{Task: &core.Task{State: core.Running}}
	p.keep(1, task)
	for i := range 100 {
		p.keep(1, said(1, core.Stdout, int64(i), strings.Repeat("x", 10<<10)))
	}
	if p.heard.bytes > heardKept || p.heard.lost == 0 || p.heard.news[0].Task == nil {
		t.Errorf("%d bytes held, %d lost, %d news", p.heard.bytes, p.heard.lost, len(p.heard.news))
	}
	p.keep(2, task)
	if p.heard.round != 1 {
		t.Error("news of another round")
	}
}

// TestModelListens says whose output is wanted: that of the task on the screen.
func TestModelListens(t *testing.T) {
	var calls []string
	m := feedAll(newTestModel(termenv.Ascii, false), lively())
	m.listen = func(round int, task core.TaskID) { calls = append(calls, fmt.Sprint(round, ":", task)) }
	for _, key := range []string{"2", "enter", "?", "?", "w", "esc", "esc", "j", "enter", "1"} {
		press(m, key)
		ask(m)
	}
	a, b := string(taskID(1)), string(taskID(2))
	if got, want := strings.Join(calls, " "), "1:"+a+" 2: 3:"+a+" 4: 5:"+b+" 6:"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestStartIsToldLater: what an attempt printed has its time as soon as its start
// is known.
func TestStartIsToldLater(t *testing.T) {
	m := atWork(stillBackend{}, "2", "enter")
	early := said(1, core.Stdout, 0, "hello\n", core.Tick{0, 1500})
	early.Heard.Started = time.Time{}
	m.Update(Batch{At: noon, News: []News{NewsOutput{Round: m.live.log.round, News: []core.News{early}}}})
	if frame := sized(m, 100, 40); !strings.Contains(frame, "          out hello") {
		t.Errorf("%s", frame)
	}
	m.Update(Batch{At: noon, News: []News{NewsOutput{Round: m.live.log.round, News: []core.News{{Task: &core.Task{ID: taskID(1), State: core.Running, Attempt: 1, Started: noon}}}}}})
	if frame := m.View(); !strings.Contains(frame, " 12:00:01 out hello") {
		t.Errorf("%s", frame)
	}
}
