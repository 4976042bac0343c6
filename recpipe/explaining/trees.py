"""What the columns of a ranker's table bring to its answer: Shapley values of trees (Lundberg et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence

import lightgbm
import numpy as np
from numpy.typing import NDArray

from recpipe.data.interactions import Histories
from recpipe.scoring.boosted_trees import BoostedTrees
from recpipe.scoring.pair_features import candidates, features, names

Told = tuple[NDArray[np.float64] | None, float]
"""What each column brings to a film, and what is left; None for a film that is no candidate."""


def tree_contributions(
    scorer: BoostedTrees, history: Histories, films: NDArray[np.integer]
) -> tuple[list[Told], Sequence[str]]:
    """For each film, and the columns' names. history: one row. A candidate's values and what is left, the answer that
    the trees expect of anybody, add up to the sum of the trees' leaves, in whose order the scores are.
    """
    said = {name: member.scores(history) for name, member in scorer.members.items()}
    chosen = candidates(said, history, scorer.candidates)
    columns = names(tuple(scorer.members))
    if not chosen.any():
        return [(None, 0.0)] * len(films), columns
    booster = lightgbm.Booster(model_str=scorer.trees)
    told = np.asarray(booster.predict(features(scorer.films, said, history, chosen), pred_contrib=True))
    row = {film: place for place, film in enumerate(np.flatnonzero(chosen[0]).tolist())}
    found: list[Told] = [
        (told[row[film], :-1], float(told[row[film], -1])) if film in row else (None, 0.0) for film in films.tolist()
    ]
    return found, columns
