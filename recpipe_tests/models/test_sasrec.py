"""SASRec: causality, padding, the attention and each of its losses against literal loops."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from recpipe.models.sequences.sasrec import Sasrec, SasrecNetwork
from recpipe.training.attention import Block
from recpipe.training.windows import earlier_and_real

N_ITEMS = PADDING = 7
FILMS = torch.tensor([[7, 7, 3, 1, 4], [2, 5, 2, 0, 6], [7, 7, 7, 7, 1]])
TARGETS = torch.tensor([[7, 7, 1, 4, 0], [5, 2, 0, 6, 3], [7, 7, 7, 7, 2]])


def network(**settings: object) -> SasrecNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        recipe = Sasrec(**{"embedding_size": 4, "heads": 2, "dropout": 0.0, "max_length": 8, "negatives": 3} | settings)
        learner = recipe.network(3, N_ITEMS)
        for parameter in learner.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
    return learner


def test_a_later_film_does_not_change_earlier_states() -> None:
    learner, changed = network(), FILMS.clone()
    changed[:, 4] = 0
    before, after = learner.states(FILMS), learner.states(changed)
    torch.testing.assert_close(after[:, :4], before[:, :4], rtol=0, atol=0)
    assert (after[:, 4] != before[:, 4]).any(dim=1).all()


def test_the_amount_of_padding_does_not_change_scores() -> None:
    learner = network()
    more = torch.nn.functional.pad(FILMS, (3, 0), value=PADDING)
    torch.testing.assert_close(learner.scores(more), learner.scores(FILMS))
    more = torch.nn.functional.pad(TARGETS, (3, 0), value=PADDING)
    torch.testing.assert_close(
        learner.loss(torch.nn.functional.pad(FILMS, (3, 0), value=PADDING), more), learner.loss(FILMS, TARGETS)
    )


def test_the_order_of_the_films_counts() -> None:
    learner = network()
    assert not torch.allclose(learner.scores(FILMS[1:2].flip(1)), learner.scores(FILMS[1:2]))


def test_everyone_attends_to_what_is_real_and_not_later_and_padding_to_itself() -> None:
    allowed = earlier_and_real(torch.tensor([[False, True, True]]))
    assert allowed.int().tolist() == [[[1, 0, 0], [0, 1, 0], [0, 1, 1]]]


def test_attention_is_a_weighted_mean_of_what_may_be_seen() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        block, states = Block(4, 2, 0.0), torch.randn(1, 3, 4)
    real = torch.tensor([[False, True, True]])
    normal = block.norms[0](states)[0]
    queries, keys, values = block.attention_in(normal).split(4, dim=1)
    expected = torch.zeros(3, 4)
    for who, seen in ((0, [0]), (1, [1]), (2, [1, 2])):
        for head in (slice(0, 2), slice(2, 4)):
            weights = torch.softmax(
                torch.stack([queries[who, head] @ keys[j, head] / math.sqrt(2) for j in seen]), dim=0
            )
            expected[who, head] = sum(weight * values[j, head] for weight, j in zip(weights, seen, strict=True))
    attended = states[0] + block.attention_out(expected)
    expected = attended + block.feed_forward(block.norms[1](attended))
    torch.testing.assert_close(block(states, earlier_and_real(real)[:, None])[0], expected)


def test_heads_that_do_not_divide_the_size_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of heads"):
        network(heads=3)


def test_a_row_of_padding_gets_finite_scores_and_breaks_no_gradient() -> None:
    learner, nothing = network(), torch.full((1, 5), PADDING)
    assert learner.scores(nothing).isfinite().all()
    learner.loss(torch.cat((FILMS, nothing)), torch.cat((TARGETS, nothing))).backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in learner.parameters())


def softplus(value: float) -> float:
    return math.log(1 + math.exp(value))


def sampled_softmax(watched: float, others: list[float]) -> float:
    return -math.log(math.exp(watched) / (math.exp(watched) + sum(map(math.exp, others))))


def gbce(watched: float, others: list[float]) -> float:
    rate = 3 / (N_ITEMS - 1)
    power = rate * (0.75 * (1 - 1 / rate) + 1 / rate)
    log_of_watched = math.log((1 / (1 + math.exp(-watched))) ** power)
    return -(log_of_watched + sum(math.log(1 - 1 / (1 + math.exp(-other))) for other in others)) / 4


def test_cross_entropy_is_that_of_all_films_at_each_target() -> None:
    learner, terms = network(), []
    for row, column in (TARGETS != PADDING).nonzero().tolist():
        scores = learner.states(FILMS)[row, column] @ learner.items.weight[:-1].T
        terms.append(-torch.log(scores.exp()[TARGETS[row, column]] / scores.exp().sum()))
    torch.testing.assert_close(learner.loss(FILMS, TARGETS), torch.stack(terms).mean())


@pytest.mark.parametrize("literal", [sampled_softmax, gbce], ids=lambda literal: literal.__name__)
def test_losses_with_shared_negatives_are_those_of_the_formula(literal: Callable[[float, list[float]], float]) -> None:
    learner = network(loss=literal.__name__)
    torch.manual_seed(9)
    found = learner.loss(FILMS, TARGETS)
    torch.manual_seed(9)
    drawn = torch.randint(N_ITEMS, (3,)).tolist()
    scores, terms = (learner.states(FILMS) @ learner.items.weight[:-1].T).detach(), []
    for row, column in (TARGETS != PADDING).nonzero().tolist():
        target = int(TARGETS[row, column])
        others = [float(scores[row, column, film]) if film != target else -50.0 for film in drawn]
        terms.append(literal(float(scores[row, column, target]), others))
    assert float(found.detach()) == pytest.approx(sum(terms) / len(terms), rel=1e-5)


def test_binary_cross_entropy_draws_one_film_outside_the_window_for_each_target() -> None:
    learner = network(loss="binary_cross_entropy")
    torch.manual_seed(9)
    found = learner.loss(FILMS, TARGETS)
    torch.manual_seed(9)
    drawn = torch.randint(N_ITEMS, TARGETS.shape)
    scores, terms = (learner.states(FILMS) @ learner.items.weight[:-1].T).detach(), []
    for row, column in (TARGETS != PADDING).nonzero().tolist():
        watched, other = float(scores[row, column, TARGETS[row, column]]), int(drawn[row, column])
        window = {*FILMS[row].tolist(), *TARGETS[row].tolist()}
        terms.append(softplus(-watched) + (0.0 if other in window else softplus(float(scores[row, column, other]))))
    assert float(found.detach()) == pytest.approx(sum(terms) / len(terms), rel=1e-5)
