package core_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"faasctl/core"
)

func TestExceptionsAreBounded(t *testing.T) {
	small := &core.Exception{Type: "ValueError", Message: "no", Notes: []string{"n"}, Frames: []core.Frame{{File: "fn.py", Line: 3, Function: "f", Source: "raise"}},
		Cause: &core.Exception{Type: "KeyError"}, Group: []core.Exception{{Type: "OSError"}}}
	if got := small.Bounded(); !reflect.DeepEqual(got, small) {
		t.Errorf("%+v became %+v", small, got)
	}
	long := strings.Repeat("é", 1<<14)
	frames := make([]core.Frame, 1000)
	for i := range frames {
		frames[i] = core.Frame{File: long, Line: -1, Function: long, Source: long}
	}
	huge := &core.Exception{Type: long, Message: long + "\xff", Notes: make([]string, 1000), Frames: frames, Cut: -5}
	for range 100 {
		group := make([]core.Exception, 30)
		for i := range group {
			group[i] = *huge
		}
		huge = &core.Exception{Type: long, Cause: huge, Frames: frames[:3], Group: group}
	}
	got := huge.Bounded()
	text, err := json.Marshal(got)
	if err != nil || len(text) > 256<<10 || got.Size() > 256<<10 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	var exceptions, count int
	for e := got; e != nil; e = e.Cause {
		exceptions, count = exceptions+1, count+len(e.Frames)
	}
	if exceptions != core.MaxExceptions || count != 3*core.MaxExceptions || got.More != 30 {
		t.Errorf("%d exceptions, %d frames, %d left out", exceptions, count, got.More)
	}
	if (*core.Exception)(nil).Bounded() != nil {
		t.Error("nothing became something")
	}
}
