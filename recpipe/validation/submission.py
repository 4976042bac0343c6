"""The submission suite: every user exactly k films, none twice, none seen, all known, with finite scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse

from recpipe.validation.engine import SAMPLE, Fact, judge_facts, rows_of
from recpipe.validation.outcome import Outcome

COLUMNS = ("user", "item")


def validate_submission(
    table: pa.Table, k: int, known_users: NDArray[Any], known_items: NDArray[Any], seen: sparse.csr_matrix
) -> Outcome:
    """Check what is to be handed in.

    table: user, item and, optionally, score, with the ids of the data. known_users: ids of everyone who must get films;
    known_items: ids of the films that may be recommended. seen: [known_users × known_items], non-zero where watched.
    """
    if seen.shape != (len(known_users), len(known_items)):
        wanted = f"{len(known_users)} × {len(known_items)}"
        raise ValueError(
            f"submission: seen has the shape {seen.shape}; wanted {wanted}, a row a user and a column a film"
        )
    missing = [name for name in COLUMNS if name not in table.column_names]
    present = Fact("the submission has the columns user and item", len(missing), most=0, unit="missing")
    if missing:
        return judge_facts("submission", [present])
    frame = table.to_pandas()
    return judge_facts("submission", [present, *_facts(frame, k, known_users, known_items, seen)])


def _facts(
    frame: pd.DataFrame, k: int, known_users: NDArray[Any], known_items: NDArray[Any], seen: sparse.csr_matrix
) -> list[Fact]:
    users = pd.Index(known_users).get_indexer(pd.Index(frame["user"]))
    items = pd.Index(known_items).get_indexer(pd.Index(frame["item"]))
    rows_a_user = frame.groupby("user", sort=True).size()
    wrong = rows_a_user[rows_a_user != k]
    left_out = known_users[~np.isin(np.arange(len(known_users)), users)]
    known = (users >= 0) & (items >= 0)
    watched = np.zeros(len(frame), dtype=bool)
    if known.any():
        watched[known] = np.asarray(seen[users[known], items[known]]).ravel() != 0
    found = [
        Fact(
            f"every user has exactly {k} films",
            len(wrong),
            most=0,
            unit="users with more or fewer",
            sample=tuple({"user": user, "films": int(n)} for user, n in wrong.head(SAMPLE).items()),
        ),
        Fact(
            "every expected user has films",
            len(left_out),
            most=0,
            unit="users left out",
            sample=tuple({"user": user} for user in left_out[:SAMPLE].tolist()),
        ),
        _none("every user is known", frame, users < 0),
        _none("every film is known", frame, items < 0),
        _none("no film stands twice for one user", frame, frame.duplicated(["user", "item"]).to_numpy()),
        _none("no film has been seen by its user", frame, watched),
    ]
    if "score" in frame:
        finite = np.isfinite(frame["score"].to_numpy(dtype=np.float64, na_value=np.nan))
        found.append(_none("every score is finite", frame, ~finite))
    return found


def _none(name: str, frame: pd.DataFrame, broken: NDArray[np.bool_]) -> Fact:
    return Fact(name, int(broken.sum()), most=0, unit="rows", sample=rows_of(frame[broken]))
