"""The runner against values that lie: each row of the projection's table, and classes that do their worst."""
import array
import collections
import datetime
import decimal
import enum
import fractions
import io
import json
import pathlib
import re
import sys
import types
import unittest
import uuid

from runner import protocol, values, pickles, failures, functions

LIMIT = 1 << 20
NAN, INF = float("nan"), float("inf")
UTC = datetime.timezone.utc


class Level(enum.IntEnum):
    HIGH = 3


class Flavour(enum.Enum):
    SWEET = "s"


class LoudInt(int):
    def __repr__(self):
        return "loud"

    __str__ = __repr__


class LoudFloat(float):
    def __repr__(self):
        return "loud"


class LoudStr(str):
    def __str__(self):
        return "loud"

    def encode(self, *_):
        raise RuntimeError

    def __iter__(self):
        raise RuntimeError


class LyingList(list):
    def __len__(self):
        return -5

    def __iter__(self):
        yield from "lies"


class Bomb(Exception):
    pass


def explode(*_, **__):
    raise Bomb("boom")


def quit(*_, **__):
    raise SystemExit(3)


class Mine:
    """Goes off whatever one does to it."""
    __repr__ = __str__ = __iter__ = __len__ = __bool__ = __eq__ = __getattr__ = __reduce_ex__ = __reduce__ = __getstate__ = explode
    __hash__ = object.__hash__


class Meta(type):
    __repr__ = __str__ = explode

    @property
    def __name__(cls):
        raise Bomb


class Pretender:
    """Says that it is a dict."""
    __class__ = property(lambda self: dict)


class BadDict(dict):
    items = keys = values = __iter__ = __len__ = __getitem__ = explode


class Suicidal:
    __repr__ = __str__ = quit


def strict(data):
    def refuse(name):
        raise AssertionError("not strict JSON: " + name)
    return json.loads(data.decode("utf-8"), parse_constant=refuse)


