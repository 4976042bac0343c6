"""SimpleX: its loss against loops over events, the film to be found left out of the history, and what is served."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.neural.simplex import Simplex, SimplexLearner, events_and_others
from recpipe.recipe import Run
from recpipe.scoring.history_network import HistoryNetwork
from recpipe_tests import worlds
from recpipe_tests.settings_for_tests import tiny_recipe

HISTORIES = {0: [0, 2, 3], 1: [4], 2: [0, 1, 2, 3, 4, 5], 3: []}  # film 6 is nobody's
USERS, FILMS, OTHERS = torch.tensor([0, 2, 0, 1]), torch.tensor([2, 5, 0, 4]), torch.tensor([[1, 2, 5, 4, 0]])
BIASES = pytest.mark.parametrize("biases", [False, True])
POOLINGS = pytest.mark.parametrize("pooling", ["mean", "attention"])


def interactions() -> Interactions:
    pairs = np.array([(user, film) for user, films in HISTORIES.items() for film in films])
    return Interactions.sorted_from(pairs[:, 0], pairs[:, 1], np.arange(len(pairs)), None, 4, 7)


def learner(**settings: object) -> SimplexLearner:
    recipe = Simplex(**{"embedding_size": 3, "dropout": 0.0, "margin": 0.1, "own_share": 0.3} | settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = recipe.network(4, 7)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter)
    return SimplexLearner(network, interactions(), recipe)


def literal_vector(learned: SimplexLearner, user: int | None, history: list[int]) -> torch.Tensor:
    """z of one user; None is a newcomer."""
    network, pooled = learned.network, torch.zeros(3)
    own = torch.zeros(3) if user is None else network.users.weight[user]
    share = 0.0 if user is None else learned.recipe.own_share
    logits = [0.0 if network.key is None else own @ torch.tanh(network.key(network.items.weight[j])) for j in history]
    weights = [torch.exp(torch.as_tensor(logit)) for logit in logits]
    for weight, film in zip(weights, history, strict=True):
        pooled = pooled + weight / sum(weights) * network.items.weight[film]
    return share * own + (1 - share) * network.value.weight @ pooled


def literal_score(learned: SimplexLearner, vector: torch.Tensor, film: int) -> torch.Tensor:
    bias = 0.0 if learned.network.biases is None else learned.network.biases[film]
    return cosine(vector, learned.network.items.weight[film]).nan_to_num() + bias


def cosine(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return one @ other / (one.norm() * other.norm())


def literal_loss(
    learned: SimplexLearner,
    without_the_film: bool = True,
    users: torch.Tensor = USERS,
    films: torch.Tensor = FILMS,
) -> torch.Tensor:
    terms = []
    for user, film in zip(users.tolist(), films.tolist(), strict=True):
        history = [other for other in HISTORIES[user] if other != film or not without_the_film]
        vector = literal_vector(learned, user, history)
        excess = [
            (literal_score(learned, vector, other) - learned.recipe.margin).clamp(min=0)
            for other in OTHERS[0].tolist()
            if other not in HISTORIES[user]
        ]
        mean = sum(excess) / len(excess) if excess else 0.0  # user 2 has watched them all
        missing = (1 - literal_score(learned, vector, film)).clamp(min=0)
        terms.append(missing + learned.recipe.negative_weight * mean)
    return torch.stack(terms).mean()


@POOLINGS
@BIASES
def test_the_loss_and_its_gradient_are_those_of_the_formula(pooling: str, biases: bool) -> None:
    mine, theirs = learner(pooling=pooling, biases=biases), learner(pooling=pooling, biases=biases)
    found, expected = mine.loss(USERS, FILMS, OTHERS), literal_loss(theirs)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    found.backward()
    expected.backward()
    for one, other in zip(mine.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-4)


def test_a_film_that_has_all_the_attention_is_left_out_exactly() -> None:
    mine, theirs = learner(pooling="attention"), learner(pooling="attention")
    for learned in (mine, theirs):
        with torch.no_grad():
            learned.network.users.weight.mul_(30.0)
    histories = torch.from_numpy(interactions().matrix().toarray())
    with torch.no_grad():
        _, weights = mine.network._parts(histories, torch.arange(4))
        assert (weights[:3].amax(dim=1) == weights[:3].sum(dim=1)).any()
    users, films = histories.nonzero(as_tuple=True)
    found, expected = mine.loss(users, films, OTHERS), literal_loss(theirs, users=users, films=films)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    found.backward()
    expected.backward()
    for one, other in zip(mine.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-4)


@POOLINGS
def test_the_film_to_be_found_is_not_in_the_history_that_it_is_found_from(pooling: str) -> None:
    learned = learner(pooling=pooling)
    found = float(learned.loss(USERS, FILMS, OTHERS).detach())
    assert abs(found - float(literal_loss(learned, without_the_film=False).detach())) > 0.01


def test_the_loss_is_never_negative_and_zero_where_the_film_is_found_and_all_others_lie_below_the_margin() -> None:
    assert float(learner(margin=-1.0).loss(USERS, FILMS, OTHERS).detach()) > 0
    learned = learner(own_share=1.0)
    with torch.no_grad():
        learned.network.users.weight[1] = learned.network.items.weight[4]
        learned.network.items.weight[:4] = -learned.network.items.weight[4]
    loss = learned.loss(torch.tensor([1]), torch.tensor([4]), torch.tensor([[0, 1, 4]]))
    assert float(loss.detach()) == pytest.approx(0.0, abs=1e-6)


@POOLINGS
@BIASES
def test_scores_see_the_whole_history_and_newcomers_have_no_vector_of_their_own(pooling: str, biases: bool) -> None:
    learned = learner(pooling=pooling, biases=biases)
    scorer = HistoryNetwork(learned.network, 7, 4)
    for histories, known in ((interactions().histories(), True), (interactions().histories().as_newcomers(), False)):
        scores = scorer.scores(histories)
        for user, history in HISTORIES.items():
            vector = literal_vector(learned, user if known else None, history)
            expected = [float(literal_score(learned, vector, film).detach()) for film in range(7)]
            np.testing.assert_allclose(scores[user], expected, rtol=1e-4, atol=1e-5)


def test_films_watched_since_training_count_and_a_user_numbered_since_is_a_newcomer() -> None:
    scorer = HistoryNetwork(learner().network, 7, 4)
    before, later = interactions().histories(), interactions().histories()
    later = later.rows(np.arange(4))
    later.items[0] = 6
    assert not np.allclose(scorer.scores(before)[0], scorer.scores(later)[0])
    numbered = before.rows(np.array([0]))
    numbered.users[:] = 4
    np.testing.assert_array_equal(scorer.scores(numbered), scorer.scores(before.rows(np.array([0])).as_newcomers()))


def test_every_event_is_a_row_and_the_others_are_different_films_shared_by_the_batch() -> None:
    batches = list(events_and_others(interactions(), 4, 5)(np.random.default_rng(0)))
    met = [pair for users, films, _ in batches for pair in zip(users.tolist(), films.tolist(), strict=True)]
    assert sorted(met) == sorted((user, film) for user, films in HISTORIES.items() for film in films)
    assert all(others.shape == (1, 5) and len(others.unique()) == 5 for _, _, others in batches)
    (_, _, others), *_ = events_and_others(interactions(), 4, 100)(np.random.default_rng(0))
    assert sorted(others[0].tolist()) == list(range(7))


@POOLINGS
def test_newcomers_are_told_apart_by_their_histories(pooling: str) -> None:
    world = worlds.general()
    scorer = tiny_recipe("simplex", pooling=pooling).fit(world.train, Run())
    newcomers = world.held_out.histories.as_newcomers()
    hits = worlds.recall(scorer.scores(newcomers), world.held_out, world.at, world.candidates)
    assert hits > world.between(0.5)


def test_two_fits_with_one_seed_are_equal_to_the_bit() -> None:
    first, again = (
        Simplex(batch_size=4).fit(TrainingSet(interactions()), Run(seed=5, epochs=3)).arrays() for _ in range(2)
    )
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
