"""What holds for every YAML model, whatever it learns: the tests find new ones by themselves."""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from recpipe.costs import Shape
from recpipe.data.interactions import FloatArray, Histories, Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.catalog import family, recipe_class, recipe_modules
from recpipe.recipe import Recipe, Run, Scorer, UnknownUsers
from recpipe.scoring.store import read_scorer, write_scorer
from recpipe.vocabulary import VOCABULARY
from recpipe_tests.settings_for_tests import CONF, model_names, recipe_of, settings_of, tiny_recipe

MODELS = model_names()
N_USERS, N_ITEMS, NEVER_SEEN = 30, 20, 19

every_model = pytest.mark.parametrize("model", MODELS)


@cache
def few_ratings() -> TrainingSet:
    """Thirty users, the last of whom watched nothing; twenty films, the last of which nobody watched."""
    random = np.random.default_rng(0)
    users, items = np.nonzero(random.random((N_USERS - 1, N_ITEMS - 1)) < 0.3)
    ratings = random.integers(1, 6, len(users)).astype(np.float32)
    times = random.permutation(len(users)).astype(np.int64)
    return TrainingSet(Interactions.sorted_from(users, items, times, ratings, N_USERS, N_ITEMS))


def fit(model: str) -> Scorer:
    """Two epochs where there are any: enough to see what is asked here."""
    return tiny_recipe(model, epochs=2, batch_size=16).fit(few_ratings(), Run(seed=5))


@cache
def fitted(model: str) -> Scorer:
    """One fit for all tests that only look."""
    return fit(model)


def everybody() -> Histories:
    return few_ratings().interactions.histories()


@cache
def expected(model: str) -> FloatArray:
    return fitted(model).scores(everybody())


def test_there_is_a_model_for_every_recipe() -> None:
    assert {settings_of(model)["recipe"] for model in MODELS} == set(recipe_modules())


@every_model
def test_scores_are_finite_float32_for_every_film(model: str) -> None:
    assert expected(model).shape == (N_USERS, N_ITEMS)
    assert expected(model).dtype == np.float32
    assert np.isfinite(expected(model)).all()


@every_model
def test_the_same_seed_gives_the_same_bits(model: str) -> None:
    assert np.array_equal(fit(model).scores(everybody()), expected(model))


@every_model
def test_what_is_stored_comes_back_and_scores_the_same(model: str, tmp_path: Path) -> None:
    write_scorer(fitted(model), tmp_path)
    again = read_scorer(tmp_path, tiny_recipe(model))
    assert type(again) is type(fitted(model))
    assert np.array_equal(again.scores(everybody()), expected(model))


@every_model
def test_the_same_scorer_is_stored_in_the_same_bytes(model: str, tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        write_scorer(fitted(model), tmp_path / name)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "other").iterdir())
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


@every_model
def test_newcomers_with_and_without_history_are_served_or_refused_by_name(model: str) -> None:
    newcomers = everybody().as_newcomers()
    assert newcomers.lengths[-1] == 0
    if fitted(model).serves_newcomers:
        assert np.isfinite(fitted(model).scores(newcomers)).all()
    else:
        with pytest.raises(UnknownUsers, match="not seen at training"):
            fitted(model).scores(newcomers)


@every_model
@pytest.mark.parametrize("size", [1, 7, N_USERS - 1])
def test_a_batch_of_any_size_gives_the_same_scores(model: str, size: int) -> None:
    starts = range(0, N_USERS, size)
    parts = [fitted(model).scores(everybody().rows(slice(start, start + size))) for start in starts]
    np.testing.assert_allclose(np.concatenate(parts), expected(model), atol=1e-5, rtol=1e-5)


@every_model
def test_no_rows_give_no_scores(model: str) -> None:
    assert fitted(model).scores(everybody().rows(np.arange(0))).shape == (0, N_ITEMS)


