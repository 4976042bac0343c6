"""The bare arithmetic of an epoch of iALS and BPR, for speed_factors.py: by name, what tells three epochs' seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from figures import Figure

from recpipe.data.parts import Parts
from recpipe.settings import Project
from recpipe.training.sparse_tensors import sparse_product

CELLS = 2**21
"""Numbers of one group's vectors: 8 MiB, in the cache of the last level."""


def exact_step(folder: Path, size: int) -> Figure:
    """Gram products of each row's neighbours and Cholesky solves, padded to the longest of groups of like lengths, on
    vectors that lie there; nothing is gathered."""
    matrix = Parts.read(folder).train.matrix()
    groups = [group for each in (matrix, matrix.T.tocsr()) for group in _groups(np.diff(each.indptr), size)]
    vectors, ridge = torch.randn(max(CELLS, max(most for _, most in groups) * size)), torch.eye(size)
    grams = torch.empty(max(rows for rows, _ in groups), size, size)

    def epoch() -> None:
        for rows, most in groups:
            near, gram = vectors[: rows * most * size].view(rows, most, size), grams[:rows]
            torch.bmm(near.mT, near, out=gram)
            torch.cholesky_solve(near[:, 0, :, None], torch.linalg.cholesky(gram.add_(ridge)))

    return _seconds(epoch)


def sparse_products(folder: Path, size: int) -> Figure:
    """The sparse products of our epoch alone, each side whole."""
    matrix, iterations = Parts.read(folder).train.matrix(), Project.here().recipe("ials").iterations
    sides = []
    for each in (matrix, matrix.T.tocsr()):
        index = (torch.from_numpy(each.indptr), torch.from_numpy(each.indices), torch.ones(each.nnz))
        csr = torch.sparse_csr_tensor(*index, size=each.shape, check_invariants=False)
        sides.append((csr, torch.randn(each.shape[0], size), torch.randn(each.shape[1], size)))

    def epoch() -> None:
        for csr, own, other in sides:
            for _ in range(1 + iterations):
                sparse_product(torch.sparse.sampled_addmm(csr, own, other.T, beta=0.0), other)

    return _seconds(epoch)


def gather_and_scatter(folder: Path, size: int, negatives: int | None = None) -> Figure:
    """The vectors of each event's user and films read in the batches of bpr.yaml, and as many added to both tables."""
    train, recipe = Parts.read(folder).train, Project.here().recipe("bpr")
    each = 1 + (negatives or recipe.negatives)
    of_users, of_films = torch.randn(train.n_users, size), torch.randn(train.n_items, size)
    random = np.random.default_rng(0)
    users = torch.from_numpy(random.permutation(train.users).astype(np.int64)).split(recipe.batch_size)
    films = [torch.from_numpy(random.choice(train.items, len(batch) * each).astype(np.int64)) for batch in users]
    room = torch.empty(recipe.batch_size * each, size)

    def epoch() -> None:
        for of_batch, near in zip(users, films, strict=True):
            for table, index in ((of_users, of_batch), (of_films, near)):
                table.index_add_(0, index, torch.index_select(table, 0, index, out=room[: len(index)]), alpha=1e-6)

    return _seconds(epoch)


LIMITS: dict[str, Callable[[Path, int], Figure]] = {
    "ials: the exact step's bare Gram products and Cholesky": exact_step,
    "ials: the same sparse products bare": sparse_products,
    "bpr: bare gather and scatter": gather_and_scatter,
    "bpr, one negative: bare gather and scatter": lambda folder, size: gather_and_scatter(folder, size, 1),
}


def _groups(lengths: np.ndarray, size: int) -> Iterator[tuple[int, int]]:
    """Rows and the longest of them, the longest first, so many that a group has `CELLS` numbers."""
    ordered, start = np.sort(lengths[lengths > 0])[::-1], 0
    while start < len(ordered):
        most = int(ordered[start])
        rows = min(max(1, CELLS // (size * (most + size))), len(ordered) - start)
        yield rows, most
        start += rows


def _seconds(epoch: Callable[[], None]) -> Figure:
    torch.set_num_threads(1)
    seconds = []
    for _ in range(3):
        started = time.process_time()
        epoch()
        seconds.append(round(time.process_time() - started, 4))
    return {"seconds": seconds}
