"""How scorers are stored: arrays as safetensors, one JSON that names the kind. No pickle; same scorer, same bytes."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file
from scipy import sparse

from recpipe.recipe import Recipe, Scorer

FORMAT = 1
KINDS = {
    "SameForAll": "recpipe.scoring.same_for_all",
    "ItemWeights": "recpipe.scoring.item_weights",
    "UserNeighbours": "recpipe.scoring.user_neighbours",
    "Factors": "recpipe.scoring.factors",
    "HistoryNetwork": "recpipe.scoring.history_network",
    "SequenceNetwork": "recpipe.scoring.sequence_network",
    "PairNetwork": "recpipe.scoring.pair_network",
    "BoostedTrees": "recpipe.scoring.boosted_trees",
}
"""Scorers by name, each with the module to import when it is read: what is closed-form never needs torch."""

_CARD, _ARRAYS = "scorer.json", "arrays.safetensors"
_CSR = ("data", "indices", "indptr")


class UnreadableScorer(ValueError):
    """A folder that holds no scorer that this version can read."""


def write_scorer(scorer: Scorer, folder: Path) -> None:
    """Fill an existing folder. Raises `TypeError` for a class that is not in `KINDS`."""
    kind = type(scorer).__name__
    if kind not in KINDS:
        raise TypeError(f"no scorer is called {kind}: a new one is a design decision; there are {', '.join(KINDS)}")
    flat: dict[str, np.ndarray] = {}
    matrices: dict[str, list[int]] = {}
    for name, value in scorer.arrays().items():
        if sparse.issparse(value):
            matrix = value.tocsr()
            matrices[name] = list(matrix.shape)
            flat |= {f"{name}/{part}": getattr(matrix, part) for part in _CSR}
        else:
            flat[name] = np.asarray(value, order="C")
    save_file(flat, folder / _ARRAYS)
    card = {"format": FORMAT, "kind": kind, "sparse": matrices}
    text = json.dumps(card, indent=1, sort_keys=True) + "\n"
    (folder / _CARD).write_text(text, encoding="utf-8", newline="\n")


def read_scorer(folder: Path, recipe: Recipe) -> Scorer:
    """The scorer that was written there. The recipe rebuilds a network where there is one."""
    card = _card(folder)
    arrays: dict[str, Any] = load_file(folder / _ARRAYS)
    for name, shape in card["sparse"].items():
        parts = tuple(arrays.pop(f"{name}/{part}") for part in _CSR)
        arrays[name] = sparse.csr_matrix(parts, shape=tuple(shape))
    return scorer_class(card["kind"]).from_arrays(arrays, recipe)


def scorer_class(kind: str) -> type[Scorer]:
    """A scorer's class, by one of the names of `KINDS`."""
    found: type[Scorer] = getattr(importlib.import_module(KINDS[kind]), kind)
    return found


def _card(folder: Path) -> dict[str, Any]:
    path = folder / _CARD
    if not path.exists():
        raise UnreadableScorer(f"{path} is missing: no scorer was written to this folder, or not to its end")
    card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if card.get("format") != FORMAT:
        raise UnreadableScorer(
            f"{path}: format {FORMAT} was wanted, {card.get('format')!r} came: fit the model again with this version"
        )
    if card.get("kind") not in KINDS:
        raise UnreadableScorer(f"{path}: no scorer is called {card.get('kind')!r}; there are {', '.join(KINDS)}")
    return card
