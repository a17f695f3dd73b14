package workertest_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/pebbe/zmq4"

	"faasctl/core"
	"faasctl/workers/workertest"
)

// client is a raw socket with which a test says what no sane worker would.
type client struct {
	*testing.T
	*zmq4.Socket
}

func connect(t *testing.T, kind zmq4.Type, b *workertest.Bench) client {
	t.Helper()
	s := dial(t, kind, b.URL())
	t.Cleanup(func() { _ = s.Close() })
	return client{t, s}
}

func (c client) say(frames ...[]byte) {
	c.Helper()
	if _, err := c.SendMessage(frames); err != nil {
		c.Fatal(err)
	}
}

// until receives until a message of the kind has come, and returns its header and
// payload.
func (c client) until(kind byte) (header []json.RawMessage, payload []byte) {
	c.Helper()
	for range 200 {
		frames, ok := receive(c.Socket)
		for ; ok && len(frames) >= 3; frames = frames[3:] {
			if frames[0][0] == kind {
				if err := json.Unmarshal(frames[1], &header); err != nil {
					c.Fatal(err)
				}
				return header, frames[2]
			}
		}
	}
	c.Fatalf("nothing of kind %#02x came", kind)
	return nil, nil
}

func TestWhatADispatcherAnswers(t *testing.T) {
	b := workertest.NewBench(t, pushing)
	b.Start()
	c := connect(t, zmq4.DEALER, b)
	for _, try := range []struct {
		frames [][]byte
		kind   byte
		text   string
	}{
		{[][]byte{{3, 1}, []byte(`["w-1",0,[]]`), {}}, 0x27, ""},
		{[][]byte{{3, 9}, []byte(`["w-1",0,[]]`), {}}, 0x2d, `["version","you speak version 9, this side speaks version 1"]`},
		{[][]byte{{99, 1}, []byte(`["w-1"]`), {}}, 0x2d, ""},
		{[][]byte{{3, 1}, []byte(`["w-1"`), {}}, 0x2d, ""},
		{[][]byte{{3, 1}}, 0x2d, ""},
		{[][]byte{{}}, 0x2d, ""},
	} {
		c.say(try.frames...)
		header, _ := c.until(try.kind)
		if text, _ := json.Marshal(header); try.text != "" && string(text) != try.text {
			t.Errorf("%q is answered with %s", try.frames, text)
		}
	}
}

// A body is sent once, and again to a worker that asks.
func TestBodiesTravelOnce(t *testing.T) {
	b := workertest.NewBench(t, pushing)
	b.Start()
	b.Function("square")
	c := connect(t, zmq4.DEALER, b)
	w := newBare(t, "bare-1")
	c.say(w.join(false)...)
	var hash string
	for round := range 2 {
		b.Calls("square", 1)
		header, payload := c.until(0x21)
		var functions, tasks [][]any
		if json.Unmarshal(header[0], &functions) != nil || json.Unmarshal(header[1], &tasks) != nil {
			t.Fatalf("%s", header)
		}
		if along := functions[0][8].(bool); along != (round == 0) {
			t.Errorf("round %d: the body came along: %v", round, along)
		}
		if size := int(tasks[0][7].(float64)); round == 1 && len(payload) != size {
			t.Errorf("%d bytes came with %d of arguments", len(payload), size)
		}
		hash = functions[0][6].(string)
	}
	c.say(message(8, []any{"bare-1", []string{hash}}, nil)...)
	if _, body := c.until(0x2b); core.HashBody(body) != hash {
		t.Errorf("the body came as %q", body)
	}
	c.say(message(8, []any{"bare-1", []string{"beef"}}, nil)...)
	if header, _ := c.until(0x2d); string(header[0]) != `"no-body"` {
		t.Errorf("%s", header)
	}
}

// A registration that was stuck in an old connection changes nothing.
func TestOldRegistrationsAreIgnored(t *testing.T) {
	b := workertest.NewBench(t, pushing)
	b.Start()
	fresh, old := connect(t, zmq4.DEALER, b), connect(t, zmq4.DEALER, b)
	join := func(c client, number int) {
		c.say(append(message(1, []any{"bare-1", number, map[string]int{"slots": 1}, []any{}}, nil), message(2, []any{"bare-1", 1, 5}, nil)...)...)
	}
	join(fresh, 2)
	fresh.until(0x28)
	join(old, 1)
	old.until(0x27) // its window came from a route that is not the worker's
	b.Function("square")
	b.Calls("square", 1)
	fresh.until(0x21)
}

// A worker with one socket is parked while it is idle, and never while it holds a
// task; one that counts its answers gets a lost one again.
func TestHowRequestsAreAnswered(t *testing.T) {
	b := workertest.NewBench(t, pulling)
	b.Start()
	b.Function("square")
	one := connect(t, zmq4.REQ, b)
	w := newBare(t, "bare-1")
	work := message(9, []any{"bare-1"}, nil)
	one.say(append(w.join(true), work...)...)
	one.until(0x28)
	one.say(work...)
	one.until(0x2a) // after having been parked
	b.Calls("square", 1)
	one.say(work...)
	one.until(0x21)
	for range 3 { // within much less than three times the parking
		one.say(work...)
		one.until(0x2a)
	}
	b.Stop()

	b = workertest.NewBench(t, pulling)
	b.Hub.Park = 10 * 1e9
	b.Start()
	b.Function("square")
	report := connect(t, zmq4.REQ, b)
	two := newBare(t, "bare-2")
	report.say(two.join(false)...)
	report.until(0x2a)
	var numbers []string
	for range 3 { // the same answer for as long as it is not confirmed
		asker := connect(t, zmq4.REQ, b)
		asker.say(message(9, []any{"bare-2", 0}, nil)...)
		header, _ := asker.until(0x2e)
		numbers = append(numbers, string(header[0]))
	}
	b.Calls("square", 1)
	asker := connect(t, zmq4.REQ, b)
	asker.say(message(9, []any{"bare-2", 1}, nil)...)
	asker.until(0x21)
	if fmt.Sprint(numbers) != "[1 1 1]" {
		t.Errorf("answers %v", numbers)
	}
}
