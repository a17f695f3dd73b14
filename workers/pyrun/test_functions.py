"""One call of a function, in this process."""
import json
import unittest

from runner import protocol, failures, functions
from samples import LIMIT


class CallTest(unittest.TestCase):
    def run_source(self, text, args=(), kwargs=None):
        body = functions.Body({"codec": "source", "entry": "f", "file": "fn.py", "hash": "4" * 64}, text.encode())
        return json.loads(functions.execute(body, protocol.JSON_CODEC, json.dumps([args, kwargs or {}]).encode(), LIMIT)[0])

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
                got = repr(functions.decoded(text))
            except ValueError as error:
                got = str(error)
            self.assertEqual(got, want, text)

    def test_bad_arguments(self):
        body = functions.Body({"codec": "source", "entry": "f", "file": "fn.py", "hash": "5" * 64}, b"def f(): pass\n")
        for data in (b"", b"{", b"[1]", b"[1, 2]", b"[[], []]", b"\xff"):
            with self.assertRaises(failures.Failed) as caught:
                functions.execute(body, protocol.JSON_CODEC, data, LIMIT)
            self.assertEqual(caught.exception.status, protocol.UNLOADABLE)


if __name__ == "__main__":
    unittest.main()
