"""Tests of runner.py's own functions: python3 -m unittest, in this folder.

They need no dill; those about dill are skipped without it.
"""
import collections
import datetime
import decimal
import enum
import io
import json
import mmap
import os
import pickle
import random
import signal
import struct
import subprocess
import sys
import threading
import unittest
import uuid
import zlib

import runner

try:
    import dill
except ImportError:
    dill = None

LIMIT = 8 << 20


class Colour(enum.IntEnum):
    RED = 1


class Hostile:
    def __repr__(self):
        raise KeyboardInterrupt


class HostileDict(dict):
    def items(self):
        raise RuntimeError

    def __iter__(self):
        raise RuntimeError


Point = collections.namedtuple("Point", "x y")


def some_value(rng, depth=4):
    """A random value of the kinds that functions return."""
    atoms = (
        lambda: None, lambda: rng.random() < 0.5, lambda: rng.randrange(-10, 10), lambda: rng.getrandbits(rng.randrange(1, 90)) - 2**63,
        lambda: rng.uniform(-1e9, 1e9), lambda: rng.choice((0.0, -0.0, 1e308, 5e-324, float("inf"))), lambda: "".join(map(chr, rng.sample(range(1, 0xD000), 5))),
        lambda: bytes(rng.sample(range(256), 4)), lambda: complex(rng.random(), 1), lambda: rng.choice(PicklingTest.VALUES),
    )
    if depth == 0 or rng.random() < 0.3:
        return rng.choice(atoms)()
    some = [some_value(rng, depth - 1) for _ in range(rng.randrange(4))]
    names = ["".join(rng.sample("abcdef\u00e9\u2603", 3)) for _ in some]
    return rng.choice((list, tuple, lambda v: dict(zip(names, v)), lambda v: dict(enumerate(v)), lambda v: [v, v]))(some)


