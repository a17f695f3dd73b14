package cli

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"faasctl/core"
)

// benchDocument is a row of the report as -o json writes it: figures of the run
// with the median rate.
type benchDocument struct {
	Mode      core.Mode               `json:"mode,omitempty"` // absent with --url
	URL       string                  `json:"url,omitempty"`
	Workers   int                     `json:"workers,omitempty"` // calls that run at once; absent with --url
	Tasks     int                     `json:"tasks"`
	Clients   int                     `json:"clients"`
	Batch     int                     `json:"batch"`
	Sync      bool                    `json:"sync,omitempty"`
	Rate      float64                 `json:"rate,omitempty"` // asked for, per second
	Codec     core.Codec              `json:"codec"`
	Payload   int                     `json:"payload"` // bytes
	Sleep     float64                 `json:"sleep_s"`
	Seconds   float64                 `json:"seconds"`
	PerSecond float64                 `json:"tasks_per_s"`
	Runs      []float64               `json:"tasks_per_s_runs"`
	Right     int                     `json:"right"`
	Wrong     int                     `json:"wrong"` // or missing
	Latency   map[string]benchLatency `json:"latency_ms"`
	CPU       map[string]float64      `json:"cpu_us_per_task"` // by part of the stack, as far as it is known, and all
	Peak      map[string]int64        `json:"peak_rss_bytes"`
	// Efficiency of a row of --weak: what a worker did, against the first row.
	Efficiency float64 `json:"efficiency,omitempty"`
}

// benchLatency are percentiles in milliseconds.
type benchLatency struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

func latencyOf(h *hdrhistogram.Histogram) benchLatency {
	ms := func(us int64) float64 { return float64(us) / 1000 }
	at := h.ValueAtPercentiles([]float64{50, 90, 99, 99.9})
	return benchLatency{ms(at[50]), ms(at[90]), ms(at[99]), ms(at[99.9]), ms(h.Max())}
}

// median is the run whose rate is the median; of two in the middle the slower.
func (row *benchRow) median() *benchRun {
	runs := slices.Clone(row.runs)
	slices.SortStableFunc(runs, func(a, b *benchRun) int { return cmp.Compare(a.rate(), b.rate()) })
	return runs[(len(runs)-1)/2]
}

func (row *benchRow) document(p *benchPlan, first *benchRow) benchDocument {
	run := row.median()
	d := benchDocument{
		Mode: row.mode, URL: p.url, Workers: row.workers, Tasks: row.tasks, Clients: p.clients, Batch: p.batch, Sync: p.sync, Rate: p.rate,
		Codec: p.codec, Payload: p.payload, Sleep: p.sleep.Seconds(), Seconds: round(run.seconds, 4), PerSecond: round(run.rate(), 1),
		Right: run.right, Latency: map[string]benchLatency{}, CPU: map[string]float64{}, Peak: map[string]int64{},
	}
	for _, run := range row.runs {
		d.Runs = append(d.Runs, round(run.rate(), 1))
		d.Wrong += run.wrongs
	}
	for name, h := range map[string]*hdrhistogram.Histogram{"submit": run.submit, "wait": run.wait, "run": run.run, "total": run.total} {
		d.Latency[name] = latencyOf(h)
	}
	all := 0.0
	for _, part := range benchParts {
		if seconds, known := run.usage.cpuOf(part); known {
			d.CPU[part], d.Peak[part] = round(seconds*1e6/float64(row.tasks), 2), run.usage.peakOf(part)
			all += seconds
		}
	}
	if p.url == "" {
		d.CPU["all"] = round(all*1e6/float64(row.tasks), 2)
	}
	if p.weak {
		base := first.median()
		d.Efficiency = round(run.rate()/float64(row.workers)/(base.rate()/float64(first.workers)), 3)
	}
	return d
}

func round(x float64, digits int) float64 {
	scale := math.Pow10(digits)
	return math.Round(x*scale) / scale
}

// benchReport prints the rows; a wrong result is exit code 1.
func (e *environment) benchReport(as string, p *benchPlan, rows []*benchRow) error {
	var documents []benchDocument
	for _, row := range rows {
		first := rows[0]
		for _, other := range rows { // of the same mode
			if other.mode == row.mode {
				first = other
				break
			}
		}
		documents = append(documents, row.document(p, first))
	}
	var err error
	if as == "json" {
		for _, d := range documents {
			if err == nil {
				err = e.jsonLine(d)
			}
		}
	} else {
		err = e.benchTables(p, documents)
	}
	wrong := 0
	for _, row := range rows {
		for _, run := range row.runs {
			wrong += run.wrongs
			for _, what := range run.wrong {
				e.warn("bench: %s", what)
			}
		}
	}
	if err == nil && wrong > 0 {
		e.warn("bench: %d results are wrong or missing", wrong)
		return exitCode(core.ExitFailed)
	}
	return err
}

