"""A training that is killed and started again ends with the bits of one that nobody disturbed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recpipe.models.factors.mf import Mf
from recpipe.models.neural import neumf
from recpipe.recipe import Checkpoints, Recipe, Run, Scorer
from recpipe.training import loop, pretraining
from recpipe.training.checkpoint import Keeper, read
from recpipe.training.journal import Journal
from recpipe_tests.settings_for_tests import ITERATIVE, tiny_recipe
from recpipe_tests.test_model_contract import few_ratings

EPOCHS = 6
OF_THE_MACHINE = {"seconds", "valid_seconds", "peak_memory_mb", "resumed_from"}


class Killed(KeyboardInterrupt):
    """The power is gone."""


@dataclass(frozen=True)
class Ended:
    """What a training leaves. heard: the epochs that listeners were told of."""

    scorer: Scorer
    journal: Journal
    heard: list[int]

    def bits(self) -> dict[str, Any]:
        arrays = {name: np.asarray(value) for name, value in self.scorer.arrays().items()}
        return {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in arrays.items()}

    def told(self) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Rows and closing figures, but for what depends on the machine."""
        return [without_times(row) for row in self.journal.epochs], without_times(self.journal.closing)


def without_times(figures: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in figures.items()
        if not any(name == word or name.endswith(f"_{word}") for word in OF_THE_MACHINE)
    }


def pleased(scorer: Scorer) -> float:
    """A validation score that any change of a weight changes."""
    return float(scorer.scores(few_ratings().interactions.histories()).astype(np.float64).std())


def fit(recipe: Recipe, folder: Path | None, kill_at: int | None = None, **circumstances: Any) -> Ended:
    """kill_at: the row, counted over all trainings of the fit, at whose report the process dies."""
    heard: list[int] = []
    journal = Journal(listener=lambda **numbers: heard.extend([numbers["epoch"]] if "epoch" in numbers else []))
    rows = 0

    def report(**numbers: Any) -> None:
        nonlocal rows
        journal.report(**numbers)
        rows += any(name.endswith("loss") for name in numbers)
        if rows == kill_at:
            raise Killed

    run = Run(
        seed=5,
        checkpoints=None if folder is None else Checkpoints(folder, every=0.0),
        report=report,
        **({"validate": pleased} | circumstances),
    )
    return Ended(recipe.fit(few_ratings(), run), journal, heard)


def killed(recipe: Recipe, folder: Path, kill_at: int, **circumstances: Any) -> None:
    with pytest.raises(Killed):
        fit(recipe, folder, kill_at, **circumstances)


def small(model: str, **changes: Any) -> Recipe:
    return tiny_recipe(model, **{"epochs": EPOCHS, "batch_size": 16, "patience": 4, "dropout": 0.3} | changes)


VARIANTS: list[tuple[str, dict[str, Any], int]] = [
    *((model, {}, 4) for model in ITERATIVE),
    ("bpr", {"sampling": "popularity"}, 3),
    ("logistic_mf", {"negatives": 4}, 3),
    ("gru4rec", {"loss": "bpr_max", "negatives": 4}, 3),
    ("gru4rec_session", {"loss": "bpr_max", "negatives": 4, "truncation": 3}, 3),
    ("sasrec", {"loss": "gbce", "negatives": 4}, 3),
    ("multi_vae", {"annealing_steps": 9}, 3),
    ("macrid_vae", {"annealing_steps": 9, "assignment": "drawn"}, 3),
    ("neumf", {"pretraining": 3}, 2),  # in the first part's own training
    ("neumf", {"pretraining": 3}, 5),  # in the second's
    ("neumf", {"pretraining": 3}, 9),  # in that of the whole
]


@pytest.mark.parametrize(("model", "changes", "kill_at"), VARIANTS)
def test_a_killed_training_ends_as_if_nothing_had_happened(
    model: str, changes: dict[str, Any], kill_at: int, tmp_path: Path
) -> None:
    recipe = small(model, **changes)
    undisturbed = fit(recipe, None)
    killed(recipe, tmp_path, kill_at)
    torch.manual_seed(99)  # whatever another process's random numbers are
    resumed = fit(recipe, tmp_path)
    assert resumed.bits() == undisturbed.bits()
    assert resumed.told() == undisturbed.told()
    assert undisturbed.heard == [row["epoch"] for row in undisturbed.journal.epochs]
    assert any(name.endswith("resumed_from") for name in resumed.journal.closing)