class ProjectionTest(unittest.TestCase):
    def project(self, value, limit=LIMIT, nodes=1 << 62):
        data = runner.project(value, limit, nodes)

        def refuse(name):
            raise AssertionError("not strict: " + name)
        return json.loads(data.decode(), parse_constant=refuse)

    def test_natives_are_themselves(self):
        for value in (None, True, False, 0, -1, 1.5, 1e300, "", "é\u2603\n\"", [], {}, [1, [2, {"a": None}]], {"k": {"l": [True]}}):
            self.assertEqual(self.project(value), value)
            self.assertIs(type(self.project(value)), type(value))

    def test_quick_and_exact_ways_agree(self):
        for value in (None, 1, 1.5, "é\x00\\\"", [1, (2, 3)], {"a": [1, {"b": ()}]}, [[], {}, ""], True, -0.0, 1e-7, 2**63):
            self.assertTrue(runner.Plain(LIMIT, 1000).check(value), value)
            self.assertEqual(runner.project(value, LIMIT), runner.Projection(LIMIT, 1000).text(value).encode())

    def test_random_values_in_both_ways(self):
        rng = random.Random(7)
        for _ in range(2000):
            value = some_value(rng)
            self.assertEqual(runner.project(value, LIMIT), runner.Projection(LIMIT, 1 << 20).text(value).encode(), repr(value))
        for value in (2**64 - 1, 1 - 2**64, 2**64, -2**64, True, False, None):
            self.assertEqual(runner.project(value, LIMIT), runner.Projection(LIMIT, 10).text(value).encode())
            with self.assertRaises(runner.TooLarge):
                runner.project(value, 1)

    def test_what_json_would_coerce(self):
        self.assertEqual(self.project({1: "a"}), {"$map": [[1, "a"]]})
        self.assertEqual(self.project({"a": 1, None: 2}), {"$map": [["a", 1], [None, 2]]})
        self.assertEqual(self.project([{True: []}]), [{"$map": [[True, []]]}])
        self.assertEqual(self.project({(1, 2): {3}}), {"$map": [[[1, 2], {"$set": [3]}]]})

    def test_floats_that_are_no_numbers(self):
        nan = float("nan")
        self.assertEqual(self.project([nan, float("inf"), -float("inf")]), [{"$float": "nan"}, {"$float": "inf"}, {"$float": "-inf"}])
        self.assertEqual(self.project({"x": nan}), {"x": {"$float": "nan"}})

    def test_other_types(self):
        moment = datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
        for value, want in (
            ((1, (2,)), [1, [2]]), (Point(1, 2), [1, 2]), ({3, 1, 2}, {"$set": [1, 2, 3]}), (frozenset("a"), {"$set": ["a"]}),
            (b"\x00\xff", {"$bytes": "AP8="}), (bytearray(b"a"), {"$bytes": "YQ=="}), (Colour.RED, 1),
            (collections.OrderedDict(a=1), {"a": 1}), (moment, "2024-01-02T03:04:05+00:00"), (moment.date(), "2024-01-02"),
            (datetime.time(1, 2), "01:02:00"), (1 + 2j, {"$repr": "(1+2j)"}), (decimal.Decimal("1.5"), {"$repr": "Decimal('1.5')"}),
            (int, {"$repr": "<class 'int'>"}),
        ):
            self.assertEqual(self.project(value), want)

    def test_nothing_makes_it_fail(self):
        deep = []
        for _ in range(100_000):
            deep = [deep]
        cycle = {"a": []}
        cycle["a"].append(cycle)
        for value in (deep, cycle, "\ud800", {"\ud800": 1}, 10**5000, -10**4200, [1 << 9999999], Hostile(), HostileDict(a=1), [HostileDict(a=1)], range(3), (x for x in "a"), object):
            self.project(value)
        self.assertEqual(self.project(cycle), {"a": [{"$repr": "{...}"}]})
        self.assertEqual(self.project("\ud800"), {"$repr": r"'\ud800'"})
        self.assertEqual(self.project(Hostile()), {"$repr": "<Hostile: its repr failed: KeyboardInterrupt>"})

    def test_the_same_object_twice_is_no_cycle(self):
        shared = [1]
        self.assertEqual(self.project([shared, shared, {2: shared}]), [[1], [1], {"$map": [[2, [1]]]}])

    def test_large_integers_stay_exact(self):
        for value in (2**64, -2**70, 10**300, 10**2000):
            self.assertEqual(self.project(value), value)

    def test_size_is_bounded(self):
        bomb = []
        for _ in range(64):
            bomb = [bomb, bomb]
        for value in ("x" * 101, ["x" * 50, "x" * 50], b"x" * 100, {i: i for i in range(100)}, list(range(60)), bomb, {"a": bomb, 1: 2}, [["x" * 90] * 10**6] * 10**6):
            with self.assertRaises(runner.TooLarge):
                runner.project(value, 100)
        self.assertEqual(runner.project("x" * 98, 100), b'"' + b"x" * 98 + b'"')
        with self.assertRaises(runner.TooLarge):
            runner.project("é" * 60, 100)
        with self.assertRaises(runner.TooLarge):
            runner.project({i: i for i in range(1000)}, LIMIT, 100)


class ReprTest(unittest.TestCase):
    def test_small_ones_are_python_s(self):
        for value in (1, "a", b"b", [1, (2,), {"a": {3}}, frozenset([1])], (), {}, set(), [[]], frozenset(), {"k": (1, 2)}):
            self.assertEqual(runner.safe_repr(value), repr(value))

    def test_bounded_and_safe(self):
        deep = []
        for _ in range(100_000):
            deep = [deep]
        for value in ("x" * 10**6, ["x" * 10**6] * 10**6, list(range(10**6)), {i: i for i in range(10**5)}, deep, 10**9999, "\u2603" * 5000, "\ud800", Hostile()):
            text = runner.safe_repr(value)
            self.assertLessEqual(len(text.encode("utf-8", "backslashreplace")), runner.MAX_REPR)

    def test_clip(self):
        self.assertEqual(runner.clip("abc", 3), "abc")
        self.assertEqual(runner.clip("é" * 10, 8), "éé\u2026")
        runner.clip("\ud800" * 3, 100).encode()


def plain(x):
    return x


