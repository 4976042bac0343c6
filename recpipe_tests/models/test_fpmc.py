"""FPMC: the score against its formula, and BPR as the sampled softmax with one negative."""

from __future__ import annotations

import torch
from torch.nn import functional

from recpipe.models.sequences.fpmc import Fpmc, FpmcNetwork

N_ITEMS = PADDING = 7
FILMS, TARGETS, USERS = torch.tensor([[7, 3, 1], [2, 5, 2]]), torch.tensor([[7, 1, 4], [5, 2, 0]]), torch.tensor([0, 3])


def network(**settings: object) -> FpmcNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        return Fpmc(**{"embedding_size": 4, "dropout": 0.0} | settings).network(3, N_ITEMS)


def test_a_score_is_the_users_taste_and_the_transition_from_the_latest_film() -> None:
    learner = network()
    scores = learner.scores(FILMS, USERS)
    for row, (latest, user) in enumerate([(1, 0), (2, 3)]):
        for film in range(N_ITEMS):
            taste = learner.users.weight[user] @ learner.outputs[film, :4]
            transition = learner.items.weight[latest] @ learner.outputs[film, 4:]
            torch.testing.assert_close(scores[row, film], taste + transition)
    assert torch.equal(learner.users.weight[3], torch.zeros(4))


def test_one_negative_is_the_papers_loss() -> None:
    learner, terms = network(loss="sampled_softmax", negatives=1), []
    torch.manual_seed(9)
    found = learner.loss(FILMS, TARGETS, USERS)
    torch.manual_seed(9)
    drawn = int(torch.randint(N_ITEMS, (1,)))
    for row, column in (TARGETS != PADDING).nonzero().tolist():
        scores, target = learner.states(FILMS, USERS)[row, column] @ learner.outputs.T, TARGETS[row, column]
        terms.append(-functional.logsigmoid(scores[target] - scores[drawn]) if target != drawn else scores.sum() * 0)
    torch.testing.assert_close(found, torch.stack(terms).mean())
