#!/usr/bin/env python3
"""Measures faasctl beside what a user would pick instead, in the same minutes, and prints each figure as a ratio.

    table.py FAASCTL [--rounds 3] [--full] [--only peers,modes,posts,family,idle,load,state]

make bench calls it. Celery, RQ and Dask are installed into a cached virtual environment; one that cannot be had is
named, and no ratio is claimed against it. Every row is measured once a round, peers and faasctl in turn, and shown as the
median of the rounds. Like is compared with like: bulk with each system's own bulk way, "each" (one submit per task, then
all collected) with "each" from one Python client. --full adds what takes minutes: memory after 1,000,000 tasks.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
PEERS = {  # what peers.py calls it: (its name here, what pip installs)
    "celery": ("Celery", ["celery", "redis"]), "rq": ("RQ", ["rq"]), "dask": ("Dask", ["dask[distributed]"]),
}
POOLS = {"pool": "multiprocessing.Pool.starmap", "executor": "ProcessPoolExecutor.map"}

figures = {}  # name: [value of each round]
missing = {}  # peer: why it cannot be had


def note(text):
    print("bench: " + text, file=sys.stderr, flush=True)


def keep(name, value):
    figures.setdefault(name, []).append(value)


def median(name):
    return statistics.median(figures[name]) if figures.get(name) else None


def run(words, **more):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
    if done.returncode:
        raise SystemExit("%s ended with %d:\n%s%s" % (" ".join(words), done.returncode, done.stdout, done.stderr))
    return done.stdout


# --------------------------------------------------------------------- peers

def environment():
    """The python of a virtual environment that has the peers, as far as they can be had."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    place = os.path.join(cache, "faasctl", "bench-peers-%d.%d" % sys.version_info[:2])
    python = os.path.join(place, "bin", "python")
    if not os.path.exists(python):
        note("making an environment for the peers in " + place)
        run([sys.executable, "-m", "venv", place])
    for peer, (name, packages) in PEERS.items():
        module = {"dask": "distributed"}.get(peer, peer)
        if subprocess.run([python, "-c", "import " + module], stderr=subprocess.DEVNULL).returncode:
            note("installing " + name)
            done = subprocess.run([python, "-m", "pip", "install", "-q", *packages], stderr=subprocess.PIPE, text=True)
            if done.returncode:
                missing[peer] = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
    return python


def peer(python, name, n):
    """One round of one system of peers.py."""
    env = {**os.environ, "FAASCTL": opts.faasctl}
    out = run([python, os.path.join(HERE, "peers.py"), "-n", str(n), "-w", "2", "--runs", "1", "--only", name], env=env)
    row = json.loads(out.strip().splitlines()[-1])
    if "skipped" in row:
        missing[name] = row["skipped"]
        return
    keep(name + " version", row["version"])
    keep(name + " each", row["each_s"])
    keep(name + " bulk", row["bulk_s"])
    keep(name + " p50", row["p50_ms"])


# ---------------------------------------------------------------------- ours

def bench(name, *flags):
    """One run of faasctl bench; its document is kept under a name."""
    own = [] if "--url" in flags else ["-w", "2"]
    row = json.loads(run([opts.faasctl, "bench", "-o", "json", *own, *flags]))
    keep(name, row["tasks_per_s"])
    keep(name + " cpu", row["cpu_us_per_task"])
    keep(name + " peak", row["peak_rss_bytes"])
    for which, latency in row["latency_ms"].items():
        keep("%s %s p50" % (name, which), latency["p50"])
        keep("%s %s p99" % (name, which), latency["p99"])
    return row


def bulk(mode):
    bench("bulk " + mode, "--mode", mode, "--tasks", "40000")


def posts():
    bench("posts", "--batch", "1", "--clients", "32", "--tasks", "40000")


def idle_calls():
    for mode in ("local", "push", "pull"):
        bench("sync " + mode, "--mode", mode, "--sync", "--batch", "1", "--tasks", "1000")


