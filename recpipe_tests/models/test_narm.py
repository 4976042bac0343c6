"""NARM: the attention over all states so far against a literal loop."""

from __future__ import annotations

import torch

from recpipe.models.sequences.narm import Narm
from recpipe_tests.networks import N_ITEMS, random_network


def test_the_last_state_looks_back_at_each_state_by_the_formula() -> None:
    learner, films = random_network(Narm), torch.tensor([[7, 7, 3, 1, 4]])
    hidden, _ = learner.gru(learner.items(films[:, 2:]))
    for t in range(3):
        seen = torch.zeros(4)
        for j in range(t + 1):
            sums = learner.asking.weight @ hidden[0, t] + learner.asked.weight @ hidden[0, j]
            seen = seen + sum(learner.direction[k] / (1 + torch.exp(-sums[k])) for k in range(4)) * hidden[0, j]
        expected = learner.joining.weight @ torch.cat((hidden[0, t], seen))
        torch.testing.assert_close(learner.states(films)[0, 2 + t], expected)
        scores = learner.scores(films[:, : 3 + t])[0]
        torch.testing.assert_close(scores, torch.stack([learner.items.weight[i] @ expected for i in range(N_ITEMS)]))
