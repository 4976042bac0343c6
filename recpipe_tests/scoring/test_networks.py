"""The scorers that hold a network: what they hand to it, blocks that do not matter, and the way to disk and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recpipe.costs import Cost, Shape
from recpipe.data.interactions import Histories, Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import ROWS_A_CALL, NetworkRecipe, Recipe, Run, Scorer, UnknownUsers
from recpipe.scoring import pair_network
from recpipe.scoring.history_network import HistoryNetwork
from recpipe.scoring.pair_network import PairNetwork
from recpipe.scoring.sequence_network import SequenceNetwork

N_USERS, N_ITEMS, LENGTH = 300, 17, 5


class ToyNetwork(nn.Module):
    """Answers all three kinds of questions, with dropout that must be silent."""

    def __init__(self) -> None:
        super().__init__()
        self.users = nn.Embedding(N_USERS, 6)
        self.items = nn.Embedding(N_ITEMS + 1, 6)
        self.dropout = nn.Dropout(0.5)
        self.output = nn.Linear(6, N_ITEMS)

    def scores(self, asked: Tensor) -> Tensor:
        if asked.dtype == torch.float32:
            hidden = asked @ self.items.weight[:-1]
        else:
            hidden = self.users(asked) if asked.ndim == 1 else self.items(asked).sum(dim=1)
        scores: Tensor = self.output(self.dropout(hidden))
        return scores


class Toy(NetworkRecipe):
    def fit(self, train: TrainingSet, run: Run) -> Scorer:
        raise NotImplementedError

    def cost(self, shape: Shape) -> Cost:
        raise NotImplementedError

    def network(self, n_users: int, n_items: int) -> ToyNetwork:
        assert (n_users, n_items) == (N_USERS, N_ITEMS)
        return ToyNetwork()


class Plain(Recipe):
    def fit(self, train: TrainingSet, run: Run) -> Scorer:
        raise NotImplementedError

    def cost(self, shape: Shape) -> Cost:
        raise NotImplementedError


def everybody() -> Histories:
    numbers = np.random.default_rng(1)
    users = np.repeat(np.arange(N_USERS), numbers.integers(0, 9, N_USERS))
    items = numbers.integers(0, N_ITEMS, len(users))
    return Interactions.sorted_from(users, items, np.arange(len(users)), None, N_USERS, N_ITEMS).histories()


def toy() -> ToyNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return ToyNetwork()


def scorers() -> list[Any]:
    return [
        HistoryNetwork(toy(), N_ITEMS, N_USERS),
        SequenceNetwork(toy(), LENGTH, N_ITEMS, N_USERS),
        PairNetwork(toy(), N_USERS, N_ITEMS),
    ]


each_scorer = pytest.mark.parametrize("scorer", scorers(), ids=lambda scorer: type(scorer).__name__)


def test_each_network_is_asked_with_what_it_knows() -> None:
    users, network = everybody(), toy().eval()
    with torch.no_grad():
        by_history = network.scores(torch.from_numpy(users.matrix().toarray())).numpy()
        by_sequence = network.scores(torch.from_numpy(users.last(LENGTH))).numpy()
        by_user = network.scores(torch.arange(N_USERS)).numpy()
    for scorer, expected in zip(scorers(), (by_history, by_sequence, by_user), strict=True):
        np.testing.assert_allclose(scorer.scores(users), expected, rtol=1e-5, atol=1e-6)


@each_scorer
def test_scores_are_float32_finite_and_one_row_a_user(scorer: Any) -> None:
    scores = scorer.scores(everybody())
    assert scores.dtype == np.float32 and scores.shape == (N_USERS, N_ITEMS) and np.isfinite(scores).all()
    assert scorer.scores(everybody().rows(slice(0, 0))).shape == (0, N_ITEMS)


@each_scorer
def test_a_users_scores_do_not_depend_on_who_else_is_asked_about(scorer: Any) -> None:
    together = scorer.scores(everybody())
    for which in ([299], [7, 3], range(100, 290)):
        rows = np.array(which)
        np.testing.assert_array_equal(scorer.scores(everybody().rows(rows)), together[rows])


@each_scorer
def test_scoring_leaves_the_networks_mode_and_the_random_state_alone(scorer: Any) -> None:
    scorer.network.train()
    before = torch.random.get_rng_state()
    first, second = scorer.scores(everybody()), scorer.scores(everybody())
    np.testing.assert_array_equal(first, second)
    assert scorer.network.training
    assert torch.equal(torch.random.get_rng_state(), before)


@each_scorer
def test_what_is_stored_comes_back_with_the_same_scores(scorer: Any) -> None:
    before = torch.random.get_rng_state()
    arrays = scorer.arrays()
    assert all(isinstance(array, np.ndarray) for array in arrays.values())
    back = type(scorer).from_arrays(arrays, Toy())
    np.testing.assert_array_equal(back.scores(everybody()), scorer.scores(everybody()))
    assert torch.equal(torch.random.get_rng_state(), before)


@each_scorer
def test_a_stored_network_does_not_follow_further_training(scorer: Any) -> None:
    back = type(scorer).from_arrays(scorer.arrays(), Toy())
    before = back.scores(everybody())
    with torch.no_grad():
        back_of = scorer.network.output.bias
        back_of.add_(1.0)
    np.testing.assert_array_equal(back.scores(everybody()), before)


def test_a_recipe_without_a_network_cannot_bring_one_back() -> None:
    with pytest.raises(TypeError, match="builds no network"):
        HistoryNetwork.from_arrays(scorers()[0].arrays(), Plain())


def test_newcomers_are_served_from_their_history_and_refused_where_only_the_number_counts() -> None:
    users = everybody()
    by_history, by_sequence, by_pair = scorers()
    for scorer in (by_history, by_sequence):
        assert scorer.serves_newcomers
        np.testing.assert_array_equal(scorer.scores(users.as_newcomers()), scorer.scores(users))
    assert not by_pair.serves_newcomers
    with pytest.raises(UnknownUsers, match="2 of 2 users were not seen"):
        by_pair.scores(users.rows(np.array([0, 1])).as_newcomers())


class Counting(ToyNetwork):
    """Keeps how many rows each call was about."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int] = []

    def scores(self, asked: Tensor) -> Tensor:
        self.asked.append(len(asked))
        return super().scores(asked)


def test_pairs_come_in_blocks_of_bounded_size_that_the_rows_of_a_call_fill(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = everybody().rows(np.arange(ROWS_A_CALL))
    for most, block in ((1000, 128), (127, 64), (97, 64), (10, 10), (1, 1), (0, 1)):
        monkeypatch.setattr(pair_network, "PAIRS", most * N_ITEMS + 1)
        network = Counting()
        PairNetwork(network, N_USERS, N_ITEMS).scores(rows)
        assert set(network.asked) == {block}
        assert sum(network.asked) < ROWS_A_CALL + len(network.asked)


def test_the_rows_of_a_call_are_one_block_of_histories() -> None:
    for kind in (HistoryNetwork(Counting(), N_ITEMS, N_USERS), SequenceNetwork(Counting(), LENGTH, N_ITEMS, N_USERS)):
        kind.scores(everybody().rows(np.arange(ROWS_A_CALL)))
        assert kind.network.asked == [ROWS_A_CALL]
