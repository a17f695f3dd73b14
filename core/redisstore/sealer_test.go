package redisstore

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"faasctl/core"
)

// variedSpecs differ from one to the next in each thing that a header holds, and in
// nothing at all.
func variedSpecs() []core.Spec {
	base := core.Spec{Function: "f", Codec: core.JSON, Args: []byte("[[1],{}]"), Queue: "default", Labels: map[string]string{"a": "1"}, Env: []string{"A"}}
	specs := []core.Spec{base, base}
	for _, change := range []func(*core.Spec){
		func(s *core.Spec) { s.Function = "g" },
		func(s *core.Spec) { s.Codec = core.Dill },
		func(s *core.Spec) { s.Args = []byte("[[2],{}]") },
		func(s *core.Spec) { s.Args = bytes.Repeat([]byte("x"), outOfLine+1) },
		func(s *core.Spec) { s.Args = bytes.Repeat([]byte("x"), outOfLine+2) },
		func(s *core.Spec) { s.Args = nil },
		func(s *core.Spec) { s.Timeout = time.Second },
		func(s *core.Spec) { s.Retries = 1 },
		func(s *core.Spec) { s.Backoff = core.Backoff{First: 3, Last: 4} },
		func(s *core.Spec) { s.RetryOn = core.RetryOn{"ValueError"} },
		func(s *core.Spec) { s.Expires = time.Hour },
		func(s *core.Spec) { s.Queue = "q" },
		func(s *core.Spec) { s.Priority = 9 },
		func(s *core.Spec) { s.Labels = map[string]string{"a": "2"} },
		func(s *core.Spec) { s.Labels = nil },
		func(s *core.Spec) { s.Group = "g" },
		func(s *core.Spec) { s.RetryOf = "t" },
		func(s *core.Spec) { s.Limits.Memory = 1 << 30 },
		func(s *core.Spec) { s.Env = []string{"B"} },
	} {
		spec := base
		change(&spec)
		specs = append(specs, spec, base)
	}
	return specs
}

// A batch's envelopes are those of its calls one by one, whatever came before each, and
// so is what is read from them.
func TestSealedTogetherAsAlone(t *testing.T) {
	var sealer sealer
	var envelopes, want [][]byte
	specs := variedSpecs()
	for _, spec := range specs {
		envelope, apart, err := sealer.sealSpec(spec)
		if err != nil || len(apart) > 0 && !bytes.Equal(apart, spec.Args) {
			t.Fatal(err)
		}
		h, inline := headerOf(spec), spec.Args
		if len(spec.Args) > outOfLine {
			h.Apart, inline = len(spec.Args), nil
		}
		alone, err := seal(h, inline)
		if err != nil {
			t.Fatal(err)
		}
		envelopes, want = append(envelopes, envelope), append(want, alone)
	}
	var opener opener
	for i, envelope := range envelopes { // only now: a later one must not have written over it
		if !bytes.Equal(envelope, want[i]) {
			t.Errorf("call %d: %q, want %q", i, envelope, want[i])
		}
		spec, apart, err := opener.openSpec(envelope)
		if err != nil {
			t.Fatal(err)
		}
		if apart > 0 {
			spec.Args = specs[i].Args
		}
		if !reflect.DeepEqual(spec, specs[i]) {
			t.Errorf("call %d was read as %+v, not %+v", i, spec, specs[i])
		}
	}
}

// A header that a sealer has not thought of would be taken for the one before.
func TestEveryFieldOfAHeaderCounts(t *testing.T) {
	known := 0
	var before specHeader
	for i, spec := range variedSpecs() {
		h := headerOf(spec)
		if len(spec.Args) > outOfLine {
			h.Apart = len(spec.Args)
		}
		a, errA := json.Marshal(h)
		b, errB := json.Marshal(before)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if i > 0 && h.equal(&before) != bytes.Equal(a, b) {
			t.Errorf("%s and %s: equal = %v", a, b, h.equal(&before))
		}
		before = h
	}
	header := reflect.TypeFor[specHeader]()
	for i := range header.NumField() {
		for _, spec := range variedSpecs() {
			h := headerOf(spec)
			if len(spec.Args) > outOfLine {
				h.Apart = 1
			}
			if !reflect.DeepEqual(reflect.ValueOf(h).Field(i).Interface(), reflect.ValueOf(headerOf(variedSpecs()[0])).Field(i).Interface()) {
				known++
				break
			}
		}
	}
	if known != header.NumField() {
		t.Errorf("variedSpecs vary %d of %d fields: add the new one there and to equal", known, header.NumField())
	}
}

var plainReprs = []string{
	"", "3", "'hi'", "[1, 2]", "{'a': 1}", `"x"`, `a\b`, "<f>", "a&b", "ü", "\x7f", "a\tb", "\xff", strings.Repeat("x", maxPlain), strings.Repeat("x", maxPlain+1),
}

// The short way writes and reads what encoding/json does.
func TestPlainResults(t *testing.T) {
	short := 0
	for _, repr := range plainReprs {
		for _, sizes := range [][2]int{{0, 0}, {1, 0}, {0, 1}, {17, 9}, {8 << 20, 8 << 20}} {
			h := resultHeader{JSON: sizes[0], Pickle: sizes[1], Repr: repr}
			want, err := json.Marshal(h)
			if err != nil {
				t.Fatal(err)
			}
			head, ok := appendPlain(nil, h)
			if !ok {
				continue
			}
			short++
			if !bytes.Equal(head, want) {
				t.Errorf("%s, want %s", head, want)
			}
			if got, ok := readPlain(head); !ok || got != h {
				t.Errorf("%s was read as %+v, %v", head, got, ok)
			}
		}
	}
	if short < 30 {
		t.Errorf("only %d headers went the short way", short)
	}
	if _, ok := appendPlain(nil, resultHeader{Failure: &core.Failure{Kind: core.KindCrash}}); ok {
		t.Error("a failure is not plain")
	}
}

func FuzzReadPlain(f *testing.F) {
	for _, repr := range plainReprs {
		head, _ := json.Marshal(resultHeader{JSON: 3, Pickle: 4, Repr: repr})
		f.Add(head)
	}
	f.Add([]byte(`{"j":03}`))
	f.Add([]byte(`{"j":99999999999999999999}`))
	f.Add([]byte(`{"j":1,"j":2}`))
	f.Add([]byte(`{`))
	f.Fuzz(func(t *testing.T, head []byte) {
		got, ok := readPlain(head)
		if !ok {
			return
		}
		var want resultHeader
		if err := json.Unmarshal(head, &want); err != nil || got != want {
			t.Fatalf("%q was read as %+v, and is %+v, %v", head, got, want, err)
		}
	})
}

func BenchmarkSealSpecs(b *testing.B) {
	spec := core.Spec{Function: "0190a5b2-7c3d-7e4f-8a9b-0c1d2e3f4a50", Codec: core.JSON, Args: []byte("[[1,2],{}]"), Queue: "default", Priority: 5}
	for _, together := range []bool{false, true} {
		b.Run(fmt.Sprintf("together=%v", together), func(b *testing.B) {
			b.ReportAllocs()
			var sealer sealer
			for b.Loop() {
				var err error
				if together {
					_, _, err = sealer.sealSpec(spec)
				} else {
					_, _, err = sealSpec(spec)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
