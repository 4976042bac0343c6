"""NARM: the attention over all states so far against a literal loop."""

from __future__ import annotations

import torch

from recpipe.models.sequences.narm import Narm, NarmNetwork

N_ITEMS = PADDING = 7


def network(**settings: object) -> NarmNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        learner = Narm(**{"embedding_size": 4, "dropout": 0.0, "max_length": 8} | settings).network(3, N_ITEMS)
        for parameter in learner.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
        with torch.no_grad():
            learner.items.weight[-1] = 0.0
    return learner.eval()


def test_the_last_state_looks_back_at_each_state_by_the_formula() -> None:
    learner, films = network(), torch.tensor([[7, 7, 3, 1, 4]])
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
