"""What metrics are called, apart from what computes them: settings are checked without loading NumPy."""

from __future__ import annotations

import difflib

NAMES = ("recall", "capped_recall", "ndcg", "mrr", "map", "hit_rate")
"""Of `recpipe.evaluation.metrics.METRICS`, in order."""
CUT_OFFS = (5, 10, 20)
"""Of every report."""


def parse_metric(metric: str) -> tuple[str, int]:
    """`"ndcg@10"` to `("ndcg", 10)`; ValueError names the nearest valid metric."""
    name, at, k = metric.partition("@")
    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES, n=1)
        hint = f"did you mean {near[0]}@10?" if near else f"known are {', '.join(NAMES)}, each with @ and a cut-off"
        raise ValueError(f"metric {metric!r} is not known; {hint}")
    if not (at and k.isdecimal() and int(k)):
        raise ValueError(f"metric {metric!r} wants a cut-off: {name}@10")
    return name, int(k)
