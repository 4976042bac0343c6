import numpy as np
import pytest

from recpipe.storage import VIEWS, content_digest
from recpipe.studies.comparison import Comparison
from recpipe_tests.studies.reports import reports_of


@pytest.fixture(scope="module")
def comparison():
    random = np.random.default_rng(0)
    base = random.random(400)
    planted = {
        "near": base + 0.05 * random.normal(size=400),
        "good": base + 0.001,
        "bad<": base - 0.2 + 0.05 * random.normal(size=400),
    }
    return Comparison.build(reports_of(planted))


def test_the_better_model_of_a_pair_stands_first_and_the_planted_loser_is_told_apart(comparison):
    rows = {(row["model"], row["other"]): row for row in comparison.table.to_pylist()}
    assert len(rows) == 3
    assert list(comparison.models)[-1] == "bad<"
    assert all(row["difference"] >= 0 for row in rows.values())
    assert rows["good", "bad<"]["p"] < 0.01 and rows["good", "bad<"]["low"] > 0.1
    best, second, _ = comparison.models
    assert rows[best, second]["p"] > 0.05
    assert comparison.verdict() == (
        f"{best} is first by ndcg@10, but cannot be told from {second}; 2 of 3 pairs are told apart."
    )


def test_equal_models_stand_in_the_order_of_their_names_and_are_not_told_apart():
    values = np.linspace(0, 1, 30)
    twins = Comparison.build(reports_of({"b": values, "a": values}))
    assert list(twins.models) == ["a", "b"]
    assert twins.table["p"].to_pylist() == [1.0]


def test_a_comparison_comes_back_as_it_was_written_with_the_same_bytes(comparison, tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        comparison.write(tmp_path / name)
    back = Comparison.read(tmp_path / "first")
    assert back.table.equals(comparison.table)
    assert (back.models, back.users, back.split) == (comparison.models, 400, "holdout")
    assert content_digest(tmp_path / "first") == content_digest(tmp_path / "second")
    assert "bad&lt;" in (tmp_path / "first" / VIEWS / "comparison.html").read_text()


def test_one_model_or_reports_of_other_users_are_refused():
    with pytest.raises(ValueError, match="at least two models"):
        Comparison.build(reports_of({"a": np.ones(3)}))
    mixed = reports_of({"a": np.ones(3)}) | reports_of({"b": np.ones(4)})
    with pytest.raises(ValueError, match="tells of other users"):
        Comparison.build(mixed)
    with pytest.raises(ValueError, match="no report"):
        Comparison.build({})
