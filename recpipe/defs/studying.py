"""`recpipe robustness` and `recpipe split-trust`: what is to be looked at is noted, made, and shown."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from recpipe.defs.building import build_aside
from recpipe.lineage import Node
from recpipe.settings import Project
from recpipe.showing_studies import show_robustness, show_split_trust

ROBUSTNESS, SPLIT_TRUST = Node("robustness_report"), Node("split_trust_report")


def study_robustness(project: Project, models: Sequence[str], folds: int, out: Console) -> bool:
    """The models over the first so many folds; as conf/studies.yaml or an earlier call says where nothing is named."""
    from recpipe.steps.robustness import folds_of

    splits = folds_of(project, folds) if folds else []
    project.choose_for_study("robustness", models=list(models), splits=splits)
    made = build_aside(project, ROBUSTNESS, out)
    if made:
        show_robustness(project, out)
    return made


def study_splits(project: Project, models: Sequence[str], splits: Sequence[str], out: Console) -> bool:
    """The splits against a part laid aside; as conf/studies.yaml or an earlier call says where nothing is named."""
    project.choose_for_study("split_trust", models=list(models), splits=list(splits))
    made = build_aside(project, SPLIT_TRUST, out)
    if made:
        show_split_trust(project, out)
    return made
