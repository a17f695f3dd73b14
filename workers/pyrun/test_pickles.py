"""Values as pickles. Those about dill are skipped without it."""
import code
import json
import random
import subprocess
import sys
import threading
import unittest

from runner import values, pickles, functions
from samples import LIMIT, Point, VALUES, plain, some_value

try:
    import dill
except ImportError:
    dill = None


class PicklingTest(unittest.TestCase):
    def test_round_trips(self):
        for value in VALUES:
            again = pickles.load(pickles.dump(value, LIMIT))
            self.assertEqual(repr(again), repr(value))
            self.assertIs(type(again), type(value))

    def test_identity_and_cycles_survive(self):
        shared = [1]
        a, b = pickles.load(pickles.dump([shared, shared], LIMIT))
        self.assertIs(a, b)
        cycle = []
        cycle.append(cycle)
        again = pickles.load(pickles.dump(cycle, LIMIT))
        self.assertIs(again[0], again)

    def test_limit(self):
        for value in (b"x" * 200, "x" * 200, list(range(200)), [b"x" * 100_000] * 3):
            with self.assertRaises(values.TooLarge):
                pickles.dump(value, 100)

    def test_what_cannot_be_pickled(self):
        for value in ((x for x in "a"), [sys._getframe()]):
            with self.assertRaises(Exception):
                pickles.dump(value, LIMIT)

    def test_importable(self):
        self.assertTrue(pickles.importable(plain) and pickles.importable(Point) and pickles.importable(json.JSONEncoder.encode))
        self.assertFalse(pickles.importable(lambda: 0))
        scope = {"__name__": "__main__"}
        exec("def f(): pass", scope)
        self.assertFalse(pickles.importable(scope["f"]))


@unittest.skipIf(dill is None, "dill is not installed")
class DillTest(unittest.TestCase):
    def setUp(self):
        pickles.dill = dill
        self.addCleanup(setattr, pickles, "dill", None)

    def by_value(self, text, name):
        scope = {"__name__": "__main__"}
        exec(text, scope)
        return scope[name]

    def test_quick_pickles_equal_dill_s(self):
        for value in VALUES:
            ours = pickles.load(pickles.dump(value, LIMIT))
            theirs = dill.loads(dill.dumps(value))
            self.assertEqual(repr(ours), repr(theirs))
            self.assertEqual(repr(dill.loads(pickles.dump(value, LIMIT))), repr(theirs))
            self.assertEqual(repr(pickles.load(dill.dumps(value))), repr(theirs))

    def test_random_values_as_dill_does(self):
        rng = random.Random(11)
        for _ in range(500):
            value = some_value(rng)
            ours, theirs = pickles.dump(value, LIMIT), dill.dumps(value)
            want = repr(dill.loads(theirs))
            self.assertEqual(repr(pickles.load(ours)), want)
            self.assertEqual(repr(dill.loads(ours)), want)
            self.assertEqual(repr(pickles.load(theirs)), want)

    def test_functions_and_classes_by_value(self):
        add = self.by_value("K = 3\ndef add(a, b=10):\n    return a + b + K\n", "add")
        self.assertEqual(pickles.load(pickles.dump([add], LIMIT))[0](1), 14)
        self.assertEqual(pickles.load(pickles.dump(lambda x, y=[5]: x + y[0], LIMIT))(1), 6)
        make = self.by_value("class C:\n    def __init__(self, x): self.x = x\n    def twice(self): return self.x * 2\ndef make(x): return C(x)\n", "make")
        again = pickles.load(pickles.dump({"c": make(4)}, LIMIT))["c"]
        self.assertEqual((again.twice(), type(again).__name__), (8, "C"))

    def test_what_only_dill_pickles(self):
        for value in (threading.Lock(), plain.__code__, [].append, property(plain)):
            pickles.load(pickles.dump([value], LIMIT))

    def test_classes_of_a_source_body_travel_by_value(self):
        body = functions.Body({"codec": "source", "entry": "f", "file": "fn.py", "hash": "c0ffee" * 4}, b"class C:\n    x = 1\ndef f():\n    return C()\n")
        data = pickles.dump(body.callable()(), LIMIT)
        self.assertIn(body.module, sys.modules)
        code = "import dill, sys; print(dill.loads(bytes.fromhex(sys.argv[1])).x)"
        self.assertEqual(subprocess.check_output([sys.executable, "-c", code, data.hex()], cwd="/").strip(), b"1")


if __name__ == "__main__":
    unittest.main()