class PicklingTest(unittest.TestCase):
    VALUES = (
        None, True, 3, 10**40, 1.5, float("inf"), "é", b"\x00", [1, [2]], (1, (2,)), {"a": {1: 2}}, {1, 2}, frozenset([3]), 1 + 2j,
        Colour.RED, Point(1, 2), datetime.datetime(2024, 1, 2), decimal.Decimal("1.5"), uuid.UUID(int=5), collections.Counter("aab"),
        collections.OrderedDict(a=1), range(4), slice(1, 2), bytearray(b"x"), ValueError("a", 1), int, len, plain, Point, Ellipsis, NotImplemented,
    )

    def test_round_trips(self):
        for value in self.VALUES:
            again = runner.load(runner.dump(value, LIMIT))
            self.assertEqual(repr(again), repr(value))
            self.assertIs(type(again), type(value))

    def test_identity_and_cycles_survive(self):
        shared = [1]
        a, b = runner.load(runner.dump([shared, shared], LIMIT))
        self.assertIs(a, b)
        cycle = []
        cycle.append(cycle)
        again = runner.load(runner.dump(cycle, LIMIT))
        self.assertIs(again[0], again)

    def test_limit(self):
        for value in (b"x" * 200, "x" * 200, list(range(200)), [b"x" * 100_000] * 3):
            with self.assertRaises(runner.TooLarge):
                runner.dump(value, 100)

    def test_what_cannot_be_pickled(self):
        for value in ((x for x in "a"), [sys._getframe()]):
            with self.assertRaises(Exception):
                runner.dump(value, LIMIT)

    def test_importable(self):
        self.assertTrue(runner.importable(plain) and runner.importable(Point) and runner.importable(json.JSONEncoder.encode))
        self.assertFalse(runner.importable(lambda: 0))
        scope = {"__name__": "__main__"}
        exec("def f(): pass", scope)
        self.assertFalse(runner.importable(scope["f"]))


@unittest.skipIf(dill is None, "dill is not installed")
class DillTest(unittest.TestCase):
    def setUp(self):
        runner.dill = dill
        self.addCleanup(setattr, runner, "dill", None)

    def by_value(self, text, name):
        scope = {"__name__": "__main__"}
        exec(text, scope)
        return scope[name]

    def test_quick_pickles_equal_dill_s(self):
        for value in PicklingTest.VALUES:
            ours = runner.load(runner.dump(value, LIMIT))
            theirs = dill.loads(dill.dumps(value))
            self.assertEqual(repr(ours), repr(theirs))
            self.assertEqual(repr(dill.loads(runner.dump(value, LIMIT))), repr(theirs))
            self.assertEqual(repr(runner.load(dill.dumps(value))), repr(theirs))

    def test_random_values_as_dill_does(self):
        rng = random.Random(11)
        for _ in range(500):
            value = some_value(rng)
            ours, theirs = runner.dump(value, LIMIT), dill.dumps(value)
            want = repr(dill.loads(theirs))
            self.assertEqual(repr(runner.load(ours)), want)
            self.assertEqual(repr(dill.loads(ours)), want)
            self.assertEqual(repr(runner.load(theirs)), want)

    def test_functions_and_classes_by_value(self):
        add = self.by_value("K = 3\ndef add(a, b=10):\n    return a + b + K\n", "add")
        self.assertEqual(runner.load(runner.dump([add], LIMIT))[0](1), 14)
        self.assertEqual(runner.load(runner.dump(lambda x, y=[5]: x + y[0], LIMIT))(1), 6)
        make = self.by_value("class C:\n    def __init__(self, x): self.x = x\n    def twice(self): return self.x * 2\ndef make(x): return C(x)\n", "make")
        again = runner.load(runner.dump({"c": make(4)}, LIMIT))["c"]
        self.assertEqual((again.twice(), type(again).__name__), (8, "C"))

    def test_what_only_dill_pickles(self):
        for value in (threading.Lock(), plain.__code__, [].append, property(plain)):
            runner.load(runner.dump([value], LIMIT))

    def test_classes_of_a_source_body_travel_by_value(self):
        body = runner.Body({"codec": "source", "entry": "f", "file": "fn.py", "hash": "c0ffee" * 4}, b"class C:\n    x = 1\ndef f():\n    return C()\n")
        data = runner.dump(body.callable()(), LIMIT)
        self.assertIn(body.module, sys.modules)
        code = "import dill, sys; print(dill.loads(bytes.fromhex(sys.argv[1])).x)"
        self.assertEqual(subprocess.check_output([sys.executable, "-c", code, data.hex()], cwd="/").strip(), b"1")


