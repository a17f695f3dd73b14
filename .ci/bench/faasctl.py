"""A stack of faasctl for a measurement, and a small client of it: JSON over one keep-alive connection."""
import http.client
import json
import os
import signal
import subprocess
import urllib.parse

PROGRAM = os.environ.get("FAASCTL", "faasctl")


class Stack:
    """faasctl up in a directory of its own, with the defaults of the product. It is stopped at the end."""

    def __init__(self, workers, scratch, *flags):
        env = {name: value for name, value in os.environ.items() if not name.startswith("FAASCTL") or name == "FAASCTL_PYTHON"}
        self.process = subprocess.Popen(
            [PROGRAM, "up", "-w", str(workers), "--listen", "127.0.0.1:0", "--data", os.path.join(scratch, "faasctl"), *flags],
            env=env, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True)
        said, self.url, self.version = [], None, None
        for line in self.process.stderr:
            said.append(line)
            words = line.split()
            if line.startswith("faasctl "):
                self.version = words[1].rstrip(":")
            if line.startswith("  url "):
                self.url = words[1]
            if line.startswith("  next "):
                break
        else:
            raise SystemExit("faasctl up ended and said:\n" + "".join(said))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.stderr.read()
        self.process.wait(30)


class Client:
    """One keep-alive connection."""

    def __init__(self, url):
        self.address = urllib.parse.urlsplit(url).netloc
        self.connection = http.client.HTTPConnection(self.address)

    def ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        self.connection.request(method, path, data, {"Content-Type": "application/json"} if data else {})
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError("%s %s: %d %s" % (method, path, answer.status, text[:500]))
        return json.loads(text)

    def register(self, name, source):
        return self.ask("POST", "/v1/functions", {"name": name, "body": source})

    def submit(self, function, args):
        return self.ask("POST", "/v1/tasks", {"function": function, "args": args})["id"]

    def submit_batch(self, function, many):
        ids = []
        for at in range(0, len(many), 1000):
            calls = [{"function": function, "args": args} for args in many[at:at + 1000]]
            ids += [one["id"] for one in self.ask("POST", "/v1/tasks:batch", calls)["tasks"]]
        return ids

    def result(self, task):
        return self.ask("GET", "/v1/tasks/%s/result?wait=60s" % task)["value"]

    def results(self, tasks):
        values = []
        for at in range(0, len(tasks), 1000):
            values += [one["value"] for one in self.ask("POST", "/v1/tasks:results", {"ids": tasks[at:at + 1000], "wait": 60})["results"]]
        return values
