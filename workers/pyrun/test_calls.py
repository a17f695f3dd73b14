"""Calls of a runner that is a process: codecs, failures in each phase, setup()."""
import pickle
import unittest

from runner import protocol, functions
from parent import ChildCase, LIMIT, NONE


class CodecTest(ChildCase):
    def test_json(self):
        parent = self.start()
        reply = parent.call("def f(*a, **k): return [a, k]", b'[[1, "\xc3\xa9", null], {"x": [true, 1.5]}]')
        self.assertEqual((reply.value, reply.pickle), ([[1, "\u00e9", None], {"x": [True, 1.5]}], b""))

    def test_pickled_arguments_and_result(self):
        parent = self.start()
        arguments = pickle.dumps(([{1, 2}], {"b": b"\x00"}), 4)
        reply = parent.call("def f(a, b): return (a, b)", arguments, codec=protocol.DILL_CODEC)
        self.assertEqual(pickle.loads(reply.pickle), ({1, 2}, b"\x00"))
        self.assertEqual(reply.value, [{"$set": [1, 2]}, {"$bytes": "AA=="}])

    def test_arguments_that_are_none(self):
        parent = self.start()
        number = parent.body("def f(): pass")
        for data, codec in ((b"", 0), (b"{", 0), (b"[1]", 0), (b"[[], []]", 0), (b"\xff", 0), (b"", 1), (b"garbage", 1), (pickle.dumps(3), 1)):
            reply = parent.call(number, data, codec=codec)
            self.assertEqual(reply.status, protocol.UNLOADABLE, data)
            self.assertIn("the arguments cannot be loaded", reply.told["message"])

    def test_a_pickled_result_that_cannot_be(self):
        reply = self.start().call("def f(): return (x for x in 'a')", pickle.dumps(((), {})), codec=protocol.DILL_CODEC)
        self.assertEqual(reply.status, protocol.UNSERIALIZABLE)
        self.assertIn("cannot be pickled", reply.told["message"])
        self.assertIsInstance(pickle.loads(reply.pickle), RuntimeError)

    def test_failures_of_pickled_calls_are_pickles_too(self):
        parent = self.start()
        for text, want in (("def f(): raise KeyError('k')", KeyError("k")), ("class Odd(Exception): pass\ndef f(): raise Odd('x')", RuntimeError("Odd: x"))):
            again = pickle.loads(parent.call(text, pickle.dumps(((), {})), codec=protocol.DILL_CODEC).pickle)
            self.assertEqual((type(again), again.args), (type(want), want.args))

    def test_a_large_value_has_only_a_courtesy_of_json(self):
        parent = self.start()
        text = "def f(): return list(range(%d))" % (functions.MAX_SIDE_NODES + 1)
        reply = parent.call(text, pickle.dumps(((), {})), codec=protocol.DILL_CODEC)
        self.assertEqual(reply.status, protocol.OK)
        self.assertEqual(list(reply.value), ["$repr"])
        self.assertEqual(len(pickle.loads(reply.pickle)), functions.MAX_SIDE_NODES + 1)


class PhaseTest(ChildCase):
    """An error in each phase of a call has its status, says where it was, and leaves the child as it was."""

    PHASES = (
        ("compiling", "def f(:", protocol.UNLOADABLE, "SyntaxError", "the function cannot be loaded"),
        ("importing", "import no_such_module_anywhere\ndef f(): pass", protocol.UNLOADABLE, "ModuleNotFoundError", "no_such_module_anywhere"),
        ("top level", "raise OSError('top')\ndef f(): pass", protocol.UNLOADABLE, "OSError", "top"),
        ("exit at the top level", "import sys\nsys.exit(3)\ndef f(): pass", protocol.UNLOADABLE, "SystemExit", "cannot be loaded"),
        ("no entry", "def g(): pass", protocol.UNLOADABLE, "LookupError", "no function named 'f'"),
        ("setup", "def setup(): 1 / 0\ndef f(): pass", protocol.UNLOADABLE, "ZeroDivisionError", "setup() failed"),
        ("binding", "def f(a): pass", protocol.EXCEPTION, "TypeError", "missing 1 required"),
        ("calling", "def f(): raise ValueError('inside')", protocol.EXCEPTION, "ValueError", "inside"),
        ("awaiting", "async def f(): raise ValueError('awaited')", protocol.EXCEPTION, "ValueError", "awaited"),
        ("interrupt", "def f(): raise KeyboardInterrupt", protocol.EXCEPTION, "KeyboardInterrupt", ""),
        ("generator exit", "def f(): raise GeneratorExit('x')", protocol.EXCEPTION, "GeneratorExit", "x"),
        ("memory", "def f(): raise MemoryError", protocol.EXCEPTION, "MemoryError", ""),
        ("recursion", "def f(): return f()", protocol.EXCEPTION, "RecursionError", ""),
        ("result", "def f(): return 'x' * %d" % (2 * LIMIT), protocol.TOO_LARGE, "ResultTooLarge", "larger than"),
    )

    def test_each_phase(self):
        parent = self.start()
        for flags in (0, protocol.FORKED):
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
        self.assertEqual(kind, protocol.LOAD)
        return protocol.LOADING.unpack(payload)

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
        tag, = parent.send((number, NONE), flags=protocol.FORKED)
        self.assertEqual((self.loading(parent), self.loading(parent)), ((tag, 1), (tag, 0)))
        self.assertEqual(parent.reply().value, [1, False])
        self.assertEqual(parent.call(number, flags=protocol.FORKED).value, [1, False])

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
            self.assertEqual(parent.reply().status, protocol.OK if ready else protocol.UNLOADABLE)

    def test_preloaded_modules(self):
        parent = self.start(preload=["wave", "no_such_module_anywhere", "email.mime.text"])
        self.assertEqual(list(parent.hello["lacking"]), ["no_such_module_anywhere"])
        self.assertIn("ModuleNotFoundError", parent.hello["lacking"]["no_such_module_anywhere"])
        text = "import sys\nhas = [m in sys.modules for m in ('wave', 'email.mime.text')]\ndef f(): return has"
        self.assertEqual(parent.call(text).value, [True, True])


if __name__ == "__main__":
    unittest.main()
