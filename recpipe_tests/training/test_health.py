"""A sound training has no findings; every known way to fail has one, in words."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recpipe.models.autoencoders.multi_vae import MultiVae
from recpipe.recipe import Run
from recpipe.training.health import diagnose, diagnose_scores
from recpipe.training.journal import Journal
from recpipe_tests import worlds


def record(losses: list[float], valid: list[float | None]) -> list[dict[str, Any]]:
    pairs = enumerate(zip(losses, valid, strict=True), start=1)
    return [{"epoch": epoch, "loss": loss, "valid": score} for epoch, (loss, score) in pairs]


def top_of(scores: np.ndarray) -> np.ndarray:
    return np.argsort(-scores, axis=1)[:, :3]


def test_a_sound_training_has_no_findings() -> None:
    assert diagnose(record([0.7, 0.5, 0.4, 0.35], [0.1, 0.2, 0.22, 0.21])) == []
    assert diagnose(record([0.7, 0.5, 0.4], [None, None, None])) == []
    assert diagnose([]) == []


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_is_found_with_its_epoch(bad: float) -> None:
    (finding,) = diagnose(record([0.7, bad, 0.4], [0.1, 0.2, 0.3]))
    assert "training loss" in finding and "epoch 2" in finding


def test_a_flat_loss_is_found() -> None:
    (finding,) = diagnose(record([0.693147, 0.693146, 0.693147], [0.1, 0.2, 0.3]))
    assert "loss did not move" in finding


def test_a_flat_validation_score_is_found_even_at_zero() -> None:
    for score in (0.12, 0.0):
        (finding,) = diagnose(record([0.7, 0.5, 0.4], [score] * 3))
        assert "validation score did not move" in finding


@pytest.mark.parametrize("by_gradients", [True, False])
def test_a_remedy_is_a_setting_that_the_recipe_has(by_gradients: bool) -> None:
    for losses in ([0.7, math.nan, 0.4], [0.7, 0.7, 0.7]):
        (finding,) = diagnose(record(losses, [0.1, 0.2, 0.3]), by_gradients)
        assert ("learning_rate" in finding, "regularization" in finding) == (by_gradients, not by_gradients)


def test_two_epochs_are_too_few_to_be_called_flat() -> None:
    assert diagnose(record([0.7, 0.7], [0.1, 0.1])) == []


def test_a_collapsed_posterior_is_found_in_words() -> None:
    rows = [
        row | {"kl": kl} for row, kl in zip(record([9.0, 8.0, 7.5], [0.1, 0.2, 0.22]), [0.4, 0.2, 0.003], strict=True)
    ]
    (finding,) = diagnose(rows)
    assert "posterior has collapsed" in finding and "0.003 nats" in finding and "epoch 3" in finding


def test_a_posterior_that_tells_users_apart_or_has_hardly_begun_is_sound() -> None:
    rows = [
        row | {"kl": kl} for row, kl in zip(record([9.0, 8.0, 7.5], [0.1, 0.2, 0.22]), [0.02, 2.0, 5.0], strict=True)
    ]
    assert diagnose(rows) == []
    assert diagnose(rows[:1]) == []


@pytest.mark.parametrize("collapses", [True, False])
def test_a_training_whose_posterior_collapses_has_the_finding(collapses: bool) -> None:
    """A KL that costs a hundred times its nats is not worth any likelihood."""
    journal = Journal()
    recipe = MultiVae(
        layers=(), embedding_size=4, batch_size=32, learning_rate=0.02, dropout=0.0, annealing_steps=0,
        alpha=100.0 if collapses else 0.2,
    )  # fmt: skip
    recipe.fit(worlds.general().train, Run(epochs=15, report=journal.report))
    assert any("posterior has collapsed" in finding for finding in diagnose(journal.epochs)) == collapses


def test_different_lists_and_scores_are_sound() -> None:
    scores = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
    assert diagnose_scores(top_of(scores), scores) == []


def test_one_list_for_everybody_is_found() -> None:
    scores = np.tile(np.random.default_rng(0).normal(size=30).astype(np.float32), (20, 1))
    (finding,) = diagnose_scores(top_of(scores), scores)
    assert "20 of 20 users get the same list" in finding


def test_scores_that_differ_by_a_constant_of_the_user_are_found_though_lists_leave_out_what_was_watched() -> None:
    random = np.random.default_rng(0)
    scores = (random.normal(size=30) + random.normal(size=(20, 1)) + 1e-5 * random.normal(size=(20, 30))).astype(
        np.float32
    )
    shown = np.where(random.random(scores.shape) < 0.3, -np.inf, scores)
    (finding,) = diagnose_scores(top_of(shown), scores)
    assert "same list of numbers" in finding


def test_one_user_alone_has_nobody_to_be_like() -> None:
    scores = np.arange(30, dtype=np.float32)[None, :]
    assert diagnose_scores(top_of(scores), scores) == []


@pytest.mark.parametrize("level", [0.0, 5.0])
def test_scores_that_are_nearly_equal_are_found(level: float) -> None:
    noise = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
    scores = (level + 1e-6 * noise if level else 0 * noise).astype(np.float32)
    findings = diagnose_scores(top_of(noise), scores)
    assert any("nearly equal" in finding for finding in findings)


def test_small_scores_that_differ_are_not_nearly_equal() -> None:
    scores = 1e-6 * np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
    assert diagnose_scores(top_of(scores), scores) == []


def test_scores_that_are_not_finite_are_found() -> None:
    scores = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
    top = top_of(scores)
    scores[3, 4] = np.nan
    (finding,) = diagnose_scores(top, scores)
    assert "1 of 600 scores are not finite" in finding


def test_a_journal_keeps_epochs_and_closing_figures_apart_and_comes_back_from_its_file(tmp_path: Path) -> None:
    heard: list[dict[str, Any]] = []
    journal = Journal(listener=lambda **numbers: heard.append(numbers))
    journal.report(epoch=1, loss=0.5, valid=None, seconds=2.0, valid_seconds=1.0)
    journal.report(epoch=2, loss=math.inf, valid=0.25, seconds=2.0, valid_seconds=1.0)
    journal.report(best_epoch=1, best_valid=math.nan)
    journal.report(stopped="patience")
    journal.write(tmp_path)
    back = Journal.read(tmp_path)
    assert back.epochs == journal.epochs
    assert back.closing["stopped"] == "patience" and math.isnan(back.closing["best_valid"])
    assert len(heard) == 4
    assert journal.seconds_left(10) == pytest.approx(24.0)
    assert Journal().seconds_left(10) is None
