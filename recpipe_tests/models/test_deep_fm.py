"""DeepFM: score, loss and gradient against the sum over all pairs of fields and an MLP over all vectors in a row."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from recpipe.models.features.deep_fm import DeepFm
from recpipe.training.field_networks import FieldLearner
from recpipe.training.fields import FilmFields
from recpipe_tests.training.test_fields import four_films

USERS, FILMS = torch.tensor([1, 0]), torch.tensor([[2, 3, 0], [1, 2, 3]])
SMALL = DeepFm(embedding_size=3, layers=(4, 2), minimum_films=1)


def learner() -> FieldLearner:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        made = FieldLearner(2, FilmFields.of(four_films(), 1), SMALL)
        for parameter in made.parameters():
            torch.nn.init.normal_(parameter)
    return made.double()


def literal_score(made: FieldLearner, user: int, film: int, watched: bool = True) -> Tensor:
    """Equations 1 to 4 of the paper, before the sigmoid."""
    pairs = made.among
    shares = torch.from_numpy(FilmFields.of(four_films(), 1).shares.toarray()).to(pairs.mean.dtype)
    vectors, total = [pairs.users.weight[user]], pairs.mean + pairs.user_weights[user]
    for field in range(5):
        row = shares[film * 5 + field] * (watched or field > 0)
        vectors.append(row @ made.fields.vectors)
        total = total + row @ made.fields.weights
    total = total + sum((one * other).sum() for one, other in combinations(vectors, 2))
    head = pairs.head
    first = torch.cat((head.user_part.weight, head.film_part.weight), dim=1)
    hidden = torch.relu(first @ torch.cat(vectors) + head.user_part.bias)
    second = head.rest[2]
    return total + head.output.weight[0] @ torch.relu(second.weight @ hidden + second.bias)


def test_the_loss_and_its_gradient_are_those_of_the_formula() -> None:
    made, literal = learner(), learner()
    terms = []
    for user, films in zip(USERS.tolist(), FILMS.tolist(), strict=True):
        for column, film in enumerate(films):
            share = torch.sigmoid(literal_score(literal, user, film))
            terms.append(-torch.log(share if column == 0 else 1 - share))
    expected = torch.stack(terms).mean()
    found = made.loss(USERS, FILMS)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)
    found.backward()
    expected.backward()
    for (name, mine), theirs in zip(made.named_parameters(), literal.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-4, atol=1e-5, msg=name)


def test_the_scorer_has_the_scores_in_full_and_new_films_by_their_side_data_alone() -> None:
    made = learner().float().eval()
    expected = [
        [float(literal_score(made, user, film, watched=film < 3).detach()) for film in range(4)] for user in range(2)
    ]
    scores = made.as_scorer().scores(four_films().interactions.histories())
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)