def family(python):
    """The family's client against faasctl, and against a handler that answers at once."""
    import faasctl
    faasctl.PROGRAM = opts.faasctl
    script = os.path.join(HERE, "family.py")
    with tempfile.TemporaryDirectory() as scratch, faasctl.Stack(2, scratch) as stack:
        with subprocess.Popen([opts.answer], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as instant:
            url = instant.stdout.readline().strip()
            for way in ("single", "all"):
                for name, at, more in (("instant", url, ["--unchecked"]), ("ours", stack.url, [])):
                    out = run([python, script, "--way", way, "-n", "3000", at, *more])
                    keep("family %s %s" % (way, name), json.loads(out)["tasks_per_s"])
            instant.stdin.close()


def processes(root):
    """The process root and all below it, as {pid: name}."""
    parents, names = {}, {}
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit():
                with open("/proc/%s/stat" % entry) as stat:
                    text = stat.read()
                names[int(entry)] = text[text.index("(") + 1:text.rindex(")")]
                parents[int(entry)] = int(text[text.rindex(")") + 2:].split()[1])
        except OSError:
            pass
    found, fresh = {}, {root}
    while fresh:
        found.update({pid: names.get(pid, "") for pid in fresh})
        fresh = {pid for pid, parent in parents.items() if parent in fresh} - set(found)
    return found


def cpu(pids):
    """Processor seconds that processes have used."""
    clock = lambda pid: (~pid << 3) | 2
    return sum(time.clock_gettime(clock(pid)) for pid in pids)


def idle():
    """What a stack that has run a few tasks costs while nobody asks for anything."""
    import faasctl
    faasctl.PROGRAM = opts.faasctl
    with tempfile.TemporaryDirectory() as scratch, faasctl.Stack(2, scratch) as stack:
        api = faasctl.Client(stack.url)
        api.register("add", "def add(a, b):\n    return a + b\n")
        assert set(api.results(api.submit_batch("add", [[1, 2]] * 200))) == {3}
        time.sleep(2)
        found = processes(stack.process.pid)
        before, began = cpu(found), time.monotonic()
        time.sleep(8)
        keep("idle cpu", 100 * (cpu(found) - before) / (time.monotonic() - began))
        for pid, name in found.items():
            if name.startswith("python"):
                with open("/proc/%d/status" % pid) as status:
                    keep("idle child", next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) * 1024)


def load():
    """Open loop: at half of the peak rate of single posts; and a fast function beside one that runs for 50 ms."""
    peak = median("posts") or 2000
    bench("half", "--batch", "1", "--clients", "16", "--rate", "%d" % (peak / 2), "--tasks", "%d" % (4 * peak / 2))
    import faasctl
    faasctl.PROGRAM = opts.faasctl
    with tempfile.TemporaryDirectory() as scratch, faasctl.Stack(2, scratch) as stack:
        flags = ["--url", stack.url, "--batch", "1", "--clients", "8", "--rate", "%d" % (peak / 8), "--tasks", "%d" % (4 * peak / 8)]
        bench("alone", *flags)
        done = threading.Event()
        slow = threading.Thread(target=slow_calls, args=(faasctl.Client(stack.url), done))
        slow.start()
        bench("beside", *flags)
        done.set()
        slow.join()


def slow_calls(api, done):
    """One slow call after the other."""
    api.register("slow", "import time\ndef slow():\n    time.sleep(0.05)\n    return 1\n")
    while not done.is_set():
        assert api.result(api.submit("slow", [])) == 1


# --------------------------------------------------------------------- table

def ratio(ours, theirs):
    return median(ours) / median(theirs) if median(ours) and median(theirs) else None


def row(what, value, required, aim, unit="", least=True, detail=""):
    """One line; least says that more is better."""
    if value is None:
        return (what, "-", required, "-" if aim is None else aim, "not measured", detail)
    good = value >= required if least else value <= required
    best = aim is not None and (value >= aim if least else value <= aim)
    sign = ("≥ " if least else "≤ ")
    text = lambda x: "-" if x is None else sign + ("%g" % x) + unit
    shown = "%.0f" % value if value >= 1000 else "%.3g" % value
    return (what, shown + unit, text(required), text(aim), "aim" if best else "yes" if good else "NO", detail)


def of(*names):
    """The figures behind a ratio."""
    return ", ".join("%s %s" % (name, "%.0f" % median(name) if median(name) >= 10 else "%.3g" % median(name)) for name in names if median(name) is not None)


