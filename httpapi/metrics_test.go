package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"faasctl/core"
	"faasctl/core/memstore"
)

// scraped are the samples of one scrape by name and labels, and the types by name.
func (st *stack) scraped() (samples map[string]float64, types map[string]string) {
	st.t.Helper()
	samples, types = map[string]float64{}, map[string]string{}
	answer := st.want(200, "GET", "/metrics", "")
	for line := range strings.Lines(answer.body) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, kind, _ := strings.Cut(rest, " ")
			types[name] = kind
		}
		if strings.HasPrefix(line, "#") {
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		value, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			st.t.Fatalf("%q: %v", line, err)
		}
		samples[line[:at]] = value
	}
	return samples, types
}

func TestMetrics(t *testing.T) {
	st := start(t)
	st.function("f")
	st.submit("f", `[1]`)
	st.finish(core.Completed, core.Result{JSON: json.RawMessage("1")})
	st.submit("f", `[2]`)
	st.finish(core.Failed, core.Result{Failure: &core.Failure{Kind: core.KindException}})
	st.submit("f", `[3]`)
	_, err := st.store.Announce(context.Background(), core.Announcement{
		Dispatcher: core.DispatcherInfo{ID: "d-1"},
		Workers:    []core.Worker{{ID: "w-1", Mode: core.Push, State: core.WorkerRunning, Slots: 4, Busy: 1}, {ID: "w-2", Mode: core.Push, State: core.WorkerGone, Slots: 4}},
	})
	must(t, err)
	samples, types := st.scraped()
	for name, want := range map[string]float64{
		"faasctl_tasks_submitted_total": 3, "faasctl_tasks_started_total": 2, "faasctl_tasks_completed_total": 1, "faasctl_tasks_failed_total": 1,
		"faasctl_tasks_cancelled_total": 0, "faasctl_index_repairs_total": 0, `faasctl_tasks{state="queued"}`: 1, `faasctl_tasks{state="running"}`: 0, `faasctl_queue_tasks{queue="default"}`: 1,
		`faasctl_workers{mode="push",state="running"}`: 1, `faasctl_workers{mode="push",state="draining"}`: 0, `faasctl_workers{mode="local",state="running"}`: 0,
		"faasctl_dispatchers": 1, "faasctl_slots": 4, "faasctl_slots_busy": 1, `faasctl_build_info{version="1.2.3-test"}`: 1,
		"faasctl_task_run_seconds_count": 2, "faasctl_task_wait_seconds_count": 2, `faasctl_task_run_seconds_bucket{le="+Inf"}`: 2,
	} {
		if got, ok := samples[name]; !ok || got != want {
			t.Errorf("%s is %v (%v), want %v", name, got, ok, want)
		}
	}
	if types["faasctl_tasks_failed_total"] != "counter" || types["faasctl_slots"] != "gauge" || types["faasctl_task_run_seconds"] != "histogram" || types["go_goroutines"] != "gauge" {
		t.Errorf("types are %v", types)
	}
	text, err := os.ReadFile("../docs/MONITORING.md")
	must(t, err)
	for name := range types {
		if strings.HasPrefix(name, "faasctl_") && !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("%s is not in docs/MONITORING.md", name)
		}
	}
	for _, match := range regexp.MustCompile("`(faasctl_[a-z_]+)`").FindAllStringSubmatch(string(text), -1) {
		if types[match[1]] == "" {
			t.Errorf("docs/MONITORING.md promises %s, and it was not scraped", match[1])
		}
	}
}

// TestMetricsHistogram: the octaves hold what the store's finer buckets do.
func TestMetricsHistogram(t *testing.T) {
	st := start(t)
	h := core.Histogram{}
	total := 0.0
	for _, d := range []time.Duration{0, 50 * time.Microsecond, 200 * time.Microsecond, 3 * time.Millisecond, time.Second, 5 * time.Hour} {
		h.Add(d)
		total += d.Seconds()
	}
	st.stop()
	st = startOn(t, memstore.New(memstore.Config{}), measuredStore{memstore.New(memstore.Config{}), h}, 0)
	samples, _ := st.scraped()
	for le, want := range map[string]float64{"0.000127": 2, "0.000255": 3, "0.002047": 3, "0.004095": 4, "0.524287": 4, "1.048575": 5, "8589.934591": 5, "+Inf": 6} {
		if got, ok := samples[`faasctl_task_run_seconds_bucket{le="`+le+`"}`]; !ok || got != want {
			t.Errorf("up to %s s there are %v (%v), want %v", le, got, ok, want)
		}
	}
	if sum := samples["faasctl_task_run_seconds_sum"]; math.Abs(sum/total-1) > 0.05 {
		t.Errorf("the sum is %v, not about %v", sum, total)
	}
}

type measuredStore struct {
	*memstore.Store
	run core.Histogram
}

func (s measuredStore) Stats(ctx context.Context) (core.Stats, error) {
	if s.run == nil {
		return core.Stats{}, core.Errorf(core.ErrUnavailable, "", "no store")
	}
	return core.Stats{Run: s.run, Wait: s.run}, nil
}

// TestMetricsDoors: who may not call, and a store that is away.
func TestMetricsDoors(t *testing.T) {
	closed := start(t, func(c *Config) {
		c.peerUID = func(_, _ netip.AddrPort) (uint32, error) { return 0, errors.New("who knows") }
	})
	closed.want(401, "GET", "/metrics", "").problem(t)
	away := startOn(t, memstore.New(memstore.Config{}), measuredStore{memstore.New(memstore.Config{}), nil}, 0)
	away.want(503, "GET", "/metrics", "").problem(t)
	open := start(t)
	if got := open.want(200, "GET", "/metrics", "", "Accept: application/openmetrics-text; version=1.0.0"); !strings.HasSuffix(got.body, "# EOF\n") {
		t.Errorf("no OpenMetrics but %s", got.header.Get("Content-Type"))
	}
	if got := open.want(200, "HEAD", "/metrics", ""); got.body != "" {
		t.Error(got.body)
	}
}
