"""Candidates with the answers, and the search for weights: forward selection with replacement (Caruana et al. 2004)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from recpipe.blending.candidates import Candidates
from recpipe.data.interactions import FloatArray
from recpipe.evaluation.metrics import METRICS, Targets, Values
from recpipe.evaluation.naming import parse_metric
from recpipe.scoring.top import NO_FILM

STEPS = 20
SHARES = (0.5, 0.3, 0.15, 0.05)
"""How much of the blend a step may give to the member that it adds. The paper adds members with equal weight, which
cannot give a weak but different member a small part without adding the strong one many times over first."""

Path: TypeAlias = list[tuple[str, float]]
Weights: TypeAlias = Mapping[str, float]
Rows: TypeAlias = NDArray[np.integer]
Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Contest:
    """relevant: bool [users × width], whether a candidate is one of the user's targets. n_targets: int64 [users]."""

    candidates: Candidates
    relevant: NDArray[np.bool_]
    n_targets: NDArray[np.int64]
    metric: str

    @classmethod
    def of(cls, candidates: Candidates, targets: Targets, metric: str) -> Contest:
        """The candidates beside what their users watched."""
        return cls(candidates, targets.hits(candidates.items), targets.counts, metric)

    def __len__(self) -> int:
        return len(self.n_targets)

    def rows(self, which: Rows) -> Contest:
        """The same for some of the users."""
        return Contest(self.candidates.rows(which), self.relevant[which], self.n_targets[which], self.metric)

    def values_of(self, weights: Weights) -> Values:
        """float64 [users]: the metric of the lists that these weights give."""
        return self._values(self.candidates.scores(weights))

    def weights(self, search: str) -> tuple[dict[str, float], Path]:
        """Found on these users, adding up to 1, those of 0 left out; and the search's path. search: greedy or none."""
        members = self.candidates.members
        if search == "none":
            return {member: 1 / len(members) for member in members}, []
        weights, path = self._greedy()
        return {member: weight for member, weight in zip(members, weights, strict=True) if weight}, path

    def judged_on_others(self, search: str, seed: int, groups: Sequence[Rows]) -> Values:
        """float64 [users]: each half of the users with the weights found on the other half, for each group on its own.

        groups: of rows, every row in one of them.
        """
        values = np.empty(len(self))
        shuffled = np.random.default_rng(seed).permutation(len(self))
        first, second = np.sort(shuffled[: len(self) // 2]), np.sort(shuffled[len(self) // 2 :])
        for searched, judged in ((first, second), (second, first)):
            for group in groups:
                here = judged[np.isin(judged, group)]
                weights, _ = self.rows(searched[np.isin(searched, group)]).weights(search)
                values[here] = self.rows(here).values_of(weights)
        return values

    def _values(self, scores: FloatArray) -> Values:
        """float64 [users]: the metric of the lists that these scores [users × width] give."""
        name, k = parse_metric(self.metric)
        columns, _ = self.candidates.top(scores, k)
        hits = np.take_along_axis(self.relevant, columns, axis=1) & (columns != NO_FILM)
        return METRICS[name](hits, self.n_targets)

    def _greedy(self) -> tuple[list[float], Path]:
        """From the best member alone, each step mixes in the member and share that help most; it ends when none helps.

        Of equals the first member and the largest share.
        """
        members, said = self.candidates.members, self.candidates.contributions
        reached = [float(self._values(each).mean()) for each in said]
        best = int(np.argmax(reached))
        weights = np.eye(len(members))[best]
        mixed = said[best]
        path: Path = [(members[best], reached[best])]
        for _ in range(STEPS):
            steps = [(added, share) for added in range(len(members)) for share in SHARES if weights[added] < 1]
            reached = [float(self._values(_mix(mixed, said[added], share)).mean()) for added, share in steps]
            if not reached or max(reached) <= path[-1][1]:
                break
            best = int(np.argmax(reached))
            added, share = steps[best]
            mixed = _mix(mixed, said[added], share)
            weights = _mix(weights, np.eye(len(members))[added], share)
            path.append((members[added], reached[best]))
        return weights.tolist(), path


def _mix(old: Array, added: Array, share: float) -> Array:
    return old * (1 - share) + added * share
