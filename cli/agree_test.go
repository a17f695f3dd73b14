package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"faasctl/core"
	"faasctl/core/redisstore"
	"faasctl/httpapi/client"
)

// TestNumbersAgree: after a run of mixed outcomes, the totals that top, the API
// and Prometheus tell are what a count of the tasks tells; also while the stream
// of events loses most of what happened, and after the API, and then all, was
// started again.
func TestNumbersAgree(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a whole stack")
	}
	home := t.TempDir()
	env := cleanEnv(t, home)
	whole := func() *stack {
		s, err := startStack(env, home, "up", "-w", "2", "-m", "local,push", "--listen", "127.0.0.1:0", "--data", "data")
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := whole()
	defer func() { _ = s.stop(syscall.SIGTERM) }()
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	defer cancel()
	run := agreeRun{t, ctx, s.api, filepath.Join(home, "data")}
	run.mixed()
	want := run.records()
	stats, err := s.api.Stats(ctx)
	run.must(err)
	want.Released = stats.Totals.Released // no record tells of these
	if want.Submitted < 1000 || want.Completed == 0 || want.Failed == 0 || want.Cancelled == 0 || want.Ended() != want.Submitted {
		t.Fatalf("the tasks are %+v", want)
	}
	compare := func(when, url string) {
		t.Helper()
		for where, got := range run.told(env, url) {
			if got != want {
				t.Errorf("%s, %s tells\n%+v, and the tasks are\n%+v", when, where, got, want)
			}
		}
	}
	compare("at the end", s.url)
	another, err := startStack(env, home, "serve", "--listen", "127.0.0.1:0", "--data", "data")
	if err != nil {
		t.Fatal(err)
	}
	compare("at another API", another.url)
	if err := another.stop(syscall.SIGKILL); err == nil {
		t.Error("it outlived SIGKILL")
	}
	if err := s.stop(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s = whole()
	run.api = s.api
	again := run.records()
	again.Released = want.Released
	if again != want {
		t.Errorf("after a restart the tasks are %+v and not %+v", again, want)
	}
	compare("after a restart", s.url)
}

type agreeRun struct {
	t    *testing.T
	ctx  context.Context
	api  *client.Client
	data string
}

// mixed has tasks end in all the ways there are, one by one and in batches, and
// trims the stream of events all the while.
func (r agreeRun) mixed() {
	r.t.Helper()
	_, err := r.api.Register(r.ctx, core.RegisterRequest{Name: "odd", Codec: core.Source, Entry: "odd", File: "odd.py",
		Body: []byte("def odd(n):\n    if n % 3 == 0: raise ValueError('three')\n    return n\n")})
	r.must(err)
	var calls, later []client.Call
	retries := 1
	for n := range 1000 {
		call := client.Call{Function: "odd", Args: fmt.Appendf(nil, "[%d]", n)}
		if n%5 == 0 {
			call.Retries = &retries
		}
		calls = append(calls, call)
	}
	for n := range 60 {
		later = append(later, client.Call{Function: "odd", Args: fmt.Appendf(nil, "[%d]", n), Delay: time.Hour, Queue: "later"})
	}
	for _, call := range calls[:20] {
		_, err := r.api.Submit(r.ctx, call)
		r.must(err)
	}
	r.trim()
	for from := 20; from < len(calls); from += 490 {
		_, err := r.api.SubmitBatch(r.ctx, calls[from:min(from+490, len(calls))])
		r.must(err)
		r.trim()
	}
	answers, err := r.api.SubmitBatch(r.ctx, later)
	r.must(err)
	var ids []core.TaskID
	for _, a := range answers {
		r.must(a.Err)
		ids = append(ids, a.ID)
	}
	_, err = r.api.Cancel(r.ctx, ids[:1])
	r.must(err)
	_, err = r.api.Cancel(r.ctx, ids[1:])
	r.must(err)
	if err := poll(r.ctx, func() bool {
		r.trim()
		stats, err := r.api.Stats(r.ctx)
		return err == nil && stats.Queued+stats.Running+stats.Delayed == 0
	}); err != nil {
		r.t.Fatal("the tasks did not end")
	}
}

func (r agreeRun) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// trim takes all events but the last one away, past the store, which knows
// nothing of it.
func (r agreeRun) trim() {
	r.t.Helper()
	at, ok := redisstore.RunningURL(r.data)
	if !ok {
		r.t.Fatal("no Redis runs")
	}
	u, err := url.Parse(at)
	r.must(err)
	conn, err := net.Dial("unix", u.Path)
	r.must(err)
	defer conn.Close()
	_, err = io.WriteString(conn, "XTRIM {faasctl}:events MAXLEN 1\r\n")
	r.must(err)
	if reply, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.HasPrefix(reply, ":") {
		r.t.Fatalf("XTRIM: %q, %v", reply, err)
	}
}

// records counts the tasks themselves.
func (r agreeRun) records() (n core.Totals) {
	r.t.Helper()
	filter := core.TaskFilter{Limit: 500}
	for {
		page, err := r.api.List(r.ctx, filter)
		r.must(err)
		for _, task := range page.Tasks {
			n.Submitted++
			switch task.State {
			case core.Completed:
				n.Completed++
			case core.Failed:
				n.Failed++
			case core.Cancelled:
				n.Cancelled++
			}
			n.Started += int64(task.Attempt)
		}
		if page.Next == "" {
			break
		}
		filter.Before = page.Next
	}
	n.Retried = n.Started - n.Completed - n.Failed // each start but the last was followed by another
	return n
}

// told are the totals by who tells them.
func (r agreeRun) told(env []string, url string) map[string]core.Totals {
	r.t.Helper()
	var top topReport
	out, said, code := command(r.t, env, r.data, "", "top", "--once", "-o", "json", "--url", url)
	if code != 0 {
		r.t.Fatal(said)
	}
	r.must(json.Unmarshal([]byte(out), &top))
	var stats core.Stats
	r.must(json.Unmarshal(r.get(url+"/v1/stats"), &stats))
	functions := core.Totals{}
	for _, f := range top.Functions {
		functions.Submitted += f.Totals.Submitted
		functions.Started += f.Totals.Started
		functions.Completed += f.Totals.Completed
		functions.Failed += f.Totals.Failed
		functions.Cancelled += f.Totals.Cancelled
		functions.Retried += f.Totals.Retried
		functions.Released += f.Totals.Released
		functions.Lost += f.Totals.Lost
	}
	if ended := top.Latency.Run.Count; ended != top.Totals.Completed+top.Totals.Failed {
		r.t.Errorf("%d runs were measured of %+v", ended, top.Totals)
	}
	return map[string]core.Totals{"top": top.Totals, "top by function": functions, "/v1/stats": stats.Totals, "/metrics": r.metrics(url)}
}

func (r agreeRun) metrics(url string) core.Totals {
	r.t.Helper()
	samples := map[string]int64{}
	for line := range strings.Lines(string(r.get(url + "/metrics"))) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if n, err := strconv.ParseFloat(value, 64); err == nil {
			samples[name] = int64(n)
		}
	}
	count := func(what string) int64 {
		n, ok := samples["faasctl_tasks_"+what+"_total"]
		if !ok {
			r.t.Errorf("/metrics does not tell of tasks that were %s", what)
		}
		return n
	}
	return core.Totals{
		Submitted: count("submitted"), Started: count("started"), Completed: count("completed"), Failed: count("failed"),
		Cancelled: count("cancelled"), Retried: count("retried"), Released: count("released"), Lost: count("lost"),
	}
}

func (r agreeRun) get(url string) []byte {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.ctx, http.MethodGet, url, nil)
	r.must(err)
	request.Close = true
	answer, err := http.DefaultClient.Do(request)
	r.must(err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		r.t.Fatalf("GET %s: %d, %v: %s", url, answer.StatusCode, err, body)
	}
	return body
}
