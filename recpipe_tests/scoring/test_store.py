"""Scorers on disk: no pickle, the same bytes, and clear words where something is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from recpipe.models.linear.ease import Ease
from recpipe.recipe import Scorer
from recpipe.scoring.comparing import Comparison
from recpipe.scoring.factors import Factors
from recpipe.scoring.item_weights import ItemWeights
from recpipe.scoring.same_for_all import SameForAll
from recpipe.scoring.store import UnreadableScorer, read_scorer, write_scorer
from recpipe.scoring.user_neighbours import UserNeighbours

RECIPE = Ease()
MATRIX = sparse.csr_matrix(np.array([[0, 2, 0], [1, 0, 3], [0, 0, 0]], dtype=np.float32))
ROWS = np.arange(6, dtype=np.float32).reshape(3, 2)
SCORERS: list[Scorer] = [
    SameForAll(np.array([1, 2, 3], dtype=np.float32)),
    ItemWeights(MATRIX),
    ItemWeights(MATRIX.toarray()),
    ItemWeights(np.asfortranarray(MATRIX.toarray())),
    ItemWeights(MATRIX, half_life=5.0),
    ItemWeights(MATRIX, pairs=np.array([[0, 1], [0, 2]], dtype=np.int32), pair_weights=ROWS.reshape(2, 3)),
    ItemWeights(ROWS, right=np.ascontiguousarray(ROWS.T)),
    Factors(ROWS, ROWS + 1),
    Factors(ROWS, ROWS + 1, ROWS[:, 0], ROWS[0]),
    UserNeighbours(MATRIX, "msd", 40, 10, 0.5),
    UserNeighbours(MATRIX, "pearson", 40, 10, 0.5, True, MATRIX.toarray()),
    UserNeighbours(MATRIX, Comparison("asymmetric_cosine", "bm25", 2.0, 0.3), 40),
]


@pytest.mark.parametrize("scorer", SCORERS, ids=lambda scorer: type(scorer).__name__)
def test_everything_that_a_scorer_carries_comes_back(scorer: Scorer, tmp_path: Path) -> None:
    write_scorer(scorer, tmp_path)
    again = read_scorer(tmp_path, RECIPE)
    assert type(again) is type(scorer)
    before, after = scorer.arrays(), again.arrays()
    assert before.keys() == after.keys()
    for name in before:
        assert type(after[name]) is type(before[name])
        assert after[name].dtype == before[name].dtype
        assert after[name].shape == before[name].shape
        same = after[name] != before[name]
        assert (same.nnz if sparse.issparse(same) else np.count_nonzero(same)) == 0


def test_how_whole_histories_are_compared_comes_back(tmp_path: Path) -> None:
    write_scorer(SCORERS[-1], tmp_path)
    again = read_scorer(tmp_path, RECIPE)
    assert isinstance(again, UserNeighbours)
    assert again.similarity == Comparison("asymmetric_cosine", "bm25", 2.0, 0.3)


def test_item_weights_stored_before_there_was_a_half_life_are_read() -> None:
    assert ItemWeights.from_arrays({"weights": MATRIX}, RECIPE).half_life is None
    assert ItemWeights(MATRIX).arrays().keys() == {"weights"}


def test_nothing_but_json_and_safetensors_is_written(tmp_path: Path) -> None:
    write_scorer(SCORERS[1], tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["arrays.safetensors", "scorer.json"]
    assert json.loads((tmp_path / "scorer.json").read_text())["kind"] == "ItemWeights"


def test_an_unknown_kind_is_named(tmp_path: Path) -> None:
    write_scorer(SCORERS[0], tmp_path)
    card = json.loads((tmp_path / "scorer.json").read_text())
    (tmp_path / "scorer.json").write_text(json.dumps(card | {"kind": "Oracle"}))
    with pytest.raises(UnreadableScorer, match=r"'Oracle'; there are SameForAll"):
        read_scorer(tmp_path, RECIPE)


def test_another_format_asks_for_another_fit(tmp_path: Path) -> None:
    (tmp_path / "scorer.json").write_text('{"format": 99}')
    with pytest.raises(UnreadableScorer, match="fit the model again"):
        read_scorer(tmp_path, RECIPE)


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableScorer, match=r"scorer\.json is missing"):
        read_scorer(tmp_path, RECIPE)


def test_a_class_of_ones_own_is_not_stored(tmp_path: Path) -> None:
    class Oracle(dict):
        pass

    with pytest.raises(TypeError, match="design decision"):
        write_scorer(Oracle(), tmp_path)  # type: ignore[arg-type]
