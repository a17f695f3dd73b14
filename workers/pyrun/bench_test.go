package pyrun

import (
	"fmt"
	"testing"
	"time"

	"faasctl/core"
)

// counter is a Sink that only counts.
type counter struct{ done chan core.State }

func (counter) Printed(core.Lease, time.Duration, []core.Piece) {}
func (counter) Progressed(core.Lease, core.Progress)            {}
func (c counter) Started(core.Lease, time.Time)                 {}
func (c counter) Ended(o core.Outcome)                          { c.done <- o.State }

// benchmarkCalls runs b.N calls in batches through one child.
func benchmarkCalls(b *testing.B, f *core.Function, codec core.Codec, args []byte, batch int) {
	benchmarkIn(b, Config{}, f, codec, args, batch)
}

func benchmarkIn(b *testing.B, c Config, f *core.Function, codec core.Codec, args []byte, batch int) {
	r := newRig(b, c)
	r.fine()
	sink := counter{make(chan core.State, batch)}
	calls := make([]core.Assignment, batch)
	for i := range calls {
		calls[i] = assign(f, "")
		calls[i].Codec, calls[i].Args = codec, args
	}
	r.again(b, calls, sink)
}

// again runs a batch of calls again and again, b.N calls in all.
func (r *rig) again(b *testing.B, calls []core.Assignment, sink counter) {
	b.ResetTimer()
	for left := b.N; left > 0; left -= len(calls) {
		n := min(len(calls), left)
		r.Start(calls[:n], sink)
		for range n {
			if state := <-sink.done; state != core.Completed {
				b.Fatal(state)
			}
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}

func BenchmarkJSONRoundTrip(b *testing.B) {
	benchmarkCalls(b, double, core.JSON, []byte("[[21], {}]"), 1)
}

func BenchmarkJSON64PerFrame(b *testing.B) {
	benchmarkCalls(b, double, core.JSON, []byte("[[21], {}]"), 64)
}

func BenchmarkLimits64PerFrame(b *testing.B) {
	for _, l := range []core.Limits{{}, {Memory: 1 << 30}, {CPUSeconds: 60}, {Processes: 16}} {
		b.Run(fmt.Sprintf("memory %d cpu %g processes %d", l.Memory, l.CPUSeconds, l.Processes), func(b *testing.B) {
			benchmarkIn(b, Config{Rules: Rules{Ceiling: l}}, double, core.JSON, []byte("[[21], {}]"), 64)
		})
	}
}

func BenchmarkDillRoundTrip(b *testing.B) {
	f := pickled(dump(b, "def double(x):\n    return x * 2\n", "double"))
	benchmarkCalls(b, f, core.Dill, dump(b, "", "((21,), {})"), 1)
}

func BenchmarkDill64PerFrame(b *testing.B) {
	f := pickled(dump(b, "def double(x):\n    return x * 2\n", "double"))
	benchmarkCalls(b, f, core.Dill, dump(b, "", "((21,), {})"), 64)
}

func BenchmarkPrinting64PerFrame(b *testing.B) {
	benchmarkCalls(b, source("f", "def f():\n    print('a line')\n"), core.JSON, []byte(none), 64)
}

func BenchmarkMegabyteResult(b *testing.B) {
	b.SetBytes(1 << 20)
	benchmarkCalls(b, source("f", "X = 'x' * (1 << 20)\ndef f():\n    return X\n"), core.JSON, []byte(none), 1)
}

func BenchmarkOutput(b *testing.B) {
	b.SetBytes(16 << 20)
	benchmarkCalls(b, source("f", "import os\nX = b'x' * (1 << 20)\ndef f():\n    for _ in range(16): os.write(1, X)\n"), core.JSON, []byte(none), 1)
}

func BenchmarkColdStart(b *testing.B) {
	die := source("f", "import os\ndef f():\n    os._exit(0)\n")
	r := newRig(b, Config{})
	r.fine()
	for b.Loop() {
		r.call(die, none)
	}
}

// BenchmarkFrames writes and reads frames of 64 calls and as many results: the
// parent's share of the pipe to a child.
func BenchmarkFrames(b *testing.B) {
	const calls = 64
	args, value := []byte("[[21], {}]"), []byte("42")
	var down, up []byte
	b.ReportAllocs()
	for b.Loop() {
		payload := number(calls)
		for tag := range uint32(calls) {
			payload = appendCall(payload, tag, 1, 0, 0, core.Assignment{Args: args})
		}
		down = appendFrame(down[:0], kindCalls, payload)
		up = up[:0]
		for range calls {
			header := make([]byte, resultHeader)
			header[16], header[24] = byte(len(value)), byte(len(value))
			up = appendFrame(up, kindResult, header, value, value)
		}
		for rest := up; len(rest) > 0; {
			_, data, left, _, ok, err := nextFrame(rest, 1<<20)
			if err != nil || !ok {
				b.Fatal(ok, err)
			}
			if r, err := parseReply(data); err != nil || len(r.json) != len(value) {
				b.Fatal(r, err)
			}
			rest = left
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/calls, "ns/call")
}
