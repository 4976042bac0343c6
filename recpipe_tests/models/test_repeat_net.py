"""RepeatNet: modes, repeats and what is new against a literal loop, with targets of both kinds."""

from __future__ import annotations

import pytest
import torch

from recpipe.models.sequences.repeat_net import Look, RepeatNet, RepeatNetNetwork

N_ITEMS = PADDING = 7
FILMS = torch.tensor([[7, 7, 3, 1, 3], [2, 5, 2, 0, 2]])
TARGETS = torch.tensor([[7, 7, 1, 3, 6], [5, 2, 0, 2, 5]])


def network() -> RepeatNetNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        learner = RepeatNet(embedding_size=4, dropout=0.0, max_length=8).network(3, N_ITEMS)
        for parameter in learner.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
    return learner.eval()


def shares(look: Look, hidden: torch.Tensor) -> torch.Tensor:
    """a of the last state, over all states."""
    sums = [torch.tanh(look.asking.weight @ hidden[-1] + look.asked.weight @ state) for state in hidden]
    return torch.softmax(torch.stack([look.direction @ each for each in sums]), dim=0)


def literal(learner: RepeatNetNetwork, session: list[int]) -> torch.Tensor:
    """P of every film, by the formulas."""
    hidden = learner.gru(learner.items.weight[session][None])[0][0]
    repeat, explore = torch.softmax(learner.mode(shares(learner.of_mode, hidden) @ hidden), dim=0)
    again = torch.zeros(N_ITEMS)
    for film, share in zip(session, shares(learner.of_repeats, hidden), strict=True):
        again[film] = again[film] + share
    joined = torch.cat((hidden[-1], shares(learner.of_explored, hidden) @ hidden))
    raw = [
        0.0 if film in session else float((learner.outputs[film] @ joined).exp().detach()) for film in range(N_ITEMS)
    ]
    return repeat * again + explore * torch.tensor(raw) / sum(raw)


def test_scores_are_the_logarithms_of_the_papers_probabilities() -> None:
    learner = network()
    for column in range(2, 5):
        for row in range(2):
            session = [film for film in FILMS[row, : column + 1].tolist() if film != PADDING]
            found = learner.scores(FILMS[row : row + 1, : column + 1])[0].exp()
            torch.testing.assert_close(found, literal(learner, session))
            assert float(found.sum().detach()) == pytest.approx(1.0, rel=1e-5)


def test_the_loss_is_the_mean_over_targets_that_come_again_and_targets_that_are_new() -> None:
    learner, terms = network(), []
    for row, column in (TARGETS != PADDING).nonzero().tolist():
        session = [film for film in FILMS[row, : column + 1].tolist() if film != PADDING]
        terms.append(-torch.log(literal(learner, session)[TARGETS[row, column]]))
    torch.testing.assert_close(learner.loss(FILMS, TARGETS), torch.stack(terms).mean())
