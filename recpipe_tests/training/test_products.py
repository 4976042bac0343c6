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


def test_a_row_of_more_places_than_there_are_films_works() -> None:
    users, films = torch.tensor([0, 1]), torch.tensor([[0, 1, 0], [1, 1, 1]])
    tables = [torch.tensor(rows, requires_grad=True) for rows in ([[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]])]
    found = products(*tables, users, films)
    assert found.tolist() == [[17.0, 23.0, 17.0], [53.0, 53.0, 53.0]]
    of_users, of_films = torch.autograd.grad(found.sum(), tables)
    assert of_users.tolist() == [[17.0, 20.0], [21.0, 24.0]]
    assert of_films.tolist() == [[2.0, 4.0], [10.0, 14.0]]


def test_more_users_than_films_and_a_single_row_work() -> None:
    users, films = torch.tensor([7]), torch.tensor([[1]])
    of_users, of_films = torch.arange(16.0).reshape(8, 2), torch.arange(4.0).reshape(2, 2)
    assert products(of_users, of_films, users, films).tolist() == [[14.0 * 2.0 + 15.0 * 3.0]]
