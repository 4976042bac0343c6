"""iALS: each half-step against the normal equations of one user at a time, and the loss of all pairs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy import sparse

from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.factors import ials
from recpipe.models.factors.ials import Ials, ImplicitFactors, both_sides
from recpipe.recipe import Run
from recpipe.training.journal import Journal

RECIPE = Ials(embedding_size=3, regularization=0.05, alpha=0.3, scaling=0.7, iterations=3)  # exact for vectors of three


def watched(n_users: int = 12, n_items: int = 9) -> TrainingSet:
    """The first user watched one film, the last user none, the last film has nobody."""
    random = np.random.default_rng(3)
    watches = random.random((n_users, n_items)) < 0.4
    watches[0], watches[-1], watches[:, -1] = False, False, False
    watches[0, 2] = True
    users, items = np.nonzero(watches)
    times = np.zeros(len(users), dtype=np.int64)
    return TrainingSet(Interactions.sorted_from(users, items, times, None, n_users, n_items))


def network(train: TrainingSet, recipe: Ials = RECIPE) -> ImplicitFactors:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        solver = ImplicitFactors(train.n_users, train.n_items, recipe).double()
        for parameter in solver.parameters():
            torch.nn.init.normal_(parameter)
    return solver


def literal_loss(solver: ImplicitFactors, train: TrainingSet) -> torch.Tensor:
    """The docstring's sum, pair by pair."""
    X = train.interactions.matrix().toarray()
    recipe, total = solver.recipe, torch.zeros((), dtype=torch.float64)
    for user, item in itertools.product(range(train.n_users), range(train.n_items)):
        score = solver.users[user] @ solver.items[item]
        total = total + X[user, item] * (score - 1) ** 2 + recipe.alpha * score**2
    for table, counts, n_other in ((solver.users, X.sum(1), train.n_items), (solver.items, X.sum(0), train.n_users)):
        for row, count in enumerate(counts.tolist()):
            scale = (count + recipe.alpha * n_other) ** recipe.scaling
            total = total + recipe.regularization * scale * (table[row] ** 2).sum()
    return total


def half(solver: ImplicitFactors, train: TrainingSet, side: int) -> None:
    with torch.no_grad():
        for batch in both_sides(train.interactions):
            if int(batch[-1]) == side:
                solver.step(*batch)


@pytest.mark.parametrize("side", [0, 1])
def test_a_half_step_solves_the_normal_equations_of_every_row(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ials, "_CELLS", 12)  # several blocks
    train = watched()
    solver = network(train)
    X = train.interactions.matrix().toarray().astype(np.float64)
    X = X if side == 0 else X.T
    other = (solver.items, solver.users)[side].detach().numpy().copy()
    half(solver, train, side)
    scores = (solver.users @ solver.items.T).detach().numpy()
    for row, of_row in enumerate(X):
        vector = exact(other, np.flatnonzero(of_row), RECIPE)
        np.testing.assert_allclose(scores[row] if side == 0 else scores[:, row], other @ vector, atol=1e-10)


@pytest.mark.parametrize(("iterations", "tolerance"), [(2, 2e-3), (12, 1e-9)])
def test_few_steps_an_epoch_end_where_the_exact_solution_ends(iterations: int, tolerance: float) -> None:
    """Of users and films of very unlike activity, in twelve dimensions; tolerance: of the loss of all pairs."""
    random = np.random.default_rng(0)
    chances = np.clip(np.outer(random.exponential(size=80), random.exponential(size=60)), 0, 1) * 0.5
    users, items = np.nonzero(random.random((80, 60)) < chances)
    train = TrainingSet(Interactions.sorted_from(users, items, np.zeros(len(users), np.int64), None, 80, 60))
    recipe = Ials(embedding_size=12, regularization=0.05, alpha=0.3, iterations=iterations)
    solver, reference = network(train, recipe), network(train, recipe)
    for _ in range(8):
        half(solver, train, 0)
        half(solver, train, 1)
        exact_half(reference.users, reference.items, train.interactions.matrix(), recipe)
        exact_half(reference.items, reference.users, train.interactions.matrix().T.tocsr(), recipe)
    losses = [literal_loss(each, train).item() for each in (solver, reference)]
    assert losses[0] == pytest.approx(losses[1], rel=tolerance)


