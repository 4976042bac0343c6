"""All pairs of fifty models on 6,040 users: seconds, false findings among equal models, and gains that are found.

    python benchmarks/pairs.py [--users 6040] [--models 50] [--worlds 20]

Values are drawn as NDCG@10 comes out for `ease` and `ials` on MovieLens 1M's `holdout` (means of 0.173 and 0.156, a
quarter of them 0, difference of 0.089 from user to user): a shared part, and each model's own with heavy tails. A gain
is planted in the expectation, not in the sample. One line of JSON a figure.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np

from recpipe.studies.pairs import ALPHA, every_pair

MEAN = 0.17
APART = 0.09
"""Standard deviation, over users, of the difference of two models."""


def values(random: np.random.Generator, n_users: int, gains: np.ndarray) -> np.ndarray:
    """float64 [users × models] with the mean `MEAN` and the relative gains in expectation."""
    shared = np.where(random.random((n_users, 1)) < 0.75, random.beta(2, 3, (n_users, 1)), 0.0) * MEAN / 0.3
    own = random.standard_t(5, (n_users, len(gains))) * APART / np.sqrt(2 * 5 / 3)
    return shared + own + MEAN * gains


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--users", type=int, default=6040)
    words.add_argument("--models", type=int, default=50)
    words.add_argument("--worlds", type=int, default=20)
    given = words.parse_args()
    random = np.random.default_rng(0)
    table = values(random, given.users, np.zeros(given.models))
    started, cpu = time.perf_counter(), time.process_time()
    found = every_pair(table)
    told = {"users": given.users, "models": given.models, "pairs": len(found.p)}
    print(json.dumps(told | {"wall_s": round(time.perf_counter() - started, 1),
                             "cpu_s": round(time.process_time() - cpu, 1)}), flush=True)  # fmt: skip
    for gain in (0.0, 0.01, 0.02, 0.03, 0.05):
        gains = np.array([gain, 0, 0, 0, 0])
        p = [every_pair(values(random, given.users, gains), resamples=10).p for _ in range(given.worlds)]
        with_first, others = np.array(p)[:, :4], np.array(p)[:, 4:]
        figures = {"gain": gain, "pairs found": round(float((with_first < ALPHA).mean()), 3),
                   "worlds with a false finding": round(float((others < ALPHA).any(axis=1).mean()), 3)}  # fmt: skip
        print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
