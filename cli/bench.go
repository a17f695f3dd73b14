package cli

import (
	"context"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	urfave "github.com/urfave/cli/v2"

	"faasctl/core"
)

func benchCommand(e *environment) *urfave.Command {
	return &urfave.Command{
		Name: "bench", Category: catWatch, Usage: "measure throughput and latency, and check every result",
		Description: `  faasctl bench                                        20,000 calls in batches of 1,000, on two workers or more
  faasctl bench --batch 1 --clients 32                 one POST a call, on 32 connections
  faasctl bench --sync --batch 1 --tasks 1000          one call at a time: latency when idle
  faasctl bench --rate 2000 --batch 1 --clients 16     open loop: latency under a load that does not wait
  faasctl bench --mode local,push,pull --runs 3        side by side: a row each, the median of three runs
  faasctl bench --weak 1,2,4,8 --sleep 10ms --tasks 500    500 calls for each worker, with more and more workers

It starts a stack of its own in a temporary directory, with the defaults of faasctl up, and stops it; with --url it
measures the server there, and knows the CPU and memory of the client alone. In push and pull, --workers are processes
with a slot each. Calls are add(n, 1); with --payload they carry so many bytes there and back. Latencies are total =
from when a call was to be sent until its result was read; submit = until it was accepted; and of a thousand calls, by the
store's clock, whose unit is a millisecond: wait = until it was started, run = from there to its end. With --rate they
count from the schedule, so that a server which falls behind cannot hide it.

Exit code 1 when a result is wrong or missing.`,
		Flags: []urfave.Flag{
			&urfave.IntFlag{Name: "tasks", Aliases: []string{"n"}, Value: 20_000, Usage: "`N` calls; with --weak for each worker"},
			&urfave.IntFlag{Name: "clients", Aliases: []string{"c"}, Value: 1, Usage: "`N` clients at once, each with a connection of its own"},
			&urfave.IntFlag{Name: "batch", Aliases: []string{"b"}, Usage: "`N` calls in one request; default 1000, or what --rate sends in 10 ms"},
			&urfave.BoolFlag{Name: "sync", Usage: "each client waits for its results before it sends more"},
			&urfave.Float64Flag{Name: "rate", Usage: "send `R` calls per second, whatever becomes of them; 0 = as fast as they are taken"},
			&urfave.StringFlag{Name: "payload", Value: "0", Usage: "`SIZE` of an argument that is also the result"},
			&urfave.DurationFlag{Name: "sleep", Usage: "how long each call sleeps"},
			&urfave.StringFlag{Name: "codec", Value: "json", Usage: "`CODEC` of arguments and results: json or dill"},
			&urfave.StringFlag{Name: "mode", Aliases: []string{"m"}, Value: "local", Usage: "`MODES` to measure, one after another: local,push,pull"},
			&urfave.IntFlag{Name: "workers", Aliases: []string{"w"}, Value: runtime.NumCPU(), Usage: "run `N` calls at once; one per core unless you say"},
			&urfave.StringFlag{Name: "weak", Usage: "`NUMBERS` of workers to measure, such as 1,2,4,8: more calls with more workers"},
			&urfave.IntFlag{Name: "runs", Value: 1, Usage: "measure each `N` times, in turn, and show the median"},
			&urfave.IntFlag{Name: "warm-up", Value: -1, Usage: "`N` calls before the clock starts; default a tenth of --tasks, 2000 at most", DefaultText: " "},
			&urfave.DurationFlag{Name: "give-up", Value: time.Minute, Usage: "call results missing when none has come for so long"},
			&urfave.StringFlag{Name: "url", Usage: "measure the server at this `URL` instead of one of its own"},
			&urfave.StringFlag{Name: "token-file", Usage: "with --url: `FILE` that holds the server's token", EnvVars: []string{"FAASCTL_TOKEN_FILE"}},
			flagDurability(), pythonFlag(),
			outputFlag("table", "json"),
		},
		Action: e.bench,
	}
}

// benchPlan is what the flags of a bench say.
type benchPlan struct {
	tasks, clients, batch int
	sync                  bool
	rate                  float64 // calls per second; 0 = closed loop
	payload               int     // bytes
	sleep                 time.Duration
	codec                 core.Codec
	modes                 []core.Mode // one row each
	workers               []int       // one row each; several with --weak
	weak                  bool
	runs, warmUp          int
	giveUp                time.Duration
	url, tokenFile        string // of another's server; "" = a stack of our own
	python, durability    string
}

func readBench(c *urfave.Context) (benchPlan, error) {
	p := benchPlan{
		tasks: c.Int("tasks"), clients: c.Int("clients"), batch: c.Int("batch"), sync: c.Bool("sync"), rate: c.Float64("rate"),
		sleep: c.Duration("sleep"), codec: core.Codec(c.String("codec")), workers: []int{c.Int("workers")}, runs: c.Int("runs"),
		warmUp: c.Int("warm-up"), giveUp: c.Duration("give-up"), url: c.String("url"), tokenFile: c.String("token-file"),
		python: c.String("python"), durability: c.String("durability"),
	}
	if err := noArguments(c); err != nil {
		return p, err
	}
	var err error
	if text := c.String("payload"); text != "0" && text != "" {
		if p.payload, err = parseSize(text); err != nil {
			return p, err
		}
	}
	if p.modes, err = benchModes(c.String("mode")); err != nil {
		return p, err
	}
	if text := c.String("weak"); text != "" {
		p.weak = true
		if p.workers, err = benchWorkers(text); err != nil {
			return p, err
		}
	}
	if p.url != "" {
		for _, name := range []string{"mode", "workers", "weak", "durability", "python"} {
			if c.IsSet(name) {
				return p, usage("--%s is for a stack of bench's own, and --url names another's", name)
			}
		}
	}
	p.fill()
	return p, p.check()
}

