"""Caser: both kinds of filters against a literal image, and the user."""

from __future__ import annotations

import torch

from recpipe.models.sequences.caser import Caser
from recpipe_tests.networks import random_network


def test_the_state_is_what_the_filters_find_in_the_image_of_the_latest_films() -> None:
    learner = random_network(Caser, order=3, filters=2, vertical_filters=2)
    films, user = torch.tensor([[7, 7, 3, 1, 4]]), torch.tensor([1])
    for column in range(2, 5):
        known = [7] * 3 + films[0, 2 : column + 1].tolist()
        image = learner.items.weight[known[-3:]]
        found = []
        for height in range(1, 4):
            for filtered in range(2):
                kernel = learner.horizontal[height - 1][:, :, filtered]
                places = [(image[place : place + height] * kernel).sum() for place in range(4 - height)]
                found.append(max(torch.relu(place + learner.biases[height - 1, filtered]) for place in places))
        vertical = [
            sum(image[row, k] * learner.vertical[row, v] for row in range(3)) for k in range(4) for v in range(2)
        ]
        joined = torch.relu(learner.joining.weight @ torch.stack(found + vertical) + learner.joining.bias)
        expected = torch.cat((joined, learner.users.weight[1], torch.ones(1)))
        torch.testing.assert_close(learner.states(films, user)[0, column], expected)
    scores = learner.scores(films, user)[0]
    torch.testing.assert_close(scores, learner.outputs[:, :-1] @ expected[:-1] + learner.outputs[:, -1])


def test_the_user_counts_and_somebody_unknown_is_a_vector_of_zeros() -> None:
    learner = random_network(Caser)
    with torch.no_grad():
        learner.users.weight[-1] = 0.0
    films = torch.tensor([[3, 1, 4], [3, 1, 4], [3, 1, 4]])
    one, other, unknown = learner.states(films, torch.tensor([0, 1, 3]))[:, -1]
    assert not torch.equal(one, other)
    assert torch.equal(unknown[4:8], torch.zeros(4))