def exact(other: np.ndarray, near: np.ndarray, recipe: Ials) -> np.ndarray:
    """The normal equations of one row: near are the rows of the other side that it watched or was watched by."""
    ridge = recipe.regularization * (len(near) + recipe.alpha * len(other)) ** recipe.scaling
    matrix = recipe.alpha * other.T @ other + other[near].T @ other[near] + ridge * np.eye(other.shape[1])
    return np.linalg.solve(matrix, other[near].sum(axis=0))


def exact_half(own: torch.Tensor, other: torch.Tensor, watched: sparse.csr_matrix, recipe: Ials) -> None:
    with torch.no_grad():
        for row in range(watched.shape[0]):
            own[row] = torch.from_numpy(exact(other.numpy(), watched[row].indices, recipe))


def test_the_loss_of_all_pairs_never_rises_and_its_gradient_is_zero_on_the_side_just_solved() -> None:
    train = watched()
    solver = network(train)
    losses = [literal_loss(solver, train).item()]
    for step in range(8):
        half(solver, train, step % 2)
        loss = literal_loss(solver, train)
        losses.append(loss.item())
        own = (solver.users, solver.items)[step % 2]
        (gradient,) = torch.autograd.grad(loss, own)
        assert gradient.abs().max() < 1e-9
    assert (np.diff(losses) <= 1e-9).all()
    assert losses[-1] < 0.5 * losses[0]


def test_a_step_tells_the_mean_loss_of_its_rows_and_the_norm_of_its_gradient_before_it() -> None:
    train = watched()
    solver = network(train)
    (batch,) = (batch for batch in both_sides(train.interactions) if int(batch[-1]) == 0)
    whole = literal_loss(solver, train)
    (gradient,) = torch.autograd.grad(whole, solver.users)
    X = train.interactions.matrix().toarray()
    scales = (X.sum(0) + RECIPE.alpha * train.n_users) ** RECIPE.scaling
    of_films = RECIPE.regularization * (torch.from_numpy(scales) * solver.items.square().sum(1)).sum()
    with torch.no_grad():
        loss, norm = solver.step(*batch)
    torch.testing.assert_close(loss, (whole - of_films).detach() / train.n_users)
    torch.testing.assert_close(norm, gradient.norm())


def test_who_watched_nothing_and_what_nobody_watched_have_zero_factors() -> None:
    factors = RECIPE.fit(watched(), Run(epochs=2))
    assert not factors.user_factors[-1].any()
    assert not factors.item_factors[-1].any()
    assert factors.user_factors[0].any()


def test_a_block_in_which_nobody_watched_anything_is_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ials, "_CELLS", 3)  # every row is a block
    factors = RECIPE.fit(watched(), Run(epochs=2))
    assert not factors.user_factors[-1].any()
    assert np.isfinite(factors.user_factors).all() and np.isfinite(factors.item_factors).all()


def test_directions_that_have_shrunk_to_nothing_do_no_harm() -> None:
    """One pair is told by one direction of 64, and its score by setting the derivative of the loss to zero."""
    first = np.zeros(1, dtype=np.int64)
    train = TrainingSet(Interactions.sorted_from(first, first, first, None, 1, 1))
    recipe = Ials()
    scores = recipe.fit(train, Run()).scores(train.interactions.histories())
    ridge = recipe.regularization * (1 + recipe.alpha) ** recipe.scaling
    assert scores == pytest.approx((1 - ridge) / (1 + recipe.alpha), rel=1e-5)


def test_a_fit_reports_every_epoch_and_keeps_the_best() -> None:
    journal = Journal()
    scores = iter([0.1, 0.3, 0.2, 0.2])
    recipe = RECIPE.model_copy(update={"patience": 2, "epochs": 20})
    best = recipe.fit(watched(), Run(report=journal.report, validate=lambda scorer: next(scores)))
    assert [row["epoch"] for row in journal.epochs] == [1, 2, 3, 4]
    assert (journal.closing["best_epoch"], journal.closing["stopped"]) == (2, "patience")
    losses = [row["loss"] for row in journal.epochs]
    assert losses == sorted(losses, reverse=True)
    np.testing.assert_array_equal(best.user_factors, RECIPE.fit(watched(), Run(epochs=2)).user_factors)


def test_a_newcomer_with_a_trained_history_gets_the_factors_of_training() -> None:
    train = watched()
    solver = network(train)
    half(solver, train, 0)
    scorer, histories = solver.as_factors(), train.interactions.histories()
    np.testing.assert_allclose(scorer.scores(histories.as_newcomers()), scorer.scores(histories), atol=1e-5)