class TableTest(unittest.TestCase):
    """The JSON projection of a Python value, row by row."""

    TABLE = (
        # JSON natives as they are
        (None, None), (True, True), (False, False), (0, 0), (-7, -7), (1.5, 1.5), (-0.0, -0.0), (1e-300, 1e-300), ("", ""), ("\u00e9\u2603\U0001f600", "\u00e9\u2603\U0001f600"),
        ("\x00\x1f\"\\/\u2028", "\x00\x1f\"\\/\u2028"), ([], []), ({}, {}), ([1, "a", None], [1, "a", None]), ({"a": {"b": []}}, {"a": {"b": []}}),
        (2**63, 2**63), (-2**63 - 1, -2**63 - 1), (2**64, 2**64), (10**400, 10**400), (True, True), ({"": 1}, {"": 1}),
        # subclasses of natives are what they are underneath
        (Level.HIGH, 3), (LoudInt(5), 5), (LoudFloat(1.5), 1.5), (LoudStr("quiet"), "quiet"), ({LoudStr("k"): 1}, {"k": 1}), (LyingList([1, 2]), [1, 2]),
        (collections.OrderedDict([("b", 1), ("a", 2)]), {"b": 1, "a": 2}), (collections.Counter("aab"), {"a": 2, "b": 1}), (collections.defaultdict(list, a=[1]), {"a": [1]}),
        # tuple to array
        ((), []), ((1, (2, [3])), [1, [2, [3]]]), (collections.namedtuple("P", "x y")(1, 2), [1, 2]), (sys.version_info[:2], list(sys.version_info[:2])),
        # keys that are no strings
        ({1: 2}, {"$map": [[1, 2]]}), ({None: 0}, {"$map": [[None, 0]]}), ({True: 1}, {"$map": [[True, 1]]}), ({1.5: 0}, {"$map": [[1.5, 0]]}),
        ({(1, 2): 3}, {"$map": [[[1, 2], 3]]}), ({"a": 1, 2: 3}, {"$map": [["a", 1], [2, 3]]}), ({b"k": 1}, {"$map": [[{"$bytes": "aw=="}, 1]]}),
        ({"a": {1: {2: 3}}}, {"a": {"$map": [[1, {"$map": [[2, 3]]}]]}}), ({NAN: 1}, {"$map": [[{"$float": "nan"}, 1]]}), ({"\ud800": 1}, {"$map": [[{"$repr": "'\\ud800'"}, 1]]}),
        # sets
        (set(), {"$set": []}), ({3, 1, 2}, {"$set": [1, 2, 3]}), (frozenset({"b", "a"}), {"$set": ["a", "b"]}), ({(2, 1), (1, 2)}, {"$set": [[1, 2], [2, 1]]}),
        # bytes
        (b"", {"$bytes": ""}), (b"\x00\xff", {"$bytes": "AP8="}), (bytearray(b"ab"), {"$bytes": "YWI="}), ([b"a", {"k": b"b"}], [{"$bytes": "YQ=="}, {"k": {"$bytes": "Yg=="}}]),
        # floats that are no numbers
        (NAN, {"$float": "nan"}), (INF, {"$float": "inf"}), (-INF, {"$float": "-inf"}), ([1.0, NAN], [1.0, {"$float": "nan"}]), ((INF,), [{"$float": "inf"}]),
        # dates and times
        (datetime.date(2024, 2, 29), "2024-02-29"), (datetime.datetime(2024, 1, 2, 3, 4, 5), "2024-01-02T03:04:05"), (datetime.datetime(2024, 1, 2, 3, 4, 5, 6, UTC), "2024-01-02T03:04:05.000006+00:00"),
        (datetime.time(3, 4), "03:04:00"), (datetime.time(3, 4, tzinfo=UTC), "03:04:00+00:00"), ([datetime.date.min], ["0001-01-01"]),
        # anything else
        (1j, {"$repr": "1j"}), (decimal.Decimal("1.50"), {"$repr": "Decimal('1.50')"}), (fractions.Fraction(1, 3), {"$repr": "Fraction(1, 3)"}), (range(3), {"$repr": "range(0, 3)"}),
        (uuid.UUID(int=1), {"$repr": "UUID('00000000-0000-0000-0000-000000000001')"}), (pathlib.PurePosixPath("/a"), {"$repr": "PurePosixPath('/a')"}), (len, {"$repr": "<built-in function len>"}),
        (int, {"$repr": "<class 'int'>"}), (Ellipsis, {"$repr": "Ellipsis"}), (NotImplemented, {"$repr": "NotImplemented"}), (datetime.timedelta(1), {"$repr": "datetime.timedelta(days=1)"}),
        (slice(1, 2), {"$repr": "slice(1, 2, None)"}), (ValueError("x"), {"$repr": "ValueError('x')"}), (array.array("b", b"a"), {"$repr": "array('b', [97])"}), (types.SimpleNamespace(a=1), {"$repr": "namespace(a=1)"}),
        (re.compile("a"), {"$repr": "re.compile('a')"}), (memoryview(b"a"), None), (io.StringIO(), None), (object(), None), (Flavour.SWEET, {"$repr": repr(Flavour.SWEET)}),
        ({}.keys(), {"$repr": "dict_keys([])"}), (collections.deque([1]), {"$repr": "deque([1])"}), (types.MappingProxyType({}), {"$repr": "mappingproxy({})"}),
    )

    def test_every_row(self):
        for value, want in self.TABLE:
            with self.subTest(values.safe_repr(value)):
                got = strict(values.project(value, LIMIT))
                if want is None and value is not None:
                    continue  # that it is JSON is all there is to say
                self.assertEqual(json.dumps(got, sort_keys=True), json.dumps(want, sort_keys=True))

    def test_rows_within_each_other(self):
        given = [value for value, _ in self.TABLE]
        wants = [want for _, want in self.TABLE]
        for nest, unnest in ((list, list), (tuple, list), (lambda v: {str(i): x for i, x in enumerate(v)}, lambda got: list(got.values())),
                             (lambda v: {i: x for i, x in enumerate(v)}, lambda got: [pair[1] for pair in got["$map"]])):
            got = unnest(strict(values.project(nest(given), LIMIT)))
            for one, want, value in zip(got, wants, given):
                if want is not None or value is None:
                    self.assertEqual(json.dumps(one, sort_keys=True), json.dumps(want, sort_keys=True))

    def test_zero_keeps_its_sign_and_floats_their_digits(self):
        for value in (-0.0, 0.1, 1 / 3, 5e-324, 1.7976931348623157e308, 1e22, 123456789.125):
            self.assertEqual(values.project(value, LIMIT).decode(), repr(value))
            self.assertEqual(strict(values.project([value, {1: value}], LIMIT))[0], value)


