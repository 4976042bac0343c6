"""Raw ids and row numbers, both ways."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from recpipe.data.ids import Ids


def test_row_numbers_follow_the_order_of_the_ids() -> None:
    ids = Ids.of(users=[30, 10, 10, 20], items=pa.chunked_array([["b"], ["a", "b"]]))
    assert ids.users.to_pylist() == [10, 20, 30] and ids.items.to_pylist() == ["a", "b"]
    assert (ids.n_users, ids.n_items) == (3, 2)
    rows = ids.user_rows(np.array([20, 99, 10]))
    assert rows.tolist() == [1, -1, 0] and rows.dtype == np.int32
    assert ids.item_rows(["b", "c"]).tolist() == [1, -1]
    assert ids.raw_users(np.array([2, 0])).to_pylist() == [30, 10]
    assert ids.raw_items(np.array([1, 1])).to_pylist() == ["b", "b"]


def test_ids_that_a_person_types_are_understood() -> None:
    ids = Ids.of(users=[7, 8], items=["7", "8"])
    assert ids.user_rows(["8", "eight", "9"]).tolist() == [1, -1, -1]
    assert ids.item_rows([8, 9]).tolist() == [1, -1]
    assert ids.user_rows([]).tolist() == []
    ends = [-(2**63), 2**63 - 1]
    assert Ids.of(users=ends, items=[1]).user_rows([str(ends[1]), str(2**63), str(ends[0])]).tolist() == [1, -1, 0]


def test_nulls_are_unknown() -> None:
    ids = Ids.of(users=pa.array([1, None, 2]), items=[1])
    assert ids.users.to_pylist() == [1, 2]
    assert ids.user_rows(pa.array([None, 2])).tolist() == [-1, 1]


def test_row_numbers_outside_are_refused() -> None:
    ids = Ids.of(users=[1, 2], items=[1])
    with pytest.raises(IndexError, match="0 to 1 are known; -1 to 1 came"):
        ids.raw_users(np.array([1, -1]))
    assert len(ids.raw_users(np.array([], dtype=np.int32))) == 0


def test_ids_out_of_order_and_of_other_types_are_refused() -> None:
    with pytest.raises(ValueError, match="users are not ascending"):
        Ids(pa.array([2, 1]), pa.array([1]))
    with pytest.raises(ValueError, match="items are not ascending"):
        Ids(pa.array([1]), pa.array([1, 1]))
    with pytest.raises(TypeError, match="double"):
        Ids.of([1.5], [1])


def test_the_digest_tells_maps_apart_and_survives_writing(tmp_path: Path) -> None:
    ids = Ids.of(users=[3, 1], items=["a", "é"])
    ids.write(tmp_path)
    again = Ids.read(tmp_path)
    assert again.users.equals(ids.users) and again.items.equals(ids.items)
    assert again.digest == ids.digest
    assert ids.digest != Ids.of(users=["3", "1"], items=["a", "é"]).digest
    assert ids.digest != Ids.of(users=[1, 3, 4], items=["a", "é"]).digest
