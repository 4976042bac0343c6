import base64
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from recpipe.evaluation import plots
from recpipe.evaluation.evaluate import evaluate
from recpipe.evaluation.pages import html, markdown
from recpipe.evaluation.report import EvaluationReport, TrainingRecord
from recpipe.storage import content_digest
from recpipe_tests.evaluation.scorers import random_world, watched

EPOCHS = tuple({"epoch": n, "loss": 1 / n, "valid": 0.1 + 0.01 * min(n, 4), "seconds": 0.5 * n} for n in range(1, 7))


def a_report(
    seconds: float = 1.5, epochs=EPOCHS, warnings=("loss is flat <from epoch 5>",), importance=None
) -> EvaluationReport:
    scorer, held_out = random_world(120, 60)
    train = watched([[i % 60, (7 * i) % 60] for i in range(120)], 60)
    training = TrainingRecord(
        model="mf", split="holdout", split_digest="abc123" * 8, settings={"embedding_size": 64, "note": "<b>"},
        epochs=epochs, figures={"seconds": seconds, "memory": 3 * 2**20, "parameters": 1717952}, warnings=warnings,
        importance=importance or {},
    )  # fmt: skip
    return EvaluationReport.build(evaluate(scorer, held_out, train), training)


@pytest.fixture(scope="module")
def report() -> EvaluationReport:
    return a_report()


@pytest.fixture(scope="module")
def written(report, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    report.write(folder)
    return folder


def test_a_report_comes_back_as_it_was_written(report, written):
    back = EvaluationReport.read(written)
    assert back.training == report.training
    assert back.metrics == report.metrics and back.user_groups == report.user_groups
    assert back.evaluation.lists == report.evaluation.lists
    assert back.evaluation.film_groups == report.evaluation.film_groups
    assert back.evaluation.means() == report.evaluation.means()
    assert back.evaluation.users.tolist() == report.evaluation.users.tolist()


def test_the_same_result_has_the_same_content_whatever_it_cost(written, tmp_path):
    a_report(seconds=99).write(tmp_path)
    assert content_digest(tmp_path) == content_digest(written)


def test_the_per_user_table_is_the_source_of_the_means(report, written):
    table = pq.read_table(written / "per_user.parquet")
    assert table.column_names[:3] == ["user", "n_known", "n_targets"]
    assert table.num_rows == 120
    for name, interval in report.metrics.items():
        assert table[name].to_numpy().mean() == pytest.approx(interval.mean, abs=1e-12)
        assert interval.low <= interval.mean <= interval.high


def test_users_are_grouped_by_the_median_of_their_known_films(report):
    few, many = report.user_groups["few"], report.user_groups["many"]
    assert few.users + many.users == 120
    assert (report.evaluation.n_known <= int(re.findall(r"\d+", few.who)[0])).sum() == few.users
    joined = few.users * few.metrics["ndcg@10"].mean + many.users * many.metrics["ndcg@10"].mean
    assert joined / 120 == pytest.approx(report.metrics["ndcg@10"].mean)


def test_the_page_stands_alone_and_tells_everything(written):
    page = (written / "views" / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page and "http" not in page and page.count("data:image/png;base64,") == 3
    for told in ("ndcg@10", "1.5 s", "3 MiB", "1,717,952", "abc123" * 8, "embedding_size", "k = 20", "few: up to"):
        assert told in page, told
    assert "loss is flat &lt;from epoch 5&gt;" in page and "&lt;b&gt;" in page


def test_models_learned_in_one_step_have_no_curve():
    page = html(a_report(epochs=(), warnings=()))
    assert "no training curve" in page and page.count("data:image/png") == 2 and 'role="alert"' not in page


def test_a_ranker_shows_what_its_trees_split_at(tmp_path):
    ranker = a_report(epochs=(), importance={f"column {n}": n / 300 for n in range(25)})
    ranker.write(tmp_path)
    assert EvaluationReport.read(tmp_path).training.importance == ranker.training.importance
    assert "What the trees split at" in html(ranker)
    assert "What the trees split at" not in html(a_report())
    axes = plots.importance(ranker.training.importance).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [f"column {n}" for n in range(5, 25)]


def test_the_markdown_holds_small_pictures(report):
    text = markdown(report)
    pictures = re.findall(r"!\[[^]]+\]\(data:image/png;base64,([^)]+)\)", text)
    assert len(pictures) == 3
    for picture in pictures:
        assert len(picture) < 150_000 and base64.b64decode(picture).startswith(b"\x89PNG")
    assert "| ndcg@10 |" in text and "⚠ loss is flat" in text


def test_epochs_without_validation_are_drawn_too():
    epochs = ({"epoch": 1, "loss": 0.5, "valid": None, "seconds": 1.0}, {"epoch": 2, "loss": 0.4, "seconds": 1.0})
    assert "Training curve" in html(a_report(epochs=epochs))