class HostileTest(unittest.TestCase):
    WORST = (
        Mine(), [Mine()], {"k": Mine()}, (Mine(), {Mine(): Mine()}), {Mine()}, Meta("M", (), {}), Meta("M", (), {})(), Pretender(), [Pretender()], BadDict(a=1), [BadDict(a=1)],
        LyingList([1]), {"a": LyingList([Mine()])}, Suicidal(), [Suicidal()], {1: Suicidal()}, LoudStr("\ud800"), (x for x in "a"), open, sys, sys._getframe(), lambda: 0,
        type("T", (), {"__class__": property(explode)})(), type("D", (datetime.date,), {"isoformat": explode, "__repr__": explode})(2024, 1, 1),
        type("S", (set,), {"__iter__": explode})([1]), type("B", (bytes,), {"__len__": lambda s: 1 << 40, "__repr__": explode})(b"x"), types.ModuleType("m"),
        type("L", (list,), {"__len__": quit, "__iter__": quit, "__repr__": quit})([1]), 1 << 100_000, -(1 << 100_000), {1 << 100_000: 1 << 100_000},
    )

    def test_the_projection_never_fails(self):
        for value in self.WORST:
            with self.subTest(type(value)):
                strict(values.project(value, LIMIT))

    def test_a_repr_never_fails_and_is_short(self):
        for value in self.WORST:
            with self.subTest(type(value)):
                text = values.safe_repr(value)
                self.assertLessEqual(len(text.encode("utf-8", "backslashreplace")), values.MAX_REPR)

    def test_what_cannot_be_pickled_raises_an_ordinary_exception(self):
        for value in (Mine(), [Mine()], sys._getframe(), (x for x in "a"), sys):
            try:
                pickles.load(pickles.dump(value, LIMIT))
            except Exception:
                pass

    def test_a_result_that_does_its_worst_is_a_result(self):
        text = ("class Mine:\n"
                "    def go(*a, **k): raise SystemExit(9)\n"
                "    __repr__ = __str__ = __iter__ = __len__ = __bool__ = __eq__ = __getattr__ = __reduce_ex__ = go\n"
                "    __hash__ = object.__hash__\n"
                "def f(): return [Mine(), {1: Mine()}]\n")
        body = functions.Body({"codec": "source", "entry": "f", "file": "fn.py", "hash": "7" * 64}, text.encode())
        value, _, shown = functions.execute(body, protocol.JSON_CODEC, b"[[], {}]", LIMIT)
        self.assertEqual(strict(value)[0], {"$repr": "<Mine: its repr failed: SystemExit>"})
        self.assertIn("its repr failed", shown)

    def test_an_awaitable_that_lies(self):
        for text in ("class A:\n    def __await__(self): raise ValueError('no')\ndef f(): return A()", "class A:\n    def __await__(self): return 3\ndef f(): return A()"):
            body = functions.Body({"codec": "source", "entry": "f", "file": "fn.py", "hash": "8" * 64}, text.encode())
            with self.assertRaises(failures.Failed) as caught:
                functions.execute(body, protocol.JSON_CODEC, b"[[], {}]", LIMIT)
            self.assertEqual(caught.exception.status, protocol.EXCEPTION)


