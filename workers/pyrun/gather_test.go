package pyrun

import (
	"fmt"
	"testing"
	"time"

	"faasctl/core"
)

func TestLag(t *testing.T) {
	began := time.Now()
	after := func(d time.Duration) time.Time { return began.Add(d) }
	f := flight{calls: make([]flying, 100), gather: gather{seen: began}}
	if lag := f.lag(); lag != 0 {
		t.Errorf("%v before anything is known", lag)
	}
	f.at = 10
	f.read(after(100 * time.Microsecond)) // 10 µs a call
	if lag := f.lag(); lag != longestLag {
		t.Errorf("%v with 90 calls left", lag)
	}
	f.at = 80
	f.read(after(800 * time.Microsecond))
	if lag := f.lag(); lag != 190*time.Microsecond {
		t.Errorf("%v with 20 calls left: 19 of them take 190 µs", lag)
	}
	f.at = 98
	f.read(after(980 * time.Microsecond))
	if lag := f.lag(); lag != 0 {
		t.Errorf("%v with 2 calls left", lag)
	}
	f.at = 50
	f.gather = gather{seen: began, at: 49}
	f.read(after(time.Millisecond))
	if lag := f.lag(); lag != 0 {
		t.Errorf("%v with calls of 1 ms", lag)
	}
	f.gather.pace = 10 * time.Microsecond
	f.read(after(2 * time.Millisecond)) // and nothing has come
	if lag := f.lag(); lag != 0 {
		t.Errorf("%v after nothing came", lag)
	}
}

// Results that were read together still say how long each call took, and together
// no more than there was time.
func TestElapsedOfResultsThatAreReadTogether(t *testing.T) {
	r := newRig(t, Config{})
	r.fine()
	f := source("f", "import time\ndef f(n):\n    if n % 8 == 0: time.sleep(0.002)\n    return n\n")
	var batch []core.Assignment
	for n := range 128 {
		batch = append(batch, assign(f, fmt.Sprintf("[[%d], {}]", n)))
	}
	began := time.Now()
	outcomes := r.run(batch)
	whole, sum := time.Since(began), time.Duration(0)
	for n, o := range outcomes {
		if n%8 == 0 && o.Elapsed < 2*time.Millisecond || o.Elapsed <= 0 {
			t.Errorf("call %d took %v", n, o.Elapsed)
		}
		sum += o.Elapsed
	}
	if sum > whole {
		t.Errorf("the calls took %v within %v", sum, whole)
	}
}

// Short calls are told while the long one after them runs.
func TestShortCallsDoNotWaitForALongOne(t *testing.T) {
	r := newRig(t, Config{})
	r.fine()
	f := source("f", "import time\ndef f(n):\n    if n == 60: time.sleep(60)\n    return n\n")
	var batch []core.Assignment
	for n := range 100 {
		batch = append(batch, assign(f, fmt.Sprintf("[[%d], {}]", n)))
	}
	r.Start(batch, r)
	for n := range 60 {
		if o := r.outcome(t, batch[n].Task); o.State != core.Completed {
			t.Errorf("call %d ended %s", n, o.State)
		}
	}
	var rest []core.TaskID
	for _, a := range batch[60:] {
		rest = append(rest, a.Task)
	}
	r.Cancel(rest, 0)
	for n := 60; n < 100; n++ {
		if o := r.outcome(t, batch[n].Task); o.State != core.Cancelled {
			t.Errorf("call %d ended %s", n, o.State)
		}
	}
}
