"""Products of a batch's users with their films, and the gradient of both tables, without a copy of the vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.nn import functional

from recpipe.training.sparse_tensors import csr


def products(of_users: Tensor, of_films: Tensor, users: Tensor, films: Tensor) -> Tensor:
    """p[u] · q[i] for each user u of `users` and each film i of the user's row in `films`: [rows × films].

    of_users: p, [n_users × size]; of_films: q, [n_items × size]; users: int64 [rows]; films: int64 [rows × films].
    On the CPU the vectors of the films are read where they lie: gathered, they and their gradients are eight times the
    work, most of it in fresh memory. Where a row has more places than there are films, no sparse matrix holds it.
    """
    if of_films.device.type != "cpu" or films.shape[1] > len(of_films):
        return (functional.embedding(users, of_users)[:, None, :] * functional.embedding(films, of_films)).sum(-1)
    result: Tensor = _Products.apply(of_users, of_films, users, films)
    return result


def entries(of_films: Tensor, films: Tensor) -> Tensor:
    """of_films [n_items] at each of `films`, int64 [rows × films], in their shape.

    On the CPU by a selection, whose gradient takes a fifth of an index's; on a GPU it would add in no fixed order.
    """
    if of_films.device.type != "cpu":
        return of_films[films]
    return of_films.index_select(0, films.flatten()).view_as(films)


class _Products(torch.autograd.Function):
    """Products at some places of a matrix (a sampled dense product), and two sparse products for the gradients."""

    @staticmethod
    def forward(ctx: Any, of_users: Tensor, of_films: Tensor, users: Tensor, films: Tensor) -> Tensor:
        """As `products`."""
        near, starts, columns = of_users.index_select(0, users), _starts(films), films.flatten()
        ctx.save_for_backward(of_users, of_films, users, films, near)
        places = csr(starts, columns, near.new_zeros(len(columns)), len(of_films))
        return torch.sparse.sampled_addmm(places, near, of_films.T, beta=0.0).values().view_as(films)

    @staticmethod
    def vjp(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """[rows × films] → those of both tables, in their shapes."""
        of_users, of_films, users, films, near = ctx.saved_tensors
        weights, starts, columns = gradient.flatten(), _starts(films), films.flatten()
        by_film = sparse.csr_matrix(
            (np.arange(len(weights)), columns.numpy(), starts.numpy()), (len(films), len(of_films))
        ).tocsc()
        order, rows, films_starts = (
            torch.from_numpy(array).long() for array in (by_film.data, by_film.indices, by_film.indptr)
        )
        of_near = _sums(columns, of_films, starts, weights)
        return (
            torch.zeros_like(of_users).index_add_(0, users, of_near),
            _sums(rows, near, films_starts, weights.index_select(0, order)),
            None,
            None,
        )


def _starts(films: Tensor) -> Tensor:
    return torch.arange(0, films.numel() + 1, films.shape[1])


def _sums(which: Tensor, vectors: Tensor, starts: Tensor, weights: Tensor) -> Tensor:
    """Sums of weight · vector over each stretch from one start to the next."""
    return functional.embedding_bag(
        which, vectors, starts, mode="sum", per_sample_weights=weights, include_last_offset=True
    )
