"""The examples compute what they say, in this very interpreter, without faasctl."""
import ast
import asyncio
import base64
import contextlib
import io
import json
import math
import os
import unittest

import fails
import fetch_async
import image
import pi
import primes
import wordcount

HERE = os.path.dirname(os.path.abspath(__file__))
MODULES = [fails, fetch_async, image, pi, primes, wordcount]


class Examples(unittest.TestCase):
    def test_one_public_function_each_in_python_3_8(self):
        for module in MODULES:
            with self.subTest(module.__name__), open(module.__file__, encoding="utf-8") as file:
                tree = ast.parse(file.read(), feature_version=(3, 8))
                found = [
                    node.name
                    for node in tree.body
                    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not node.name.startswith("_")
                ]
                self.assertEqual(found, [module.__name__])
                self.assertTrue(ast.get_docstring(tree))

    def test_wordcount(self):
        with open(os.path.join(HERE, "data", "harbour.json"), encoding="utf-8") as file:
            counted = wordcount.wordcount(**json.load(file))
        self.assertEqual(counted["words"], 429)
        self.assertEqual(len(counted["top"]), 8)
        self.assertEqual(counted["top"][0], ["boat", 4])

    def test_wordcount_of_text_and_of_nothing(self):
        counted = wordcount.wordcount("The cat. The CAT’s hat!", skip_common=False)
        self.assertEqual(counted["top"], [["the", 2], ["cat", 1], ["cat's", 1], ["hat", 1]])
        self.assertEqual((counted["words"], counted["sentences"]), (5, 2))
        self.assertEqual(wordcount.wordcount("")["words"], 0)

    def test_pi(self):
        estimate = pi.pi(100_000, seed=7)
        self.assertLess(abs(estimate["pi"] - math.pi), 5 * estimate["error"])
        self.assertEqual(estimate, pi.pi(100_000, seed=7))
        with self.assertRaises(ValueError):
            pi.pi(0)

    def test_primes(self):
        def slowly(limit):
            return [n for n in range(2, limit + 1) if all(n % d for d in range(2, n))]
        for limit in (0, 1, 2, 3, 10, 97, 100, 500):
            want = slowly(limit)
            for block in (1, 7, 100, 1000):
                with contextlib.redirect_stdout(io.StringIO()):
                    self.assertEqual(primes.primes(limit, block), {"count": len(want), "largest": want[-1] if want else 0})
        with contextlib.redirect_stdout(io.StringIO()):
            self.assertEqual(primes.primes(1_000_000), {"count": 78498, "largest": 999983})

    def test_image_decodes_what_it_encodes(self):
        rows = [[float((17 * i + 31 * j) % 256) for i in range(9)] for j in range(5)]
        self.assertEqual(image._decode(image._encode(rows)), rows)

    def test_image_undoes_every_filter(self):
        plain, above = bytes([3, 250, 7, 90, 91, 92]), bytes([9, 8, 7, 200, 100, 50])
        corner = bytes(3) + above[:3]
        left = bytes(3) + plain[:3]

        def paeth(a, b, c):
            return min((a, b, c), key=lambda x: abs(a + b - c - x))

        guesses = {
            0: bytes(6),
            1: left,
            2: above,
            3: bytes((a + b) // 2 for a, b in zip(left, above)),
            4: bytes(map(paeth, left, above, corner)),
        }
        for kind, guess in guesses.items():
            with self.subTest(kind):
                filtered = bytes((x - g) & 255 for x, g in zip(plain, guess))
                self.assertEqual(image._unfilter(kind, filtered, above, 3), plain)

    def test_image_finds_the_edge_of_a_square(self):
        square = [[255.0 if i >= 8 else 0.0 for i in range(16)] for _ in range(12)]
        given = base64.b64encode(image._encode(square)).decode()
        with contextlib.redirect_stdout(io.StringIO()) as preview:
            found = image.image(given, sigma=0)
        edges = image._decode(base64.b64decode(found["png"]))
        self.assertEqual([i for i, value in enumerate(edges[6]) if value > 0], [7, 8])
        self.assertIn("@", preview.getvalue())
        with self.assertRaisesRegex(ValueError, "not a PNG"):
            image.image(base64.b64encode(b"GIF89a").decode())

    def test_fetch_async_overlaps(self):
        fetched = asyncio.run(fetch_async.fetch_async(pages=12, at_once=6))
        self.assertEqual((fetched["pages"], fetched["bytes"]), (12, sum(len("page %d\n" % p) * (p + 1) for p in range(12))))
        self.assertLess(fetched["seconds"], fetched["one_by_one"])

    def test_fails_chains_its_errors(self):
        with contextlib.redirect_stdout(io.StringIO()):
            with self.assertRaisesRegex(fails.InvoiceError, "line 2: '7,90' is not an amount") as caught:
                fails.fails()
            self.assertEqual(type(caught.exception.__cause__).__name__, "InvalidOperation")
            self.assertEqual(fails.fails(["12.50 EUR", "3 EUR"]), "15.50 EUR")


if __name__ == "__main__":
    unittest.main()
