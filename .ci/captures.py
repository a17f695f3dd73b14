"""Pictures of `faasctl top` for the README, made by the program itself.

A whole stack runs with a load of known functions; tmux is the terminal; what it
shows becomes an SVG. Ids and times are those of the run; the host's name and the
port are replaced. `make captures` runs it: python3 .ci/captures.py FAASCTL OUT_DIR
"""

import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from xml.sax.saxutils import escape

COLUMNS, LINES = 104, 30
HOST, PORT = "quay", "8000"  # what the captures say

FUNCTIONS = '''
import time

def resize(width, height):
    time.sleep(width * height / 40_000_000)
    return [width, height]

def thumbnail(width, height):
    time.sleep(0.004)
    if height == 0:
        raise ValueError("an image of %d x %d has no thumbnail" % (width, height))
    return [128, round(128 * height / width)]

def report(day):
    time.sleep(0.12)
    return "%s: 3 pages" % day
'''

# The sixteen colours of a terminal: 0-7, and 8-15 brighter. Number -1 is the
# default, on BACKGROUND.
COLOURS = ["#3b4252", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#d8dee9",
           "#4c566a", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#eceff4"]
FOREGROUND, BACKGROUND, DIM = "#d8dee9", "#1e222a", "#7f8896"
CELL, ROW, MARGIN = 8.4, 18, 14


class Load(threading.Thread):
    """Sends batches until it is told to stop: more and less in waves."""

    def __init__(self, url):
        super().__init__(daemon=True)
        self.url, self.stopped, self.random = url, threading.Event(), random.Random(7)

    def run(self):
        beat = 0
        while not self.stopped.wait(0.25):
            beat += 1
            size = 18 + 14 * (beat // 10 % 3)
            self.send([self.call() for _ in range(size)])

    def call(self):
        pick = self.random.random()
        if pick < 0.02:
            return {"function": "report", "args": ["2026-01-%02d" % self.random.randint(1, 31)]}
        width, height = self.random.choice([(640, 480), (800, 600), (1024, 768)])
        if pick < 0.03:
            return {"function": "thumbnail", "args": [width, 0]}
        return {"function": "resize" if pick < 0.6 else "thumbnail", "args": [width, height]}

    def send(self, calls):
        request = urllib.request.Request(self.url + "/v1/tasks:batch", json.dumps(calls).encode(), {"Content-Type": "application/json"})
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10).close()


class Terminal:
    """A tmux of its own."""

    def __init__(self, path, command, env):
        self.path = path
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(COLUMNS), "-y", str(LINES), command, env=env)

    def tmux(self, *words, env=None):
        done = subprocess.run(["tmux", "-u", "-S", self.path, *words], env=env, capture_output=True, text=True)
        return done.stdout

    def press(self, *keys):
        self.tmux("send-keys", *keys)

    def await_(self, pattern, patience=120):
        """Waits until the screen shows what fits the pattern."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            screen = self.tmux("capture-pane", "-p")
            if re.search(pattern, screen):
                return
            time.sleep(0.1)
        sys.exit("captures: the screen never showed %s, but:\n%s" % (pattern, screen))

    def screen(self):
        return self.tmux("capture-pane", "-e", "-p").rstrip("\n").split("\n")


PLAIN = (-1, False, False, False)  # colour, bold, dim, reverse


def spans(line, state):
    """Splits a line into (text, colour, bold, reverse). What it begins with is how the
    line before it ended: state, which is changed to how this one ends."""
    colour, bold, dim, reverse = state
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        codes = re.fullmatch(r"\x1b\[([0-9;]*)m", part)
        if not codes:
            if part:
                shade = FOREGROUND if colour < 0 else COLOURS[colour]
                yield part, DIM if dim and colour < 0 else shade, bold, reverse
            continue
        for code in [int(c or 0) for c in codes.group(1).split(";")]:
            if code == 0:
                colour, bold, dim, reverse = -1, False, False, False
            elif code in (1, 2, 7):
                bold, dim, reverse = bold or code == 1, dim or code == 2, reverse or code == 7
            elif code == 22:
                bold = dim = False
            elif code == 27:
                reverse = False
            elif code == 39:
                colour = -1
            elif 30 <= code <= 37:
                colour = code - 30
            elif 90 <= code <= 97:
                colour = code - 82
    state[:] = colour, bold, dim, reverse


def svg(lines, title):
    width, height = COLUMNS * CELL + 2 * MARGIN, LINES * ROW + 2 * MARGIN
    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" role="img">' % (width, height, width, height),
           "<title>%s</title>" % escape(title),
           "<style>text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace}.b{font-weight:bold}</style>",
           '<rect width="100%%" height="100%%" rx="8" fill="%s"/>' % BACKGROUND]
    state = list(PLAIN)
    for row, line in enumerate(lines):
        column, y = 0, MARGIN + row * ROW + 14
        for text, colour, bold, reverse in spans(line, state):
            x, wide = MARGIN + column * CELL, len(text) * CELL
            column += len(text)
            if reverse:
                out.append('<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>' % (x, y - 14, wide, ROW, colour))
                colour = BACKGROUND
            # Each word stands where its cell is: not everything that draws keeps blanks.
            for word in re.finditer(r"\S+(?: \S+)*", text):
                out.append('<text x="%.1f" y="%d" fill="%s" textLength="%.1f"%s>%s</text>' % (
                    x + word.start() * CELL, y, colour, len(word.group()) * CELL, ' class="b"' if bold else "", escape(word.group())))
    return "\n".join(out + ["</svg>", ""])


def anonymous(lines, port):
    """Takes this machine out of the picture, without moving a cell."""
    name = socket.gethostname().split(".")[0]
    wide = max(len(name), len(HOST))
    swap = re.compile(r"(?<![\w-])" + re.escape(name) + r" {%d}" % (wide - len(name)))
    return [swap.sub(HOST.ljust(wide), line).replace(":" + port, ":" + PORT) for line in lines]


def free_port():
    """One of four digits, as the one that stands for it."""
    for port in range(8000, 9000):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) != 0:
                return str(port)
    sys.exit("captures: no port is free")


def main(faasctl, into):
    faasctl, into = os.path.abspath(faasctl), os.path.abspath(into)
    home, port = tempfile.mkdtemp(prefix="captures"), free_port()
    url = "http://127.0.0.1:" + port
    env = {"HOME": home, "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "FAASCTL_URL": url, "TERM": "xterm-256color"}
    env.update({name: os.environ[name] for name in ("FAASCTL_PYTHON", "XDG_DATA_HOME") if name in os.environ})
    with open(os.path.join(home, "images.py"), "w") as file:
        file.write(FUNCTIONS)
    with open(os.path.join(home, "log"), "w") as log:
        stack = subprocess.Popen([faasctl, "up", "-w", "2", "-m", "local,push,pull", "--listen", "127.0.0.1:" + port], cwd=home, env=env, stderr=log)
    terminal = load = None
    try:
        end = time.monotonic() + 60
        words = ["images.py::" + name for name in ("resize", "thumbnail", "report")]
        while any(subprocess.run([faasctl, "register", word], cwd=home, env=env, capture_output=True).returncode for word in words):
            if stack.poll() is not None or time.monotonic() > end:
                sys.exit("captures: the stack did not start:\n" + open(log.name).read())
            time.sleep(0.2)
        load = Load(url)
        load.start()
        terminal = Terminal(os.path.join(home, "s"), "exec '%s' top" % faasctl, env)

        def keep(name, title):
            path = os.path.join(into, name)
            with open(path, "w", encoding="utf-8") as file:
                file.write(svg(anonymous(terminal.screen(), port), title))
            print("captures: %s" % os.path.relpath(path))

        terminal.await_(r"workers · 3 running")
        terminal.await_(r"(?:[4-9],\d{3}|\d\d,\d{3}) ended")
        terminal.await_(r"running [2-9]")
        keep("top.svg", "faasctl top: numbers, workers, the latest tasks")
        load.stopped.set()
        terminal.await_(r"queued 0 .*running 0 ")
        terminal.press("6")
        terminal.await_(r"ValueError")
        terminal.press("x")
        terminal.await_(r"y does it")
        keep("plan.svg", "faasctl top: what failed, and a plan to forget it")
        terminal.press("n")
        terminal.press("Enter")
        terminal.await_(r"tasks · .*\n.*\n.*thumbnail")
        terminal.press("Enter")
        terminal.await_(r"raise ValueError")
        keep("task.svg", "faasctl top: one failed task")
    finally:
        if terminal:
            terminal.tmux("kill-server")
        if load:
            load.stopped.set()
        stack.terminate()
        stack.wait()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
