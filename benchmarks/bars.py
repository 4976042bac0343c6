"""A row of docs/performance.md: our figure, the peer's, the limit's, their ratios, and the bars that were set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """work: what is done, on what. ours, peer, limit: in `unit`, the less the better; None where there is none.

    most_of_limit, least_of_peer: the bars, how many times the limit ours may take, how many times ours the peer must.
    peer_name, limit_name: who and what these are. bounds: a bar that is no ratio, and whether it is met ("extra memory
    0.4 of 1 GB": True).
    peer_unfinished: the peer was ended there, so that its figure is more.
    """

    work: str
    ours: float
    peer: float | None = None
    limit: float | None = None
    most_of_limit: float | None = None
    least_of_peer: float | None = None
    peer_name: str = ""
    limit_name: str = ""
    unit: str = "CPU s"
    bounds: tuple[tuple[str, bool], ...] = ()
    peer_unfinished: bool = False

    @property
    def of_limit(self) -> float | None:
        return self.ours / self.limit if self.limit else None

    @property
    def of_peer(self) -> float | None:
        """How many times ours the peer takes."""
        return self.peer / self.ours if self.peer else None

    def verdicts(self) -> Iterator[tuple[str, bool]]:
        """Each bar in words, and whether it is met."""
        if self.most_of_limit is not None and self.of_limit is not None:
            yield f"≤ {self.most_of_limit:g} × limit", self.of_limit <= self.most_of_limit
        if self.least_of_peer is not None and self.of_peer is not None:
            yield f"≥ {self.least_of_peer:g} × as fast as the peer", self.of_peer >= self.least_of_peer
        yield from self.bounds


HEADER = (
    "| work | ours | peer | limit | ours / limit | peer / ours | bars |",
    "|---|---|---|---|---|---|---|",
)


def table(rows: Iterable[Row]) -> Iterator[str]:
    """Markdown, a line a row; a bar that is missed is marked."""
    yield from HEADER
    for row in rows:
        bars = "; ".join(words if met else f"**open:** {words}" for words, met in row.verdicts()) or "–"
        more = ">" if row.peer_unfinished else ""
        peer = f"{more}{_said(row.peer)} ({row.peer_name})" if row.peer else "–"
        limit = f"{_said(row.limit)} ({row.limit_name})" if row.limit else "–"
        yield (
            f"| {row.work} | {_said(row.ours)} {row.unit} | {peer} | {limit} | {_said(row.of_limit)} "
            f"| {more if row.of_peer else ''}{_said(row.of_peer)} | {bars} |"
        )


def _said(number: float | None) -> str:
    return "–" if number is None else f"{number:.3g}"
