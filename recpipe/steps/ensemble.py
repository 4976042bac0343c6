"""Which members the submission uses, with which weights: chosen on validation; the test part is only reported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from recpipe.blending.blend import Blend, blend
from recpipe.blending.choosing import choose
from recpipe.blending.settings import EnsembleSettings
from recpipe.data.features import ItemFeatures
from recpipe.data.parts import HeldOut
from recpipe.evaluation.metrics import METRICS, Targets
from recpipe.evaluation.naming import parse_metric
from recpipe.evaluation.ranking import Masker, Ranking, rank, release_year_filter
from recpipe.progress import tell
from recpipe.recipe import Scorer
from recpipe.settings import Project
from recpipe.steps.members import ids_of, scorers_on, stale_members


@dataclass(frozen=True)
class Chosen:
    """A blend, the figures for its record, and what a person should know of it."""

    blend: Blend
    figures: dict[str, Any]
    notes: tuple[str, ...]


def choose_ensemble(project: Project) -> Chosen:
    """Blend the members that learned on the configured split as it is now; any other is left out and named."""
    settings = project.ensemble()
    parts = project.store.read("split", settings.split)
    scorers, left_out = scorers_on(project, settings.members, settings.split)
    settings = settings.model_copy(update={"members": tuple(scorers)})
    masker = year_masker(project, settings, settings.split)
    lists = member_lists(scorers, parts.valid, settings, masker)
    chosen = choose(lists, parts.valid, settings, split_digest=parts.digest(), seed=project.run().seed)
    tested = _on_test(chosen, scorers, parts.test, settings, masker)
    notes = [
        chosen.verdict,
        *left_out,
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


def member_lists(
    scorers: dict[str, Scorer], held_out: HeldOut, settings: EnsembleSettings, masker: Masker | None
) -> dict[str, Ranking]:
    """Each member's best films for the held-out users."""
    lists = {}
    for member, scorer in scorers.items():
        tell(event="ranking", member=member)
        lists[member] = rank(scorer, held_out.histories, settings.candidates, masker=masker)
    return lists


def year_masker(project: Project, settings: EnsembleSettings, split: str) -> Masker | None:
    """B-20: a film released after the user's last watch cannot have been watched; None where the setting is off."""
    if not settings.release_year_filter:
        return None
    return release_year_filter(film_features(project, split).years, settings.release_year_tolerance)


def film_features(project: Project, split: str = "") -> ItemFeatures:
    """The side data of the films in the order of a split's rows, or of the interactions'. Raises as `ids_of`."""
    from recpipe.data.features import item_features

    table = project.store.read("item_features").tables["item_features"]
    return item_features(table, ids_of(project, split).items)


def _on_test(
    chosen: Blend, scorers: dict[str, Scorer], test: HeldOut, settings: EnsembleSettings, masker: Masker | None
) -> dict[str, float]:
    name, k = parse_metric(settings.metric)
    lists = member_lists(scorers, test, settings, masker)
    targets = Targets.of(test.targets)
    ranked = {member: ranking.items[:, :k] for member, ranking in lists.items()}
    ranked["used"] = blend(lists, chosen, test.histories, k).items
    return {who: float(METRICS[name](targets.hits(items), targets.counts).mean()) for who, items in ranked.items()}