def rows():
    yield row("bulk local ÷ multiprocessing.Pool.starmap", ratio("bulk local", "pool bulk"), 0.5, 1, detail=of("bulk local", "pool bulk"))
    yield row("bulk local ÷ ProcessPoolExecutor.map", ratio("bulk local", "executor bulk"), 3, 6, detail=of("executor bulk"))
    for peer, (name, _) in PEERS.items():
        way = {"celery": "group", "rq": "enqueue_many", "dask": "map"}[peer]
        yield row("bulk local ÷ %s %s" % (name, way), ratio("bulk local", peer + " bulk"), 30, 70, detail=missing.get(peer) or of(peer + " bulk"))
    for peer, (name, _) in PEERS.items():
        yield row("each, one Python client ÷ %s" % name, ratio("faasctl each", peer + " each"), 3, 6, detail=missing.get(peer) or of("faasctl each", peer + " each"))
    for mode in ("push", "pull"):
        yield row("bulk over %s ÷ bulk local" % mode, ratio("bulk " + mode, "bulk local"), 0.7, 0.9, detail=of("bulk " + mode))
    yield row("one POST per task, 32 connections", median("posts"), 8000, 15000, "/s")
    for way, text in (("single", "one at a time"), ("all", "all, then collected")):
        yield row("family's client, %s ÷ instant handler" % text, ratio("family %s ours" % way, "family %s instant" % way), 0.7, 0.9,
                  detail=of("family %s ours" % way, "family %s instant" % way))
    for mode, limits in (("local", (1, 4, 0.6, 2)), ("push", (1.5, 6, 0.6, 2)), ("pull", (1.5, 6, 0.6, 2))):
        yield row("idle call, p50, " + mode, median("sync %s total p50" % mode), limits[0], limits[2], " ms", least=False)
        yield row("idle call, p99, " + mode, median("sync %s total p99" % mode), limits[1], limits[3], " ms", least=False)
    spent = {part: statistics.median(cpu[part] for cpu in figures["bulk local cpu"]) for part in figures["bulk local cpu"][0]} if figures.get("bulk local cpu") else {}
    yield row("CPU per no-op task, bulk, all processes", spent.get("all"), 50, 25, " µs", least=False, detail=", ".join("%s %.1f" % item for item in spent.items() if item[0] != "all"))
    yield row("idle CPU of the whole stack", median("idle cpu"), 1, None, " %", least=False)
    peak = lambda name: statistics.median(one["server"] for one in figures[name]) / 1e6 if figures.get(name) else None
    yield row("RSS of the Go process after 1,000,000 tasks", peak("million peak"), 100, None, " MB", least=False, detail="" if figures.get("million") else "make bench FULL=1")
    yield row("RSS of an idle child", median("idle child") / 1e6 if median("idle child") else None, 20, None, " MB", least=False)
    base = median("sync local total p50")
    half = median("half total p99")
    yield row("p99 at half of the peak of posts ÷ idle p50", half / base if half and base else None, 10, None, least=False, detail=of("half", "half total p99"))
    yield row("p99 of a fast function beside a slow one ÷ alone", ratio("beside total p99", "alone total p99"), 2, None, least=False,
              detail=of("beside total p99", "alone total p99"))


def table():
    all_rows = [("what", "measured", "required", "aim", "met", "figures: tasks/s, ms")] + [tuple(str(cell) for cell in one) for one in rows()]
    widths = [max(len(one[i]) for one in all_rows) for i in range(6)]
    for one in all_rows:
        print("  ".join(one[i].rjust(widths[i]) if 0 < i < 4 else one[i].ljust(widths[i]) for i in range(6)).rstrip())
    for peer, (name, _) in list(PEERS.items()) + [(key, (value.split(".")[0], None)) for key, value in POOLS.items()]:
        if peer in missing:
            print("%s could not be had: no ratio is claimed (%s)" % (name, missing[peer]))
        elif figures.get(peer + " version"):
            print("%s %s: each %.0f/s, bulk %.0f/s, idle call %.2f ms" % (
                name, figures[peer + " version"][0], median(peer + " each"), median(peer + " bulk"), median(peer + " p50")))
    print("medians of %d rounds, on %d cores, load average %.1f at the end" % (opts.rounds, os.cpu_count(), os.getloadavg()[0]), flush=True)


def markdown(path):
    """The table for docs/PERFORMANCE.md."""
    with open(path, "w") as out:
        out.write("| what | measured | required | aim | figures: tasks/s, ms |\n|---|---|---|---|---|\n")
        for what, measured, required, aim, _, detail in rows():
            out.write("| %s | %s | %s | %s | %s |\n" % (what, measured, required, aim, detail))


def main():
    parts = opts.only.split(",")
    python = environment() if "peers" in parts else sys.executable
    began = time.monotonic()
    for turn in range(opts.rounds):
        note("round %d of %d, %.0f s in" % (turn + 1, opts.rounds, time.monotonic() - began))
        if "peers" in parts:
            peer(python, "pool", 2000)
            bulk("local")
            peer(python, "celery", 2000)
            peer(python, "faasctl", 2000)
            peer(python, "rq", 2000)
        if "modes" in parts:
            if "peers" not in parts:
                bulk("local")
            bulk("push")
            bulk("pull")
        if "peers" in parts:
            peer(python, "dask", 2000)
            peer(python, "executor", 2000)
        if "posts" in parts:
            posts()
        if "family" in parts:
            family(sys.executable)
        if "idle" in parts:
            idle_calls()
            if turn == 0:
                idle()
        if "load" in parts:
            load()
    if opts.full:
        note("1,000,000 tasks, %.0f s in" % (time.monotonic() - began))
        bench("million", "--tasks", "1000000")
    table()
    if opts.markdown:
        markdown(opts.markdown)
    if opts.figures:
        with open(opts.figures, "w") as out:
            json.dump(figures, out, indent=1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faasctl")
    parser.add_argument("--answer", help="the program of answer/main.go", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--only", default="peers,modes,posts,family,idle,load")
    parser.add_argument("--markdown", help="write the table to this file, too")
    parser.add_argument("--figures", help="write every figure of every round to this file, as JSON")
    opts = parser.parse_args()
    opts.faasctl = os.path.abspath(opts.faasctl)
    main()