class HostileErrorTest(unittest.TestCase):
    """Whatever is raised, the failure is told, in bounds, as JSON that anything can read."""

    RAISES = (
        ("class E(Exception):\n    def __str__(self): raise SystemExit\ndef f(): raise E", "E"),
        ("class E(Exception):\n    def __str__(self): return 7\ndef f(): raise E", "E"),
        ("class E(Exception):\n    __repr__ = __str__ = lambda self: '\\ud800' * 9999\ndef f(): raise E", "E"),
        ("class E(Exception):\n    def __getattribute__(self, name): raise KeyError(name)\ndef f(): raise E", "E"),
        ("class E(Exception): pass\nE.__module__ = None\ndef f(): raise E('x')", None),
        ("class E(Exception): pass\nE.__qualname__ = 'a' * 10**6\ndef f(): raise E('x')", None),
        ("class E(BaseException): pass\ndef f(): raise E('base')", "E"),
        ("def f(): raise ValueError('x' * 10**7)", "ValueError"),
        ("def f(): raise ValueError(b'\\xff', object())", "ValueError"),
        ("def f():\n    a, b = ValueError('a'), ValueError('b')\n    a.__cause__, b.__cause__ = b, a\n    raise a", "ValueError"),
        ("def f():\n    e = None\n    for i in range(500):\n        try: raise ValueError(i) from e\n        except ValueError as now: e = now\n    raise e", "ValueError"),
        ("def f():\n    e = ValueError('no trace')\n    e.with_traceback(None)\n    raise e", "ValueError"),
        ("def f():\n    exec(compile('def g(n):\\n    return g(n - 1) if n else 1 / 0', 'no/such/file.py', 'exec'), globals())\n    g(400)", "ZeroDivisionError"),
        ("def f(): raise type('E', (Exception,), {'__module__': '\\ud800'})('x')", None),
        ("import sys\ndef f():\n    sys.tracebacklimit = 0\n    raise ValueError('no limit')", "ValueError"),
        ("def f(): raise KeyError", "KeyError"),
        ("def f(): raise OSError(2, 'No such file', '/a', None, '/b')", "FileNotFoundError"),
        ("def f(): raise StopIteration(3)", "StopIteration"),
        ("async def f(): raise StopAsyncIteration", None),
        ("def f(): raise SyntaxError('bad', ('fn.py', 1, 1, 'x' * 10**6))", "SyntaxError"),
        ("def f(): raise 3", "TypeError"),
        ("def f(): raise UnicodeDecodeError('utf-8', b'\\xff', 0, 1, 'reason')", "UnicodeDecodeError"),
    )

    def tell(self, text):
        body = functions.Body({"codec": "source", "entry": "f", "file": "fn.py", "hash": "9" * 64}, text.encode())
        try:
            functions.execute(body, protocol.JSON_CODEC, b"[[], {}]", LIMIT)
        except failures.Failed as end:
            return end
        finally:
            sys.__dict__.pop("tracebacklimit", None)
        self.fail("nothing was raised")

    def check(self, end):
        told = json.loads(values.encode_ascii(end.told))
        self.assertLessEqual(len(told["message"].encode("utf-8", "backslashreplace")), values.MAX_MESSAGE)
        self.assertLessEqual(len(told["traceback"].encode("utf-8", "backslashreplace")), failures.MAX_TRACEBACK)
        failures.failed_pickle(end)
        return told

    def test_it_is_told(self):
        for text, kind in self.RAISES:
            with self.subTest(text):
                end = self.tell(text)
                self.assertEqual(end.status, protocol.EXCEPTION)
                told = self.check(end)
                if kind:
                    self.assertEqual(told["type"], kind)

    @unittest.skipIf(sys.version_info < (3, 11), "exception groups came with 3.11")
    def test_groups(self):
        for text in (
            "def f(): raise ExceptionGroup('g', [ValueError(1), ExceptionGroup('h', [TypeError(2)])])",
            "def f(): raise ExceptionGroup('g', [ValueError(i) for i in range(5000)])",
            "def f():\n    e = ValueError('deep')\n    for i in range(300): e = ExceptionGroup(str(i), [e])\n    raise e",
            "def f(): raise BaseExceptionGroup('g', [KeyboardInterrupt(), SystemExit(3)])",
            "def f():\n    e = ValueError('noted')\n    e.add_note('\\ud800' * 9999)\n    e.__notes__.append(7)\n    raise e",
            "def f():\n    e = ValueError('noted')\n    e.__notes__ = 7\n    raise e",
        ):
            with self.subTest(text):
                self.check(self.tell(text))


if __name__ == "__main__":
    unittest.main()
