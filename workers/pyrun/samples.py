"""Values that the tests of the runner have in common."""
import collections
import datetime
import decimal
import enum
import uuid

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


def plain(x):
    return x


VALUES = (
    None, True, 3, 10**40, 1.5, float("inf"), "é", b"\x00", [1, [2]], (1, (2,)), {"a": {1: 2}}, {1, 2}, frozenset([3]), 1 + 2j,
    Colour.RED, Point(1, 2), datetime.datetime(2024, 1, 2), decimal.Decimal("1.5"), uuid.UUID(int=5), collections.Counter("aab"),
    collections.OrderedDict(a=1), range(4), slice(1, 2), bytearray(b"x"), ValueError("a", 1), int, len, plain, Point, Ellipsis, NotImplemented,
)


def some_value(rng, depth=4):
    """A random value of the kinds that functions return."""
    atoms = (
        lambda: None, lambda: rng.random() < 0.5, lambda: rng.randrange(-10, 10), lambda: rng.getrandbits(rng.randrange(1, 90)) - 2**63,
        lambda: rng.uniform(-1e9, 1e9), lambda: rng.choice((0.0, -0.0, 1e308, 5e-324, float("inf"))), lambda: "".join(map(chr, rng.sample(range(1, 0xD000), 5))),
        lambda: bytes(rng.sample(range(256), 4)), lambda: complex(rng.random(), 1), lambda: rng.choice(VALUES),
    )
    if depth == 0 or rng.random() < 0.3:
        return rng.choice(atoms)()
    some = [some_value(rng, depth - 1) for _ in range(rng.randrange(4))]
    names = ["".join(rng.sample("abcdef\u00e9\u2603", 3)) for _ in some]
    return rng.choice((list, tuple, lambda v: dict(zip(names, v)), lambda v: dict(enumerate(v)), lambda v: [v, v]))(some)
