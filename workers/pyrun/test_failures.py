"""How calls end that have no result."""
import json
import os
import pickle
import sys
import unittest

from runner import protocol, values, pickles, failures, functions
from samples import LIMIT, Point


def fail(text, entry="f", file="fn.py", hash="ab" * 32, args=()):
    """Runs a source body that fails; returns the failure."""
    body = functions.Body({"codec": "source", "entry": entry, "file": file, "hash": hash}, text.encode())
    try:
        functions.execute(body, protocol.JSON_CODEC, json.dumps([args, {}]).encode(), LIMIT)
    except failures.Failed as failed:
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
        first = functions.Body({"codec": "source", "entry": "f", "file": "fn.py", "hash": "1" * 64}, b"def f():\n    raise ValueError('first')\n")
        second = functions.Body({"codec": "source", "entry": "f", "file": "fn.py", "hash": "2" * 64}, b"def f():\n    raise ValueError('second')\n")
        for body in (first, second, first):
            with self.assertRaises(failures.Failed) as caught:
                functions.execute(body, protocol.JSON_CODEC, b"[[], {}]", LIMIT)
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
        self.assertNotIn(pickles.PRIVATE, told["traceback"])

    def test_exit_statuses(self):
        for call, status in (("sys.exit()", 0), ("sys.exit(3)", 3), ("sys.exit('text')", 1), ("sys.exit(256 + 7)", 7)):
            told = fail("import sys\ndef f():\n    %s\n" % call).told
            self.assertEqual((told["type"], told["exit"]), ("SystemExit", status))

    def test_bounds_and_hostile_messages(self):
        told = fail("def f():\n    raise ValueError('x' * 10**6)\n").told
        self.assertLessEqual(len(told["message"].encode()), values.MAX_MESSAGE)
        self.assertLessEqual(len(told["traceback"].encode()), failures.MAX_TRACEBACK)
        told = fail("class E(Exception):\n    def __str__(self): raise SystemExit\ndef f():\n    raise E\n").told
        self.assertIn("cannot be shown", told["message"])
        told = fail("def f(): raise ValueError('\\ud800')\n").told
        values.encode_ascii(told)

    def test_unloadable(self):
        failed = fail("import no_such_module\n")
        self.assertEqual(failed.status, protocol.UNLOADABLE)
        self.assertIn("no_such_module", failed.told["message"])
        self.assertEqual(failed.told["type"], "ModuleNotFoundError")
        self.assertNotIn("ModuleNotFoundError", failed.told["message"])
        alone = str(pickle.loads(failures.failed_pickle(failed)))
        self.assertIn("ModuleNotFoundError: the function cannot be loaded: No module", alone)
        self.assertIn("Python %d.%d" % sys.version_info[:2], alone)
        self.assertIn("no function named 'f'", fail("x = 1\n").told["message"])
        self.assertIn("function", fail("f = 3\n").told["message"])

    def test_a_body_that_could_not_be_loaded_is_tried_again(self):
        body = functions.Body({"codec": "source", "entry": "f", "file": "fn.py", "hash": "3" * 64}, b"import os\nif not os.environ.pop('FIXED', ''): raise OSError\ndef f(): return 1\n")
        with self.assertRaises(failures.Failed):
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
            again = pickle.loads(pickles.exception_pickle(error, type(error).__name__, values.clip(failures.message_of(error), values.MAX_MESSAGE)))
            self.assertEqual((type(again), again.args), (type(want), want.args) if want else (RuntimeError, again.args))


class DescriptionTest(unittest.TestCase):
    def raised(self, text):
        body = functions.Body({"codec": "source", "entry": "f", "file": "fn.py", "hash": "6" * 64}, text.encode())
        with self.assertRaises(failures.Failed) as caught:
            functions.execute(body, protocol.JSON_CODEC, b"[[], {}]", LIMIT)
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
        self.assertIsNone(failures.described(Trap()))
        self.assertIn("cannot be shown", failures.traceback_text(Trap()))


if __name__ == "__main__":
    unittest.main()
