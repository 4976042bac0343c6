import numpy as np
import pytest

from recpipe.explaining.nearness import cosines, film_vectors, films_read
from recpipe.recipe import Run
from recpipe_tests import worlds
from recpipe_tests.explaining.test_contributions import history
from recpipe_tests.settings_for_tests import tiny_recipe


def trained(name: str):
    world = worlds.general(n_users=60, n_blocks=2, block_size=12)
    return tiny_recipe(name, epochs=1, max_length=3).fit(world.train, Run())


def test_cosines_by_hand():
    vectors = np.array([[3, 4], [4, 3], [0, 0], [-3, -4]], dtype=np.float32)
    told = cosines(vectors, np.array([0]), np.array([1, 2, 3]))
    assert told.tolist() == [[pytest.approx(24 / 25), 0.0, pytest.approx(-1.0)]]


@pytest.mark.parametrize("name", ["ials", "sasrec", "bert4rec", "gru4rec_session", "macrid_vae"])
def test_models_with_a_vector_a_film_show_them(name):
    vectors = film_vectors(trained(name))
    assert vectors.shape[0] == 24 and vectors.dtype == np.float32 and np.abs(vectors).sum(axis=1).min() > 0


@pytest.mark.parametrize("name", ["ease", "multi_vae", "user_knn", "popularity", "neumf"])
def test_models_without_such_vectors_show_none(name):
    assert film_vectors(trained(name)) is None


def test_a_sequence_model_reads_the_latest_films_alone():
    known = history(3, 0, 5, 7, 5, n_items=24)
    assert films_read(trained("sasrec"), known).tolist() == [5, 7]
    assert films_read(trained("ials"), known).tolist() == [0, 3, 5, 7]
