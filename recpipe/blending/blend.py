"""A chosen blend: which members, how weighted, and whether it is worth more than the best of them alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from recpipe.blending.candidates import Candidates
from recpipe.evaluation.comparison import Difference
from recpipe.evaluation.ranking import NO_FILM, Ranking

BLEND_FILE = "blend.json"
ROWS_A_BLOCK = 2048


@dataclass(frozen=True)
class Blend:
    """What the validation part decided.

    weights: of the blend, adding up to 1. member_scores: each member alone. score: the blend, every user scored with
    weights found on other users. difference: that less the best single member, paired by user. path: the steps of the
    search over all users, (member added, metric reached with the weights so far). kept: whether the blend is used.
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

    @property
    def best_single(self) -> str:
        """The member with the best score alone; the first of equals."""
        return max(self.member_scores, key=lambda member: self.member_scores[member])

    @property
    def used(self) -> dict[str, float]:
        """The members that make the final lists, with their weights: these and no others have to be refitted."""
        return dict(self.weights) if self.kept else {self.best_single: 1.0}

    def markdown(self) -> str:
        """The verdict, the members' scores and weights, and the search's path."""
        lines = [self.verdict, "", f"| member | {self.metric} alone | weight |", "| --- | --- | --- |"]
        for member, score in sorted(self.member_scores.items(), key=lambda each: -each[1]):
            lines.append(f"| {member} | {score:.4f} | {self.used.get(member, 0.0):.3f} |")
        lines.append(f"| *blend ({self.method})* | {self.score:.4f} | |")
        if self.path:
            lines += ["", "Search: " + ", ".join(f"+{member} {score:.4f}" for member, score in self.path)]
        return "\n".join(lines) + "\n"

    def write(self, folder: Path) -> None:
        """`blend.json`, the same bytes for the same choice."""
        text = json.dumps(asdict(self), indent=1)
        (folder / BLEND_FILE).write_text(text + "\n", encoding="utf-8", newline="\n")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The blend written to `folder`."""
        stored: dict[str, Any] = json.loads((folder / BLEND_FILE).read_text(encoding="utf-8"))
        path = tuple((member, score) for member, score in stored["path"])
        return cls(**stored | {"difference": Difference(**stored["difference"]), "path": path})


def blend(lists: Mapping[str, Ranking], chosen: Blend, k: int) -> Ranking:
    """The k best films of each user from the lists of the members in `chosen.used`; others are left aside.

    Users' lists shorter than k are padded as `Ranking` says. Raises ValueError where a member's lists are missing.
    """
    missing = [member for member in chosen.used if member not in lists]
    if missing:
        raise ValueError(f"blend: the lists of {', '.join(missing)} are missing; rank with these members first")
    used = {member: lists[member] for member in chosen.used}
    if len(used) == 1:
        return _first(next(iter(used.values())), k)
    parts = []
    for start in range(0, max(len(ranking) for ranking in used.values()), ROWS_A_BLOCK):
        rows = slice(start, start + ROWS_A_BLOCK)
        block = {member: Ranking(ranking.items[rows], ranking.scores[rows]) for member, ranking in used.items()}
        parts.append(Candidates.of(block, chosen.method).blended(chosen.used, k))
    return Ranking(np.concatenate([part.items for part in parts]), np.concatenate([part.scores for part in parts]))


def _first(ranking: Ranking, k: int) -> Ranking:
    gap = ((0, 0), (0, max(0, k - ranking.items.shape[1])))
    items = np.pad(ranking.items[:, :k], gap, constant_values=NO_FILM)
    return Ranking(items, np.pad(ranking.scores[:, :k], gap, constant_values=-np.inf))
