"""FM: score, loss and gradient against the sum over all pairs of fields, written out."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from torch import Tensor

from recpipe.data.training_set import TrainingSet
from recpipe.models.features.fm import Fm, FmNetwork
from recpipe.recipe import Run
from recpipe.training.fields import FilmFields
from recpipe_tests.training.test_fields import four_films

USERS, FILMS = torch.tensor([1, 0]), torch.tensor([[2, 3, 0], [1, 2, 3]])


def network(loss: str = "squared") -> FmNetwork:
    recipe = Fm(embedding_size=3, loss=loss, minimum_films=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        learner = FmNetwork(2, FilmFields.of(four_films(), recipe.minimum_films), recipe)
        for parameter in learner.parameters():
            torch.nn.init.normal_(parameter)
    return learner.double()


def literal_score(learner: FmNetwork, user: int, film: int, watched: bool = True) -> Tensor:
    """w_0 + w_u + Σ_f w_f + Σ_(f < g) v_f · v_g, value by value."""
    table, weights = learner.fields.vectors, learner.fields.weights
    shares = FilmFields.of(four_films(), 1).shares.toarray()
    vectors, total = [learner.users.weight[user]], learner.mean + learner.user_weights[user]
    for field in range(5):
        row = shares[film * 5 + field]
        if field == 0 and not watched:
            row = row * 0
        values = np.flatnonzero(row)
        vectors.append(sum((row[value] * table[value] for value in values), start=torch.zeros(3).double()))
        total = total + sum(row[value] * weights[value] for value in values)
    return total + sum((one * other).sum() for one, other in combinations(vectors, 2))


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_the_loss_and_its_gradient_are_those_of_the_formula(loss: str) -> None:
    learner, literal = network(loss), network(loss)
    terms = []
    for user, films in zip(USERS.tolist(), FILMS.tolist(), strict=True):
        for column, film in enumerate(films):
            score, target = literal_score(literal, user, film), float(column == 0)
            share = torch.sigmoid(score)
            logistic = -(target * torch.log(share) + (1 - target) * torch.log(1 - share))
            terms.append((target - score) ** 2 if loss == "squared" else logistic)
    expected = torch.stack(terms).mean()
    found = learner.loss(USERS, FILMS)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)
    found.backward()
    expected.backward()
    for (name, mine), theirs in zip(learner.named_parameters(), literal.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-5, msg=name)


def test_the_scorer_has_the_scores_in_full_and_new_films_by_their_side_data_alone() -> None:
    learner = network().float().eval()
    expected = [
        [float(literal_score(learner, user, film, watched=film < 3).detach()) for film in range(4)] for user in range(2)
    ]
    scores = learner.as_factors().scores(four_films().interactions.histories())
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)


def test_side_data_of_other_films_move_a_new_film_and_its_own_number_does_not() -> None:
    """A watched film's director is what the new one has; what stands at the new film's own number is not asked."""
    learner = network().float().eval()
    before = learner.as_factors()
    with torch.no_grad():
        learner.fields.vectors[3] += 1.0
        learner.fields.weights[3] += 1.0
    assert np.array_equal(learner.as_factors().item_factors, before.item_factors)
    with torch.no_grad():
        learner.fields.vectors[5] += 1.0  # drama
    assert not np.array_equal(learner.as_factors().item_factors[3], before.item_factors[3])


def test_two_fits_with_one_seed_are_equal_to_the_bit() -> None:
    recipe = Fm(batch_size=2, film_dropout=0.5, minimum_films=1)
    first, again = (recipe.fit(four_films(), Run(seed=5, epochs=3)).arrays() for _ in range(2))
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])


def test_it_learns_without_side_data() -> None:
    train = TrainingSet(four_films().interactions)
    scorer = Fm(batch_size=2, epochs=2, learning_rate=0.01).fit(train, Run(seed=1))
    assert np.isfinite(scorer.scores(train.interactions.histories())).all()
