package httpapi

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"faasctl/httpapi/client"
)

func BenchmarkSubmit(b *testing.B) {
	st := start(b)
	st.function("f")
	call := client.Call{Function: "f", Args: json.RawMessage(`[1, 2]`)}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := st.client.Submit(context.Background(), call); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkSubmitBatch1000(b *testing.B) {
	st := start(b)
	st.function("f")
	body := "[" + strings.TrimSuffix(strings.Repeat(`{"function":"f","args":[1, 2]},`, 1000), ",") + "]"
	b.ReportAllocs()
	begin := time.Now()
	for b.Loop() {
		st.want(200, "POST", "/v1/tasks:batch", body)
	}
	b.ReportMetric(float64(b.N)*1000/time.Since(begin).Seconds(), "tasks/s")
}

func BenchmarkStatus(b *testing.B) {
	st := start(b)
	st.function("f")
	url := st.server.URL() + "/status/" + string(st.submit("f", `[]`))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			answer, err := st.http.Get(url)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, answer.Body)
			answer.Body.Close()
		}
	})
}

// As the family's clients call: a connection for each request.
func BenchmarkStatusNewConnection(b *testing.B) {
	st := start(b)
	st.function("f")
	url := st.server.URL() + "/status/" + string(st.submit("f", `[]`))
	st.http.Transport.(*http.Transport).DisableKeepAlives = true
	for b.Loop() {
		answer, err := st.http.Get(url)
		must(b, err)
		_, _ = io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
	}
}
