"""Tests of runner.py as a process: it is started as faasctl starts it, and this file plays the parent.

Nothing here knows what the parent would make of a result: see hostile_test.go.
"""
import fcntl
import json
import os
import pickle
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import zlib

import runner

PATIENCE = 30
LIMIT = 1 << 20
RUNNER = os.path.join(os.path.dirname(os.path.abspath(runner.__file__)), "runner.py")
BOOTSTRAP = """import os, sys
for number, place in enumerate(map(int, sys.argv[1:5]), 3):
    os.dup2(place, number)
os.closerange(7, 256)
sys.path = [p for p in sys.path if p]
exec(compile(open(%r, "rb").read(), "<faasctl runner>", "exec"))
""" % RUNNER
NONE = b"[[], {}]"


class Reply:
    """A result frame."""

    def __init__(self, payload):
        fields = runner.RESULT.unpack_from(payload)
        self.tag, self.status, self.flags, _, self.ns = fields[:5]
        parts, at = [], runner.RESULT.size
        for length in fields[5:]:
            parts.append(payload[at:at + length])
            at += length
        assert at == len(payload), "a result whose lengths do not add up"
        self.json, self.pickle, self.repr, self.failure = parts
        self.told = json.loads(self.failure.decode()) if self.failure else None
        self.value = json.loads(self.json.decode()) if self.json else None


