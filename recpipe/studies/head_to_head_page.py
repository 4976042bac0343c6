"""A head-to-head as one HTML page that stands alone, with the titles of films."""

from __future__ import annotations

from collections.abc import Sequence

from recpipe.evaluation import pages, plots
from recpipe.evaluation.naming import parse_metric
from recpipe.studies import pictures
from recpipe.studies.groups import RECENT_YEARS
from recpipe.studies.head_to_head import Example, HeadToHead


def html(result: HeadToHead, split: str, digest: str, users: Sequence[str], films: Sequence[str]) -> str:
    """The page. users: how the examples' users are called, in their order. films: titles by film number."""
    first, second = result.names
    kinds = {kind: [group for group in result.groups if group.of == kind] for kind in ("users", "films")}
    drawn = {
        kind: plots.data_uri(pictures.differences_by_group(groups, first, second, _measure(result, kind)))
        for kind, groups in kinds.items()
        if groups
    }
    examples = [(user, example, _told(example, films)) for user, example in zip(users, result.examples, strict=True)]
    return pages.page(
        "head_to_head.html",
        result=result,
        split=split,
        digest=digest,
        recent=RECENT_YEARS,
        kinds=kinds,
        pictures=drawn,
        measures={kind: _measure(result, kind) for kind in kinds},
        sides=[
            (name, [each for each in examples if _ahead(each[1]) == place]) for place, name in enumerate(result.names)
        ],
    )


def _measure(result: HeadToHead, kind: str) -> str:
    return result.metric if kind == "users" else f"share of the hidden films found@{parse_metric(result.metric)[1]}"


def _ahead(example: Example) -> int:
    """The place of the model that has more."""
    return int(example.values[1] > example.values[0])


def _told(example: Example, films: Sequence[str]) -> dict[str, list[str]]:
    return {
        name: [films[film] for film in getattr(example, name)]
        for name in ("known", "first_only", "second_only", "both", "missed")
    }
