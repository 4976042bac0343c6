"""Seconds and memory of a piece of work."""

import time

import numpy as np

from recpipe.measuring import Measured


def test_memory_at_the_peak_is_seen_though_it_is_given_back():
    with Measured() as measured:
        block = np.ones(12_000_000)  # 96 MB
        time.sleep(0.2)
        del block
    assert 80 < measured.peak_memory_mb < 200
    assert measured.seconds >= 0.2
    assert measured.cpu_seconds < measured.seconds + 1
