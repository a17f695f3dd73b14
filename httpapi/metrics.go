package httpapi

import (
	"context"
	"math"
	"net/http"
	"time"

	"faasctl/core"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metricsType is the content type of the plain exposition format; others are
// negotiated.
const metricsType = "text/plain"

func metricsRoutes(a *api) {
	op := huma.Operation{
		OperationID: "metrics", Method: http.MethodGet, Path: "/metrics", Tags: []string{"system"},
		Summary: "The whole system in numbers, for Prometheus",
		Description: "The numbers of /v1/stats and of the queues, read from the store at each scrape: every API process over one store " +
			"tells the same, so scrape one, or take the maximum and not the sum.",
		Responses: map[string]*huma.Response{"200": {Description: "The exposition format that was asked for", Content: map[string]*huma.MediaType{
			metricsType: {Schema: &huma.Schema{Type: huma.TypeString}},
		}}},
		Errors: commonErrors,
	}
	process := prometheus.NewRegistry() // of this process, not of the system
	process.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	huma.Register(a.huma, op, func(ctx context.Context, _ *none) (*streamed, error) {
		seen, err := a.s.measure(ctx)
		if err != nil {
			return nil, a.s.refusal(ctx, err)
		}
		system := prometheus.NewRegistry()
		system.MustRegister(seen)
		return &streamed{func(huma.Context) {
			x := exchangeOf(ctx)
			promhttp.HandlerFor(prometheus.Gatherers{system, process}, promhttp.HandlerOpts{EnableOpenMetrics: true}).ServeHTTP(x.w, x.r)
		}}, nil
	})
}

// measured is the system at one scrape, as a collector of its metrics.
type measured struct {
	version string
	stats   core.Stats
	queues  []core.QueueInfo
}

func (s *Server) measure(ctx context.Context) (*measured, error) {
	stats, err := s.service.Stats(ctx)
	if err != nil {
		return nil, err
	}
	queues, err := s.service.Queues(ctx)
	return &measured{s.cfg.Version, stats, queues}, err
}

// family is one metric and what its labels are.
type family struct {
	kind prometheus.ValueType
	desc *prometheus.Desc
}

func counter(name, help string, labels ...string) family {
	return family{prometheus.CounterValue, prometheus.NewDesc("faasctl_"+name, help, labels, nil)}
}

func gauge(name, help string, labels ...string) family {
	return family{prometheus.GaugeValue, prometheus.NewDesc("faasctl_"+name, help, labels, nil)}
}

// The metrics of the system. Names are a promise: docs/MONITORING.md lists them.
var (
	submittedTotal = counter("tasks_submitted_total", "Tasks that were accepted, since the store was made.")
	startedTotal   = counter("tasks_started_total", "Starts of tasks; a task that is retried starts more than once.")
	completedTotal = counter("tasks_completed_total", "Tasks that ended with a result.")
	failedTotal    = counter("tasks_failed_total", "Tasks that ended without a result.")
	cancelledTotal = counter("tasks_cancelled_total", "Tasks that were cancelled.")
	retriedTotal   = counter("tasks_retried_total", "Failed starts that were followed by another.")
	releasedTotal  = counter("tasks_released_total", "Claims that were given back unspent.")
	lostTotal      = counter("tasks_lost_total", "Claims whose worker or dispatcher vanished.")
	repairsTotal   = counter("index_repairs_total", "Index entries that did not say what the records say, and were repaired; 0 in health.")

	tasksNow    = gauge("tasks", "Tasks that have not ended, by state.", "state")
	queuedNow   = gauge("queue_tasks", "Tasks that wait for a worker, by queue; queues that hold none are left out.", "queue")
	queueOldest = gauge("queue_oldest_wait_seconds", "How long the oldest task of a queue has waited, by queue; queues that hold none are left out.", "queue")
	oldestWait  = gauge("oldest_wait_seconds", "How long the oldest queued task has waited; 0 when none is queued.")
	workersNow  = gauge("workers", "Workers that are there, by mode and state.", "mode", "state")
	dispatchers = gauge("dispatchers", "Dispatchers that were heard from in the last 5 s.")
	slots       = gauge("slots", "Calls that can run at once.")
	slotsBusy   = gauge("slots_busy", "Calls that run.")

	storeMemory = gauge("store_memory_bytes", "Memory that the store uses; 0 when it does not tell.")
	storeInfo   = gauge("store_info", "1, with what the store is.", "kind", "version", "durability")
	buildInfo   = gauge("build_info", "1, with the version of the API process.", "version")

	waitSeconds = prometheus.NewDesc("faasctl_task_wait_seconds", "Submission to start of tasks that ended. The sum is estimated from the buckets, within 5 %.", nil, nil)
	runSeconds  = prometheus.NewDesc("faasctl_task_run_seconds", "Start to end of tasks that ended. The sum is estimated from the buckets, within 5 %.", nil, nil)
)

// Describe says nothing: which metrics there are depends on what was measured.
func (m *measured) Describe(chan<- *prometheus.Desc) {}

// Collect writes all metrics of the system.
func (m *measured) Collect(out chan<- prometheus.Metric) {
	put := func(f family, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(f.desc, f.kind, value, labels...)
	}
	s := m.stats
	for f, n := range map[family]int64{
		submittedTotal: s.Totals.Submitted, startedTotal: s.Totals.Started, completedTotal: s.Totals.Completed, failedTotal: s.Totals.Failed,
		cancelledTotal: s.Totals.Cancelled, retriedTotal: s.Totals.Retried, releasedTotal: s.Totals.Released, lostTotal: s.Totals.Lost, repairsTotal: s.Repaired,
		dispatchers: alive(s), slots: int64(s.Slots), slotsBusy: int64(s.Busy), storeMemory: s.Store.Memory,
	} {
		put(f, float64(n))
	}
	put(tasksNow, float64(s.Queued), "queued")
	put(tasksNow, float64(s.Delayed), "delayed")
	put(tasksNow, float64(s.Running), "running")
	put(oldestWait, float64(s.OldestWait)/1000)
	for _, q := range m.queues {
		put(queuedNow, float64(q.Queued), q.Name)
		put(queueOldest, q.Waits(s.Now).Seconds(), q.Name)
	}
	for who, n := range headcount(s.Workers) {
		put(workersNow, float64(n), string(who.mode), string(who.state))
	}
	put(storeInfo, 1, s.Store.Kind, s.Store.Version, s.Store.Durability)
	put(buildInfo, 1, m.version)
	out <- constHistogram(waitSeconds, s.Wait)
	out <- constHistogram(runSeconds, s.Run)
}

// alive counts dispatchers that beat; a dead one stays on the roster for a while.
func alive(s core.Stats) (n int64) {
	for _, d := range s.Dispatchers {
		if s.Now.Sub(d.Seen) <= 5*time.Second {
			n++
		}
	}
	return n
}

type presence struct {
	mode  core.Mode
	state core.WorkerState
}

// headcount counts workers that are there; modes without any are 0 and not
// absent, so that an alert on them has something to look at.
func headcount(workers []core.Worker) map[presence]int {
	n := map[presence]int{}
	for _, mode := range []core.Mode{core.Local, core.Push, core.Pull} {
		for _, state := range []core.WorkerState{core.WorkerRunning, core.WorkerDraining} {
			n[presence{mode, state}] = 0
		}
	}
	for _, w := range workers {
		if w.State == core.WorkerRunning || w.State == core.WorkerDraining {
			n[presence{w.Mode, w.State}]++
		}
	}
	return n
}

// Buckets of histograms are octaves: their upper bounds are 2^n - 1 µs, from
// 127 µs to 2.4 h. They coincide with bounds of the store's buckets.
const firstOctave, lastOctave = 7, 33

// constHistogram makes a metric of what the store has counted.
func constHistogram(desc *prometheus.Desc, h core.Histogram) prometheus.Metric {
	buckets := map[float64]uint64{}
	for octave := firstOctave; octave <= lastOctave; octave++ {
		bound := math.Exp2(float64(octave)) - 1
		var below int64
		for bucket, n := range h {
			if bucket < octave*core.BucketsPerOctave {
				below += n
			}
		}
		buckets[bound/1e6] = uint64(below)
	}
	return prometheus.MustNewConstHistogram(desc, uint64(h.Count()), h.Seconds(), buckets)
}