def fail(text, entry="f", file="fn.py", hash="ab" * 32, args=()):
    """Runs a source body that fails; returns the failure."""
    body = runner.Body({"codec": "source", "entry": entry, "file": file, "hash": hash}, text.encode())
    try:
        runner.execute(body, runner.JSON_CODEC, json.dumps([args, {}]).encode(), LIMIT)
    except runner.Failed as failed:
        return failed
    raise AssertionError("did not fail")


class FailureTest(unittest.TestCase):
    def test_traceback_shows_the_user_s_lines_alone(self):
        told = fail("def f():\n    g()\ndef g():\n    return 1 / 0  # here\n").told
        self.assertEqual((told["type"], told["message"]), ("ZeroDivisionError", "division by zero"))
        self.assertIn("return 1 / 0  # here", told["traceback"])
        self.assertEqual(told["traceback"].count("File "), 2)
        self.assertNotIn("runner", told["traceback"])

    def test_two_versions_of_one_file(self):
        first = runner.Body({"codec": "source", "entry": "f", "file": "fn.py", "hash": "1" * 64}, b"def f():\n    raise ValueError('first')\n")
        second = runner.Body({"codec": "source", "entry": "f", "file": "fn.py", "hash": "2" * 64}, b"def f():\n    raise ValueError('second')\n")
        for body in (first, second, first):
            with self.assertRaises(runner.Failed) as caught:
                runner.execute(body, runner.JSON_CODEC, b"[[], {}]", LIMIT)
            told = caught.exception.told
            self.assertIn("raise ValueError('%s')" % told["message"], told["traceback"])

    def test_causes_notes_and_groups(self):
        told = fail("def f():\n    try:\n        {}['k']\n    except KeyError as e:\n        raise OSError('x') from e\n").told
        self.assertIn("The above exception was the direct cause", told["traceback"])
        if sys.version_info >= (3, 11):
            told = fail("def f():\n    e = ExceptionGroup('many', [ValueError('one'), TypeError('two')])\n    e.add_note('a note')\n    raise e\n").told
            for part in ("one", "TypeError: two", "a note"):
                self.assertIn(part, told["traceback"])

    def test_own_class_has_no_private_module_in_its_name(self):
        told = fail("class Odd(Exception): pass\ndef f():\n    raise Odd('x')\n").told
        self.assertEqual(told["type"], "Odd")
        self.assertNotIn(runner.PRIVATE, told["traceback"])

    def test_exit_statuses(self):
        for call, status in (("sys.exit()", 0), ("sys.exit(3)", 3), ("sys.exit('text')", 1), ("sys.exit(256 + 7)", 7)):
            told = fail("import sys\ndef f():\n    %s\n" % call).told
            self.assertEqual((told["type"], told["exit"]), ("SystemExit", status))

    def test_bounds_and_hostile_messages(self):
        told = fail("def f():\n    raise ValueError('x' * 10**6)\n").told
        self.assertLessEqual(len(told["message"].encode()), runner.MAX_MESSAGE)
        self.assertLessEqual(len(told["traceback"].encode()), runner.MAX_TRACEBACK)
        told = fail("class E(Exception):\n    def __str__(self): raise SystemExit\ndef f():\n    raise E\n").told
        self.assertIn("cannot be shown", told["message"])
        told = fail("def f(): raise ValueError('\\ud800')\n").told
        runner.encode_ascii(told)

    def test_unloadable(self):
        failed = fail("import no_such_module\n")
        self.assertEqual(failed.status, runner.UNLOADABLE)
        self.assertIn("no_such_module", failed.told["message"])
        self.assertIn("Python %d.%d" % sys.version_info[:2], failed.told["message"])
        self.assertIn("no function named 'f'", fail("x = 1\n").told["message"])
        self.assertIn("function", fail("f = 3\n").told["message"])

    def test_a_body_that_could_not_be_loaded_is_tried_again(self):
        body = runner.Body({"codec": "source", "entry": "f", "file": "fn.py", "hash": "3" * 64}, b"import os\nif not os.environ.pop('FIXED', ''): raise OSError\ndef f(): return 1\n")
        with self.assertRaises(runner.Failed):
            body.callable()
        os.environ["FIXED"] = "1"
        self.assertEqual(body.callable()(), 1)

    def test_exception_pickles_load_anywhere(self):
        class Odd(Exception):
            pass
        for error, want in (
            (ValueError("a", 7), ValueError("a", 7)), (KeyError("k"), KeyError("k")), (SystemExit(3), SystemExit(3)),
            (UnicodeDecodeError("utf-8", b"x", 0, 1, "y"), UnicodeDecodeError("utf-8", b"x", 0, 1, "y")),
            (Odd("x"), RuntimeError("Odd: x")), (ValueError(Odd("x")), RuntimeError("ValueError: x")), (ValueError(Point(1, 2)), RuntimeError("ValueError: Point(x=1, y=2)")),
            (ValueError(len), ValueError(len)), (ValueError("x" * (2 << 20)), None),
        ):
            again = pickle.loads(runner.exception_pickle(error, type(error).__name__, runner.clip(runner.message_of(error), runner.MAX_MESSAGE)))
            self.assertEqual((type(again), again.args), (type(want), want.args) if want else (RuntimeError, again.args))


