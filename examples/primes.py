"""Counts primes, and says how far it has come: progress, output as it comes, a polite end.

    faasctl run examples/primes.py --args '[3000000]'
    task=$(faasctl run primes --args '[50000000]' --async); faasctl logs -f "$task"
    faasctl task show "$task"; faasctl cancel "$task"; faasctl logs "$task"
"""
import math
from typing import Dict

try:
    from faasctl_task import cancelled, progress
except ImportError:  # not in faasctl

    def progress(done, total=0, note=""):
        pass

    def cancelled():
        return False


def primes(limit: int, block: int = 100_000) -> Dict[str, int]:
    """How many primes there are up to `limit`, and the largest, by a sieve of blocks."""
    small = _sieve(0, math.isqrt(max(limit, 1)) + 1, [])
    count = largest = 0
    for start in range(0, limit + 1, block):
        found = _sieve(start, min(start + block, limit + 1), small)
        count += len(found)
        largest = found[-1] if found else largest
        progress(min(start + block, limit), limit, "%d primes" % count)
        if start // block % 10 == 9:
            print("up to", start + block, "there are", count)
        if cancelled():
            print("asked to end at", start + block)
            break
    return {"count": count, "largest": largest}


def _sieve(start, end, small):
    """The primes from start to end (exclusive). small are those up to the root of end; without them all are found out."""
    prime = bytearray([1]) * (end - start)
    for n in range(start, min(2, end)):
        prime[n - start] = 0
    for n in small or range(2, math.isqrt(end) + 1):
        first = max(n * n, -(-start // n) * n) - start
        prime[first::n] = bytes(len(range(first, end - start, n)))
    return [start + i for i, yes in enumerate(prime) if yes]
