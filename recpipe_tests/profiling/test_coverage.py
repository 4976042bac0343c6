import numpy as np
import pyarrow as pa
import pytest

from recpipe.profiling.coverage import Coverage, SideData
from recpipe_tests.profiling.tiny import FILMS, features

ITEMS, COUNTS = pa.array([10, 11, 12, 13]), np.array([3, 2, 1, 1])


def test_side_data_of_the_tiny_world():
    side = SideData.of(FILMS, ITEMS, COUNTS)
    assert side.fields["titles"] == Coverage(0.75, pytest.approx(6 / 7), 3, 1.0)
    assert side.fields["years"] == Coverage(0.75, pytest.approx(6 / 7), 3, 1.0)
    assert side.fields["genres"] == Coverage(0.5, pytest.approx(5 / 7), 2, 1.5)
    assert side.fields["directors"] == side.fields["writers"] == Coverage(0.0, 0.0, 0, 0.0)
    assert side.nothing == 0.25
    assert side.unwatched == 1


def test_without_side_tables_nothing_is_known():
    side = SideData.of(features(), ITEMS, COUNTS)
    assert {field.films for field in side.fields.values()} == {0.0}
    assert (side.nothing, side.unwatched) == (1.0, 0)


def test_a_film_that_the_table_lacks_is_not_known():
    side = SideData.of(features((11, "New", 2001, ["drama"])), ITEMS, COUNTS)
    assert side.fields["titles"].films == 0.25
    assert side.fields["titles"].interactions == pytest.approx(2 / 7)


def test_a_title_alone_is_nothing_to_go_by():
    assert SideData.of(features((11, "New", None, [])), ITEMS, COUNTS).nothing == 1.0


def test_ids_of_another_type_are_refused():
    with pytest.raises(ValueError, match="films are string in the interactions and int64 in the side tables"):
        SideData.of(FILMS, pa.array(["10", "11"]), np.array([1, 1]))
