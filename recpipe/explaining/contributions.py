"""Scores taken apart: what each film of the history brings, where a model's score is a sum over them.

Item-based scores explain themselves (Sarwar et al. 2001): the films of the history that vote most are the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from recpipe.data.interactions import NEWCOMER, Histories, IntArray
from recpipe.recipe import Scorer
from recpipe.scoring.item_weights import ItemWeights
from recpipe.scoring.top import NO_FILM

if TYPE_CHECKING:
    from recpipe.scoring.history_network import HistoryNetwork

Doubles = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Contributions:
    """score[k] = Σ values[k] + rest[k], for one user and the films asked about.

    films: int32 [terms × 2], the films of the history that a term is of; `NO_FILM` in the second column unless two
    films vote together. values: float64 [asked × terms]. rest: float64 [asked], what no film of the history brings: the
    film's bias, and the user's own vector where there is one.
    """

    films: IntArray
    values: Doubles
    rest: Doubles


def contributions(scorer: Scorer, history: Histories, films: NDArray[np.integer]) -> Contributions | None:
    """What the films of one user's history bring to the scores of these films, which the user has not seen.

    history: one row. None where the score is no sum over the history, or the model does not tell.
    """
    if len(history) != 1:
        raise ValueError(f"contributions: the history of one user was wanted, {len(history)} came")
    if isinstance(scorer, ItemWeights):
        return _of_item_weights(scorer, history, films)
    from recpipe.scoring.history_network import HistoryNetwork  # and torch with it

    if isinstance(scorer, HistoryNetwork) and hasattr(scorer.network, "votes"):
        return _of_network(scorer, history, films)
    return None


def _of_item_weights(scorer: ItemWeights, history: Histories, films: NDArray[np.integer]) -> Contributions:
    watched = history.matrix() if scorer.half_life is None else history.recency_matrix(scorer.half_life)
    voters, weights = watched.indices, watched.data.astype(np.float64)
    rows = scorer.weights[voters]
    if scorer.right is not None:
        votes = np.asarray(rows, dtype=np.float64) @ scorer.right[:, films]
    else:
        votes = rows[:, films].toarray() if sparse.issparse(rows) else rows[:, films]
    terms = [np.stack((voters, np.full(len(voters), NO_FILM)), axis=1)]
    values = [weights[:, None] * votes]
    if scorer.pairs is not None and scorer.pair_weights is not None:
        weight = np.zeros(history.n_items)
        weight[voters] = weights
        both = weight[scorer.pairs[:, 0]] * weight[scorer.pairs[:, 1]]
        voting = np.flatnonzero(both)
        terms.append(scorer.pairs[voting])
        values.append(both[voting, None] * scorer.pair_weights[voting][:, films])
    rest = np.zeros(len(films)) if scorer.item_biases is None else scorer.item_biases[films].astype(np.float64)
    return Contributions(np.concatenate(terms).astype(np.int32), np.concatenate(values).T, rest)


def _of_network(scorer: HistoryNetwork, history: Histories, films: NDArray[np.integer]) -> Contributions:
    """Networks whose score is a sum over the history offer `votes`; users are handed in as `HistoryNetwork` does it."""
    import torch

    from recpipe.scoring.networks import device_of

    network = scorer.network
    device = device_of(network)
    row = torch.from_numpy(history.matrix().toarray()).to(device)
    known = np.where(history.users < scorer.n_users, history.users, NEWCOMER)
    users = [torch.from_numpy(known.astype(np.int64)).to(device)] if getattr(network, "knows_users", False) else []
    with torch.no_grad():
        votes, rest = network.votes(row, torch.from_numpy(films.astype(np.int64)).to(device), *users)
    voters = history.matrix().indices
    terms = np.stack((voters, np.full(len(voters), NO_FILM)), axis=1).astype(np.int32)
    return Contributions(
        terms, votes.cpu().numpy().astype(np.float64)[:, voters], rest.cpu().numpy().astype(np.float64)
    )
