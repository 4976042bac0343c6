"""Learning curves: what the journals say, side by side."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from rich.console import Console

from recpipe.evaluation.curves import Curve, learning_curves, row
from recpipe.showing_trainings import show_curves
from recpipe.steps.curves import read_curves, write_curves
from recpipe.storage import Missing
from recpipe.yaml_files import SettingsError

FIGURES = {"epochs": 4, "seconds": 9.5, "peak_memory_mb": 123.4, "stopped": "patience", "metric": "ndcg@10"}
ROWS = [
    {"epoch": 1, "valid": 0.1, "seconds": 1.0, "valid_seconds": 0.5},
    {"epoch": 2, "valid": 0.3, "seconds": 1.0, "valid_seconds": 0.5},
    {"epoch": 3, "valid": None, "seconds": 1.0, "valid_seconds": 0.0},
    {"epoch": 4, "valid": 0.3, "seconds": 2.0, "valid_seconds": 0.5},
]


def a_curve(model: str = "mf", before: float = 0.0, rows=ROWS) -> Curve:
    return Curve.of(model, rows, before, FIGURES)


def test_seconds_run_on_over_epochs_that_were_not_validated_and_over_what_was_trained_before() -> None:
    curve = a_curve(before=10.0)
    assert curve.epochs.tolist() == [1, 2, 4]
    assert curve.seconds.tolist() == [11.5, 13.0, 16.5]
    assert curve.scores.tolist() == [0.1, 0.3, 0.3]
    assert curve.best == 1  # the first of equals, whose weights were kept
    assert row(curve) == ["mf", "4", "2", "0.3000", "13.0", "9.5", "123", "patience"]


def test_a_score_that_is_no_number_is_never_the_best() -> None:
    rows = [{"epoch": n, "valid": valid, "seconds": 1.0} for n, valid in enumerate([float("nan"), -2.0, -1.0], 1)]
    assert a_curve(rows=rows).best == 2


def test_a_model_learned_in_one_step_has_a_row_and_no_curve() -> None:
    curve = Curve.of("ease", [], 0.0, FIGURES | {"epochs": 0, "stopped": "learned in one step", "metric": None})
    assert len(curve) == 0
    assert row(curve) == ["ease", "–", "–", "–", "–", "9.5", "123", "learned in one step"]


def test_each_model_is_drawn_by_epoch_and_by_seconds_the_best_first() -> None:
    worse = a_curve("bpr", rows=[{**each, "valid": 0.05} for each in ROWS])
    by_epoch, by_seconds = learning_curves([worse, a_curve()], "ndcg@10").axes
    legend = by_epoch.get_legend_handles_labels()[1]
    assert legend == ["mf: 0.3000 in epoch 2", "bpr: 0.0500 in epoch 1"]
    first, star = by_epoch.lines[:2]
    assert (list(first.get_xdata()), list(first.get_ydata())) == ([1, 2, 4], [0.1, 0.3, 0.3])
    assert (star.get_xdata(), star.get_ydata()) == (2, 0.3) or np.ravel(star.get_xdata()).tolist() == [2]
    assert list(by_seconds.lines[0].get_xdata()) == [1.5, 3.0, 6.5]
    assert by_seconds.get_xscale() == "linear"


def test_seconds_of_very_different_lengths_are_shown_by_their_magnitude() -> None:
    slow = a_curve("slow", rows=[{**each, "seconds": 500.0} for each in ROWS])
    assert learning_curves([slow, a_curve()], "ndcg@10").axes[1].get_xscale() == "log"


def test_curves_are_read_from_what_stands_and_written_as_picture_and_page(built, tmp_path) -> None:
    told = io.StringIO()
    for name in ("curves.png", "curves.html"):
        show_curves(built, Console(file=told, width=200), ["all"], "", tmp_path / "made" / name)
    curves, metric = read_curves(built, ["all"], "holdout")
    assert metric == "ndcg@10"
    assert [(curve.model, len(curve)) for curve in curves] == [("ease", 0), ("mf", 3), ("popularity", 0)]
    record = built.store.need("trained_model", "mf|holdout")
    (curve,) = [curve for curve in curves if len(curve)]
    assert curve.scores[curve.best] == record.figures["best_valid"]
    assert curve.epochs[curve.best] == record.figures["best_epoch"]
    assert (tmp_path / "made" / "curves.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "made" / "curves.html").read_text()
    (picture,) = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert base64.b64decode(picture).startswith(b"\x89PNG")
    assert f"<td>{curve.scores[curve.best]:.4f}</td>" in page
    assert f"{curve.scores[curve.best]:.4f}" in told.getvalue()


def test_what_cannot_be_drawn_is_refused_with_what_to_do(built, tmp_path) -> None:
    with pytest.raises(SettingsError, match="no model 'mff'; did you mean 'mf'"):
        read_curves(built, ["mff"], "holdout")
    with pytest.raises(SettingsError, match="--split: 'holdut' is none; did you mean 'holdout'"):
        read_curves(built, ["mf"], "holdut")
    with pytest.raises(Missing, match="popularity"):
        read_curves(built, ["popularity"], "full")
    with pytest.raises(SettingsError, match=r"curves\.pdf ends in neither \.png nor \.html"):
        write_curves([a_curve()], "holdout", "ndcg@10", tmp_path / "curves.pdf")
    with pytest.raises(ValueError, match="no curve to draw"):
        write_curves(read_curves(built, ["ease"], "holdout")[0], "holdout", "ndcg@10", tmp_path / "curves.png")
    path = built.store.place("trained_model", "ease|holdout") / "record.json"
    path.write_text(path.read_text().replace('"metric": null', '"metric": "recall@5"'))
    assert read_curves(built, ["mf", "ease"], "holdout")[1] == "ndcg@10"  # one that has no curve has no scale either
