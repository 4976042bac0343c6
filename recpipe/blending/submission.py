"""What is handed in: k films for every user, in the order of their rank, under the ids of the delivered data."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recpipe.data.interactions import FloatArray
from recpipe.evaluation.ranking import Ranking
from recpipe.scoring.top import NO_FILM

SUBMISSION_FILE, SCORES_FILE = "submission.csv", "scores.parquet"


@dataclass(frozen=True, eq=False)
class Submission:
    """users: raw ids [rows]. items: raw ids [rows × k], best first. scores: float32 [rows × k]."""

    users: NDArray[Any]
    items: NDArray[Any]
    scores: FloatArray

    @classmethod
    def build(cls, ranking: Ranking, user_ids: NDArray[Any], item_ids: NDArray[Any]) -> Self:
        """From lists of row numbers. user_ids: one for each row of the ranking; item_ids: [n_items].

        Raises ValueError where a user has fewer than k films: fill the gaps first (`Ranking.filled_from`).
        """
        if len(user_ids) != len(ranking):
            raise ValueError(f"submission: {len(user_ids)} user ids for {len(ranking)} lists")
        short = np.flatnonzero((ranking.items == NO_FILM).any(axis=1))
        if len(short):
            left = int((ranking.items[short[0]] != NO_FILM).sum())
            raise ValueError(
                f"submission: {len(short)} users have fewer than {ranking.items.shape[1]} films left (user "
                f"{user_ids[short[0]]}: {left}); switch the release-year filter off or lower k in conf/ensemble.yaml"
            )
        return cls(np.asarray(user_ids), np.asarray(item_ids)[ranking.items], ranking.scores)

    def table(self) -> pa.Table:
        """One row a recommendation: user, item, rank (from 1), score."""
        n_users, k = self.items.shape
        return pa.table({
            "user": pa.array(np.repeat(self.users, k)),
            "item": pa.array(self.items.reshape(-1)),
            "rank": pa.array(np.tile(np.arange(1, k + 1, dtype=np.int32), n_users)),
            "score": pa.array(self.scores.reshape(-1)),
        })  # fmt: skip

    def write(self, folder: Path) -> None:
        """`submission.csv` (user,item), `scores.parquet` with ranks and scores; the same bytes for the same lists."""
        rows = zip(np.repeat(self.users, self.items.shape[1]).tolist(), self.items.reshape(-1).tolist(), strict=True)
        with (folder / SUBMISSION_FILE).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("user", "item"))
            writer.writerows(rows)
        pq.write_table(self.table(), folder / SCORES_FILE, compression="zstd")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The submission written to `folder`."""
        table = pq.read_table(folder / SCORES_FILE)
        columns = {name: table[name].to_numpy() for name in table.column_names}
        k = int(columns["rank"].max(initial=1))
        items, scores = columns["item"].reshape(-1, k), columns["score"].reshape(-1, k)
        return cls(columns["user"][::k], items, scores)
