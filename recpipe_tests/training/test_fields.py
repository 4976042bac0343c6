"""Fields of films: means over the values that there are, zeros where there are none, and whose own vector counts."""

from __future__ import annotations

import numpy as np
import torch

from recpipe.data.features import UNKNOWN_YEAR, Bag, ItemFeatures
from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.training.fields import FIELDS, FieldVectors, FilmFields

GENRES = [["action", "drama"], [], ["drama"], ["drama", "rare"]]
DIRECTORS = [["x"], ["x"], ["y"], []]
YEARS = [1990, 1990, UNKNOWN_YEAR, 2001]


def four_films() -> TrainingSet:
    """The last film is watched by nobody."""
    bags = {"genres": GENRES, "directors": DIRECTORS, "writers": [[]] * 4}
    features = ItemFeatures(
        ("a", "b", "c", "d"),
        np.array(YEARS, dtype=np.int32),
        {name: Bag.from_lists(lists) for name, lists in bags.items()},
    )
    events = Interactions.sorted_from(np.array([0, 0, 1]), np.array([0, 1, 2]), np.arange(3), None, 2, 4)
    return TrainingSet(events, features)


def vectors(minimum_films: int) -> FieldVectors:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        made = FieldVectors(FilmFields.of(four_films(), minimum_films), size=3, deviation=1.0)
        torch.nn.init.normal_(made.weights)
    return made


def test_a_field_is_the_mean_of_its_values_and_zero_without_any() -> None:
    made = vectors(minimum_films=1)
    assert len(made.weights) == 4 + 3 + 2 + 0 + 2
    own, action, drama, rare, x, y, early, late = 0, 4, 5, 6, 7, 8, 9, 10
    expected = {
        0: [[own], [action, drama], [x], [], [early]],
        1: [[1], [], [x], [], [early]],
        2: [[2], [drama], [y], [], []],
        3: [[3], [drama, rare], [], [], [late]],
    }
    found, weights = made(torch.ones(4, dtype=torch.bool))
    assert found.shape == (4, len(FIELDS), 3)
    for film, fields in expected.items():
        means = [made.vectors[rows].mean(dim=0) if rows else torch.zeros(3) for rows in fields]
        torch.testing.assert_close(found[film], torch.stack(means))
        torch.testing.assert_close(weights[film], sum(made.weights[rows].mean() for rows in fields if rows))


def test_values_of_too_few_films_are_left_out_and_the_others_share_the_whole() -> None:
    made = vectors(minimum_films=2)
    assert len(made.weights) == 4 + 1 + 1 + 0 + 1
    found, _ = made(torch.ones(4, dtype=torch.bool))
    for film in (0, 2, 3):
        torch.testing.assert_close(found[film, 1], made.vectors[4])
    assert not found[2, 2].any()


def test_a_film_whose_own_vector_does_not_count_keeps_its_other_fields() -> None:
    made = vectors(minimum_films=1)
    every, all_weights = made(torch.ones(4, dtype=torch.bool))
    some, some_weights = made(torch.tensor([True, False, True, False]))
    assert not some[[1, 3], 0].any()
    assert torch.equal(some[[0, 2]], every[[0, 2]])
    assert torch.equal(some[:, 1:], every[:, 1:])
    torch.testing.assert_close(some_weights[1], all_weights[1] - made.weights[1])


def test_films_without_an_event_are_not_heard_and_a_share_of_all_is_dropped_while_learning() -> None:
    made = vectors(minimum_films=1)
    assert made.train().heard(0.0).all()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        drawn = torch.stack([made.heard(0.25) for _ in range(400)])
    assert abs(float((~drawn).float().mean()) - 0.25) < 0.03
    assert made.eval().heard(0.25).tolist() == [True, True, True, False]


def test_without_side_data_the_films_own_numbers_remain() -> None:
    fields = FilmFields.of(TrainingSet(four_films().interactions), minimum_films=1)
    assert (fields.n_items, fields.n_values) == (4, 4)
    found, _ = FieldVectors(fields, size=2, deviation=1.0)(torch.ones(4, dtype=torch.bool))
    assert not found[:, 1:].any()
    assert found[:, 0].abs().min() > 0
