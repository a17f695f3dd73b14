"""Values as JSON and as short text: both ways of making it agree, and its size is bounded."""
import collections
import datetime
import decimal
import json
import random
import unittest

from runner import values
from samples import Colour, Hostile, HostileDict, LIMIT, Point, some_value


class ProjectionTest(unittest.TestCase):
    def project(self, value, limit=LIMIT, nodes=1 << 62):
        data = values.project(value, limit, nodes)

        def refuse(name):
            raise AssertionError("not strict: " + name)
        return json.loads(data.decode(), parse_constant=refuse)

    def test_natives_are_themselves(self):
        for value in (None, True, False, 0, -1, 1.5, 1e300, "", "é\u2603\n\"", [], {}, [1, [2, {"a": None}]], {"k": {"l": [True]}}):
            self.assertEqual(self.project(value), value)
            self.assertIs(type(self.project(value)), type(value))

    def test_quick_and_exact_ways_agree(self):
        for value in (None, 1, 1.5, "é\x00\\\"", [1, (2, 3)], {"a": [1, {"b": ()}]}, [[], {}, ""], True, -0.0, 1e-7, 2**63):
            self.assertTrue(values.Plain(LIMIT, 1000).check(value), value)
            self.assertEqual(values.project(value, LIMIT), values.Projection(LIMIT, 1000).text(value).encode())

    def test_random_values_in_both_ways(self):
        rng = random.Random(7)
        for _ in range(2000):
            value = some_value(rng)
            self.assertEqual(values.project(value, LIMIT), values.Projection(LIMIT, 1 << 20).text(value).encode(), repr(value))
        for value in (2**64 - 1, 1 - 2**64, 2**64, -2**64, True, False, None):
            self.assertEqual(values.project(value, LIMIT), values.Projection(LIMIT, 10).text(value).encode())
            with self.assertRaises(values.TooLarge):
                values.project(value, 1)

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
            with self.assertRaises(values.TooLarge):
                values.project(value, 100)
        self.assertEqual(values.project("x" * 98, 100), b'"' + b"x" * 98 + b'"')
        with self.assertRaises(values.TooLarge):
            values.project("é" * 60, 100)
        with self.assertRaises(values.TooLarge):
            values.project({i: i for i in range(1000)}, LIMIT, 100)


class ReprTest(unittest.TestCase):
    def test_small_ones_are_python_s(self):
        for value in (1, "a", b"b", [1, (2,), {"a": {3}}, frozenset([1])], (), {}, set(), [[]], frozenset(), {"k": (1, 2)}):
            self.assertEqual(values.safe_repr(value), repr(value))

    def test_bounded_and_safe(self):
        deep = []
        for _ in range(100_000):
            deep = [deep]
        for value in ("x" * 10**6, ["x" * 10**6] * 10**6, list(range(10**6)), {i: i for i in range(10**5)}, deep, 10**9999, "\u2603" * 5000, "\ud800", Hostile()):
            text = values.safe_repr(value)
            self.assertLessEqual(len(text.encode("utf-8", "backslashreplace")), values.MAX_REPR)

    def test_clip(self):
        self.assertEqual(values.clip("abc", 3), "abc")
        self.assertEqual(values.clip("é" * 10, 8), "éé\u2026")
        values.clip("\ud800" * 3, 100).encode()


if __name__ == "__main__":
    unittest.main()
