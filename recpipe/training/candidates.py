"""What a ranker of candidates learns from: films hidden from each user, and what its members, who have not seen them,
say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recpipe.data.interactions import FloatArray, LongArray
from recpipe.data.splits.by_user import hidden
from recpipe.data.splits.strategy import first_watches
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import ROWS_A_CALL, Recipe, Run, Scorer
from recpipe.scoring.pair_features import Films, candidates, features, places
from recpipe.training.endings import cut_short
from recpipe.training.journal import sentences_of

MOST_SHARE = 0.2
"""Of a user's films are hidden at most, as in the split `holdout`."""


class Leak(ValueError):
    """What a ranker was to learn to find, its members had already seen."""


@dataclass(frozen=True, eq=False)
class Member:
    """What a recipe learned, and from whom: seen, binary CSR [n_users × n_items]. cut_short: by its time budget."""

    scorer: Scorer
    seen: sparse.csr_matrix
    cut_short: bool = False

    @classmethod
    def learned(cls, recipe: Recipe, train: TrainingSet, run: Run, name: str = "") -> Self:
        """Fit for as long as the recipe's settings say: no validation part may choose for a member.

        Of what it reports, a problem and notes are passed on, with the member's name or else the recipe's.
        """
        closing: dict[str, Any] = {}

        def report(**numbers: Any) -> None:
            closing.update(numbers)
            if told := sentences_of(numbers, name or recipe.recipe_name()):
                run.report(**told)

        alone = replace(run, epochs=None, validate=None, checkpoints=None, report=report)
        given = TrainingSet(train.interactions, train.features if recipe.uses_features else None)
        return cls(recipe.fit(given, alone), train.interactions.matrix(), cut_short(closing))


@dataclass(frozen=True, eq=False)
class Examples:
    """A row a pair of user and candidate, users ascending. columns: float32 [rows × columns]; watched: bool [rows], the
    film is one of those hidden; users: int64 [rows]."""

    columns: FloatArray
    watched: NDArray[np.bool_]
    users: LongArray

    def rows(self, chosen: NDArray[np.bool_]) -> Examples:
        """Some of them, in the same order."""
        return Examples(self.columns[chosen], self.watched[chosen], self.users[chosen])

    def group_sizes(self) -> LongArray:
        """int64: rows of each user that has any, in order."""
        return np.unique(self.users, return_counts=True)[1]


def hold_back(
    train: TrainingSet, last: int, drawn: int, new: float, random: np.random.Generator
) -> tuple[TrainingSet, sparse.csr_matrix]:
    """What is left when each user's `last` latest films and `drawn` others are hidden, and these, binary [users ×
    films].

    new: share of films that are hidden from everybody, as if they had not come out yet. Later watches of a film that
    was watched before are neither kept nor hidden.
    """
    once = train.interactions.take(first_watches(train.interactions))
    away = hidden(once, last, drawn, MOST_SHARE, random) if last + drawn else np.zeros(len(once), dtype=np.bool_)
    away |= (random.random(train.n_items) < new)[once.items]
    return TrainingSet(once.take(~away), train.features), once.take(away).matrix()


def examples(
    members: Mapping[str, Member],
    known: TrainingSet,
    wanted: sparse.csr_matrix,
    each: int,
    negatives: int,
    random: np.random.Generator,
) -> Examples:
    """The members' candidates for every user with films to be found, told by `pair_features` from what is known.

    each: films that a member names. negatives: candidates that are not wanted, drawn for each one that is; users none
    of whose wanted films is a candidate teach nothing. Raises `Leak` where a member has learned from a wanted film, and
    ValueError where no candidate is wanted.
    """
    for name, member in members.items():
        refuse_leaks(name, member.seen, wanted)
    films, histories = Films.of(known), known.interactions.histories()
    asked = np.flatnonzero(np.diff(wanted.indptr))
    parts = []
    for start in range(0, len(asked), ROWS_A_CALL):
        users = asked[start : start + ROWS_A_CALL]
        rows, targets = histories.rows(users), wanted[users].toarray() > 0
        scores = {name: member.scorer.scores(rows) for name, member in members.items()}
        named = candidates(scores, rows, each)
        chosen = (named & targets) | _drawn(named & ~targets, negatives * (named & targets).sum(axis=1), random)
        columns = features(films, scores, rows, chosen)
        parts.append(Examples(columns, targets[chosen], users[chosen.nonzero()[0]].astype(np.int64)))
    if not any(part.watched.any() for part in parts):
        raise ValueError(
            "a ranker has nothing to learn from: no hidden film is among its members' candidates; set more candidates, "
            "or members that find something"
        )
    return Examples(
        np.concatenate([part.columns for part in parts]),
        np.concatenate([part.watched for part in parts]),
        np.concatenate([part.users for part in parts]),
    )


def refuse_leaks(member: str, seen: sparse.csr_matrix, wanted: sparse.csr_matrix) -> None:
    """Raise `Leak` where films that are to be found are among what a member has learned from."""
    if both := int(seen.multiply(wanted).nnz):
        raise Leak(
            f"{member} has learned from {both} of the {wanted.nnz} films that a ranker is to learn to find: it would "
            "seem to know the answer, and the ranker would believe it; train it without these films"
        )


def _drawn(among: NDArray[np.bool_], counts: LongArray, random: np.random.Generator) -> NDArray[np.bool_]:
    """As many of the marked cells of each row as `counts` says, or all of them."""
    order = places(np.where(among, -random.random(among.shape), -np.inf))
    drawn: NDArray[np.bool_] = among & (order < counts[:, None])
    return drawn
