"""Which members the submission uses, with which weights: chosen on validation; the test part is only reported."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from recpipe.blending.blend import Blend, blend
from recpipe.blending.choosing import choose
from recpipe.blending.settings import EnsembleSettings
from recpipe.data.features import ItemFeatures
from recpipe.data.parts import HeldOut
from recpipe.evaluation.metrics import METRICS, Targets, parse_metric
from recpipe.evaluation.ranking import Masker, Ranking, rank, release_year_filter
from recpipe.lineage import Lineage, Standing, model_node
from recpipe.progress import tell
from recpipe.recipe import Scorer
from recpipe.settings import Project
from recpipe.storage import Missing


@dataclass(frozen=True)
class Chosen:
    """A blend, the figures for its record, and what a person should know of it."""

    blend: Blend
    figures: dict[str, Any]
    notes: tuple[str, ...]


def choose_ensemble(project: Project) -> Chosen:
    """Blend the members that stand on the configured split; one that was never trained is left out and named."""
    settings, store = project.ensemble(), project.store
    parts = store.read("split", settings.split)
    scorers, absent = {}, []
    for member in settings.members:
        try:
            scorers[member] = store.read("trained_model", f"{member}|{settings.split}").scorer
        except Missing:
            absent.append(member)
    if not scorers:
        raise ValueError(f"no member of the ensemble has been trained on the split {settings.split!r}")
    settings = settings.model_copy(update={"members": tuple(scorers)})
    masker = year_masker(project, settings)
    lists = member_lists(scorers, parts.valid, settings, masker)
    chosen = choose(lists, parts.valid, settings, split_digest=parts.digest(), seed=project.run().seed)
    tested = _on_test(chosen, scorers, parts.test, settings, masker)
    notes = [
        chosen.verdict,
        *(f"{member} is not trained and was left out" for member in absent),
        *(f"{member} is in ensemble.yaml, but its YAML is gone: left out" for member in project.removed_members()),
        *stale_members(project, scorers, settings.split),
    ]
    figures = {
        "used": chosen.used,
        "kept": chosen.kept,
        f"valid {settings.metric}": chosen.score,
        "members on validation": dict(chosen.member_scores),
        "why": dict(chosen.reasons),
        f"test {settings.metric}": tested,
    }
    return Chosen(chosen, figures, tuple(notes))


def stale_members(project: Project, members: Iterable[str], split: str) -> list[str]:
    """A sentence for each member whose training is not current: its last good version is what was used."""
    lineage = Lineage(project)
    states = [lineage.state(model_node(member, split)) for member in members]
    return [
        f"{state.node} is stale ({', '.join(state.why)} changed) and was used as it is"
        for state in states
        if state.standing is Standing.STALE
    ]


def member_lists(
    scorers: dict[str, Scorer], held_out: HeldOut, settings: EnsembleSettings, masker: Masker | None
) -> dict[str, Ranking]:
    """Each member's best films for the held-out users."""
    lists = {}
    for member, scorer in scorers.items():
        tell(event="ranking", member=member)
        lists[member] = rank(scorer, held_out.histories, settings.candidates, masker=masker)
    return lists


def year_masker(project: Project, settings: EnsembleSettings) -> Masker | None:
    """B-20: a film released after the user's last watch cannot have been watched; None where the setting is off."""
    if not settings.release_year_filter:
        return None
    return release_year_filter(film_features(project).years, settings.release_year_tolerance)


def film_features(project: Project) -> ItemFeatures:
    """The side data of the films in the order of their row numbers."""
    from recpipe.data.features import item_features

    store = project.store
    table = store.read("item_features").tables["item_features"]
    return item_features(table, store.read("interactions").ids.items)


def _on_test(
    chosen: Blend, scorers: dict[str, Scorer], test: HeldOut, settings: EnsembleSettings, masker: Masker | None
) -> dict[str, float]:
    name, k = parse_metric(settings.metric)
    lists = member_lists(scorers, test, settings, masker)
    targets = Targets.of(test.targets)
    ranked = {member: ranking.items[:, :k] for member, ranking in lists.items()}
    ranked["used"] = blend(lists, chosen, test.histories, k).items
    return {who: float(METRICS[name](targets.hits(items), targets.counts).mean()) for who, items in ranked.items()}
