"""A split: every event of the data carries the part that it belongs to; what models may see follows from that."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recpipe.data.interactions import Histories, IntArray, Interactions

PARTS_FILE = "parts.parquet"
META_FILE = "meta.json"


class Part(IntEnum):
    """Where an event goes. Fold-in events are the known history of users that no model trains on."""

    TRAIN = 0
    VALID = 1
    TEST = 2
    VALID_FOLD_IN = 3
    TEST_FOLD_IN = 4
    DROPPED = 5


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Users with hidden films: row r of `histories` is what is known, row r of `targets` what is to be found.

    `targets` holds each user's hidden films in time order; both cover the same users, at least one target each.
    """

    histories: Histories
    targets: Histories

    def __len__(self) -> int:
        return len(self.histories)

    def rows(self, which: NDArray[np.integer] | slice) -> HeldOut:
        """The chosen users, in the order asked for."""
        return HeldOut(self.histories.rows(which), self.targets.rows(which))


@dataclass(frozen=True, eq=False)
class Parts:
    """A split of `interactions`.

    part: uint8 [events], a `Part` each. reason: uint8 [events], a position in `reasons` for dropped events, else 0.
    reasons: why events were dropped, in words; position 0 is the empty word.
    """

    interactions: Interactions
    part: NDArray[np.uint8]
    reason: NDArray[np.uint8]
    reasons: tuple[str, ...] = ("",)

    def __post_init__(self) -> None:
        if not len(self.interactions) == len(self.part) == len(self.reason):
            raise ValueError("parts: one part and one reason are wanted for every event")

    def events(self, *parts: Part) -> Interactions:
        """The events of these parts, in time order, over all users and films."""
        return self.interactions.take(np.isin(self.part, parts))

    @cached_property
    def train(self) -> Interactions:
        """What every recipe learns from."""
        return self.events(Part.TRAIN)

    @cached_property
    def valid(self) -> HeldOut:
        """For early stopping, search and blending: known is the training part and the fold-in."""
        return self._held_out(Part.VALID, known=(Part.TRAIN, Part.VALID_FOLD_IN))

    @cached_property
    def test(self) -> HeldOut:
        """For the final figures alone: known is everything that comes before, the validation films included."""
        return self._held_out(Part.TEST, known=(Part.TRAIN, Part.VALID, Part.TEST_FOLD_IN))

    @cached_property
    def everyone(self) -> Histories:
        """Every user with all that is kept: what the submission recommends from."""
        kept = (Part.TRAIN, Part.VALID, Part.TEST, Part.VALID_FOLD_IN, Part.TEST_FOLD_IN)
        histories = self.events(*kept).histories()
        return _known_to(self.train, histories.rows(np.flatnonzero(histories.lengths)))

    def summary(self) -> dict[str, Any]:
        """Events, users and films of every part that has any, and the dropped events by reason."""
        names = {part.name.lower(): self.events(part) for part in Part if part is not Part.DROPPED}
        counts: dict[str, Any] = {
            name: {
                "events": len(events),
                "users": len(np.unique(events.users)),
                "items": len(np.unique(events.items)),
            }
            for name, events in names.items()
            if len(events)
        }
        dropped = np.bincount(self.reason[self.part == Part.DROPPED], minlength=len(self.reasons))
        counts["dropped"] = {reason: int(n) for reason, n in zip(self.reasons, dropped, strict=True) if n}
        return counts

    def digest(self) -> str:
        """sha256, in hexadecimal, over every event and its part: two splits with one digest are the same split."""
        events = self.interactions
        digest = hashlib.sha256(f"{events.n_users} {events.n_items} ".encode())
        columns = (events.users, events.items, events.times, events.ratings, self.part)
        for column, kind in zip(columns, ("<i4", "<i4", "<i8", "<f4", "u1"), strict=True):
            digest.update(b"none" if column is None else np.ascontiguousarray(column, dtype=kind).tobytes())
        return digest.hexdigest()

    def write(self, folder: Path) -> None:
        """`parts.parquet`, a row an event in the order of the interactions, and `meta.json`. Same split, same bytes."""
        events = self.interactions
        columns = {"user": events.users, "item": events.items, "time": events.times, "rating": events.ratings}
        table = pa.table(
            {name: column for name, column in columns.items() if column is not None}
            | {"part": self.part, "reason": self.reason}
        )
        pq.write_table(table, folder / PARTS_FILE, compression="zstd")
        meta = {"n_users": events.n_users, "n_items": events.n_items, "reasons": list(self.reasons)}
        (folder / META_FILE).write_text(json.dumps(meta, indent=1, sort_keys=True) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The split that `write` left in a folder."""
        meta = json.loads((folder / META_FILE).read_text(encoding="utf-8"))
        table = pq.read_table(folder / PARTS_FILE)
        column = {name: table[name].to_numpy() for name in table.column_names}
        interactions = Interactions(
            column["user"], column["item"], column["time"], column.get("rating"), meta["n_users"], meta["n_items"]
        )
        return cls(interactions, column["part"], column["reason"], tuple(meta["reasons"]))

    def _held_out(self, hidden: Part, known: tuple[Part, ...]) -> HeldOut:
        targets = self.events(hidden).histories()
        users = np.flatnonzero(targets.lengths)
        histories = self.events(*known).histories(users)
        return HeldOut(_known_to(self.train, histories), targets.rows(users))


def _known_to(train: Interactions, histories: Histories) -> Histories:
    """Users without a training event become newcomers."""
    trained: NDArray[np.bool_] = np.diff(train.offsets)[histories.users] > 0
    users: IntArray = np.where(trained, histories.users, -1).astype(np.int32)
    return Histories(users, histories.offsets, histories.items, histories.times, histories.ratings, histories.n_items)
