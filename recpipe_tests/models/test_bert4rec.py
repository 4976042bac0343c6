"""BERT4Rec: what is hidden, that both sides are seen, padding, and the loss against a literal loop."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from recpipe.models.sequences.bert4rec import Bert4rec, Bert4recNetwork

N_ITEMS = PADDING = 7
FILMS = torch.tensor([[7, 7, 3, 1, 4], [2, 5, 2, 0, 6], [7, 7, 7, 7, 1]])
TARGETS = torch.tensor([[7, 7, 1, 4, 0], [5, 2, 0, 6, 3], [7, 7, 7, 7, 2]])
WHOLE = torch.tensor([[7, 7, 3, 1, 4, 0], [2, 5, 2, 0, 6, 3], [7, 7, 7, 7, 1, 2]])


def network(**settings: object) -> Bert4recNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        recipe = Bert4rec(**{"embedding_size": 4, "dropout": 0.0, "max_length": 8, "mask_probability": 0.4} | settings)
        learner = recipe.network(3, N_ITEMS)
        for parameter in learner.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
        with torch.no_grad():
            learner.items.weight[PADDING] = 0.0
    return learner


def drawn(learner: Bert4recNetwork, films: Tensor, seed: int = 9) -> Tensor:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return learner.drawn(films)


def literal_norm(x: Tensor, norm: torch.nn.LayerNorm) -> Tensor:
    spread = ((x - x.mean()) ** 2).mean()
    return (x - x.mean()) / torch.sqrt(spread + 1e-5) * norm.weight + norm.bias


def literal_gelu(x: Tensor) -> Tensor:
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def literal_logits(learner: Bert4recNetwork, films: list[int], hidden: list[int]) -> Tensor:
    """Position by position, head by head, without padding: [n_hidden × n_items]."""
    places = learner.positions[-len(films) :]
    states = [
        (learner.mask if place in hidden else learner.items.weight[film]) + places[place]
        for place, film in enumerate(films)
    ]
    for block in learner.blocks:
        size, heads = 4, block.heads
        parts = [(block.attention_in.weight @ x + block.attention_in.bias).split(size) for x in states]
        changed = []
        for x, (query, _, _) in zip(states, parts, strict=True):
            joined = []
            for head in range(heads):
                own = slice(head * size // heads, (head + 1) * size // heads)
                matters = torch.stack([query[own] @ key[own] / math.sqrt(size / heads) for _, key, _ in parts]).exp()
                joined.append(
                    sum(m * value[own] for m, (_, _, value) in zip(matters / matters.sum(), parts, strict=True))
                )
            attended = block.attention_out.weight @ torch.cat(joined) + block.attention_out.bias
            x = literal_norm(x + attended, block.norms[0])
            first, second = block.feed_forward[0], block.feed_forward[2]
            assert first.weight.shape == (4 * size, size)
            wide = literal_gelu(first.weight @ x + first.bias)
            changed.append(literal_norm(x + second.weight @ wide + second.bias, block.norms[1]))
        states = changed
    linear, _, norm = learner.output
    found = [literal_norm(literal_gelu(linear.weight @ states[place] + linear.bias), norm) for place in hidden]
    return torch.stack([learner.items.weight[:-1] @ y + learner.biases for y in found])


def real_places(row: int, hidden: Tensor) -> tuple[list[int], list[int]]:
    """The row's films without padding, and which of them are hidden."""
    start = int((WHOLE[row] == PADDING).sum())
    return WHOLE[row, start:].tolist(), hidden[row, start:].nonzero()[:, 0].tolist()


def test_the_loss_and_its_gradient_are_those_of_the_formulas() -> None:
    learner = network()
    hidden, terms = drawn(learner, WHOLE), []
    for row in range(len(WHOLE)):
        films, places = real_places(row, hidden)
        for place, logits in zip(places, literal_logits(learner, films, places), strict=True):
            terms.append(-torch.log(logits.exp()[films[place]] / logits.exp().sum()))
    literal = torch.stack(terms).mean()
    assert len(terms) == int(hidden.sum()) > len(WHOLE)
    torch.manual_seed(9)
    loss = learner.loss(FILMS, TARGETS)
    torch.testing.assert_close(loss, literal)
    parameters = list(learner.parameters())
    slopes, expected = torch.autograd.grad(loss, parameters), torch.autograd.grad(literal, parameters)
    for slope, wanted in zip(slopes, expected, strict=True):
        torch.testing.assert_close(slope, wanted, atol=1e-5, rtol=1e-4)