class Parent:
    """A child and our ends of its pipes."""

    def __init__(self, **setup):
        pipes = [os.pipe() for _ in range(4)]
        (calls, self.calls), (self.results, results), (self.out, out), (self.err, err) = pipes
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (calls, results, self.out, self.err)]
        self.process = subprocess.Popen(
            [sys.executable, "-B", "-c", BOOTSTRAP] + [str(fd) for fd in high],
            stdin=subprocess.DEVNULL, stdout=out, stderr=err, pass_fds=high, start_new_session=True, cwd="/")
        for fd in high + [calls, results, out, err]:
            os.close(fd)
        self.printed = {self.out: b"", self.err: b""}
        self.bodies = self.tag = 0
        self.write(runner.SETUP, json.dumps(dict({"max_payload": LIMIT}, **setup)).encode())
        kind, payload = self.frame()
        assert kind == runner.HELLO, kind
        self.hello = json.loads(payload.decode())

    def write(self, kind, payload=b"", flags=runner.COMPLETE, crc=None, magic=runner.MAGIC):
        crc = zlib.crc32(payload) if crc is None else crc
        data = runner.HEADER.pack(magic, kind, flags, len(payload), crc) + payload
        while data:
            data = data[os.write(self.calls, data[:1 << 16]):]

    def body(self, text, entry="f", codec="source"):
        self.bodies += 1
        self.tell_body(self.bodies, text, entry, codec)
        return self.bodies

    def tell_body(self, number, text, entry="f", codec="source"):
        data = text.encode() if isinstance(text, str) else text
        description = json.dumps({"codec": codec, "entry": entry, "file": "fn.py", "hash": "%064x" % number}).encode()
        self.write(runner.BODIES, runner.BODY.pack(number, len(description)) + description + data)

    def send(self, *calls, **more):
        """Sends one frame of (body, arguments) each; returns their tags."""
        codec, flags = more.get("codec", runner.JSON_CODEC), more.get("flags", 0)
        parts, tags = [runner.NUMBER.pack(len(calls))], []
        for number, arguments in calls:
            self.tag += 1
            tags.append(self.tag)
            parts.append(runner.CALL.pack(self.tag, number, codec, flags, len(arguments), 1, bytes(16)) + arguments)
        self.write(runner.CALLS, b"".join(parts))
        return tags

    def frame(self):
        header = self.read(runner.HEADER.size)
        magic, kind, flags, length, crc = runner.HEADER.unpack(header)
        payload = self.read(length)
        assert (magic, flags, crc) == (runner.MAGIC, runner.COMPLETE, zlib.crc32(payload)), header
        return kind, payload

    def read(self, size):
        data, until = b"", time.monotonic() + PATIENCE
        while len(data) < size:
            if not select.select([self.results], [], [], max(0, until - time.monotonic()))[0]:
                raise AssertionError("the child says nothing; it printed %r" % (self.said(),))
            got = os.read(self.results, size - len(data))
            if not got:
                raise EOFError("the child is gone; it printed %r" % (self.said(),))
            data += got
        return data

    def reply(self):
        """The next result, and the acknowledgement that it may ask for."""
        kind = runner.LOAD
        while kind == runner.LOAD:
            kind, payload = self.frame()
        assert kind == runner.DONE, bytes([kind])
        reply = Reply(payload)
        if reply.flags & runner.PENDING:
            self.drain()
            self.write(runner.ACK)
        return reply

    def drain(self):
        for fd in (self.out, self.err):
            while select.select([fd], [], [], 0)[0]:
                data = os.read(fd, 1 << 16)
                if not data:
                    break
                self.printed[fd] += data

    def call(self, text, arguments=NONE, **more):
        number = text if isinstance(text, int) else self.body(text)
        tag, = self.send((number, arguments), **more)
        reply = self.reply()
        assert reply.tag == tag
        return reply

    def said(self):
        self.drain()
        out, err = self.printed[self.out].decode(), self.printed[self.err].decode()
        self.printed = {self.out: b"", self.err: b""}
        return out, err

    def close(self):
        """Hangs up; returns the exit status."""
        if self.calls >= 0:
            os.close(self.calls)
            self.calls = -1
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.end()

    def end(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except OSError:
            pass
        self.process.wait()
        for fd in (self.calls, self.results, self.out, self.err):
            if fd >= 0:
                os.close(fd)
        self.calls = self.results = self.out = self.err = -1


class ChildCase(unittest.TestCase):
    def start(self, **setup):
        parent = Parent(**setup)
        self.addCleanup(parent.end)
        return parent


class ProcessTest(ChildCase):
    def test_hello(self):
        parent = self.start()
        self.assertEqual(parent.hello["protocol"], runner.PROTOCOL)
        self.assertEqual(parent.hello["pid"], parent.process.pid)
        self.assertEqual(parent.hello["python"], "%d.%d.%d" % sys.version_info[:3])
        self.assertEqual((parent.hello["platform"], parent.hello["lacking"]), (sys.platform, {}))

    def test_it_ends_when_the_parent_hangs_up(self):
        parent = self.start()
        self.assertEqual(parent.call("def f(): return 1").value, 1)
        self.assertEqual(parent.close(), 0)

    def test_what_is_no_frame_ends_it(self):
        for broken in ({"magic": b"xx"}, {"flags": 0}, {"crc": 1}):
            parent = self.start()
            parent.write(runner.CALLS, b"\0\0\0\0", **broken)
            self.assertEqual(parent.close(), 70, broken)

    def test_many_calls_in_one_frame_come_back_in_order(self):
        parent = self.start()
        number = parent.body("def f(x): return x * 2")
        tags = parent.send(*[(number, json.dumps([[i], {}]).encode()) for i in range(200)])
        for i, tag in enumerate(tags):
            reply = parent.reply()
            self.assertEqual((reply.tag, reply.value, reply.repr.decode()), (tag, 2 * i, str(2 * i)))

    def test_each_result_is_written_before_the_next_call_is_entered(self):
        parent = self.start()
        good, bad = parent.body("def f(): return 1"), parent.body("import os\ndef f(): os._exit(3)")
        parent.send((good, NONE), (bad, NONE), (good, NONE))
        self.assertEqual(parent.reply().value, 1)
        with self.assertRaises(EOFError):
            parent.reply()
        self.assertEqual(parent.process.wait(PATIENCE), 3)

    def test_large_frames_both_ways(self):
        parent = self.start()
        text = "x" * (LIMIT - 100)
        self.assertEqual(parent.call("def f(x): return x", json.dumps([[text], {}]).encode()).value, text)
        reply = parent.call("def f(x): return x + x", json.dumps([[text], {}]).encode())
        self.assertEqual((reply.status, reply.told["type"]), (runner.TOO_LARGE, "ResultTooLarge"))

    def test_time_is_the_call_s(self):
        reply = self.start().call("import time\ntime.sleep(0.01)\ndef f(): time.sleep(0.05)")
        self.assertGreaterEqual(reply.ns, 50e6)
        self.assertLess(reply.ns, PATIENCE * 1e9)

    def test_skips(self):
        parent = self.start()
        slow = parent.body("import time\ndef f(): time.sleep(0.3)")
        count = parent.body("n = 0\ndef f():\n    global n\n    n += 1\n    return n")
        tags = parent.send((slow, NONE), (count, NONE), (count, NONE))
        parent.write(runner.SKIP, runner.NUMBER.pack(tags[1]))
        self.assertEqual([parent.reply().status for _ in tags], [runner.OK, runner.SKIPPED, runner.OK])
        self.assertEqual(parent.call(count).value, 2)

    def test_a_skip_is_forgotten_with_its_frame(self):
        parent = self.start()
        number = parent.body("def f(): return 1")
        parent.write(runner.SKIP, runner.NUMBER.pack(parent.tag + 2))
        parent.call(number)
        self.assertEqual(parent.call(number).status, runner.OK)


class CacheTest(ChildCase):
    def test_a_body_is_loaded_once(self):
        parent = self.start()
        number = parent.body("n = []\ndef f():\n    n.append(0)\n    return len(n)")
        self.assertEqual([parent.call(number).value for _ in range(3)], [1, 2, 3])

    def test_bodies_do_not_see_each_other(self):
        parent = self.start()
        one, two = parent.body("K = 1\ndef f(): return K"), parent.body("def f(): return 'K' in globals()")
        self.assertEqual((parent.call(one).value, parent.call(two).value), (1, False))

    def test_what_was_dropped_is_asked_for(self):
        parent = self.start()
        first = parent.body("def f(): return 'first'")
        self.assertEqual(parent.call(first).value, "first")
        for _ in range(runner.CACHED_BODIES):
            parent.call("def f(): pass")
        parent.send((first, NONE))
        self.assertEqual(parent.frame(), (runner.MISS, runner.NUMBER.pack(first)))
        parent.tell_body(first, "def f(): return 'again'")
        self.assertEqual(parent.reply().value, "again")

    def test_what_is_used_stays(self):
        parent = self.start()
        first = parent.body("def f(): return 1")
        for _ in range(2 * runner.CACHED_BODIES):
            self.assertEqual(parent.call(first).value, 1)
            parent.call("def f(): pass")

    def test_what_fails_to_load_is_tried_again(self):
        parent = self.start()
        number = parent.body("import sys\nif not sys.__dict__.pop('FIXED', ''): raise OSError('not yet')\ndef f(): return 1")
        self.assertEqual(parent.call(number).status, runner.UNLOADABLE)
        parent.call("import sys\ndef f(): sys.FIXED = '1'")
        self.assertEqual(parent.call(number).value, 1)


class CodecTest(ChildCase):
    def test_json(self):
        parent = self.start()
        reply = parent.call("def f(*a, **k): return [a, k]", b'[[1, "\xc3\xa9", null], {"x": [true, 1.5]}]')
        self.assertEqual((reply.value, reply.pickle), ([[1, "\u00e9", None], {"x": [True, 1.5]}], b""))

    def test_pickled_arguments_and_result(self):
        parent = self.start()
        arguments = pickle.dumps(([{1, 2}], {"b": b"\x00"}), 4)
        reply = parent.call("def f(a, b): return (a, b)", arguments, codec=runner.DILL_CODEC)
        self.assertEqual(pickle.loads(reply.pickle), ({1, 2}, b"\x00"))
        self.assertEqual(reply.value, [{"$set": [1, 2]}, {"$bytes": "AA=="}])

    def test_arguments_that_are_none(self):
        parent = self.start()
        number = parent.body("def f(): pass")
        for data, codec in ((b"", 0), (b"{", 0), (b"[1]", 0), (b"[[], []]", 0), (b"\xff", 0), (b"", 1), (b"garbage", 1), (pickle.dumps(3), 1)):
            reply = parent.call(number, data, codec=codec)
            self.assertEqual(reply.status, runner.UNLOADABLE, data)
            self.assertIn("the arguments cannot be loaded", reply.told["message"])

    def test_a_pickled_result_that_cannot_be(self):
        reply = self.start().call("def f(): return (x for x in 'a')", pickle.dumps(((), {})), codec=runner.DILL_CODEC)
        self.assertEqual(reply.status, runner.UNSERIALIZABLE)
        self.assertIn("cannot be pickled", reply.told["message"])
        self.assertIsInstance(pickle.loads(reply.pickle), RuntimeError)

    def test_failures_of_pickled_calls_are_pickles_too(self):
        parent = self.start()
        for text, want in (("def f(): raise KeyError('k')", KeyError("k")), ("class Odd(Exception): pass\ndef f(): raise Odd('x')", RuntimeError("Odd: x"))):
            again = pickle.loads(parent.call(text, pickle.dumps(((), {})), codec=runner.DILL_CODEC).pickle)
            self.assertEqual((type(again), again.args), (type(want), want.args))

    def test_a_large_value_has_only_a_courtesy_of_json(self):
        parent = self.start()
        text = "def f(): return list(range(%d))" % (runner.MAX_SIDE_NODES + 1)
        reply = parent.call(text, pickle.dumps(((), {})), codec=runner.DILL_CODEC)
        self.assertEqual(reply.status, runner.OK)
        self.assertEqual(list(reply.value), ["$repr"])
        self.assertEqual(len(pickle.loads(reply.pickle)), runner.MAX_SIDE_NODES + 1)


class PhaseTest(ChildCase):
    """An error in each phase of a call has its status, says where it was, and leaves the child as it was."""

    PHASES = (
        ("compiling", "def f(:", runner.UNLOADABLE, "SyntaxError", "the function cannot be loaded"),
        ("importing", "import no_such_module_anywhere\ndef f(): pass", runner.UNLOADABLE, "ModuleNotFoundError", "no_such_module_anywhere"),
        ("top level", "raise OSError('top')\ndef f(): pass", runner.UNLOADABLE, "OSError", "top"),
        ("exit at the top level", "import sys\nsys.exit(3)\ndef f(): pass", runner.UNLOADABLE, "SystemExit", "cannot be loaded"),
        ("no entry", "def g(): pass", runner.UNLOADABLE, "LookupError", "no function named 'f'"),
        ("setup", "def setup(): 1 / 0\ndef f(): pass", runner.UNLOADABLE, "ZeroDivisionError", "setup() failed"),
        ("binding", "def f(a): pass", runner.EXCEPTION, "TypeError", "missing 1 required"),
        ("calling", "def f(): raise ValueError('inside')", runner.EXCEPTION, "ValueError", "inside"),
        ("awaiting", "async def f(): raise ValueError('awaited')", runner.EXCEPTION, "ValueError", "awaited"),
        ("interrupt", "def f(): raise KeyboardInterrupt", runner.EXCEPTION, "KeyboardInterrupt", ""),
        ("generator exit", "def f(): raise GeneratorExit('x')", runner.EXCEPTION, "GeneratorExit", "x"),
        ("memory", "def f(): raise MemoryError", runner.EXCEPTION, "MemoryError", ""),
        ("recursion", "def f(): return f()", runner.EXCEPTION, "RecursionError", ""),
        ("result", "def f(): return 'x' * %d" % (2 * LIMIT), runner.TOO_LARGE, "ResultTooLarge", "larger than"),
    )

    def test_each_phase(self):
        parent = self.start()
        for flags in (0, runner.FORKED):
            for name, text, status, kind, message in self.PHASES:
                with self.subTest(name, flags=flags):
                    reply = parent.call(text, flags=flags)
                    self.assertEqual((reply.status, reply.told["type"]), (status, kind))
                    self.assertIn(message, reply.told["message"])
                    self.assertNotIn("faasctl runner", reply.told["traceback"])
                    self.assertEqual((reply.json, reply.repr), (b"", b""))
            self.assertEqual(parent.call("def f(): return 1", flags=flags).value, 1)

    def test_line_numbers_and_source(self):
        told = self.start().call("\n\ndef g(x):\n    return x.missing  # this line\n\ndef f():\n    return g(3)\n").told
        for part in ('File "fn.py", line 7, in f', 'File "fn.py", line 4, in g', "return x.missing  # this line", "AttributeError"):
            self.assertIn(part, told["traceback"])


class SetupTest(ChildCase):
    TEXT = "import os\nran = []\ndef setup(): ran.append(os.getpid())\ndef f(): return [len(ran), ran[0] == os.getpid()]\n"

    def loading(self, parent):
        kind, payload = parent.frame()
        self.assertEqual(kind, runner.LOAD)
        return runner.LOADING.unpack(payload)

    def test_it_is_told_and_runs_once(self):
        parent = self.start()
        number = parent.body(self.TEXT)
        tag, = parent.send((number, NONE))
        self.assertEqual((self.loading(parent), self.loading(parent)), ((tag, 1), (tag, 0)))
        self.assertEqual(parent.reply().value, [1, True])
        self.assertEqual(parent.call(number).value, [1, True])

    def test_in_forks_it_ran_before(self):
        parent = self.start()
        number = parent.body(self.TEXT)
        tag, = parent.send((number, NONE), flags=runner.FORKED)
        self.assertEqual((self.loading(parent), self.loading(parent)), ((tag, 1), (tag, 0)))
        self.assertEqual(parent.reply().value, [1, False])
        self.assertEqual(parent.call(number, flags=runner.FORKED).value, [1, False])

    def test_its_time_is_not_the_call_s(self):
        parent = self.start()
        parent.send((parent.body("import time\ndef setup(): time.sleep(0.5)\ndef f(): pass"), NONE))
        self.loading(parent), self.loading(parent)
        self.assertLess(parent.reply().ns, 400e6)

    def test_it_runs_again_after_it_failed(self):
        parent = self.start()
        number = parent.body("import sys\ndef setup():\n    if not sys.__dict__.pop('READY', ''): raise OSError('not yet')\ndef f(): return 1")
        for ready in (False, True):
            if ready:
                parent.call("import sys\ndef f(): sys.READY = '1'")
            parent.send((number, NONE))
            self.loading(parent), self.loading(parent)
            self.assertEqual(parent.reply().status, runner.OK if ready else runner.UNLOADABLE)

    def test_preloaded_modules(self):
        parent = self.start(preload=["wave", "no_such_module_anywhere", "email.mime.text"])
        self.assertEqual(list(parent.hello["lacking"]), ["no_such_module_anywhere"])
        self.assertIn("ModuleNotFoundError", parent.hello["lacking"]["no_such_module_anywhere"])
        text = "import sys\nhas = [m in sys.modules for m in ('wave', 'email.mime.text')]\ndef f(): return has"
        self.assertEqual(parent.call(text).value, [True, True])


class ForkTest(ChildCase):
    COUNT = "import os\nloaded = os.getpid()\nn = 0\ndef f():\n    global n\n    n += 1\n    return [n, loaded, os.getpid()]"

    def test_each_call_has_a_process_that_has_only_loaded(self):
        parent = self.start()
        number = parent.body(self.COUNT)
        seen = [parent.call(number, flags=runner.FORKED).value for _ in range(5)]
        self.assertEqual([n for n, _, _ in seen], [1] * 5)
        self.assertEqual({loaded for _, loaded, _ in seen}, {parent.process.pid})
        self.assertEqual(len({pid for _, _, pid in seen}), 5)
        self.assertEqual(parent.call(number).value[0], 1)

    def test_forks_leave_no_processes_and_no_descriptors(self):
        parent = self.start()
        fds = parent.body("import os\ndef f(): return len(os.listdir('/proc/self/fd'))")
        before = parent.call(fds).value
        for _ in range(20):
            parent.call("def f(): pass", flags=runner.FORKED)
        self.assertEqual(parent.call(fds).value, before)
        with open("/proc/%d/task/%d/children" % (parent.process.pid, parent.process.pid)) as file:
            self.assertEqual(file.read(), "")

    def test_a_death_is_told_with_its_status(self):
        parent = self.start()
        for text, check in (
            ("import os\ndef f(): os._exit(7)", lambda s: os.WIFEXITED(s) and os.WEXITSTATUS(s) == 7),
            ("import os\ndef f(): os._exit(0)", lambda s: s == 0),
            ("import os\ndef f(): os.kill(os.getpid(), 9)", lambda s: os.WIFSIGNALED(s) and os.WTERMSIG(s) == 9),
            ("import os\ndef f(): os.abort()", lambda s: os.WIFSIGNALED(s) and os.WTERMSIG(s) == signal.SIGABRT),
        ):
            reply = parent.call(text, flags=runner.FORKED)
            self.assertEqual(reply.status, runner.DIED, text)
            self.assertTrue(check(reply.told["wait"]), (text, reply.told))
            self.assertEqual(parent.call("def f(): return 1", flags=runner.FORKED).value, 1)

    def test_what_a_fork_forges_is_not_believed(self):
        parent = self.start()
        result = runner.RESULT.pack(1 << 30, 0, 0, 0, 1, 1, 0, 1, 0) + b"11"
        for name, data, why in (
            ("garbage", b"x" * 100, "no frame"),
            ("kind", runner.HEADER.pack(b"fx", runner.HELLO, 1, 0, 0), "no frame"),
            ("length", runner.HEADER.pack(b"fx", runner.DONE, 1, 0xFFFFFFFF, 0), "a frame of"),
            ("checksum", runner.HEADER.pack(b"fx", runner.DONE, 1, 1, 7) + b"z", "checksum"),
            ("tag", runner.HEADER.pack(b"fx", runner.DONE, 1, len(result), zlib.crc32(result)) + result, "no call that runs"),
            ("short", runner.HEADER.pack(b"fx", runner.DONE, 1, 4, zlib.crc32(b"abcd")) + b"abcd", "no call that runs"),
        ):
            reply = parent.call("import os, time\ndef f():\n    os.write(4, %r)\n    time.sleep(60)" % data, flags=runner.FORKED)
            self.assertEqual(reply.status, runner.DIED, name)
            self.assertIn(why, reply.told["message"])

    def test_a_fork_cannot_read_calls_or_write_to_the_parent(self):
        text = "import os\ndef f():\n    try:\n        os.fstat(3)\n        return 'open'\n    except OSError:\n        return os.fstat(4).st_ino\n"
        parent = self.start()
        ours = parent.call("import os\ndef f(): return os.fstat(4).st_ino").value
        self.assertNotIn(parent.call(text, flags=runner.FORKED).value, ("open", ours))

    def test_output_is_whose_it_is(self):
        parent = self.start()
        number = parent.body("import sys\nsys.stdout.write('loading ')\ndef f(n):\n    sys.stdout.write('call %d' % n)")
        parent.send(*[(number, json.dumps([[i], {}]).encode()) for i in range(3)], flags=runner.FORKED)
        for want in ("loading call 0", "call 1", "call 2"):
            parent.reply()
            self.assertEqual(parent.said(), (want, ""))

    def test_a_cancel_is_the_call_s_alone(self):
        parent = self.start()
        text = "import signal, time\nended = []\ndef f():\n    signal.signal(15, lambda *_: ended.append(1))\n    print('here', flush=True)\n    while not ended: time.sleep(0.01)\n    return 'polite'"
        parent.send((parent.body(text), NONE), flags=runner.FORKED)
        while b"here" not in parent.printed[parent.out]:
            parent.printed[parent.out] += os.read(parent.out, 100)
        os.killpg(parent.process.pid, signal.SIGTERM)
        self.assertEqual(parent.reply().value, "polite")


class StageTest(ChildCase):
    def test_everything_printed_is_there_before_the_result(self):
        parent = self.start()
        for text, want in (
            ("def f(): print('no newline', end='')", ("no newline", "")),
            ("import sys\ndef f():\n    print('out')\n    print('err', file=sys.stderr)", ("out\n", "err\n")),
            ("import os\ndef f():\n    os.write(1, b'raw'); os.write(2, b'bytes')", ("raw", "bytes")),
            ("import subprocess\ndef f(): subprocess.call(['echo', 'child'])", ("child\n", "")),
            ("import ctypes\ndef f(): ctypes.CDLL(None).puts(b'from C')", ("from C\n", "")),
            ("def f(): print('\\ud800 \\u2603')", ("\\ud800 \u2603\n", "")),
        ):
            for flags in (0, runner.FORKED):
                reply = parent.call(text, flags=flags)
                self.assertEqual(reply.status, runner.OK, reply.told)
                self.assertTrue(reply.flags & runner.PENDING)
                self.assertEqual(parent.said(), want)

    def test_a_silent_call_asks_for_nothing(self):
        self.assertEqual(self.start().call("def f(): pass").flags, 0)

    def test_a_call_waits_until_the_one_before_was_read(self):
        parent = self.start()
        loud = parent.body("def f(n): print('call', n)")
        tags = parent.send(*[(loud, json.dumps([[i], {}]).encode()) for i in range(3)])
        for i in range(len(tags)):
            kind, payload = parent.frame()
            self.assertTrue(Reply(payload).flags & runner.PENDING)
            self.assertEqual(select.select([parent.results], [], [], 0.05)[0], [])
            self.assertEqual(parent.said(), ("call %d\n" % i, ""))
            parent.write(runner.ACK)

    def test_what_a_call_did_to_its_surroundings_is_undone(self):
        parent = self.start()
        check = parent.body(
            "import os, signal, sys\n"
            "def f():\n"
            "    print('still here')\n"
            "    print('and here', file=sys.stderr)\n"
            "    return [sys.stdout is sys.__stdout__, sys.stdin.read(), signal.getsignal(15) == signal.SIG_DFL, signal.alarm(0), sys.getrecursionlimit()]\n")
        before = parent.call(check).value
        self.assertEqual(parent.said(), ("still here\n", "and here\n"))
        for harm in (
            "sys.stdout = io.StringIO()", "sys.stdout.close()", "sys.stderr.close()", "os.close(1)", "os.close(2)", "os.dup2(2, 1)", "sys.stdout = None",
            "sys.__stdout__ = sys.__stderr__ = None", "signal.signal(15, signal.SIG_IGN)", "signal.signal(2, signal.SIG_IGN)", "signal.alarm(60)",
            "sys.setrecursionlimit(77)", "sys.stdin = None", "sys.stdout.detach()",
            "json.dumps = json.loads = None", "time.perf_counter = os.getpid", "os.chdir('/tmp')",
        ):
            with self.subTest(harm):
                self.assertEqual(parent.call("import io, json, os, signal, sys, time\ndef f(): %s" % harm).status, runner.OK)
                parent.said()
                self.assertEqual(parent.call(check).value, before)
                self.assertEqual(parent.said(), ("still here\n", "and here\n"))

    def test_each_call_finds_its_directory_empty_and_its_variables(self):
        with tempfile.TemporaryDirectory() as top:
            work, other = os.path.join(top, "work"), os.path.join(top, "other")
            os.mkdir(work), os.mkdir(other)
            open(os.path.join(other, "precious"), "w").close()
            parent = self.start(work=work)
            check = parent.body("import os\ndef f(): return [os.getcwd(), os.listdir('.'), os.listdir(os.getcwd()), sorted(os.environ), os.environ['HOME']]")
            before = parent.call(check).value
            self.assertEqual(before[:3], [os.path.realpath(work), [], []])
            for harm in (
                "open('file', 'w').close()", "os.makedirs('a/b/c'); open('a/b/c/file', 'w').close()", "os.symlink(%r, 'link')" % other,
                "os.makedirs('a/b'); os.symlink(%r, 'a/b/link'); os.link(%r, 'a/hard')" % (other, other + "/precious"),
                "os.chdir('/')", "os.mkdir('below'); os.chdir('below')", "os.rmdir(%r)" % work, "os.rename(%r, %r)" % (work, top + "/away%d" % os.getpid()),
                "os.rmdir(%r); os.symlink(%r, %r)" % (work, other, work), "os.rmdir(%r); open(%r, 'w').close()" % (work, work),
                "os.environ['NEW'] = 'x'", "os.environ.clear()", "os.environ['HOME'] = '/nowhere'; os.environ = {}", "os.unsetenv('HOME'); del os.environ['HOME']",
            ):
                with self.subTest(harm):
                    self.assertEqual(parent.call("import os\ndef f(): %s" % harm).status, runner.OK)
                    self.assertEqual(parent.call(check).value, before)
                    self.assertEqual(os.listdir(other), ["precious"])
            parent.send((parent.body("import os\ndef f(): open('file', 'w').close()"), NONE), flags=runner.FORKED)
            self.assertEqual(parent.reply().status, runner.OK)
            self.assertEqual(parent.call(check).value, before)

    def test_what_loading_does_to_the_variables_stays(self):
        parent = self.start()
        number = parent.body("import os\nos.environ['THREADS'] = '1'\ndef setup(): os.environ['MODEL'] = 'm'\ndef f(): return [os.environ.get('THREADS'), os.environ.get('MODEL'), os.environ.pop('MODEL')]")
        for _ in range(2):
            self.assertEqual(parent.call(number).value, ["1", "m", "m"])

    def test_variables_are_lent(self):
        parent = self.start()
        text = "import os\nAT_LOAD = os.environ.get('KEY')\nos.environ['KEPT'] = 'k'\ndef f(): return [AT_LOAD, os.environ.pop('KEY', None), os.environ.get('KEPT'), os.environ.get('LANG')]"
        before = parent.call("import os\ndef f(): return sorted(os.environ)").value
        parent.write(runner.ENV, json.dumps({"KEY": "one", "LANG": "xx"}).encode())
        lent = parent.body(text)
        for _ in range(2):
            self.assertEqual(parent.call(lent).value, ["one", "one", "k", "xx"])
        parent.write(runner.ENV, json.dumps({"KEY": "two"}).encode())
        self.assertEqual(parent.call("import os\ndef f(): return os.environ['KEY']").value, "two")
        parent.write(runner.ENV, b"{}")
        self.assertEqual(parent.call("import os\ndef f(): return sorted(os.environ)").value, sorted(set(before) | {"KEPT"}))
        self.assertEqual(parent.call("import os\ndef f(): return os.environ.get('LANG')").value, os.environ.get("LANG"))

    def test_without_a_directory_of_its_own_nothing_is_removed(self):
        with tempfile.TemporaryDirectory() as top:
            parent = self.start()
            parent.call("import os\ndef f(): os.chdir(%r); open('file', 'w').close()" % top)
            parent.call("def f(): pass")
            self.assertEqual(os.listdir(top), ["file"])

    def test_limits_are_put_in_force_and_taken_back(self):
        parent = self.start()
        check = parent.body("import resource\ndef f(): return [resource.getrlimit(k) for k in (resource.RLIMIT_DATA, resource.RLIMIT_NPROC, resource.RLIMIT_CORE)]")
        before = parent.call(check).value
        self.assertEqual(before[2], [0, 0])
        parent.write(runner.LIMIT, runner.LIMITS.pack(1 << 31, 500))
        self.assertEqual([soft for soft, _ in parent.call(check).value], [1 << 31, 500, 0])
        self.assertEqual(parent.call("def f(): return len(bytearray(3 << 30))").told["type"], "MemoryError")
        parent.write(runner.LIMIT, runner.LIMITS.pack((1 << 64) - 1, (1 << 64) - 1))
        self.assertEqual(parent.call(check).value, before)

    def test_a_fork_of_the_function_does_not_answer(self):
        parent = self.start()
        self.assertTrue(parent.call("import os\ndef f(): return os.fork() > 0").value)
        self.assertEqual(parent.call("def f(): return 1").value, 1)

    def test_a_function_inherits_no_pipes(self):
        text = "import os, subprocess\ndef f(): return len(subprocess.check_output(['ls', '/proc/self/fd']).split())"
        self.assertLessEqual(self.start().call(text).value, 4)  # three, and the one of ls

    def test_functions_have_a_main_of_their_own(self):
        text = "import __main__, sys\ndef f(): return [hasattr(__main__, 'Child'), sys.argv]"
        self.assertEqual(self.start().call(text).value, [False, [""]])


if __name__ == "__main__":
    unittest.main()
