"""How well two rankings of the same models agree: Kendall's tau, many at once."""

from __future__ import annotations

import numpy as np

from recpipe.evaluation.metrics import Values


def kendall_tau(one: Values, other: Values) -> Values:
    """Tau-b (Kendall, 1945) along the last axis: float64 [...], 1 for the same order, -1 for the reverse.

    one, other: float64 [... × models]; NaN is a model without a score, which is left out of that pair of rankings. Ties
    are corrected for. 0 where a ranking has nothing but ties, or fewer than two models are left: it says nothing.
    """
    first, second = np.triu_indices(one.shape[-1], 1)
    ours, theirs = (np.sign(each[..., first] - each[..., second]) for each in (one, other))
    known = np.isfinite(ours) & np.isfinite(theirs)
    ours, theirs = np.where(known, ours, 0.0), np.where(known, theirs, 0.0)
    norm = np.sqrt((ours**2).sum(axis=-1) * (theirs**2).sum(axis=-1))
    tau: Values = (ours * theirs).sum(axis=-1) / np.where(norm > 0, norm, 1.0)
    return tau
