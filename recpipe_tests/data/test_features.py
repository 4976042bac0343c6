from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from recpipe.data.features import UNKNOWN_YEAR, Bag, ItemFeatures, item_features

THREE_FILMS = Bag.from_lists([["drama", "action"], [], ["drama"]])


def feature_table(*films: tuple[Any, str | None, int | None, list[str]]) -> pa.Table:
    """The table of dbt_like_sql's item_features: directors and writers are empty lists."""
    items, titles, years, genres = zip(*films, strict=True)
    text = pa.list_(pa.string())
    return pa.table(
        {
            "item": items,
            "title": pa.array(titles, pa.string()),
            "year": pa.array(years, pa.int32()),
            "genres": pa.array(genres, text),
            "directors": pa.array([[]] * len(films), text),
            "writers": pa.array([[]] * len(films), text),
        }
    )


def test_a_bag_keeps_the_values_of_each_film() -> None:
    assert THREE_FILMS.vocabulary == ("action", "drama")
    assert THREE_FILMS.offsets.tolist() == [0, 2, 2, 3]
    assert THREE_FILMS.values.tolist() == [1, 0, 1]
    assert (THREE_FILMS.offsets.dtype, THREE_FILMS.values.dtype) == (np.int64, np.int32)


def test_a_bag_as_a_matrix_is_multi_hot() -> None:
    matrix = THREE_FILMS.matrix()
    assert matrix.dtype == np.float32
    assert matrix.toarray().tolist() == [[1, 1], [0, 0], [0, 1]]


def test_the_shares_of_a_film_add_up_to_one_whatever_it_names_twice() -> None:
    bag = Bag.from_lists([["drama", "action"], [], ["drama", "drama"]])
    shares = bag.shares()
    assert shares.dtype == np.float32
    assert shares.toarray().tolist() == [[0.5, 0.5], [0, 0], [0, 1]]


def test_values_of_too_few_films_have_no_share() -> None:
    assert THREE_FILMS.shares(minimum_films=2).toarray().tolist() == [[1], [0], [1]]
    assert THREE_FILMS.shares(minimum_films=3).shape == (3, 0)


def test_a_padded_bag_has_a_mask_and_the_size_of_the_vocabulary_as_padding() -> None:
    padded, mask = THREE_FILMS.padded()
    assert padded.tolist() == [[1, 0], [2, 2], [1, 2]]
    assert mask.tolist() == [[True, True], [False, False], [True, False]]
    assert (padded.dtype, mask.dtype) == (np.int64, np.bool_)


def test_padding_keeps_at_most_the_values_asked_for_and_fills_wider_rows() -> None:
    padded, mask = THREE_FILMS.padded(most=1)
    assert (padded.tolist(), mask.tolist()) == ([[1], [2], [1]], [[True], [False], [True]])
    padded, mask = THREE_FILMS.padded(most=3)
    assert padded.tolist() == [[1, 0, 2], [2, 2, 2], [1, 2, 2]]
    assert mask.sum() == 3


@pytest.mark.parametrize("n_films", [0, 2])
def test_bags_without_any_value_have_one_column_of_padding_and_an_empty_matrix(n_films: int) -> None:
    bag = Bag.from_lists([[] for _ in range(n_films)])
    padded, mask = bag.padded()
    assert (padded.shape, mask.any()) == ((n_films, 1), np.False_)
    assert not padded.any()  # the vocabulary's size is 0
    assert bag.matrix().shape == (n_films, 0)


def test_features_stand_in_the_order_of_the_row_numbers() -> None:
    table = feature_table(
        (10, "Ten", 1999, ["Drama"]), (20, "Twenty", 2001, ["Action", "Drama"]), (30, "Thirty", 1, [])
    )
    features = item_features(table, [20, 10])
    assert features.titles == ("Twenty", "Ten")
    assert features.years.tolist() == [2001, 1999]
    assert features.years.dtype == np.int32
    assert features.bags["genres"].vocabulary == ("Action", "Drama")
    assert features.bags["genres"].matrix().toarray().tolist() == [[1, 1], [0, 1]]
    assert set(features.bags) == {"genres", "directors", "writers"}


def test_no_film_is_lost_where_side_values_are_missing() -> None:
    table = feature_table((10, None, None, []), (20, "Twenty", 2001, ["Action"]))
    features = item_features(table, np.array([5, 10, 20]))
    assert features.titles == ("5", "10", "Twenty")
    assert features.years.tolist() == [UNKNOWN_YEAR, UNKNOWN_YEAR, 2001]
    assert features.bags["genres"].matrix().toarray().tolist() == [[0], [0], [1]]


def test_ids_of_text_find_their_films() -> None:
    table = feature_table(("tt2", "Two", 2002, []), ("tt1", "One", 2001, []))
    for raw_items in (["tt1", "tt2", "tt3"], pa.array(["tt1", "tt2", "tt3"])):
        assert item_features(table, raw_items).titles == ("One", "Two", "tt3")


def test_ids_of_two_types_are_refused() -> None:
    with pytest.raises(ValueError, match=r"of type int in the table \(as 10\), and str here \(as '10'\)"):
        item_features(feature_table((10, "Ten", 1999, [])), ["10"])


def test_a_film_that_stands_twice_in_the_table_is_refused() -> None:
    with pytest.raises(ValueError, match="1 rows are of films that the table has already"):
        item_features(feature_table((10, "Ten", 1999, []), (10, "Ten again", 1999, [])), [10])


def test_fields_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"different numbers of films: \[1, 3\]"):
        ItemFeatures(("one",), np.array([1999], dtype=np.int32), {"genres": THREE_FILMS})