def test_every_iterative_recipe_is_tried() -> None:
    assert {"mf", "bpr", "ials", "logistic_mf", "neumf", "multi_vae", "lightgcn", "gru4rec", "sasrec"} <= set(ITERATIVE)


def test_only_what_the_last_checkpoint_did_not_have_is_learned_again(tmp_path: Path) -> None:
    recipe = small("mf")
    killed(recipe, tmp_path, kill_at=4)
    resumed = fit(recipe, tmp_path)
    assert resumed.journal.closing["resumed_from"] == 3
    assert [row["epoch"] for row in resumed.journal.epochs] == [1, 2, 3, 4, 5, 6]
    assert resumed.heard == [4, 5, 6]


def test_a_training_can_be_killed_more_than_once(tmp_path: Path) -> None:
    recipe = small("multi_vae")
    for row in (2, 4, 4, 6):
        killed(recipe, tmp_path, kill_at=row)
    resumed = fit(recipe, tmp_path)
    assert resumed.bits() == fit(recipe, None).bits()
    assert resumed.told() == fit(recipe, None).told()


def test_early_stopping_counts_the_epochs_before_the_kill(tmp_path: Path) -> None:
    def scripted(*scores: float) -> Callable[[Scorer], float]:
        remaining = iter(scores)
        return lambda scorer: next(remaining)

    recipe = small("mf", patience=3)
    undisturbed = fit(recipe, None, validate=scripted(0.1, 0.5, 0.4, 0.3, 0.2, 0.9))
    killed(recipe, tmp_path, kill_at=4, validate=scripted(0.1, 0.5, 0.4, 0.3))
    resumed = fit(recipe, tmp_path, validate=scripted(0.3, 0.2, 0.9))
    assert undisturbed.journal.closing["stopped"] == resumed.journal.closing["stopped"] == "patience"
    assert (resumed.journal.closing["best_epoch"], len(resumed.journal.epochs)) == (2, 5)
    assert resumed.bits() == undisturbed.bits()


def test_a_refit_of_exact_epochs_is_taken_up_too(tmp_path: Path) -> None:
    recipe = small("sasrec")
    killed(recipe, tmp_path, kill_at=3, epochs=5)
    resumed = fit(recipe, tmp_path, epochs=5)
    undisturbed = fit(recipe, None, epochs=5)
    assert resumed.journal.closing["resumed_from"] == 2
    assert resumed.bits() == undisturbed.bits()
    assert resumed.told() == undisturbed.told()


