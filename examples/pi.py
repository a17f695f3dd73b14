"""Monte-Carlo estimate of pi: one task per seed, so that it spreads over as many workers as there are.

    faasctl run examples/pi.py --args '[1000000]'
    for seed in 1 2 3 4; do faasctl run pi --args "[1000000, $seed]" --async; done
"""
import math
import random
from typing import Dict


def pi(samples: int, seed: int = 0) -> Dict[str, float]:
    """Throw `samples` darts at the unit square; the share that lands in the quarter circle is pi / 4.

    The same seed gives the same answer. `error` is one standard error of the estimate.
    """
    if samples < 1:
        raise ValueError("samples must be at least 1, got {}".format(samples))
    draw = random.Random(seed).random
    hits = 0
    for _ in range(samples):
        x, y = draw(), draw()
        if x * x + y * y <= 1.0:
            hits += 1
    share = hits / samples
    return {
        "pi": 4 * share,
        "error": 4 * math.sqrt(share * (1 - share) / samples),
        "samples": samples,
        "seed": seed,
    }
