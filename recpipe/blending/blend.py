"""A chosen blend: which members, how weighted, and whether it is worth more than the best of them alone."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from recpipe.blending.candidates import Candidates
from recpipe.blending.contest import Rows, Weights
from recpipe.blending.switching import Switch
from recpipe.data.interactions import Histories
from recpipe.evaluation.comparison import Difference
from recpipe.evaluation.ranking import Ranking
from recpipe.scoring.top import NO_FILM

BLEND_FILE = "blend.json"
ROWS_A_BLOCK = 2048


@dataclass(frozen=True)
class Blend:
    """What the validation part decided.

    weights: of the blend, adding up to 1. member_scores: each member alone. score: the blend, every user scored with
    weights found on other users. difference: that less the best single member, paired by user, for one set of weights.
    path: the steps of the search over all users, (member added, metric reached with the weights so far). kept: whether
    the blend is used. switch: users who get other weights. reasons: why each member is in the lists or is not.
    """

    method: str
    metric: str
    candidates: int
    weights: Mapping[str, float]
    member_scores: Mapping[str, float]
    score: float
    difference: Difference
    path: tuple[tuple[str, float], ...]
    kept: bool
    verdict: str
    split_digest: str = ""
    switch: Switch | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)

    @property
    def best_single(self) -> str:
        """The member with the best score alone; the first of equals."""
        return max(self.member_scores, key=lambda member: self.member_scores[member])

    @property
    def used(self) -> dict[str, float]:
        """The members that make the final lists, with their weights: these and no others have to be refitted.

        With a switch, each side's weights count by its share of the validation users.
        """
        if not self.kept:
            return {self.best_single: 1.0}
        if self.switch is None:
            return dict(self.weights)
        share, above = self.switch.share, self.switch.weights
        members = dict.fromkeys([*self.weights, *above])
        return {each: (1 - share) * self.weights.get(each, 0.0) + share * above.get(each, 0.0) for each in members}

    def limited_to(self, members: Collection[str]) -> Blend:
        """The same with these members alone, whose weights grow in proportion. Raises ValueError where none is used."""
        lost = [member for member in self.used if member not in members]
        if not lost:
            return self
        if len(lost) == len(self.used):
            raise ValueError(f"blend: none of {', '.join(lost)} can be used, and nobody else has a weight")
        weights = _without(self.weights, lost)
        above = None if self.switch is None else _without(self.switch.weights, lost)
        switch = replace(self.switch, weights=above or weights) if self.switch else None
        return replace(self, weights=weights or above or {}, switch=switch)

    def groups(self, histories: Histories) -> list[tuple[Rows, Weights]]:
        """The rows of these users that share weights, with those; every row once."""
        if self.switch is None or not self.kept:
            return [(np.arange(len(histories)), self.used)]
        above = self.switch.above(histories)
        sides = [(np.flatnonzero(~above), self.weights), (np.flatnonzero(above), self.switch.weights)]
        return [(rows, weights) for rows, weights in sides if len(rows)]

    def write(self, folder: Path) -> None:
        """`blend.json`, the same bytes for the same choice."""
        text = json.dumps(asdict(self), indent=1)
        (folder / BLEND_FILE).write_text(text + "\n", encoding="utf-8", newline="\n")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The blend written to `folder`."""
        stored: dict[str, Any] = json.loads((folder / BLEND_FILE).read_text(encoding="utf-8"))
        path = tuple((member, score) for member, score in stored["path"])
        switch = Switch(**stored["switch"]) if stored.get("switch") else None
        return cls(**stored | {"difference": Difference(**stored["difference"]), "path": path, "switch": switch})


def _without(weights: Weights, lost: Collection[str]) -> dict[str, float]:
    """The weights of the others, adding up to 1; none where all are lost."""
    left = {member: weight for member, weight in weights.items() if member not in lost}
    return {member: weight / sum(left.values()) for member, weight in left.items()}


def blend(lists: Mapping[str, Ranking], chosen: Blend, histories: Histories, k: int) -> Ranking:
    """The k best films of each user from the lists of the members in `chosen.used`; others are left aside.

    histories: of the users of the lists, in their order: a switch looks at them. Users' lists shorter than k are padded
    as `Ranking` says. Raises ValueError where a member's lists are missing or are of other users.
    """
    missing = [member for member in chosen.used if member not in lists]
    if missing:
        raise ValueError(f"blend: the lists of {', '.join(missing)} are missing; rank with these members first")
    if wrong := [member for member in chosen.used if len(lists[member]) != len(histories)]:
        raise ValueError(f"blend: the lists of {', '.join(wrong)} are not of the {len(histories)} users that are asked")
    items = np.full((len(histories), k), NO_FILM, dtype=np.int32)
    scores = np.full((len(histories), k), -np.inf, dtype=np.float32)
    for rows, weights in chosen.groups(histories):
        for start in range(0, len(rows), ROWS_A_BLOCK):
            here = rows[start : start + ROWS_A_BLOCK]
            block = {member: Ranking(lists[member].items[here], lists[member].scores[here]) for member in weights}
            best = _first(block, k) if len(block) == 1 else Candidates.of(block, chosen.method).blended(weights, k)
            items[here], scores[here] = best.items, best.scores
    return Ranking(items, scores)


def _first(lists: Mapping[str, Ranking], k: int) -> Ranking:
    """The first k of the one member's lists."""
    (ranking,) = lists.values()
    gap = ((0, 0), (0, max(0, k - ranking.items.shape[1])))
    items = np.pad(ranking.items[:, :k], gap, constant_values=NO_FILM)
    return Ranking(items, np.pad(ranking.scores[:, :k], gap, constant_values=-np.inf))
