"""Scorers and small worlds for the tests of evaluation and blending."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from recpipe.data.interactions import FloatArray, Histories, Interactions
from recpipe.data.parts import HeldOut
from recpipe.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Known:
    """Scores written down for every user: float32 [users × n_items]; a view of them is handed out."""

    table: FloatArray
    serves_newcomers: ClassVar[bool] = False

    def scores(self, users: Histories) -> FloatArray:
        return self.table[users.users[0] : users.users[-1] + 1]

    def arrays(self) -> dict[str, Any]:
        return {"table": self.table}

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any], recipe: Recipe) -> Self:
        return cls(arrays["table"])


@dataclass(frozen=True, eq=False)
class Product:
    """users · items: the last bits of a product may change with its shape."""

    users: FloatArray
    items: FloatArray
    serves_newcomers: ClassVar[bool] = False

    def scores(self, users: Histories) -> FloatArray:
        return self.users[users.users] @ self.items.T

    def arrays(self) -> dict[str, Any]:
        return {"users": self.users, "items": self.items}

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any], recipe: Recipe) -> Self:
        return cls(arrays["users"], arrays["items"])


def watched(films: Sequence[Sequence[int]], n_items: int, first_time: int = 0) -> Interactions:
    """One list of films a user, oldest first, a second apart."""
    users = np.repeat(np.arange(len(films)), [len(each) for each in films])
    items = np.array([item for each in films for item in each], dtype=np.int32)
    times = first_time + np.arange(len(items))
    return Interactions.sorted_from(users, items, times, None, len(films), n_items)


def hidden(known: Sequence[Sequence[int]], targets: Sequence[Sequence[int]], n_items: int) -> HeldOut:
    """What users watched, and what is to be found."""
    return HeldOut(watched(known, n_items).histories(), watched(targets, n_items, 10**6).histories())


def random_world(n_users: int, n_items: int, seed: int = 0) -> tuple[Product, HeldOut]:
    """Users who like what their vectors say, half of it known and half hidden, and a scorer that knows the vectors."""
    random = np.random.default_rng(seed)
    users = random.normal(size=(n_users, 8)).astype(np.float32)
    items = random.normal(size=(n_items, 8)).astype(np.float32)
    noise = 3 * random.gumbel(size=(n_users, n_items))
    liked = np.argsort(-(users @ items.T + noise), axis=1)[:, :20]
    lengths = random.integers(2, 11, n_users)
    known = [row[:length].tolist() for row, length in zip(liked, lengths, strict=True)]
    targets = [row[10 : 10 + length].tolist() for row, length in zip(liked, lengths, strict=True)]
    return Product(users, items), hidden(known, targets, n_items)