class Clock:
    """Each look at it takes a second."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        self.now += 1.0
        return self.now


def test_a_time_budget_counts_the_seconds_before_the_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "time", Clock())
    recipe = small("mf", epochs=100, patience=100)
    undisturbed = fit(recipe, tmp_path / "one", time_budget=100.0)
    killed(recipe, tmp_path / "other", kill_at=10, time_budget=100.0)
    monkeypatch.setattr(loop, "time", Clock())
    resumed = fit(recipe, tmp_path / "other", time_budget=100.0)
    assert resumed.journal.closing["stopped"] == "time budget"
    assert resumed.journal.closing["resumed_from"] == 9
    assert abs(len(resumed.journal.epochs) - len(undisturbed.journal.epochs)) <= 1


def test_a_time_budget_counts_the_seconds_of_every_training_of_a_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = small("neumf", epochs=100, patience=100, pretraining=3)

    def with_a_new_clock(folder: Path, kill_at: int | None = None) -> Ended:
        clock = Clock()
        for room in (loop, neumf, pretraining):
            monkeypatch.setattr(room, "time", clock)
        return fit(recipe, folder, kill_at, time_budget=150.0)

    undisturbed = with_a_new_clock(tmp_path / "one")
    with pytest.raises(Killed):
        with_a_new_clock(tmp_path / "other", kill_at=12)
    resumed = with_a_new_clock(tmp_path / "other")
    assert resumed.journal.closing["stopped"] == undisturbed.journal.closing["stopped"] == "time budget"
    assert abs(len(resumed.journal.epochs) - len(undisturbed.journal.epochs)) <= 2


def test_a_part_that_is_taken_up_again_has_its_own_share_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = small("neumf", epochs=100, patience=100, pretraining=1000)

    def parts(folder: Path, kill_at: int | None = None) -> dict[str, int]:
        clock = Clock()
        for room in (loop, neumf, pretraining):
            monkeypatch.setattr(room, "time", clock)
        ended = fit(recipe, folder, kill_at, time_budget=300.0)
        return {part: len(rows) for part, rows in ended.journal.stages.items()}

    undisturbed = parts(tmp_path / "one")
    with pytest.raises(Killed):
        parts(tmp_path / "other", kill_at=undisturbed["gmf"] + undisturbed["mlp"] // 2)
    resumed = parts(tmp_path / "other")
    assert set(resumed) == set(undisturbed) == {"gmf", "mlp"}
    assert all(abs(resumed[part] - undisturbed[part]) <= 2 for part in undisturbed)


def test_the_seconds_before_the_kill_are_told_for_all_trainings_of_a_fit(tmp_path: Path) -> None:
    recipe = small("neumf", pretraining=3)
    killed(recipe, tmp_path, kill_at=9)
    spent = [read(path)[1]["seconds"] for path in sorted(tmp_path.glob("*.safetensors"))]
    assert len(spent) == 3
    checkpoints = Checkpoints(tmp_path, every=0.0)
    run = Run(seed=5, checkpoints=checkpoints, validate=pleased)
    recipe.fit(few_ratings(), run)
    assert run.seconds_before == pytest.approx(sum(spent))


@pytest.mark.parametrize("change", ["seed", "epochs", "learning_rate", "embedding_size"])
def test_another_training_in_the_same_folder_starts_anew_and_says_so(change: str, tmp_path: Path) -> None:
    killed(small("mf"), tmp_path, kill_at=4)
    other = small("mf", learning_rate=0.02) if change == "learning_rate" else small("mf")
    if change == "embedding_size":
        other = small("mf", embedding_size=3)
    circumstances = {"epochs": 4} if change == "epochs" else {}
    run = Run(seed=6 if change == "seed" else 5, checkpoints=Checkpoints(tmp_path, 0.0), validate=pleased)
    journal = Journal()
    taken = fit_with(other, run, journal, **circumstances)
    alone = fit_with(other, Run(seed=run.seed, validate=pleased), Journal(), **circumstances)
    assert "training starts anew" in journal.closing["note"]
    assert "resumed_from" not in journal.closing
    assert bits(taken) == bits(alone)


def fit_with(recipe: Recipe, run: Run, journal: Journal, **changes: Any) -> Scorer:
    return recipe.fit(few_ratings(), replace(run, report=journal.report, **changes))


def bits(scorer: Scorer) -> dict[str, Any]:
    return Ended(scorer, Journal(), []).bits()


def test_a_damaged_checkpoint_is_reported_and_the_training_starts_anew(tmp_path: Path) -> None:
    recipe = small("mf")
    killed(recipe, tmp_path, kill_at=4)
    (path,) = tmp_path.glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    anew = fit(recipe, tmp_path)
    assert "training starts anew" in anew.journal.closing["note"]
    assert anew.heard == [1, 2, 3, 4, 5, 6]
    assert anew.bits() == fit(recipe, None).bits()


def test_a_disk_that_takes_no_checkpoint_stops_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Keeper, "keep", full)
    ended = fit(small("mf"), tmp_path)
    assert "No space left" in ended.journal.closing["note"]
    assert ended.bits() == fit(small("mf"), None).bits()


def test_checkpoints_change_nothing_and_a_short_training_writes_none(tmp_path: Path) -> None:
    recipe = Mf(epochs=3, embedding_size=4)
    run = Run(checkpoints=Checkpoints(tmp_path / "folder"), validate=pleased)
    kept = bits(recipe.fit(few_ratings(), run))
    assert not (tmp_path / "folder").exists()
    assert kept == bits(recipe.fit(few_ratings(), Run(validate=pleased)))
    assert kept == bits(recipe.fit(few_ratings(), Run(checkpoints=Checkpoints(tmp_path, 0.0), validate=pleased)))