class DescriptionTest(unittest.TestCase):
    def raised(self, text):
        body = runner.Body({"codec": "source", "entry": "f", "file": "fn.py", "hash": "6" * 64}, text.encode())
        with self.assertRaises(runner.Failed) as caught:
            runner.execute(body, runner.JSON_CODEC, b"[[], {}]", LIMIT)
        told = caught.exception.told["exception"]
        json.dumps(told)
        return told

    def frames(self, told):
        return [(f["file"], f["line"], f["function"].split(".")[-1], f["source"]) for f in told["frames"]]

    def test_frames_with_source(self):
        told = self.raised("def g(x):\n    return 1 / x\ndef f():\n    return g(0)\n")
        self.assertEqual((told["type"], told["message"]), ("ZeroDivisionError", "division by zero"))
        self.assertEqual(self.frames(told), [("fn.py", 4, "f", "return g(0)"), ("fn.py", 2, "g", "return 1 / x")])
        self.assertNotIn("cause", told)
        self.assertNotIn("context", told)

    def test_causes_and_contexts(self):
        told = self.raised("def f():\n    try:\n        {}['k']\n    except KeyError as e:\n        raise ValueError('v') from e\n")
        self.assertEqual((told["cause"]["type"], self.frames(told["cause"])), ("KeyError", [("fn.py", 3, "f", "{}['k']")]))
        self.assertNotIn("context", told)
        told = self.raised("def f():\n    try:\n        {}['k']\n    except KeyError:\n        raise ValueError('v')\n")
        self.assertEqual(told["context"]["type"], "KeyError")
        told = self.raised("def f():\n    try:\n        {}['k']\n    except KeyError:\n        raise ValueError('v') from None\n")
        self.assertFalse({"cause", "context"} & set(told))

    def test_a_circle_ends(self):
        told = self.raised("def f():\n    a, b = ValueError('a'), ValueError('b')\n    a.__cause__, b.__cause__ = b, a\n    raise a\n")
        self.assertEqual((told["message"], told["cause"]["message"]), ("a", "b"))
        self.assertNotIn("cause", told["cause"])

    def test_deep_recursion_keeps_its_ends(self):
        told = self.raised("def g(n):\n    if n == 0: raise ValueError\n    g(n - 1)\ndef f():\n    g(300)\n")
        self.assertEqual(len(told["frames"]) + told["cut"], 302)
        self.assertLessEqual(len(told["frames"]), 40)
        self.assertEqual((told["frames"][0]["line"], told["frames"][-1]["source"]), (5, "if n == 0: raise ValueError"))

    def test_many_causes(self):
        told = self.raised("def f():\n    e = None\n    for i in range(1000):\n        n = ValueError('x' * 100000)\n        n.__cause__, e = e, n\n    raise e\n")
        depth = 0
        while told:
            depth, told = depth + 1, told.get("cause")
        self.assertEqual(depth, 20)

    def test_syntax_error_says_where(self):
        told = self.raised("def f():\n    return (\n")
        self.assertEqual(told["type"], "SyntaxError")
        self.assertEqual((told["frames"][-1]["file"], told["frames"][-1]["source"][:6]), ("fn.py", "return"))

    @unittest.skipIf(sys.version_info < (3, 11), "notes and groups are of Python 3.11")
    def test_notes_and_groups(self):
        told = self.raised("def f():\n    e = ValueError('v')\n    e.add_note('look here')\n    raise ExceptionGroup('several', [e, TypeError('t')])\n")
        self.assertEqual((told["type"], [e["type"] for e in told["group"]], told["more"]), ("ExceptionGroup", ["ValueError", "TypeError"], 0))
        self.assertEqual(told["group"][0]["notes"], ["look here"])
        told = self.raised("def f():\n    raise ExceptionGroup('many', [ValueError(i) for i in range(100)])\n")
        self.assertEqual((len(told["group"]), told["more"]), (19, 81))

    def test_traps(self):
        class Trap(Exception):
            def __getattribute__(self, name):
                raise KeyboardInterrupt
        self.assertIsNone(runner.described(Trap()))
        self.assertIn("cannot be shown", runner.traceback_text(Trap()))


