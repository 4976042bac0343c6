"""S3-Rec: each of the four tasks against a literal loop, and what the pretraining learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from recpipe.data.features import Bag, ItemFeatures
from recpipe.data.training_set import TrainingSet
from recpipe.models.sequences.s3_rec import WEIGHTS, S3Rec, Tasks, attributes_of, drawn, segments
from recpipe.recipe import Run
from recpipe.training.journal import Journal
from recpipe_tests.test_model_contract import few_ratings

N_ITEMS = PADDING = 7
FILMS = torch.tensor([[7, 7, 3, 1, 4], [2, 5, 2, 0, 6], [7, 7, 7, 7, 1]])
TARGETS = torch.tensor([[7, 7, 1, 4, 0], [5, 2, 0, 6, 3], [7, 7, 7, 7, 2]])
WHOLE = torch.tensor([[7, 3, 1, 4, 0], [5, 2, 0, 6, 3], [7, 7, 7, 1, 2]])
GENRES = [["a"], ["a", "b"], [], ["b"], ["a"], ["b"], ["c"]]


def features(genres: list[list[str]]) -> ItemFeatures:
    n, nothing = len(genres), Bag.from_lists([[] for _ in genres])
    bags = {"genres": Bag.from_lists(genres), "directors": nothing, "writers": nothing}
    return ItemFeatures(tuple(map(str, range(n))), np.zeros(n, dtype=np.int32), bags)


def with_genres(genres: list[list[str]]) -> TrainingSet:
    return TrainingSet(few_ratings().interactions, features(genres))


def tasks(**settings: object) -> Tasks:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        recipe = S3Rec(**{"embedding_size": 4, "dropout": 0.0, "max_length": 5} | settings)
        train = with_genres(GENRES + [["b"]] * 13)
        attributes = attributes_of(train, 2)[:N_ITEMS]
        learner = Tasks(recipe.network(3, N_ITEMS), attributes, recipe)
        for parameter in learner.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
    return learner.eval()


def test_attributes_of_few_films_and_missing_side_data_are_left_out() -> None:
    found = attributes_of(with_genres(GENRES + [[]] * 13), 2).toarray()
    assert found[:7].tolist() == [[1, 0], [1, 1], [0, 0], [0, 1], [1, 0], [0, 1], [0, 0]]
    assert attributes_of(few_ratings(), 2).shape == (20, 0)


def test_the_loss_is_the_weighed_sum_of_the_four_tasks_on_whole_windows() -> None:
    learner = tasks()
    torch.manual_seed(9)
    loss = learner.loss(FILMS, TARGETS)
    torch.manual_seed(9)
    real = WHOLE != PADDING
    hidden, segment = drawn(real, 0.2), segments(real)
    items, maps = learner.network.items.weight, {name: linear.weight for name, linear in learner.maps.items()}
    states = learner.seen(WHOLE, hidden, real)
    films, hidden_attributes, apart = [], [], []
    for row, column in hidden.nonzero().tolist():
        film, state = WHOLE[row, column], states[row, column]
        films.append(-torch.log_softmax(items[:-1] @ (maps["films"] @ state), dim=0)[film])
        logits = learner.vectors @ (maps["hidden_attributes"] @ state)
        hidden_attributes.append(functional.binary_cross_entropy(logits.sigmoid(), learner.attributes[film]) * 2)
    attributes = []
    for film in sorted(set(WHOLE[real].tolist())):
        logits = learner.vectors @ (maps["attributes"] @ items[film])
        attributes.append(functional.binary_cross_entropy(logits.sigmoid(), learner.attributes[film]) * 2)
    without, within = learner.seen(WHOLE, segment, real), learner.seen(WHOLE, real & ~segment, real)
    for row in range(3):
        asked = maps["segments"] @ without[row, -1]
        apart.append(-functional.logsigmoid(asked @ within[row, -1] - asked @ within[row - 1, -1]))
    parts = {"attributes": attributes, "films": films, "hidden_attributes": hidden_attributes, "segments": apart}
    expected = sum(WEIGHTS[name] * torch.stack(terms).mean() for name, terms in parts.items())
    torch.testing.assert_close(loss, expected)


def test_hidden_films_are_seen_from_both_sides_and_not_themselves() -> None:
    learner, real = tasks(), WHOLE != PADDING
    hidden = torch.zeros_like(real)
    hidden[1, 2] = True
    before = learner.seen(WHOLE, hidden, real)[1, 2]
    itself, later = WHOLE.clone(), WHOLE.clone()
    itself[1, 2], later[1, 4] = 1, 1
    assert torch.equal(learner.seen(itself, hidden, real)[1, 2], before)
    assert not torch.allclose(learner.seen(later, hidden, real)[1, 2], before)


def test_a_segment_is_one_run_of_at_most_half_the_films_and_something_is_always_hidden() -> None:
    torch.manual_seed(0)
    real = torch.arange(8)[None, :] >= torch.tensor([0, 3, 7] * 50)[:, None]
    for found, row in zip(segments(real), real, strict=True):
        columns = found.nonzero()[:, 0]
        assert 1 <= len(columns) <= max(1, int(row.sum()) // 2)
        assert int(columns[-1] - columns[0]) + 1 == len(columns)
        assert bool((row | ~found).all())
    hidden = drawn(real, 0.01)
    assert bool((hidden.sum(dim=1) >= 1).all()) and not bool((hidden & ~real).any())


@pytest.mark.parametrize("side_data", [True, False])
def test_pretraining_goes_first_and_its_loss_falls(side_data: bool) -> None:
    genres = [["a"] if film % 2 else ["b"] for film in range(20)]
    train, journal = with_genres(genres) if side_data else few_ratings(), Journal()
    recipe = S3Rec(
        embedding_size=8, max_length=10, pretraining=30, epochs=1, learning_rate=0.01, batch_size=16, heads=1
    )
    seen: list[dict[str, float]] = []
    recipe.fit(train, Run(seed=1, report=lambda **numbers: (seen.append(numbers), journal.report(**numbers))))
    losses = [numbers["pretraining_loss"] for numbers in seen if "pretraining_loss" in numbers]
    assert len(losses) == 30
    assert losses[-1] < 0.9 * losses[0]
    assert len(journal.epochs) == 1