@every_model
def test_scores_of_a_user_do_not_depend_on_the_others(model: str) -> None:
    others = np.array([3, 28, 29, 3, 0])
    scores = fitted(model).scores(everybody().rows(others))
    np.testing.assert_allclose(scores, expected(model)[others], atol=1e-5, rtol=1e-5)


@every_model
def test_scoring_changes_nothing_that_it_was_given(model: str) -> None:
    histories = everybody()
    before = histories.items.copy(), histories.offsets.copy(), histories.users.copy()
    fitted(model).scores(histories)
    assert all(
        np.array_equal(old, new)
        for old, new in zip(before, (histories.items, histories.offsets, histories.users), strict=True)
    )


@every_model
def test_settings_survive_the_way_to_json_and_back(model: str) -> None:
    recipe = recipe_of(model)
    assert type(recipe).model_validate_json(recipe.model_dump_json()) == recipe


@every_model
def test_an_unknown_setting_is_refused(model: str) -> None:
    with pytest.raises(ValidationError, match="extra_forbidden"):
        type(recipe_of(model))(no_such_setting=1)


@every_model
def test_settings_cannot_be_changed_afterwards(model: str) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        recipe_of(model).some_field = 1


@every_model
def test_every_setting_is_a_word_of_the_vocabulary(model: str) -> None:
    assert set(type(recipe_of(model)).model_fields) <= set(VOCABULARY)


@every_model
def test_a_comment_in_the_yaml_says_where_the_settings_come_from(model: str) -> None:
    assert "#" in (CONF / f"{model}.yaml").read_text(encoding="utf-8")


every_recipe = pytest.mark.parametrize("name", sorted(recipe_modules()))


@every_recipe
def test_the_docstring_names_a_source_with_its_year(name: str) -> None:
    kind = recipe_class(name)
    text = (kind.__doc__ or "") + (sys.modules[kind.__module__].__doc__ or "")
    assert re.search(r"\b(19|20)\d\d\b", text), f"{name}: say which paper, and of which year"


def shape(users: int, films: int, events_a_user: int = 20) -> Shape:
    counts = np.full(films, users * events_a_user // films, dtype=np.int64)
    return Shape(np.full(users, events_a_user, dtype=np.int64), counts, rated=True)


@every_recipe
def test_the_cost_of_a_fit_is_estimated_and_its_docstring_says_from_what(name: str) -> None:
    small = recipe_class(name)().cost(shape(1_000, 500))
    assert small.memory > small.on_device >= 0
    assert small.seconds > 0
    assert type(small.memory) is int
    assert len(recipe_class(name).cost.__doc__ or "") > 60
    for larger in (shape(1_000, 500, 100), shape(50_000, 500), shape(1_000, 20_000)):
        assert recipe_class(name)().cost(larger).memory >= small.memory
    assert recipe_class(name)().cost(shape(50_000, 20_000, 100)).memory > 1.5 * small.memory
    assert recipe_class(name)().cost(shape(50_000, 20_000, 100)).seconds > small.seconds


@every_recipe
def test_a_cost_is_estimated_where_there_is_nothing_to_learn_from(name: str) -> None:
    nothing = Shape(np.zeros(3, dtype=np.int64), np.zeros(2, dtype=np.int64), rated=False)
    assert recipe_class(name)().cost(nothing).memory >= 0


@every_recipe
def test_what_torch_learns_is_what_lies_on_a_gpu(name: str) -> None:
    by_gradients = "epochs" in recipe_class(name).model_fields
    assert (recipe_class(name)().cost(shape(1_000, 500)).on_device > 0) == by_gradients


@every_recipe
def test_file_class_and_name_agree(name: str) -> None:
    kind = recipe_class(name)
    assert kind.recipe_name() == name
    assert kind.__module__ == recipe_modules()[name]
    assert family(name) == kind.__module__.split(".")[-2]


@every_recipe
def test_concrete_recipes_stand_at_the_end_of_their_line(name: str) -> None:
    kind = recipe_class(name)
    assert issubclass(kind, Recipe)
    assert not kind.__subclasses__()
