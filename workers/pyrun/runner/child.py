"""The life of the process: it says what it is, and serves calls until the parent hangs up."""
import collections
import faulthandler
import json
import os
import platform
import signal
import sys
import time

from . import pickles, surroundings, threads
from .protocol import (
    ACK, BODIES, BODY, CALL, CALLS, CALLS_FD, DIED, DILL_CODEC, DONE, ENV, FORKED, HELLO, LEFT, LIMIT, LIMITS, LOAD,
    LOADING, MISS, NUMBER, OK, PENDING, PROTOCOL, Pipes, RESULT, RESULTS_FD, RESULT_FLAGS, SKIP, SKIPPED,
    STDERR_READ_FD, STDOUT_READ_FD, THREADS,
)
from .values import MAX_MESSAGE, clip, decode_json, encode_ascii
from .failures import Failed, failed_pickle, message_of, raised, type_name
from .surroundings import Bounds, Place
from .functions import Body, execute
from .task import open_notes, running, task_module
from .output import unbuffer_c
from .stage import Stage
from .heir import Heir

CACHED_BODIES = 64


class Child:
    """Serves calls until the parent closes its end."""

    def __init__(self, pipes, stage, limit):
        self.pipes, self.stage, self.limit, self.pid = pipes, stage, limit, os.getpid()
        self.bodies, self.skips, self.begin, self.heir = collections.OrderedDict(), set(), 0, False

    def serve(self):
        while True:
            kind, payload = self.pipes.frame()
            if kind == CALLS:
                self.frame(payload)
            else:
                self.control(kind, payload)

    def control(self, kind, payload):
        if kind == BODIES:
            number, length = BODY.unpack_from(payload)
            data = BODY.size + length
            self.bodies[number] = Body(decode_json(payload[BODY.size:data].decode()), payload[data:])
            while len(self.bodies) > CACHED_BODIES:
                self.bodies.popitem(last=False)
        elif kind == LIMIT:
            surroundings.bounds.set(*LIMITS.unpack(payload))
        elif kind == ENV:
            surroundings.place.lend(decode_json(payload.decode()))
        elif kind == SKIP:
            self.skips.add(NUMBER.unpack(payload)[0])

    def frame(self, payload):
        """Runs the calls of one frame, one after another."""
        (count,) = NUMBER.unpack_from(payload)
        at = NUMBER.size
        while count:
            count -= 1
            tag, number, codec, flags, length, attempt, task = CALL.unpack_from(payload, at)
            at += CALL.size + length
            if tag in self.skips:
                self.pipes.send(DONE, RESULT.pack(tag, SKIPPED, 0, 0, 0, 0, 0, 0, 0))
                continue
            running.enter(tag, attempt, task)
            if flags & FORKED:
                pending, control = self.fork(tag, number, codec, payload[at - length:at])
            else:
                pending, control = self.finish(self.call(tag, number, codec, payload[at - length:at]))
            if count and (pending or control):
                self.wait(pending)
        self.skips.clear()

    def finish(self, result):
        """Hands in a call's result. Returns what Stage.settle does."""
        if os.getpid() != self.pid:
            os._exit(0)  # a fork made by the function came back here: it is not us
        running.leave()
        left = self.stage.left(result[4]) & ~(THREADS if self.heir else 0)  # a fork's end with it
        pending, control = self.stage.settle()
        result[2] = (PENDING if pending else 0) | left
        self.pipes.send(DONE, RESULT.pack(*result[:9]) + b"".join(result[9:]))
        while left & THREADS:
            self.pipes.frame()  # nothing is done any more: the parent ends us
        if left and not self.heir:
            self.stage.renew()
            pending = False
        if not self.heir:
            self.stage.tidy()
        return pending, control

    def fork(self, tag, number, codec, data):
        """Runs a call in a fork of this process, which itself only ever loads functions. Returns what finish does."""
        body, self.begin = self.body(number), time.perf_counter_ns()
        try:
            body.callable(self.teller(tag))
        except Failed as end:
            return self.finish(self.failure(tag, codec, end))
        self.stage.settle()  # what loading left in buffers would be printed by both
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a cancel is for the call: the parent ends us afterwards
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        try:
            read, write = os.pipe()
            pid = os.fork()
        except OSError as error:
            return self.finish(self.failure(tag, codec, raised(error)))
        if pid == 0:
            self.inherit(read, write, tag, number, codec, data)
        os.close(write)
        heir = Heir(pid, read, tag, self.limit)
        result = heir.result()
        os.close(read)
        if result is not None:
            pending, control = self.stage.settle()  # it may have printed up to its very end
            left = result[RESULT_FLAGS] & LEFT
            self.pipes.send(DONE, flagged(result, pending))
            if left:
                self.stage.renew()
            self.stage.tidy()
            return bool(pending and not left), control
        end = Failed(DIED, None, "", heir.why)
        end.told["wait"], end.told["peak"] = heir.status, heir.peak
        return self.finish(self.failure(tag, codec, end))

    def inherit(self, read, write, tag, number, codec, data):
        """The life of a fork. Its pipes to the parent were closed by leave_pipes."""
        status = 70
        try:
            os.dup2(write, self.pipes.results, False)
            os.close(read)
            os.close(write)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self.pid, self.heir = os.getpid(), True
            self.stage.begin()
            self.finish(self.call(tag, number, codec, data))
            status = 0
        finally:
            os._exit(status)

    def wait(self, pending):
        """Lets the parent read what the call printed before the next one can print, and hears skips."""
        while pending or self.stage.asked():
            kind, payload = self.pipes.frame()
            pending = pending and kind != ACK
            self.control(kind, payload)

    def body(self, number):
        while number not in self.bodies:
            self.pipes.send(MISS, NUMBER.pack(number))
            self.control(*self.pipes.frame())
        self.bodies.move_to_end(number)
        return self.bodies[number]

    def call(self, tag, number, codec, data):
        """Returns a result's fields, its four byte strings last."""
        body, self.begin = self.body(number), time.perf_counter_ns()
        try:
            tell = self.teller(tag) if body.function is None else None
            value, pickled, text = execute(body, codec, data, self.limit, tell)
            text = text.encode("utf-8", "backslashreplace")
        except Failed as end:
            return self.failure(tag, codec, end)
        return self.fields(tag, OK, value, pickled, text, b"")

    def failure(self, tag, codec, end):
        return self.fields(tag, end.status, b"", failed_pickle(end) if codec == DILL_CODEC else b"", b"", encode_ascii(end.told).encode())

    def fields(self, tag, status, *parts):
        return [tag, status, 0, 0, time.perf_counter_ns() - self.begin, *map(len, parts), *parts]

    def teller(self, tag):
        """What tells the parent of a setup(): its time is not the call's."""
        def tell(begins):
            if not begins:
                self.begin += time.perf_counter_ns() - tell.began
            tell.began = time.perf_counter_ns()
            self.pipes.send(LOAD, LOADING.pack(tag, begins))
        return tell


