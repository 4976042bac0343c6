"""Trees over candidates of other scorers: they rank what these name, by what they say and what is known besides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import lightgbm
import numpy as np

from recpipe.data.interactions import FloatArray, Histories
from recpipe.recipe import Recipe, Scorer
from recpipe.scoring.pair_features import Films, candidates, features


@dataclass(frozen=True, eq=False)
class BoostedTrees:
    """Candidates, the union of the members' best films, come first, in the trees' order; then all others, in that of
    the first member.

    members: scorers by name. trees: LightGBM's text of the trees. candidates: films that each member names.
    """

    members: Mapping[str, Scorer]
    films: Films
    trees: str
    candidates: int

    @property
    def serves_newcomers(self) -> bool:
        """Where every member does."""
        return all(member.serves_newcomers for member in self.members.values())

    def scores(self, users: Histories) -> FloatArray:
        """float32 [rows × n_items]; a user's candidates are above 0, what is none lies between -1 and 0."""
        said = {name: member.scores(users) for name, member in self.members.items()}
        first = next(iter(said.values()))
        scores = _from_least_to(first, -1.0, 0.0)
        if not len(users):
            return scores
        chosen = candidates(said, users, self.candidates)
        ranked = np.full(scores.shape, np.nan, dtype=np.float32)
        if chosen.any():
            ranked[chosen] = self._booster.predict(features(self.films, said, users, chosen))
        least = np.nanmin(np.where(chosen, ranked, np.inf), axis=1, keepdims=True)
        above: FloatArray = np.where(chosen, 1.0 + ranked - np.where(np.isfinite(least), least, 0.0), scores)
        return above.astype(np.float32)

    def arrays(self) -> dict[str, Any]:
        """What each member has, under its name and kind, the films' and the text of the trees."""
        text = np.frombuffer(self.trees.encode(), dtype=np.uint8)
        own = {"trees": text, "candidates": np.array(self.candidates)}
        for place, (name, member) in enumerate(self.members.items()):
            prefix = f"member {place:02d}:{name}:{type(member).__name__}"
            own |= {f"{prefix}:{array}": value for array, value in member.arrays().items()}
        return own | {f"films:{name}": value for name, value in self.films.arrays().items()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any], recipe: Recipe) -> Self:
        """The recipe rebuilds members that hold a network."""
        from recpipe.scoring.store import scorer_class

        made_by: Any = recipe
        of_members: dict[tuple[str, str, str], dict[str, Any]] = {}
        for key in sorted(name for name in arrays if name.startswith("member ")):
            place, name, kind, array = key.split(":", 3)
            of_members.setdefault((place, name, kind), {})[array] = arrays[key]
        members = {
            name: scorer_class(kind).from_arrays(own, made_by.member(name))
            for (_, name, kind), own in of_members.items()
        }
        films = {name.removeprefix("films:"): value for name, value in arrays.items() if name.startswith("films:")}
        return cls(members, Films.from_arrays(films), arrays["trees"].tobytes().decode(), int(arrays["candidates"]))

    @cached_property
    def _booster(self) -> lightgbm.Booster:
        return lightgbm.Booster(model_str=self.trees)


def _from_least_to(scores: FloatArray, low: float, high: float) -> FloatArray:
    """Each row moved and stretched to lie between both; all `high` where a row's scores are equal."""
    least = scores.min(axis=1, keepdims=True, initial=np.inf)
    spread = scores.max(axis=1, keepdims=True, initial=-np.inf) - least
    share = np.divide(scores - least, spread, out=np.ones_like(scores), where=spread > 0)
    return low + (high - low) * share