class CallTest(unittest.TestCase):
    def run_source(self, text, args=(), kwargs=None):
        body = runner.Body({"codec": "source", "entry": "f", "file": "fn.py", "hash": "4" * 64}, text.encode())
        return json.loads(runner.execute(body, runner.JSON_CODEC, json.dumps([args, kwargs or {}]).encode(), LIMIT)[0])

    def test_arguments_and_module(self):
        self.assertEqual(self.run_source("def f(a, *b, c=1): return [a, b, c]\n", [1, 2], {"c": 3}), [1, [2], 3])
        self.assertTrue(self.run_source("import sys\ndef f(): return __name__.startswith('_faasctl_') and sys.modules[__name__].f is f\n"))
        self.assertEqual(self.run_source("from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\ndef f(): return P(1).x\n"), 1)
        self.assertEqual(self.run_source("# -*- coding: latin-1 -*-\ndef f(): return 1\n"), 1)

    def test_async(self):
        self.assertEqual(self.run_source("import asyncio\nasync def f(x):\n    await asyncio.sleep(0)\n    return x\n", [5]), 5)
        self.assertEqual(self.run_source("async def g(): return 6\ndef f(): return g()\n"), 6)

    def test_decoding_is_that_of_the_json_module(self):
        for text in ("[[1], {}]", " [[1],{}] ", "[1] x", "", "x", "[", '"\\ud800"', "1e999", "NaN", "-Infinity", "123456789012345678901234567890", "[[]]\n", "{}{}"):
            try:
                want = repr(json.loads(text))
            except ValueError as error:
                want = str(error)
            try:
                got = repr(runner.decoded(text))
            except ValueError as error:
                got = str(error)
            self.assertEqual(got, want, text)

    def test_bad_arguments(self):
        body = runner.Body({"codec": "source", "entry": "f", "file": "fn.py", "hash": "5" * 64}, b"def f(): pass\n")
        for data in (b"", b"{", b"[1]", b"[1, 2]", b"[[], []]", b"\xff"):
            with self.assertRaises(runner.Failed) as caught:
                runner.execute(body, runner.JSON_CODEC, data, LIMIT)
            self.assertEqual(caught.exception.status, runner.UNLOADABLE)


