"""A blend for people: who is in it, with what weight and why, and what each step of the search brought."""

from __future__ import annotations

from recpipe.blending.blend import Blend
from recpipe.evaluation import pages, plots


def markdown(chosen: Blend) -> str:
    """The verdict, a row a member, the best alone first, and the search's path as a picture; for Dagster's metadata."""
    lines = [chosen.verdict, "", *pages.table(*members(chosen))]
    if chosen.kept and chosen.switch is not None:
        lines += ["", f"Users with {chosen.switch.told} have weights of their own; the table has the means over users."]
    if len(chosen.path) > 1:
        figure = plots.search_path(chosen.path, chosen.metric)
        lines += ["", f"![the greedy search, step by step]({plots.data_uri(figure)})"]
    return "\n".join(lines) + "\n"


def members(chosen: Blend) -> tuple[list[str], list[list[str]]]:
    """Columns and rows: every member, the best alone first, its weight in the lists and the reason."""
    best_first = sorted(chosen.member_scores.items(), key=lambda each: -each[1])
    rows = [
        [member, f"{score:.4f}", f"{chosen.used.get(member, 0.0):.3f}", chosen.reasons.get(member, "")]
        for member, score in best_first
    ]
    together = [f"*blend ({chosen.method})*", f"{chosen.score:.4f}", "", ""]
    return ["member", f"{chosen.metric} on validation", "weight", "why"], [*rows, together]
