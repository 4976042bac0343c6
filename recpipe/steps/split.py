"""One split of the interactions by its strategy, and the integrity suite that it must pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recpipe.data.parts import Parts
from recpipe.data.preparing import Prepared
from recpipe.lineage import Lineage, Node
from recpipe.settings import Project

if TYPE_CHECKING:
    from recpipe.validation.outcome import Outcome


def split_interactions(project: Project, split: str, prepared: Prepared) -> Parts:
    """Which events models learn from and which they must find."""
    return project.strategy(split).split(prepared.interactions)


def validated(project: Project, split: str, prepared: Prepared, parts: Parts) -> Outcome:
    """The integrity suite of the split's strategy: no leak, nothing lost, the promised order in time.

    Where the same split was made before from the same interactions, settings and code, it must come out the same.
    """
    from recpipe.validation.split import validate_split

    node, last = Node("split", split), project.store.record("split", split)
    same = last is not None and last.made_from == Lineage(project).versions(node)
    expected = last.figures["digest"] if last is not None and same else None
    return validate_split(project.strategy(split), prepared.interactions, parts, expected_digest=expected)
