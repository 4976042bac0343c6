"""A probe on a part of the data says how the formula is off on this machine."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from recpipe import probing
from recpipe.costs import Cost, Shape
from recpipe.data.features import Bag, ItemFeatures
from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.factors.ials import Ials
from recpipe.models.linear.ease import Ease
from recpipe.models.neural.neumf import Neumf
from recpipe.probing import Probe, part_of, part_that_takes, seconds_of_one
from recpipe.recipe import Recipe, Run
from recpipe.scoring.same_for_all import SameForAll
from recpipe.training.costs import START_SECONDS
from recpipe_tests.worlds import general, new_films


class Clock:
    """Stands still unless somebody works."""

    now = 0.0

    def process_time(self) -> float:
        return self.now

    monotonic = process_time


CLOCK = Clock()


class InOneStep(Recipe):
    """The formula says 0.2 seconds; a fit takes 0.62."""

    def fit(self, train: TrainingSet, run: Run) -> SameForAll:
        CLOCK.now += 0.62
        return SameForAll(np.zeros(train.n_items, dtype=np.float32))

    def cost(self, shape: Shape) -> Cost:
        return Cost(1, 0.2)


class ByEpochs(Recipe):
    """The formula says 0.2 seconds an epoch; `taking` are the seconds and examples of each."""

    epochs: int = 300
    taking: tuple[tuple[float, int], ...] = ((2.0, 100), (0.41, 100), (0.41, 100))

    def fit(self, train: TrainingSet, run: Run) -> SameForAll:
        assert run.epochs == len(self.taking) or run.epochs == probing.EPOCHS
        for epoch, (seconds, examples) in enumerate(self.taking, start=1):
            CLOCK.now += seconds
            run.report(epoch=epoch, loss=0.5, seconds=seconds, examples=examples)
        return SameForAll(np.zeros(train.n_items, dtype=np.float32))

    def cost(self, shape: Shape) -> Cost:
        return Cost(1, START_SECONDS + 0.2)


class ByFilms(Recipe):
    """Its formula grows with the films alone."""

    def fit(self, train: TrainingSet, run: Run) -> SameForAll:
        return SameForAll(np.zeros(train.n_items, dtype=np.float32))

    def cost(self, shape: Shape) -> Cost:
        return Cost(1, float(shape.n_items))


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(probing, "time", CLOCK)
    yield


def test_a_fit_in_one_step_is_measured_against_its_formula() -> None:
    assert Probe.of(InOneStep(), general().train).correction == pytest.approx(0.63 / 0.21)


@pytest.mark.parametrize(
    "taking",
    [
        ((2.0, 100), (0.41, 100), (0.41, 100)),  # the first has the start of the loop in it
        ((2.0, 100), (0.41, 100), (0.205, 50)),  # the last was cut short
        ((0.41, 100),),  # the time was up in the first
    ],
)
def test_an_epoch_is_measured_without_the_start_and_whether_or_not_the_last_was_whole(
    taking: tuple[tuple[float, int], ...],
) -> None:
    assert Probe.of(ByEpochs(taking=taking), general().train).correction == pytest.approx(0.42 / 0.21)


def test_a_part_has_the_most_watched_films_and_users_from_all_over_numbered_anew_with_their_side_data() -> None:
    watched = np.array([[1, 1, 0, 1], [0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 1, 1, 1]])
    users, items = np.nonzero(watched)
    times, ratings = np.arange(len(users)), (1.0 + users).astype(np.float32)
    features = ItemFeatures(
        ("a", "b", "c", "d"),
        np.array([1, 2, 3, 4], dtype=np.int32),
        {"genres": Bag.from_lists([["x"], ["y"], [], "z"])},
    )
    train = TrainingSet(Interactions.sorted_from(users, items, times, ratings, 6, 4), features)
    part = part_of(train, 2, 2)
    assert (part.n_users, part.n_items) == (2, 2)  # films b and d; the first and the last of four users left with any
    assert part.interactions.matrix().toarray().tolist() == [[1, 1], [1, 1]]
    assert part.interactions.ratings is not None and part.interactions.ratings.tolist() == [1, 1, 6, 6]
    assert part.features is not None
    assert (part.features.titles, part.features.years.tolist()) == (("b", "d"), [2, 4])
    assert part.features.bags["genres"].vocabulary == ("y", "z")
    assert part.features.bags["genres"].matrix().toarray().tolist() == [[1, 0], [0, 1]]


def test_a_probe_is_halved_until_the_formula_says_that_it_is_short_enough() -> None:
    train = new_films("genres").train
    whole = seconds_of_one(Ease(), Shape.of(train.interactions))
    part = part_that_takes(Ease(), train, whole / 3)
    assert 0 < seconds_of_one(Ease(), Shape.of(part.interactions)) <= whole / 3
    assert part_that_takes(Ease(), train, whole) is train


def test_what_shortens_a_fit_more_is_halved_first_users_or_films() -> None:
    train = general().train

    def part(recipe: Recipe, share: float) -> tuple[int, int]:
        found = part_that_takes(recipe, train, seconds_of_one(recipe, Shape.of(train.interactions)) * share)
        return found.n_users, found.n_items

    assert part(Ials(), 0.7) == (120, 120)
    assert part(ByFilms(), 0.7) == (240, 60)
    assert part(ByFilms(), 0.0)[1] <= probing.FEW


@pytest.mark.parametrize(
    "recipe", [Ease(), Ials(embedding_size=8), Neumf(embedding_size=8, layers=(8,), pretraining=50)]
)
def test_real_recipes_of_each_kind_can_be_probed_without_their_stages(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    probe = Probe.of(recipe, general().train, aim=0.05)
    assert probe.correction > 0 and probe.ranking > 0
    assert (probe.users, probe.films) <= (240, 120)


def test_where_the_time_was_up_in_the_first_epoch_other_work_on_the_machine_does_not_count() -> None:
    stamps = probing._Stamps(CLOCK.process_time)
    CLOCK.now += 0.5
    stamps.report(predicted_epoch_seconds=8.0)
    stamps.report(epoch=1, seconds=2.0, examples=10)
    assert stamps.an_epoch() == 2.0  # a quarter of the machine was this process's
