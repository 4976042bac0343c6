from dataclasses import replace

import numpy as np
import pytest

from recpipe.evaluation.evaluate import evaluate
from recpipe.evaluation.leaderboard import Leaderboard
from recpipe.evaluation.report import EvaluationReport, TrainingRecord
from recpipe.storage import content_digest
from recpipe_tests.evaluation.scorers import Product, random_world, watched


def reports(seconds: float = 2.0) -> dict[str, EvaluationReport]:
    scorer, held_out = random_world(150, 60)
    train = watched([[i % 60] for i in range(150)], 60)
    noise = np.random.default_rng(9)

    def report(model: str, spoilt: float, figures: dict[str, float]) -> EvaluationReport:
        users = scorer.users + spoilt * noise.normal(size=scorer.users.shape).astype(np.float32)
        told = TrainingRecord(model, "holdout", "d" * 64, figures=figures)
        return EvaluationReport.build(evaluate(Product(users, scorer.items), held_out, train), told)

    return {
        "bad": report("bad", 5.0, {"seconds": seconds}),
        "good": report("good", 0.0, {"seconds": seconds, "memory": 2**20, "parameters": 544}),
        "near": report("near", 0.05, {}),
        "twin": report("twin", 0.0, {}),
    }


@pytest.fixture(scope="module")
def board() -> Leaderboard:
    return Leaderboard.build(reports())


def test_the_best_stand_first_and_equals_in_the_order_of_their_names(board):
    assert board.models[-1] == "bad"
    assert board.models.index("good") + 1 == board.models.index("twin")
    assert board.table["rank"].to_pylist() == [1, 2, 3, 4]
    scores = board.table["score"].to_pylist()
    assert scores == sorted(scores, reverse=True)


def test_a_clear_loss_is_significant_and_a_twin_is_not(board):
    rows = {row["model"]: row for row in board.table.to_pylist()}
    assert rows[board.models[0]]["p"] is None and rows[board.models[0]]["difference"] == 0
    assert rows["bad"]["p"] < 0.01 and rows["bad"]["difference_high"] < 0
    assert rows["near"]["p"] is None or rows["near"]["p"] > 0.05
    assert rows["good"]["score"] == rows["twin"]["score"]


def test_costs_that_are_not_known_are_empty(board):
    rows = {row["model"]: row for row in board.table.to_pylist()}
    assert rows["good"]["parameters"] == 544 and rows["near"]["seconds"] is None


def test_a_leaderboard_comes_back_as_it_was_written(board, tmp_path):
    board.write(tmp_path)
    back = Leaderboard.read(tmp_path)
    assert back.table.equals(board.table)
    assert (back.metric, back.split, back.split_digest) == ("ndcg@10", "holdout", "d" * 64)
    assert back.markdown() == board.markdown()


def test_the_content_does_not_depend_on_seconds(board, tmp_path):
    for name, each in (("first", board), ("second", Leaderboard.build(reports(seconds=77)))):
        (tmp_path / name).mkdir()
        each.write(tmp_path / name)
    assert content_digest(tmp_path / "first") == content_digest(tmp_path / "second")


def test_people_see_the_table(board):
    for text in (board.markdown(), board.html()):
        for told in ("good", "near", "1 MiB", "544", "dddddddddddd", "data:image/png;base64,", "to the best"):
            assert told in text
    assert board.frame()["model"].tolist() == board.models


def test_one_model_alone_is_a_leaderboard():
    alone = Leaderboard.build({"good": reports()["good"]})
    assert alone.table["p"].to_pylist() == [None] and "best" in alone.markdown()


def test_reports_of_different_splits_are_refused():
    mixed = reports()
    old = mixed["near"]
    mixed["near"] = replace(old, training=replace(old.training, split_digest="e" * 64))
    with pytest.raises(ValueError, match=r"different splits.*near: eeeeeeeeeeee"):
        Leaderboard.build(mixed)


def test_a_missing_metric_and_an_empty_board_are_refused():
    with pytest.raises(ValueError, match="has no ndcg@7"):
        Leaderboard.build(reports(), "ndcg@7")
    with pytest.raises(ValueError, match="no report"):
        Leaderboard.build({})
