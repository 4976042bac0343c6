from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from recpipe.data.interactions import Histories
from recpipe.explaining.contributions import contributions
from recpipe.recipe import Run
from recpipe.scoring.item_weights import ItemWeights
from recpipe.scoring.top import NO_FILM
from recpipe_tests import worlds
from recpipe_tests.settings_for_tests import tiny_recipe

N_ITEMS, WATCHED = 8, [3, 0, 5, 0]
ASKED = np.array([1, 6, 7])


def history(*films: int, n_items: int = N_ITEMS) -> Histories:
    items = np.array(films, dtype=np.int32)
    return Histories(
        np.array([0], dtype=np.int32), np.array([0, len(films)]), items, np.arange(len(films)), None, n_items
    )


def random_weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def some_scorers() -> dict[str, ItemWeights]:
    dense = ItemWeights(random_weights(N_ITEMS, N_ITEMS))
    pairs = np.array([[0, 3], [3, 4], [0, 5]], dtype=np.int32)
    biased = replace(dense, item_biases=random_weights(N_ITEMS))
    return {
        "dense": dense,
        "sparse": ItemWeights(sparse.csr_matrix(np.maximum(dense.weights, 0))),
        "biases": biased,
        "forgets": replace(biased, half_life=1.5),
        "two factors": ItemWeights(random_weights(N_ITEMS, 3), right=random_weights(3, N_ITEMS)),
        "pairs": replace(biased, pairs=pairs, pair_weights=random_weights(3, N_ITEMS), half_life=2.0),
    }


@pytest.mark.parametrize("name", some_scorers())
def test_what_the_films_bring_adds_up_to_the_score(name):
    scorer, known = some_scorers()[name], history(*WATCHED)
    told = contributions(scorer, known, ASKED)
    np.testing.assert_allclose(told.values.sum(axis=1) + told.rest, scorer.scores(known)[0, ASKED], rtol=1e-5)
    assert set(told.films[told.films != NO_FILM].tolist()) == {0, 3, 5}


def test_each_film_brings_its_own_weight():
    told = contributions(some_scorers()["dense"], history(3, 5), ASKED)
    weights = some_scorers()["dense"].weights
    assert told.films.tolist() == [[3, NO_FILM], [5, NO_FILM]]
    np.testing.assert_allclose(told.values, weights[np.ix_([3, 5], ASKED)].T)


def test_where_the_model_forgets_an_older_film_brings_less():
    scorer = ItemWeights(np.ones((N_ITEMS, N_ITEMS), dtype=np.float32), half_life=1.0)
    told = contributions(scorer, history(3, 5, 0), ASKED)
    by_film = dict(zip(told.films[:, 0].tolist(), told.values[0].tolist(), strict=True))
    assert by_film == {0: 1.0, 5: 0.5, 3: 0.25}


def test_pairs_that_were_watched_are_terms_of_their_own():
    told = contributions(some_scorers()["pairs"], history(*WATCHED), ASKED)
    assert [term for term in told.films.tolist() if NO_FILM not in term] == [[0, 3], [0, 5]]


def test_nothing_watched_leaves_the_biases():
    scorer = some_scorers()["biases"]
    told = contributions(scorer, history(), ASKED)
    assert told.values.shape == (3, 0)
    np.testing.assert_allclose(told.rest, scorer.item_biases[ASKED])


@pytest.mark.parametrize(
    "name", ["ease", "item_knn", "slim_elastic", "higher_order_ease", "markov_fading", "fism", "nais", "simplex"]
)
@pytest.mark.parametrize("newcomer", [False, True], ids=["known", "newcomer"])
def test_a_trained_models_scores_are_the_sum_of_what_it_tells(name, newcomer):
    world = worlds.general(n_users=60, n_blocks=2, block_size=12)
    scorer = tiny_recipe(name, epochs=2).fit(world.train, Run())
    known = world.held_out.histories.rows(np.array([3]))
    known = known.as_newcomers() if newcomer else known
    unseen = np.setdiff1d(np.arange(world.train.n_items), known.items)
    told = contributions(scorer, known, unseen)
    np.testing.assert_allclose(told.values.sum(axis=1) + told.rest, scorer.scores(known)[0, unseen], atol=2e-5)
    assert np.abs(told.values).sum() > 0
    assert set(told.films[told.films != NO_FILM].tolist()) <= set(known.items.tolist())


def test_simplex_tells_apart_what_the_user_brings_and_what_the_history_does():
    world = worlds.general(n_users=60, n_blocks=2, block_size=12)
    scorer = tiny_recipe("simplex", epochs=2).fit(world.train, Run())
    known = world.held_out.histories.rows(np.array([3]))
    unseen = np.setdiff1d(np.arange(world.train.n_items), known.items)
    assert np.abs(contributions(scorer, known, unseen).rest).sum() > 0
    if scorer.network.biases is None:
        assert np.abs(contributions(scorer, known.as_newcomers(), unseen).rest).sum() == 0


def test_a_score_that_is_no_sum_over_the_history_is_not_taken_apart():
    world = worlds.general(n_users=60, n_blocks=2, block_size=12)
    known = world.held_out.histories.rows(np.array([3]))
    for name in ("mf", "multi_vae", "sasrec"):
        assert contributions(tiny_recipe(name, epochs=1).fit(world.train, Run()), known, np.array([0])) is None


def test_more_than_one_history_is_refused():
    both = history(1, 2).rows(np.array([0, 0]))
    with pytest.raises(ValueError, match="the history of one user was wanted, 2 came"):
        contributions(some_scorers()["dense"], both, ASKED)
