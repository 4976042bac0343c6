"""Models of one split beside each other: all pairs from their reports, or two head to head from their lists."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from recpipe.data.features import ItemFeatures
from recpipe.data.parts import Parts
from recpipe.evaluation.naming import parse_metric
from recpipe.evaluation.ranking import rank
from recpipe.progress import tell
from recpipe.settings import Project
from recpipe.steps.ensemble import film_features
from recpipe.steps.evaluate import current_reports
from recpipe.steps.members import ids_of, scorer_on
from recpipe.storage import replace_text
from recpipe.studies import head_to_head_page
from recpipe.studies.comparison import Comparison
from recpipe.studies.head_to_head import HeadToHead, head_to_head


@dataclass(frozen=True)
class Duel:
    """Two models' comparison and the page that tells of it."""

    result: HeadToHead
    page: Path


def comparison(project: Project, split: str) -> Comparison:
    """All pairs of the models that the split's leaderboard would hold. Raises ValueError for fewer than two."""
    return Comparison.build(current_reports(project, split), project.run().metric)


def duel(project: Project, first: str, second: str, split: str, page: Path | None = None) -> Duel:
    """Rank with both models for the test users of a split, compare, and write the page.

    page: `studies/compare-FIRST-SECOND-SPLIT.html` of the home folder where None. Raises `Missing` for a model that is
    not trained on the split, `Outdated` for one that was trained on an earlier version of it.
    """
    store, metric = project.store, project.run().metric
    parts: Parts = store.read("split", split)
    if not len(parts.test):
        raise ValueError(f"the split {split!r} hides no films, so there is nothing to compare on; take another split")
    lists = []
    for model in (first, second):
        project.model_settings(model)  # an unknown name is an error that names the nearest
        scorer = scorer_on(project, model, split)
        tell(event="ranking", member=model)
        lists.append(rank(scorer, parts.test.histories, parse_metric(metric)[1]).items)
    films = film_features(project, split) if store.record("item_features") else None
    result = head_to_head((first, second), (lists[0], lists[1]), parts.test, parts.train, films, metric)
    target = page or project.home / "studies" / f"compare-{first}-{second}-{split}.html"
    replace_text(target, _page(project, result, split, parts, films))
    return Duel(result, target)


def _page(project: Project, result: HeadToHead, split: str, parts: Parts, films: ItemFeatures | None) -> str:
    ids = ids_of(project, split)
    rows = parts.test.targets.users[[example.row for example in result.examples]]
    titles = films.titles if films else tuple(map(str, ids.items.to_pylist()))
    users = list(map(str, ids.raw_users(rows).to_pylist()))
    return head_to_head_page.html(result, split, parts.digest(), users, titles)
