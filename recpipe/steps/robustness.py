"""The robustness study, from the evaluation reports of its models on its splits."""

from __future__ import annotations

import numpy as np

from recpipe.data.parts import Part, Parts
from recpipe.lineage import model_node
from recpipe.settings import Project
from recpipe.studies.robustness import Robustness
from recpipe.studies.robustness_report import RobustnessReport
from recpipe.yaml_files import SettingsError


def robustness_report(project: Project) -> RobustnessReport:
    """Scores on the test parts. A model that lacks a report on a split as it is now is left out, and named.

    Raises ValueError where fewer than two models are left.
    """
    settings, metric = project.robustness(), project.run().metric
    scores: dict[str, dict[str, float]] = {}
    notes = []
    for model in settings.models:
        found = {split: _score(project, model, split, metric) for split in settings.splits}
        missing = [split for split, score in found.items() if score is None]
        if missing:
            notes.append(f"{model} has no report on {', '.join(missing)} as it is now: left out")
        else:
            scores[model] = {split: score for split, score in found.items() if score is not None}
    if len(scores) < 2:
        raise ValueError(
            f"robustness: at least two models with reports on every split are wanted ({'; '.join(notes)}); "
            "`recpipe robustness` makes what is missing"
        )
    shares = [_test_to_train(project.store.read("split", split)) for split in settings.splits]
    return RobustnessReport(Robustness.of(scores, metric, round(float(np.mean(shares)), 12)), tuple(notes))


def folds_of(project: Project, count: int) -> list[str]:
    """The names of the first so many folds among conf/splits, all of one partition of the events.

    Raises `SettingsError` where there are fewer.
    """
    families: dict[tuple[int, int], dict[int, str]] = {}
    for split in project.split_names():
        settings = project.split_settings(split)
        if settings.get("strategy") == "folds":
            strategy = project.strategy(split).model_dump()
            families.setdefault((strategy["of"], strategy["seed"]), {})[strategy["fold"]] = split
    longest = max(families.values(), key=len, default={})
    if not 2 <= count <= len(longest):
        raise SettingsError(
            f"--folds: {count} came; {project.conf / 'splits'} has {len(longest)} folds of one partition, and at least "
            "2 are wanted: copy fold_1.yaml for more, with the same `of` and `seed` in all of them"
        )
    return [longest[fold] for fold in sorted(longest)][:count]


def _score(project: Project, model: str, split: str, metric: str) -> float | None:
    """The mean over users; None where the report is missing or of an earlier version of the split."""
    store, node = project.store, model_node(model, split, "evaluation_report")
    record, standing = store.record(node.asset, node.partition), store.record("split", split)
    if record is None or standing is None or record.made_from.get(f"split[{split}]") != standing.content:
        return None
    return float(store.read(node.asset, node.partition).metrics[metric].mean)


def _test_to_train(parts: Parts) -> float:
    return float((parts.part == Part.TEST).sum() / max((parts.part == Part.TRAIN).sum(), 1))
