"""The learning curves of trained models, from the journals that their artifacts keep; no scorer is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from recpipe.evaluation.curves import Curve
from recpipe.settings import Project
from recpipe.storage import VIEWS
from recpipe.training.journal import Journal, seconds_of
from recpipe.yaml_files import SettingsError

FORMS = (".png", ".html")


def read_curves(project: Project, models: Sequence[str], split: str) -> tuple[list[Curve], str]:
    """One curve a model, in the order asked for, and the metric that all were validated by.

    `all` are those that have been trained on the split. Raises `Missing` for one that has not, `SettingsError` for
    unknown names, ValueError where models were validated by different metrics.
    """
    split = project.split_asked(split)
    curves = [_curve(project, model, split) for model in _asked(project, models, split)]
    metrics = {curve.model: curve.figures.get("metric") or project.run().metric for curve in curves if len(curve)}
    if len(set(metrics.values())) > 1:
        told = ", ".join(f"{model} by {metric}" for model, metric in metrics.items())
        raise ValueError(f"these curves have no scale in common: {told}; `recpipe build` trains anew what is stale")
    return curves, next(iter(metrics.values()), project.run().metric)


def write_curves(curves: Sequence[Curve], split: str, metric: str, path: Path) -> None:
    """The picture as `.png`, or with the table as a page of its own, `.html`; others are refused.

    Raises ValueError where no model has a curve.
    """
    from recpipe.evaluation.curves import learning_curves, page_of
    from recpipe.evaluation.plots import DOTS_PER_INCH, data_uri

    if path.suffix not in FORMS:
        raise SettingsError(f"--out: {path} ends in neither {' nor '.join(FORMS)}")
    drawn = [curve for curve in curves if len(curve)]
    if not drawn:
        raise ValueError(f"no model asked for was validated epoch by epoch on {split}: there is no curve to draw")
    figure = learning_curves(drawn, metric)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".png":
        figure.savefig(path, dpi=DOTS_PER_INCH)
    else:
        path.write_text(page_of(curves, data_uri(figure), split, metric), encoding="utf-8")


def _curve(project: Project, model: str, split: str) -> Curve:
    name = f"{model}|{split}"
    record = project.store.need("trained_model", name)
    journal = Journal.read(project.store.folder("trained_model", name) / VIEWS)
    before = sum(seconds_of(row) for rows in journal.stages.values() for row in rows)
    return Curve.of(model, journal.epochs, before, record.figures)


def _asked(project: Project, models: Sequence[str], split: str) -> list[str]:
    asked = project.models_asked(models)
    if list(models) != ["all"]:
        return asked
    trained = [name for name in asked if project.store.record("trained_model", f"{name}|{split}")]
    if not trained:
        raise ValueError(f"no model has been trained on {split}; `recpipe build --split {split}` trains")
    return trained
