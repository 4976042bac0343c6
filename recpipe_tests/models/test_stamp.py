"""STAMP: memory, latest film and their product against a literal loop."""

from __future__ import annotations

import torch

from recpipe.models.sequences.stamp import Stamp
from recpipe_tests.networks import random_network


def test_the_state_is_the_product_of_memory_and_latest_film() -> None:
    learner, films = random_network(Stamp), torch.tensor([[7, 3, 1, 4]])
    vectors = learner.items.weight[[3, 1, 4]]
    of_latest, of_mean = learner.asking.weight.split(4, dim=1)
    for t in range(3):
        mean, memory = vectors[: t + 1].sum(dim=0) / (t + 1), torch.zeros(4)
        for j in range(t + 1):
            sums = learner.asked.weight @ vectors[j] + of_latest @ vectors[t] + of_mean @ mean + learner.asking.bias
            memory = memory + (learner.direction * torch.sigmoid(sums)).sum() * vectors[j]
        left = torch.tanh(learner.of_memory.weight @ memory + learner.of_memory.bias)
        right = torch.tanh(learner.of_latest.weight @ vectors[t] + learner.of_latest.bias)
        torch.testing.assert_close(learner.states(films)[0, 1 + t], left * right)
