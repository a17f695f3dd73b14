package redisstore

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"faasctl/core"
)

func TestEnvelopesReturnWhatWasSealed(t *testing.T) {
	exit := 3
	spec := core.Spec{Function: "f", Codec: core.Dill, Args: []byte("\x80\x05binary\x00\n"), Timeout: time.Second, Retries: 2, Backoff: core.Backoff{First: 3, Last: 4}, RetryOn: core.RetryOn{"ValueError", "timeout"}, Expires: time.Hour,
		Queue: "q\tü", Priority: 9, Labels: map[string]string{"a": "1,2"}, Group: "g", RetryOf: "t"}
	for _, size := range []int{0, 1, outOfLine, outOfLine + 1} {
		spec.Args = bytes.Repeat([]byte{0xff}, size)
		envelope, apart, err := sealSpec(spec)
		if err != nil {
			t.Fatal(err)
		}
		got, n, err := openSpec(envelope)
		if err != nil || n != len(apart) || (size > outOfLine) != (n > 0) {
			t.Fatalf("%d bytes of arguments: %v, %d apart", size, err, n)
		}
		if got.Args = append(got.Args, apart...); !bytes.Equal(got.Args, spec.Args) {
			t.Fatalf("%d bytes of arguments changed", size)
		}
		if got.Args = spec.Args; !reflect.DeepEqual(got, spec) {
			t.Fatalf("got %+v", got)
		}
	}
	for _, want := range []core.Result{
		{}, {JSON: json.RawMessage("null")}, {JSON: json.RawMessage(`{"a":1}`), Pickle: []byte{0x80, 4, '.'}, Repr: "r"},
		{Failure: &core.Failure{Kind: core.KindCrash, Message: "m", Exit: &exit, Traceback: "a\nb"}, Pickle: []byte("p")},
	} {
		envelope, err := sealResult(want)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := openResult(envelope); err != nil || !reflect.DeepEqual(*got, want) {
			t.Fatalf("got %+v, %v, want %+v", got, err, want)
		}
	}
	out := core.Output{Stdout: core.Stream{Head: []byte("h"), Tail: []byte("t"), Cut: 9}, Stderr: core.Stream{Head: []byte("e")}}
	envelope, err := sealOutput(out)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := openOutput(envelope); err != nil || !reflect.DeepEqual(got, out) {
		t.Fatalf("got %+v, %v", got, err)
	}
	if envelope, err := sealOutput(core.Output{}); envelope != nil || err != nil {
		t.Fatal("nothing printed takes room")
	}
}

func envelopeSeeds(f *testing.F) {
	for _, seed := range [][]byte{{}, {1}, {1, 0}, {1, 2, '{', '}'}, {2, 2, '{', '}'}, {1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
		append([]byte{1, 20}, `{"j":9223372036854775807}`...), append([]byte{1, 8}, `{"j":-1}abc`...), append([]byte{1, 23}, `{"o":[1,-1,0],"e":null}x`...)} {
		f.Add(seed)
	}
	spec, _, _ := sealSpec(core.Spec{Function: "f", Codec: core.JSON, Args: []byte("[]")})
	result, _ := sealResult(core.Result{JSON: json.RawMessage("1"), Pickle: []byte("p")})
	output, _ := sealOutput(core.Output{Stdout: core.Stream{Head: []byte("x")}})
	f.Add(spec)
	f.Add(result)
	f.Add(output)
}

// What can be opened can be sealed again and then means the same.
func FuzzOpenSpec(f *testing.F) {
	envelopeSeeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		spec, apart, err := openSpec(data)
		if err != nil || apart > 0 || len(spec.Args) > outOfLine {
			return
		}
		again, _, err := sealSpec(spec)
		if err != nil {
			t.Fatal(err)
		}
		if got, _, err := openSpec(again); err != nil || got.Function != spec.Function || !bytes.Equal(got.Args, spec.Args) {
			t.Fatalf("%+v became %+v, %v", spec, got, err)
		}
	})
}

func FuzzOpenResult(f *testing.F) {
	envelopeSeeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := openResult(data); err == nil && len(r.JSON)+len(r.Pickle) > len(data) {
			t.Fatal("more came out than went in")
		}
	})
}

func FuzzOpenOutput(f *testing.F) {
	envelopeSeeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := openOutput(data)
		if err == nil && len(o.Stdout.Head)+len(o.Stdout.Tail)+len(o.Stderr.Head)+len(o.Stderr.Tail) > len(data) {
			t.Fatal("more came out than went in")
		}
	})
}

// A piece of output never holds more than what was stored of it.
func FuzzOpenPiece(f *testing.F) {
	envelopeSeeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := openPiece(redis.XMessage{Values: map[string]any{"p": string(data)}})
		if err == nil && len(p.Data) > len(data) {
			t.Fatal("more came out than went in")
		}
	})
}

func FuzzDecodeEvents(f *testing.F) {
	f.Add("1-0", "1700000000000", "task.submitted\tt\tf\t\t\t0\t\t\t\ntask.started\t=\t=\tw\td\t1\t\t12\t3")
	f.Add("", "", "\t\t\n=\t=\t=\t=\t=\t=\t=\t=\t=\t=")
	f.Fuzz(func(t *testing.T, id, stamp, text string) {
		events := decodeEvents(redis.XMessage{ID: id, Values: map[string]any{"t": stamp, "e": text}})
		if len(events) != strings.Count(text, "\n")+1 {
			t.Fatalf("%d events of %q: an index would shift", len(events), text)
		}
	})
}