def flagged(result, pending):
    """A fork's result, which says whether there is output to be read when the fork has ended."""
    flags = result[RESULT_FLAGS] & LEFT | (PENDING if pending else 0)
    return result[:RESULT_FLAGS] + bytes((flags,)) + result[RESULT_FLAGS + 1:]


def leave_pipes():
    """In a process that a function forked: the pipes are not its own."""
    for descriptor in (CALLS_FD, RESULTS_FD):
        try:
            os.close(descriptor)
        except OSError:
            pass


def preload(names):
    """Imports modules that functions will want. Returns why those failed that did, by name."""
    lacking = {}
    for name in names:
        try:
            __import__(name)
        except BaseException as error:
            lacking[name] = "%s: %s" % (type_name(type(error)), clip(message_of(error), MAX_MESSAGE))
    return lacking


def main():
    os.umask(0o077)
    for descriptor in (CALLS_FD, RESULTS_FD, STDOUT_READ_FD, STDERR_READ_FD):
        os.set_inheritable(descriptor, False)
    pipes = Pipes()
    setup = json.loads(pipes.frame()[1])
    sys.argv = [""]
    try:
        import dill
        pickles.dill = dill
    except BaseException:  # a broken one must not take the JSON functions with it
        pass
    try:
        unbuffer_c()
    except BaseException:
        pass
    surroundings.bounds, surroundings.place = Bounds(), Place(setup.get("work"))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        open_notes()
    except BaseException:  # progress is a courtesy
        faulthandler.enable(2)
    sys.modules["faasctl_task"] = task_module()
    stage = Stage(setup.get("guarded", False))
    os.register_at_fork(after_in_child=leave_pipes)
    lacking = preload(setup.get("preload") or ())
    threads.settle_in()
    stage.settle()
    pipes.send(HELLO, json.dumps({
        "protocol": PROTOCOL, "pid": os.getpid(), "python": platform.python_version(),
        "dill": pickles.dill.__version__ if pickles.dill else "", "executable": sys.executable, "platform": sys.platform,
        "lacking": lacking,
    }).encode())
    Child(pipes, stage, setup["max_payload"]).serve()
