"""Products of users with films: those of gathered vectors, and autograd's gradient of these."""

from __future__ import annotations

import torch

from recpipe.training.products import products


def test_the_products_and_the_gradients_of_both_tables_are_those_of_gathered_vectors() -> None:
    """A user twice, a film twice in one row and in two, one user and films that nobody asks about."""
    generator = torch.Generator().manual_seed(0)
    users, films = torch.tensor([3, 0, 3, 1]), torch.tensor([[5, 2, 2], [0, 5, 6], [2, 1, 0], [6, 6, 6]])
    tables = [torch.randn(rows, 4, dtype=torch.float64, generator=generator, requires_grad=True) for rows in (5, 9)]
    weights = torch.randn(films.shape, dtype=torch.float64, generator=generator)
    found = products(*tables, users, films)
    gathered = (tables[0][users][:, None, :] * tables[1][films]).sum(-1)
    torch.testing.assert_close(found, gathered)
    for mine, literal in zip(
        torch.autograd.grad((weights * found).sum(), tables),
        torch.autograd.grad((weights * gathered).sum(), tables),
        strict=True,
    ):
        torch.testing.assert_close(mine, literal)


def test_more_users_than_films_and_a_single_row_work() -> None:
    users, films = torch.tensor([7]), torch.tensor([[1]])
    of_users, of_films = torch.arange(16.0).reshape(8, 2), torch.arange(4.0).reshape(2, 2)
    assert products(of_users, of_films, users, films).tolist() == [[14.0 * 2.0 + 15.0 * 3.0]]
