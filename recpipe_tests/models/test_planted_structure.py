"""Tests that only a working model can pass: generated data with a known answer, by family."""

from __future__ import annotations

import numpy as np
import pytest

from recpipe.data.training_set import TrainingSet
from recpipe.models.neighbours.knn_basic import KnnBasic
from recpipe.recipe import Run
from recpipe_tests import worlds
from recpipe_tests.settings_for_tests import model_names, tiny_recipe

GENERAL = ("neighbours", "linear", "factors", "neural", "autoencoders", "graphs", "features")
CHAINS = {"bert4rec": {"epochs": 18}, "repeat_net": {"max_length": 20, "epochs": 12}}
"""BERT4Rec finds a few films a window, not each. What follows a film is for RepeatNet two things to learn: what follows
where it was seen, and where it was not."""
ONE_FILM_BACK = {"fpmc", "markov_chain", "markov_fading", "stamp"}
"""They know which film is the latest, and of those before it no order."""
FEW_FILMS = {"negatives": 4, "max_length": 10, "dropout": 0.0}


@pytest.mark.parametrize("model", model_names(*GENERAL))
def test_general_models_find_the_block_of_the_hidden_films(model: str) -> None:
    world = worlds.general()
    scorer = tiny_recipe(model).fit(world.train, Run())
    assert world.recall(scorer) > world.between(0.75)


@pytest.mark.parametrize("model", model_names("baselines"))
def test_popularity_is_the_best_list_that_is_one_for_all(model: str) -> None:
    world = worlds.general()
    scorer = tiny_recipe(model).fit(world.train, Run())
    assert world.recall(scorer) == pytest.approx(world.chance, abs=0.005)


@pytest.mark.parametrize("model", model_names("graphs"))
def test_graph_models_reach_films_tied_through_third_users_only(model: str) -> None:
    world = worlds.two_hop()
    recalls = [world.recall(tiny_recipe(model).fit(world.train, Run(seed=seed))) for seed in range(3)]
    assert np.median(recalls) > world.between(0.75), recalls  # an unlucky start ends at three quarters


def test_co_occurrence_alone_does_not_reach_them() -> None:
    world = worlds.two_hop()
    scorer = tiny_recipe("item_knn").fit(world.train, Run())
    assert world.recall(scorer) <= world.chance


@pytest.mark.parametrize("field", ["genres", "directors", "writers"])
@pytest.mark.parametrize("model", model_names("features"))
def test_models_of_side_data_know_films_that_nobody_has_watched(model: str, field: str) -> None:
    world = worlds.new_films(field)
    scorer = tiny_recipe(model, film_dropout=0.2).fit(world.train, Run())
    assert world.recall(scorer) > world.between(0.75)


def test_without_side_data_new_films_are_all_alike() -> None:
    world = worlds.new_films("genres")
    scorer = tiny_recipe("fm").fit(TrainingSet(world.train.interactions), Run())
    assert world.recall(scorer) < world.chance


@pytest.mark.parametrize("model", model_names("sequences"))
def test_sequential_models_learn_what_follows_a_film(model: str) -> None:
    world = worlds.first_order()
    settings = FEW_FILMS | {"epochs": 6, "batch_size": 32} | CHAINS.get(model, {})
    scorer = tiny_recipe(model, **settings).fit(world.train, Run())
    assert world.recall(scorer) > world.between(0.9)


@pytest.mark.parametrize("model", sorted({*model_names("sequences")} - ONE_FILM_BACK))
def test_sequential_models_learn_what_follows_two_films(model: str) -> None:
    world = worlds.second_order()
    epochs = 75 if model == "bert4rec" else 25
    scorer = tiny_recipe(model, **FEW_FILMS, epochs=epochs, batch_size=64, embedding_size=32).fit(world.train, Run())
    assert world.recall(scorer) > world.between(0.7)


@pytest.mark.parametrize("model", sorted(ONE_FILM_BACK))
def test_models_that_know_the_latest_film_alone_miss_what_follows_two(model: str) -> None:
    world = worlds.second_order()
    scorer = tiny_recipe(model, **FEW_FILMS, epochs=25, batch_size=64, embedding_size=32).fit(world.train, Run())
    assert world.recall(scorer) < world.between(0.6)


@pytest.mark.parametrize("model", ["ease", "item_knn", "knn_basic", "popularity"])
@pytest.mark.parametrize("world", [worlds.first_order(), worlds.second_order()], ids=["first order", "second order"])
def test_order_blind_models_stay_at_chance_where_only_order_tells(model: str, world: worlds.World) -> None:
    scorer = tiny_recipe(model).fit(world.train, Run())
    assert world.recall(scorer) < world.chance + 0.1


def test_repeat_net_finds_what_comes_again() -> None:
    world = worlds.repeats()
    scorer = tiny_recipe("repeat_net", **FEW_FILMS, epochs=15, batch_size=32).fit(world.train, Run())
    assert world.recall(scorer) > world.between(0.9)


@pytest.mark.parametrize("based_on", ["users", "items"])
def test_neighbours_predict_ratings_close_to_the_noise(based_on: str) -> None:
    world = worlds.rated()
    scorer = KnnBasic(similarity="pearson", based_on=based_on).fit(world.train, Run())
    predicted = scorer.predict(world.train.interactions.histories(), world.rows, world.items)
    assert world.rmse(predicted) < world.optimum + 0.15 * (world.chance - world.optimum)