def test_scores_are_those_of_a_mask_behind_the_films() -> None:
    learner = network()
    for row, score in zip(FILMS, learner.scores(FILMS), strict=True):
        films = [*row[row != PADDING].tolist(), PADDING]
        torch.testing.assert_close(score, literal_logits(learner, films, [len(films) - 1])[0])


def test_scores_are_what_is_learned_where_the_last_film_is_hidden() -> None:
    learner = network(last_share=1.0)
    chances = learner.scores(FILMS).log_softmax(dim=1)
    expected = -chances.gather(1, TARGETS[:, -1:]).mean()
    torch.testing.assert_close(learner.loss(FILMS, TARGETS), expected)


@pytest.mark.parametrize("changed_place", [2, 5], ids=["earlier", "later"])
def test_films_on_both_sides_change_what_is_found(changed_place: int) -> None:
    learner, hidden, changed = network(), torch.zeros(1, 6, dtype=torch.bool), WHOLE[1:2].clone()
    hidden[0, 3] = True
    changed[0, changed_place] = 4
    before = learner.states_of_hidden(WHOLE[1:2], hidden)
    assert (learner.states_of_hidden(changed, hidden) != before).any()


def test_what_is_hidden_is_not_seen() -> None:
    learner, hidden, changed = network(), torch.zeros(1, 6, dtype=torch.bool), WHOLE[1:2].clone()
    hidden[0, 3:5] = True
    changed[0, 3:5] = torch.tensor([4, PADDING])
    before = learner.states_of_hidden(WHOLE[1:2], hidden)
    torch.testing.assert_close(learner.states_of_hidden(changed, hidden), before, rtol=0, atol=0)


def test_the_order_of_the_films_counts() -> None:
    learner = network()
    assert not torch.allclose(learner.scores(FILMS[1:2].flip(1)), learner.scores(FILMS[1:2]))


def test_the_amount_of_padding_does_not_change_scores() -> None:
    learner = network()
    more = torch.nn.functional.pad(FILMS, (3, 0), value=PADDING)
    torch.testing.assert_close(learner.scores(more), learner.scores(FILMS))


def test_each_row_hides_at_least_one_film_and_never_padding() -> None:
    learner = network(mask_probability=1e-6, last_share=0.0)
    for seed in range(20):
        hidden = drawn(learner, WHOLE, seed)
        assert hidden.sum(dim=1).tolist() == [1, 1, 1]
        assert not hidden[WHOLE == PADDING].any()


def test_films_are_hidden_with_their_probability_anywhere() -> None:
    learner = network(mask_probability=0.3, last_share=0.0)
    hidden = drawn(learner, torch.zeros(20_000, 12, dtype=torch.int64)).float()
    assert hidden.mean(dim=0).tolist() == pytest.approx([0.3 + 0.7**12 / 12] * 12, abs=0.015)


def test_a_share_of_the_rows_hides_the_last_film_alone() -> None:
    learner = network(mask_probability=0.9, last_share=0.25)
    hidden = drawn(learner, torch.zeros(20_000, 12, dtype=torch.int64))
    alone = hidden[:, -1] & (hidden.sum(dim=1) == 1)
    assert alone.float().mean().item() == pytest.approx(0.25, abs=0.015)


def test_parts_of_a_batch_hide_what_the_whole_does() -> None:
    learner, films = network(), WHOLE.repeat(8, 1)
    torch.manual_seed(9)
    whole = learner.drawn(films)
    torch.manual_seed(9)
    assert torch.equal(torch.cat([learner.drawn(part) for part in films.split(5)]), whole)


def test_the_loss_is_that_of_its_parts_weighed_by_their_hidden_films() -> None:
    learner, films, targets = network(), FILMS.repeat(4, 1), TARGETS.repeat(4, 1)
    hidden = drawn(learner, WHOLE.repeat(4, 1)).split(5)
    torch.manual_seed(9)
    whole = learner.loss(films, targets)
    torch.manual_seed(9)
    losses = [learner.loss(*part) for part in zip(films.split(5), targets.split(5), strict=True)]
    shares = [part.sum() / sum(other.sum() for other in hidden) for part in hidden]
    torch.testing.assert_close(sum(loss * share for loss, share in zip(losses, shares, strict=True)), whole)


def test_a_row_of_padding_gets_finite_scores_and_breaks_no_gradient() -> None:
    learner, nothing = network(), torch.full((1, 5), PADDING)
    assert learner.scores(nothing).isfinite().all()
    learner.loss(torch.cat((FILMS, nothing)), torch.cat((TARGETS, nothing))).backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in learner.parameters())


def test_heads_that_do_not_divide_the_size_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of heads"):
        network(heads=3)
