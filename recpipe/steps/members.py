"""Trained models of a split, read to be used together: only those that learned on the split as it is now.

One that learned on an earlier version has seen films that are hidden now, and its rows may be those of other films.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from recpipe.data.ids import Ids
from recpipe.lineage import Lineage, Node, Standing, model_node
from recpipe.recipe import Scorer
from recpipe.settings import Project
from recpipe.storage import Missing
from recpipe.yaml_files import SettingsError


class Outdated(ValueError):
    """Artifacts that stand, and do not fit each other: one was made from an earlier version of the other."""


def trained_on(project: Project, model: str, split: str) -> Any:
    """A `TrainedModel`: what a model learned on a split. Raises `Missing`, and `Outdated` for an earlier version of it.

    Its class is not named here: an ensemble would be made anew with every change of how models are trained.
    """
    node = model_node(model, split)
    _check_made_from(project, node, Node("split", split))
    return project.store.read(node.asset, node.partition)


def scorer_on(project: Project, model: str, split: str) -> Scorer:
    """Its scorer alone."""
    scorer: Scorer = trained_on(project, model, split).scorer
    return scorer


def scorers_on(project: Project, models: Iterable[str], split: str) -> tuple[dict[str, Scorer], list[str]]:
    """By name, of the models that can be used; and a sentence for each that cannot. Raises ValueError without any."""
    scorers, notes = {}, []
    for model in models:
        try:
            scorers[model] = scorer_on(project, model, split)
        except Missing:
            notes.append(f"{model} is not trained and was left out")
        except Outdated as error:
            notes.append(f"{error}: left out")
    if not scorers:
        what = "; ".join(notes) or "there is none"
        raise ValueError(f"no model can be used on the split {split!r}: {what}")
    return scorers, notes


def ids_of(project: Project, split: str = "") -> Ids:
    """The raw ids of a split's rows, of the interactions' where none is named. Raises `Missing`, and `Outdated` where
    the interactions are newer than the split: a film that came in between shifts the rows of others.
    """
    if split:
        _check_made_from(project, Node("split", split), Node("interactions"))
    ids: Ids = project.store.read("interactions").ids
    return ids


def stale_members(project: Project, members: Iterable[str], split: str) -> list[str]:
    """A sentence for each member whose training is not current: its last good version is what was used."""
    lineage, told = Lineage(project), []
    for node in (model_node(member, split) for member in members):
        try:
            state = lineage.state(node)
        except SettingsError as error:
            told.append(f"{node} has unusable settings now and was used as it is ({error})")
            continue
        if state.standing is Standing.STALE:
            told.append(f"{node} is stale ({', '.join(state.why)} changed) and was used as it is")
    return told


def _check_made_from(project: Project, node: Node, source: Node) -> None:
    made_from = project.store.need(node.asset, node.partition).made_from.get(str(source))
    if made_from != project.store.need(source.asset, source.partition).content:
        raise Outdated(f"{node} was made from an earlier version of {source}; `recpipe build` makes it anew")