// fill sets what depends on other flags.
func (p *benchPlan) fill() {
	if p.batch == 0 {
		switch {
		case p.rate > 0:
			p.batch = min(max(int(p.rate/100), 1), core.MaxBatch)
		default:
			p.batch = core.MaxBatch
		}
	}
	if p.warmUp < 0 {
		p.warmUp = min(max(p.tasks/10, 1), 2000)
		if p.sleep > 0 {
			p.warmUp = min(p.warmUp, 4)
		}
	}
}

func (p *benchPlan) check() error {
	switch {
	case p.tasks < 1 || p.tasks > 10_000_000:
		return usage("--tasks must be between 1 and 10,000,000, not %d", p.tasks)
	case p.clients < 1 || p.clients > 1024:
		return usage("--clients must be between 1 and 1024, not %d", p.clients)
	case p.batch < 1 || p.batch > core.MaxBatch:
		return usage("--batch must be between 1 and %d, not %d", core.MaxBatch, p.batch)
	case p.runs < 1 || p.runs > 99:
		return usage("--runs must be between 1 and 99, not %d", p.runs)
	case p.rate < 0 || p.rate > 1e6:
		return usage("--rate must be between 0 and 1,000,000 a second")
	case p.rate > 0 && p.sync:
		return usage("--rate and --sync are at odds").WithHint("--rate sends by the clock, --sync when a result is there")
	case p.codec != core.JSON && p.codec != core.Dill:
		return usage("--codec cannot be %q", clip(string(p.codec), 32)).WithHint("choose json or dill")
	case p.sleep < 0 || p.giveUp <= 0:
		return usage("--sleep and --give-up cannot be negative")
	case p.payload > core.MaxPayload-64:
		return usage("--payload must leave room for a call of at most 8 MiB").WithHint("write 7MiB or less")
	}
	for _, n := range p.workers {
		if n < 1 || n > 256 {
			return usage("-w must be between 1 and 256, not %d", n)
		}
	}
	return nil
}

func benchModes(text string) ([]core.Mode, error) {
	var modes []core.Mode
	for _, word := range strings.Split(text, ",") {
		mode := core.Mode(strings.TrimSpace(word))
		if mode != core.Local && mode != core.Push && mode != core.Pull {
			return nil, usage("there is no mode %q", clip(word, 32)).WithHint("choose of local, push and pull, such as --mode local,push,pull")
		}
		modes = append(modes, mode)
	}
	return modes, nil
}

func benchWorkers(text string) ([]int, error) {
	var all []int
	for _, word := range strings.Split(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil {
			return nil, usage("--weak cannot be %q", clip(text, 64)).WithHint("write numbers of workers, such as --weak 1,2,4,8")
		}
		all = append(all, n)
	}
	return all, nil
}

// benchRow is one line of the report: a way to run, and its runs.
type benchRow struct {
	mode    core.Mode // "" with --url
	workers int       // 0 with --url
	tasks   int
	runs    []*benchRun
}

// rows are the lines that a plan asks for.
func (p *benchPlan) rows() []*benchRow {
	if p.url != "" {
		return []*benchRow{{tasks: p.tasks}}
	}
	var rows []*benchRow
	for _, mode := range p.modes {
		for _, n := range p.workers {
			row := &benchRow{mode: mode, workers: n, tasks: p.tasks}
			if p.weak {
				row.tasks *= n
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// bench measures every row, in turn and as often as was asked for, so that what
// the machine does meanwhile hits all of them.
func (e *environment) bench(c *urfave.Context) error {
	as, err := format(c, "table", "json")
	if err != nil {
		return err
	}
	plan, err := readBench(c)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(c.Context, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	rows := plan.rows()
	for turn := range plan.runs {
		for _, row := range rows {
			run, err := e.benchOnce(ctx, &plan, row, turn)
			if err != nil {
				return err
			}
			row.runs = append(row.runs, run)
		}
	}
	return e.benchReport(as, &plan, rows)
}

// benchOnce measures one row once.
func (e *environment) benchOnce(ctx context.Context, plan *benchPlan, row *benchRow, turn int) (*benchRun, error) {
	var own *benchStack
	at, tokenFile := plan.url, plan.tokenFile
	if at == "" {
		var err error
		if own, err = e.startBenchStack(ctx, plan, row); err != nil {
			return nil, err
		}
		defer own.stop()
		at, tokenFile = own.url, ""
	}
	load, err := newBenchLoad(ctx, plan, at, tokenFile)
	if err != nil {
		return nil, err
	}
	defer load.close()
	if _, err := load.run(ctx, plan.warmUp, nil); err != nil {
		return nil, err
	}
	bar := e.benchBar(row.label(plan, turn), row.tasks)
	before := readBenchUsage(own)
	run, err := load.run(ctx, row.tasks, bar.moved)
	after := readBenchUsage(own)
	bar.close()
	if err != nil {
		return nil, err
	}
	run.usage = after.since(before)
	return run, load.times(ctx, run)
}
