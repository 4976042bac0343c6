"""Is a training sound? Each finding is a plain sentence: what is wrong, and what usually mends it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from recpipe.data.interactions import FloatArray, LongArray

Numbers: TypeAlias = NDArray[np.float64]

FLAT = 1e-4
"""A loss or a score that moves by less than this share of its size does not move."""
FEW_EPOCHS = 3
"""Below so many epochs nothing can be called flat."""
ALIKE = 1e-4
"""Scores whose spread within every user is below this share of their size are nearly equal."""
COLLAPSED = 0.1
"""Nats of KL an example below which a code says next to nothing: it bounds from above what the code tells of them."""
SAME_SCORES = 1e-3
"""Users whose scores, less their means, differ by less than this share of what films differ by, rank alike."""
SAME_LIST = 0.95
"""The share of users with one and the same list from which on predictions have collapsed."""
_REMEDIES = {
    True: ("a lower learning_rate", "a higher learning_rate"),
    False: ("more regularization", "less regularization"),
}
"""Of numbers that are not finite, and of a loss that does not move; by whether there is a learning_rate."""


def diagnose(epochs: Sequence[dict[str, Any]], by_gradients: bool = True) -> list[str]:
    """Findings on the record of epochs (`Journal.epochs`): numbers that are not finite, a flat loss, a flat score.

    Where a network reports the KL of its posterior to the prior (`kl`, nats an example), a collapsed posterior too.
    by_gradients: whether there is a learning_rate to be changed; what is solved for has regularization alone.
    """
    losses = np.array([row["loss"] for row in epochs], dtype=np.float64)
    valid = np.array([row["valid"] for row in epochs if row.get("valid") is not None], dtype=np.float64)
    kl = np.array([row["kl"] for row in epochs if "kl" in row], dtype=np.float64)
    calmer, livelier = _REMEDIES[by_gradients]
    not_finite = _not_finite("training loss", losses, calmer) + _not_finite("validation score", valid, calmer)
    return not_finite + _flat(losses, valid, livelier) + _collapsed(kl)


def diagnose_scores(top: LongArray, scores: FloatArray) -> list[str]:
    """Findings on what a model predicts.

    top: int [users × k], the recommended films, best first. scores: [users × films], a sample of the scores that they
    come from: lists that leave out what somebody has watched differ, though all scores rank alike. One user has no one
    to be compared with.
    """
    findings = []
    if not np.isfinite(scores).all():
        findings.append(
            f"{int((~np.isfinite(scores)).sum())} of {scores.size} scores are not finite: the ranking means nothing"
        )
    if len(top) > 1:
        _, sizes = np.unique(top, axis=0, return_counts=True)
        if sizes.max() >= SAME_LIST * len(top):
            findings.append(
                f"{int(sizes.max())} of {len(top)} users get the same list: the predictions have collapsed, and "
                "the model tells users apart no better than popularity does (a lower learning_rate, less "
                "regularisation, or normalisation between deep layers)"
            )
        elif np.isfinite(scores).all() and _same_but_for_a_constant(scores):
            findings.append(
                f"the scores of {len(scores)} users are the same list of numbers, but for a constant of each user: the "
                "predictions have collapsed, and only what somebody has watched tells the lists apart (a lower "
                "learning_rate, less regularisation, or normalisation between deep layers)"
            )
    if scores.size and np.isfinite(scores).all():
        spread = float(np.ptp(scores, axis=1).max())
        if spread <= ALIKE * float(np.abs(scores).max()):
            findings.append(
                f"all scores of a user are nearly equal (within {spread:.2g}): the predictions have collapsed "
                "(vanishing gradients: normalise between the layers, or use fewer of them)"
            )
    return findings


def _same_but_for_a_constant(scores: FloatArray) -> bool:
    centred = scores - scores.mean(axis=1, keepdims=True)
    within = float(np.ptp(centred, axis=1).max(initial=0.0))
    return len(scores) > 1 and within > 0 and float(np.ptp(centred, axis=0).max()) <= SAME_SCORES * within


def _not_finite(what: str, values: Numbers, remedy: str) -> list[str]:
    if np.isfinite(values).all():
        return []
    epoch = int(np.flatnonzero(~np.isfinite(values))[0]) + 1
    return [f"the {what} is {values[epoch - 1]} in epoch {epoch}, not a finite number ({remedy} usually helps)"]


def _flat(losses: Numbers, valid: Numbers, remedy: str) -> list[str]:
    findings = []
    if _does_not_move(losses):
        findings.append(
            f"the training loss did not move: {losses[0]:.6g} in epoch 1, {losses[-1]:.6g} in epoch {len(losses)}; "
            f"nothing is being learned ({remedy}, or a loss that does not depend on the parameters)"
        )
    if _does_not_move(valid):
        findings.append(
            f"the validation score did not move: {valid[0]:.6g} in every one of {len(valid)} epochs; what is learned "
            "does not reach the ranking"
        )
    return findings


def _collapsed(kl: Numbers) -> list[str]:
    if len(kl) < FEW_EPOCHS or not kl[-1] < COLLAPSED:
        return []
    return [
        f"the posterior has collapsed: its KL divergence from the prior is {kl[-1]:.2g} nats an example in epoch "
        f"{len(kl)}, so that the code says next to nothing of a history (a smaller alpha, the weight of the KL "
        "part, or more annealing_steps)"
    ]


def _does_not_move(values: Numbers) -> bool:
    if len(values) < FEW_EPOCHS or not np.isfinite(values).all():
        return False
    return bool(np.ptp(values) <= FLAT * np.abs(values).max())