class TaskModuleTest(unittest.TestCase):
    def setUp(self):
        self.module = runner.task_module()
        runner.running.page = self.page = mmap.mmap(-1, runner.NOTES_SIZE)
        self.addCleanup(setattr, runner.running, "page", None)
        self.addCleanup(runner.running.leave)

    def noted(self):
        crc, tag, done, total, length = runner.NOTES.unpack_from(self.page)
        end = runner.NOTES.size + length
        self.assertEqual(crc, zlib.crc32(self.page[4:end]))
        return tag, done, total, self.page[runner.NOTES.size:end].decode()

    def test_who_runs(self):
        self.assertEqual((self.module.task_id(), self.module.attempt()), ("", 0))
        task = uuid.uuid4()
        runner.running.enter(7, 3, task.bytes)
        self.assertEqual((self.module.task_id(), self.module.attempt(), self.module.cancelled()), (str(task), 3, False))
        runner.running.leave()
        self.assertEqual((self.module.task_id(), self.module.attempt()), ("", 0))

    def test_progress_is_the_last_word(self):
        self.module.progress(1, 2, "of no task")
        self.assertEqual(self.page[:4], b"\0\0\0\0")
        runner.running.enter(7, 1, b"")
        self.module.progress(1, 10, "long " * 100)
        tag, done, total, note = self.noted()
        self.assertEqual((tag, done, total), (7, 1, 10))
        self.assertTrue(note.startswith("long long") and len(note.encode()) <= runner.MAX_NOTE, note)
        self.module.progress(True, decimal.Decimal("2.5"), "\u2603\ud800")
        self.assertEqual(self.noted(), (7, 1, 2.5, "\u2603\\ud800"))
        self.module.progress(4)
        self.assertEqual(self.noted(), (7, 4, 0, ""))
        for bad in (float("nan"), float("inf")):
            self.module.progress(bad)
            self.module.progress(1, bad)
        self.assertEqual(self.noted(), (7, 4, 0, ""))
        with self.assertRaises((TypeError, ValueError)):
            self.module.progress("many")

    def test_without_a_page_it_does_no_harm(self):
        runner.running.page = None
        runner.running.enter(7, 1, b"")
        self.module.progress(1)

    def test_cancelled_only_for_those_who_ask(self):
        self.addCleanup(signal.signal, signal.SIGTERM, signal.SIG_DFL)
        self.assertEqual(signal.getsignal(signal.SIGTERM), signal.SIG_DFL)
        elsewhere = threading.Thread(target=self.module.cancelled)
        elsewhere.start()
        elsewhere.join()
        self.assertEqual(signal.getsignal(signal.SIGTERM), signal.SIG_DFL)
        self.assertFalse(self.module.cancelled())
        os.kill(os.getpid(), signal.SIGTERM)
        self.assertTrue(self.module.cancelled())
        runner.running.enter(8, 1, b"")
        self.assertFalse(self.module.cancelled())

    def test_functions_that_use_it_are_pickled_by_name(self):
        sys.modules["faasctl_task"] = self.module
        self.addCleanup(sys.modules.pop, "faasctl_task")
        self.assertIs(pickle.loads(runner.dump(self.module.progress, LIMIT)), self.module.progress)


class FrameTest(unittest.TestCase):
    def setUp(self):
        self.theirs_r, write = os.pipe()
        read, self.theirs_w = os.pipe()
        self.pipes = runner.Pipes(read, write)
        for fd in (self.theirs_r, write, read, self.theirs_w):
            self.addCleanup(os.close, fd)

    def test_round_trip(self):
        for payload in (b"", b"x", b"y" * 200_000):
            sender = threading.Thread(target=self.pipes.send, args=(runner.DONE, payload))
            sender.start()
            data = io.FileIO(self.theirs_r, closefd=False)
            got = b""
            while len(got) < runner.HEADER.size + len(payload):
                got += data.read(1 << 16)
            sender.join()
            self.assertEqual(struct.unpack("<2sBBII", got[:12]), (b"fx", runner.DONE, 1, len(payload), zlib.crc32(payload)))
            writer = threading.Thread(target=os.write, args=(self.theirs_w, got))
            writer.start()
            self.assertEqual(self.pipes.frame(), (runner.DONE, payload))
            writer.join()

    def test_cache_is_bounded_and_asks_again(self):
        child = runner.Child(self.pipes, None, LIMIT)
        description = json.dumps({"codec": "source", "entry": "f", "file": "", "hash": ""}).encode()
        for number in range(1, runner.CACHED_BODIES + 2):
            child.control(runner.BODIES, runner.BODY.pack(number, len(description)) + description + b"def f(): pass")
        self.assertEqual((len(child.bodies), 1 in child.bodies, 2 in child.bodies), (runner.CACHED_BODIES, False, True))
        payload = runner.BODY.pack(1, len(description)) + description + b"x"
        os.write(self.theirs_w, runner.HEADER.pack(b"fx", runner.BODIES, 1, len(payload), zlib.crc32(payload)) + payload)
        self.assertEqual(child.body(1).data, b"x")
        self.assertEqual(os.read(self.theirs_r, 100)[2], runner.MISS)


if __name__ == "__main__":
    unittest.main()