// benchTables prints what was measured, one table for rates and one for latencies.
func (e *environment) benchTables(p *benchPlan, documents []benchDocument) error {
	rates := &table{head: []string{"MODE", "WORKERS", "TASKS", "TIME", "TASKS/S"}, right: []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}}
	parts := slices.DeleteFunc(slices.Clone(benchParts), func(part string) bool { _, known := documents[0].CPU[part]; return !known })
	if p.weak {
		rates.head = append(rates.head, "EFFICIENCY")
	}
	for _, part := range parts {
		rates.head = append(rates.head, strings.ToUpper(part))
	}
	if p.url == "" {
		rates.head = append(rates.head, "ALL µS/TASK")
	}
	latencies := &table{head: []string{"MODE", "WORKERS", "LATENCY", "P50", "P90", "P99", "P99.9", "MAX"}, right: []int{1, 3, 4, 5, 6, 7}}
	memory := &table{head: []string{"MODE", "WORKERS"}, right: []int{1, 2, 3, 4, 5, 6}}
	for _, part := range parts {
		memory.head = append(memory.head, strings.ToUpper(part))
	}
	for _, d := range documents {
		mode, workers := orDash(string(d.Mode)), "-"
		if d.Workers > 0 {
			workers = fmt.Sprint(d.Workers)
		}
		cells := []cell{plain("%s", mode), plain("%s", workers), plain("%d", d.Tasks), plain("%.2fs", d.Seconds), {rateText(d.PerSecond), paintBold}}
		if p.weak {
			cells = append(cells, plain("%.0f %%", 100*d.Efficiency))
		}
		peaks := []cell{plain("%s", mode), plain("%s", workers)}
		for _, part := range parts {
			cells = append(cells, plain("%.1f", d.CPU[part]))
			peaks = append(peaks, plain("%s", sizeText(d.Peak[part])))
		}
		if p.url == "" {
			cells = append(cells, plain("%.1f", d.CPU["all"]))
		}
		rates.add(cells...)
		memory.add(peaks...)
		for _, name := range []string{"submit", "wait", "run", "total"} {
			l := d.Latency[name]
			latencies.add(plain("%s", mode), plain("%s", workers), plain("%s", name), msText(l.P50), msText(l.P90), msText(l.P99), msText(l.P999), msText(l.Max))
		}
	}
	titles := []string{"rate, and CPU in µs per task of each part", "latency", "peak memory of each part"}
	if p.url != "" {
		titles = []string{"rate, and CPU of the client in µs per task; what the server at " + p.url + " uses is not for a client to know", "latency", "peak memory of the client"}
	}
	for i, t := range []*table{rates, latencies, memory} {
		title := cleanLine(titles[i]) + "\n"
		if i > 0 {
			title = "\n" + title
		}
		if _, err := io.WriteString(e.stdout, title); err != nil {
			return err
		}
		if err := e.printTable(t); err != nil {
			return err
		}
	}
	return nil
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func rateText(perSecond float64) string {
	if perSecond < 100 {
		return fmt.Sprintf("%.1f", perSecond)
	}
	return fmt.Sprintf("%.0f", perSecond)
}

// msText is a latency with three digits that matter.
func msText(ms float64) cell {
	switch {
	case ms < 10:
		return plain("%.2fms", ms)
	case ms < 1000:
		return plain("%.0fms", ms)
	}
	return plain("%.2fs", ms/1000)
}

// label names what is being measured, for the bar.
func (row *benchRow) label(p *benchPlan, turn int) string {
	text := "bench"
	if row.mode != "" {
		text = fmt.Sprintf("%s, %d workers", row.mode, row.workers)
	}
	if p.runs > 1 {
		text += fmt.Sprintf(", run %d of %d", turn+1, p.runs)
	}
	return text
}

// benchBar is a line on a terminal that fills up. Nothing is drawn elsewhere.
type benchBar struct {
	to    io.Writer // nil = nowhere
	label string
	tasks int
	drawn atomic.Int64 // unix ms of the last time
}

const barCells = 30

func (e *environment) benchBar(label string, tasks int) *benchBar {
	b := &benchBar{label: label, tasks: tasks}
	if e.stderrTTY && e.getenv("TERM") != "dumb" {
		b.to = e.stderr
	}
	return b
}

// moved draws at most ten times a second. It is called by one at a time.
func (b *benchBar) moved(n int) {
	now := time.Now().UnixMilli()
	if b.to == nil || now-b.drawn.Load() < 100 {
		return
	}
	b.drawn.Store(now)
	full := barCells * n / b.tasks
	_, _ = fmt.Fprintf(b.to, "\r%s  [%s%s] %3d %%", b.label, strings.Repeat("#", full), strings.Repeat(".", barCells-full), 100*n/b.tasks)
}

// close leaves an empty line, at its beginning.
func (b *benchBar) close() {
	if b.to != nil {
		_, _ = fmt.Fprintf(b.to, "\r%s\r", strings.Repeat(" ", len(b.label)+barCells+10))
	}
}
