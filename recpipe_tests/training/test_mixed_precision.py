"""Products in bfloat16 while learning: every network goes through it, and learns nearly the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recpipe.recipe import Checkpoints, Recipe, Run, Scorer
from recpipe.training.journal import Journal
from recpipe_tests.settings_for_tests import BY_GRADIENTS, tiny_recipe
from recpipe_tests.test_model_contract import few_ratings

MIXED = Run(seed=5, mixed_precision=True, epochs=4)


def fitted(recipe: Recipe, run: Run) -> tuple[Scorer, list[float]]:
    journal = Journal()
    scorer = recipe.fit(few_ratings(), replace(run, report=journal.report))
    return scorer, [row["loss"] for row in journal.epochs]


def bits(scorer: Scorer) -> dict[str, bytes]:
    return {name: np.asarray(array).tobytes() for name, array in scorer.arrays().items()}


@pytest.mark.parametrize("model", BY_GRADIENTS)
def test_every_network_learns_nearly_what_it_learns_in_float32(model: str) -> None:
    recipe = tiny_recipe(model, epochs=4)
    (exact, losses), (mixed, of_mixed) = fitted(recipe, replace(MIXED, mixed_precision=False)), fitted(recipe, MIXED)
    assert of_mixed == pytest.approx(losses, rel=0.05)
    histories = few_ratings().interactions.histories()
    one, other = exact.scores(histories), mixed.scores(histories)
    assert other.dtype == np.float32
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.9
    assert all(array.dtype == np.float32 for array in mixed.arrays().values() if np.ndim(array) > 1)


def test_products_are_in_bfloat16_where_it_is_asked_for_alone() -> None:
    """The linear maps of neumf's towers."""
    seen: list[torch.dtype] = []
    linear = torch.nn.functional.linear

    def noted(*given: Any) -> torch.Tensor:
        product = linear(*given)
        seen.append(product.dtype)
        return product

    for mixed, expected in ((False, torch.float32), (True, torch.bfloat16)):
        seen.clear()
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(torch.nn.functional, "linear", noted)
            tiny_recipe("neumf", epochs=1).fit(few_ratings(), replace(MIXED, mixed_precision=mixed, epochs=1))
        assert set(seen) == {expected}


@pytest.mark.parametrize("model", ["multi_vae", "sasrec", "neumf"])
def test_a_killed_training_goes_on_to_the_same_bits(model: str, tmp_path: Path) -> None:
    recipe = tiny_recipe(model, epochs=4)
    undisturbed, _ = fitted(recipe, MIXED)
    rows = 0

    def dies(**numbers: Any) -> None:
        nonlocal rows
        rows += "loss" in numbers
        if rows == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recipe.fit(few_ratings(), replace(MIXED, checkpoints=Checkpoints(tmp_path, 0.0), report=dies))
    resumed, losses = fitted(recipe, replace(MIXED, checkpoints=Checkpoints(tmp_path, 0.0)))
    assert len(losses) == 4
    assert bits(resumed) == bits(undisturbed)


def test_what_was_begun_in_float32_does_not_go_on_in_mixed_precision(tmp_path: Path) -> None:
    recipe = tiny_recipe("bpr", epochs=3)

    def dies(**numbers: Any) -> None:
        if numbers.get("epoch") == 2:
            raise KeyboardInterrupt

    exact = replace(MIXED, mixed_precision=False, epochs=3)
    with pytest.raises(KeyboardInterrupt):
        recipe.fit(few_ratings(), replace(exact, checkpoints=Checkpoints(tmp_path, 0.0), report=dies))
    told = Journal()
    recipe.fit(few_ratings(), replace(MIXED, epochs=3, checkpoints=Checkpoints(tmp_path, 0.0), report=told.report))
    assert "left by another training" in told.closing["note"]
