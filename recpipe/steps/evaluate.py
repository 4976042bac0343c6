"""How good a trained model is on the test part of its split, and all models of a split side by side."""

from __future__ import annotations

from recpipe.evaluation.evaluate import evaluate
from recpipe.evaluation.leaderboard import Leaderboard
from recpipe.evaluation.report import EvaluationReport, TrainingRecord
from recpipe.lineage import model_node
from recpipe.settings import Project
from recpipe.steps.members import trained_on
from recpipe.steps.train import TrainedModel


def evaluation_report(project: Project, model: str, split: str) -> EvaluationReport:
    """The model's lists against the hidden films of the test part.

    Raises ValueError for a split without one, `Outdated` for a model that learned on an earlier version of it.
    """
    store = project.store
    trained: TrainedModel = trained_on(project, model, split)
    parts = store.read("split", split)
    if not len(parts.test):
        raise ValueError(f"the split {split!r} hides no films, so there is nothing to evaluate on; take another split")
    record = TrainingRecord(
        model=model,
        split=split,
        split_digest=parts.digest(),
        settings=project.model_settings(model) | trained.recipe.model_dump(mode="json"),
        epochs=tuple(trained.journal.epochs),
        figures={
            "seconds": trained.figures["seconds"],
            "memory": trained.figures["peak_memory_mb"] * 2**20,
            "parameters": trained.figures["parameters"],
        },
        warnings=trained.warnings,
        metric=project.run().metric,
        importance=trained.journal.closing.get("importance", {}),
    )
    return EvaluationReport.build(evaluate(trained.scorer, parts.test, parts.train), record)


def leaderboard(project: Project, split: str) -> Leaderboard:
    """The reports of this split that are about its current version. A model whose YAML is gone leaves no ghost."""
    return Leaderboard.build(current_reports(project, split), project.run().metric)


def current_reports(project: Project, split: str) -> dict[str, EvaluationReport]:
    """Reports by model that are about the split as it is now. Raises ValueError where there is none."""
    store = project.store
    digest = store.need("split", split).content
    reports = {}
    for model in project.model_names():
        node = model_node(model, split, "evaluation_report")
        record = store.record(node.asset, node.partition)
        if record is not None and record.made_from.get(f"split[{split}]") == digest:
            reports[model] = store.read(node.asset, node.partition)
    if not reports:
        raise ValueError(f"no model has been evaluated on the split {split!r} as it is now; materialise a report first")
    return reports
