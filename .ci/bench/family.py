#!/usr/bin/env python3
"""The pattern of the family's clients: 4 threads, each with a keep-alive connection, POST pickled calls to
/execute_function and poll /result until they have ended. Needs dill.

    python3 family.py [-n 4000] [--way single|all] URL

single: each thread polls for a result before it sends the next call. all: each thread sends its share and then polls for
one result after the other. Nobody sleeps between polls. Prints one JSON line. The same client is run against
answer/main.go, which answers at once: what the client itself can do.
"""
import argparse
import codecs
import http.client
import json
import threading
import time
import urllib.parse

import dill

FINAL = ("COMPLETED", "FAILED")


def dill64(value, **how):
    return codecs.encode(dill.dumps(value, **how), "base64").decode()


class Connection:
    def __init__(self, url):
        self.connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc)

    def ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        self.connection.request(method, path, data, {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError("%s: %d %s" % (path, answer.status, text[:500]))
        return json.loads(text)

    def submit(self, function, n):
        return self.ask("POST", "/execute_function", {"function_id": function, "payload": dill64(((n, 1), {}))})["task_id"]

    def await_result(self, task):
        while True:
            answer = self.ask("GET", "/result/" + task)
            if answer["status"] in FINAL:
                value = dill.loads(codecs.decode(answer["result"].encode(), "base64"))
                assert answer["status"] == "COMPLETED", value
                return value


def share(connection, function, calls, way, right):
    if way == "single":
        values = [connection.await_result(connection.submit(function, n)) for n in calls]
    else:
        tasks = [connection.submit(function, n) for n in calls]
        values = [connection.await_result(task) for task in tasks]
    if opts.unchecked or values == [n + 1 for n in calls]:
        right.append(len(values))


def measure(count):
    scope = {"__name__": "__main__"}
    exec("def add(a, b):\n    return a + b\n", scope)
    function = Connection(opts.url).ask("POST", "/register_function", {"name": "add", "payload": dill64(scope["add"], recurse=True)})["function_id"]
    right = []
    threads = [threading.Thread(target=share, args=(Connection(opts.url), function, range(k, count, 4), opts.way, right)) for k in range(4)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - start
    if sum(right) != count:
        raise SystemExit("%d of %d results are right" % (sum(right), count))
    return count / took


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("-n", type=int, default=4000)
    parser.add_argument("--way", choices=("single", "all"), default="all")
    parser.add_argument("--unchecked", action="store_true", help="the server answers always the same")
    opts = parser.parse_args()
    measure(max(100, opts.n // 10))
    print(json.dumps({"way": opts.way, "n": opts.n, "tasks_per_s": round(measure(opts.n), 1)}))
