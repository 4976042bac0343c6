"""The loop against a hand-written one, and everything that may end a training."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recpipe.models.factors.bpr import Bpr
from recpipe.recipe import Run
from recpipe.training import loop
from recpipe.training.batches import Stream
from recpipe.training.journal import Journal
from recpipe.training.loop import Batch, Learner, Solver, learn, seeded
from recpipe.training.settings import Schedule
from recpipe_tests import worlds

ROWS, WIDTH = 23, 4
FEATURES = torch.from_numpy(np.random.default_rng(5).normal(size=(ROWS, WIDTH)).astype(np.float32))
TARGETS = FEATURES @ torch.tensor([1.0, -2.0, 0.5, 3.0]) + 0.7
SCHEDULE = Schedule(epochs=6, learning_rate=0.05, weight_decay=0.1, patience=2, clip_norm=1.0)


class Line(Learner):
    """Least squares, with dropout, so that torch's random numbers matter."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(WIDTH, 1)
        self.dropout = nn.Dropout(0.2)

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        return ((self.line(self.dropout(features))[:, 0] - targets) ** 2).mean()


@dataclass(frozen=True)
class Learned:
    """Stands for a scorer: the weights when it was made."""

    weight: Tensor
    training: bool
    with_gradients: bool

    serves_newcomers: ClassVar[bool] = True

    @classmethod
    def of(cls, network: Line) -> Learned:
        return cls(network.line.weight.detach().clone(), network.training, torch.is_grad_enabled())

    def scores(self, users: Any) -> Any:
        raise NotImplementedError

    def arrays(self) -> dict[str, Any]:
        raise NotImplementedError

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any], recipe: Any) -> Any:
        raise NotImplementedError


class Reports:
    def __init__(self) -> None:
        self.epochs: list[dict[str, Any]] = []
        self.closing: dict[str, Any] = {}

    def __call__(self, **numbers: Any) -> None:
        if "epoch" in numbers:
            self.epochs.append(numbers)
        else:
            self.closing.update(numbers)


def batches(numbers: np.random.Generator) -> Iterable[Batch]:
    return Stream(numbers.permutation(ROWS), 5, lambda rows: (FEATURES[rows], TARGETS[rows]))


def new_line(seed: int = 3) -> Line:
    with seeded(Run(seed=seed)):
        return Line()


def fit(run: Run, schedule: Schedule = SCHEDULE, feed: Callable[..., Iterable[Batch]] = batches) -> Learned:
    return learn(new_line(run.seed), feed, Learned.of, schedule, run)


def scripted(*scores: float) -> Callable[[Any], float]:
    remaining = iter(scores)
    return lambda scorer: next(remaining)


def test_the_loop_learns_what_a_hand_written_loop_learns_to_the_bit() -> None:
    network = new_line(seed=3)
    network.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        numbers = np.random.default_rng(3)
        groups = [
            {"params": [network.line.weight], "weight_decay": SCHEDULE.weight_decay},
            {"params": [network.line.bias], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=SCHEDULE.learning_rate, fused=True)
        for _ in range(4):
            order = numbers.permutation(ROWS)
            for start in range(0, ROWS, 5):
                rows = order[start : start + 5]
                optimizer.zero_grad()
                loss = network.loss(FEATURES[rows], TARGETS[rows])
                loss.backward()
                nn.utils.clip_grad_norm_(network.parameters(), SCHEDULE.clip_norm)
                optimizer.step()
    learned = fit(Run(seed=3, epochs=4))
    assert torch.equal(learned.weight, network.line.weight.detach())


def test_a_seed_means_one_result_and_another_seed_another() -> None:
    first, again, other = (fit(Run(seed=seed, epochs=2)).weight for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_callers_random_numbers_go_on_as_if_nothing_had_been() -> None:
    before = torch.random.get_rng_state()
    fit(Run(seed=3, epochs=2))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_an_epoch_is_a_row_with_everything_that_a_person_would_ask_for() -> None:
    reports = Reports()
    fit(Run(report=reports, validate=scripted(*range(6))))
    assert [row["epoch"] for row in reports.epochs] == [1, 2, 3, 4, 5, 6]
    wanted = {"loss", "valid", "seconds", "valid_seconds", "examples", "gradient_norm", "peak_memory_mb"}
    assert wanted < set(reports.epochs[0])
    assert reports.epochs[0]["examples"] == ROWS
    assert reports.epochs[-1]["loss"] < reports.epochs[0]["loss"]
    assert reports.closing == {"best_epoch": 6, "best_valid": 5.0, "parameters": WIDTH + 1, "stopped": "epochs"}


def test_what_a_network_wants_to_report_stands_in_the_row_of_the_epoch() -> None:
    class Counting(Line):
        reported: ClassVar[tuple[str, ...]] = ("steps",)

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("steps", torch.zeros(()))

        def loss(self, features: Tensor, targets: Tensor) -> Tensor:
            self.steps += 1
            return super().loss(features, targets)

    reports = Reports()
    learn(Counting(), batches, Learned.of, SCHEDULE, Run(epochs=2, report=reports))
    assert [row["steps"] for row in reports.epochs] == [5, 10]


def test_the_loss_of_an_epoch_is_a_mean_an_example_whatever_the_batches() -> None:
    class Frozen(Line):
        def loss(self, features: Tensor, targets: Tensor) -> Tensor:
            return 0 * self.line.bias.sum() + targets.mean()

    for batch_size in (1, 5, 100):
        reports = Reports()
        feed = lambda numbers, size=batch_size: Stream(  # noqa: E731
            numbers.permutation(ROWS), size, lambda rows: (FEATURES[rows], TARGETS[rows])
        )
        learn(Frozen(), feed, Learned.of, SCHEDULE, Run(epochs=1, report=reports))
        assert reports.epochs[0]["loss"] == pytest.approx(float(TARGETS.mean()), rel=1e-5)


def test_validation_sees_the_network_in_evaluation_mode_and_without_gradients() -> None:
    seen: list[Learned] = []

    def validate(scorer: Any) -> float:
        seen.append(scorer)
        return 0.0

    fit(Run(validate=validate))
    assert not any(scorer.training or scorer.with_gradients for scorer in seen)


def test_patience_ends_the_training_and_the_best_epochs_weights_are_kept() -> None:
    reports, seen = Reports(), []
    scores = scripted(0.1, 0.5, 0.4, 0.3, 0.9)

    def validate(scorer: Any) -> float:
        seen.append(scorer)
        return scores(scorer)

    learned = fit(Run(report=reports, validate=validate))
    assert len(reports.epochs) == 4
    assert reports.closing["stopped"] == "patience"
    assert (reports.closing["best_epoch"], reports.closing["best_valid"]) == (2, 0.5)
    assert torch.equal(learned.weight, seen[1].weight)
    assert not torch.equal(learned.weight, seen[3].weight)


def test_an_equal_score_is_not_a_better_one() -> None:
    reports = Reports()
    fit(Run(report=reports, validate=scripted(0.5, 0.5, 0.5, 0.5)))
    assert (reports.closing["best_epoch"], len(reports.epochs)) == (1, 3)


def test_a_score_that_is_not_a_number_never_wins_and_does_not_hold_patience_off() -> None:
    reports = Reports()
    fit(Run(report=reports, validate=scripted(math.nan, math.nan, math.nan, 0.1)))
    assert len(reports.epochs) == 3
    reports = Reports()
    fit(Run(report=reports, validate=scripted(math.nan, 0.1, math.nan, math.nan)))
    assert reports.closing["best_epoch"] == 2


def test_exact_epochs_are_exact_and_not_validated() -> None:
    reports = Reports()
    fit(Run(epochs=9, report=reports, validate=scripted()))
    assert len(reports.epochs) == 9
    assert reports.epochs[0]["valid"] is None
    assert (reports.closing["best_epoch"], reports.closing["best_valid"]) == (9, None)


def test_exact_epochs_learn_what_early_stopping_learned_up_to_there() -> None:
    stopped = fit(Run(validate=scripted(0.1, 0.2, 0.5, 0.4, 0.4)))
    exact = fit(Run(epochs=3))
    assert torch.equal(stopped.weight, exact.weight)


def test_without_validation_all_epochs_of_the_schedule_are_run() -> None:
    reports = Reports()
    fit(Run(report=reports))
    assert (len(reports.epochs), reports.closing["best_epoch"]) == (6, 6)


class Exploding(Line):
    """Its loss is not a number from the given step on."""

    def __init__(self, last_good_step: int) -> None:
        super().__init__()
        self.steps_left = last_good_step

    def loss(self, features: Tensor, targets: Tensor) -> Tensor:
        self.steps_left -= 1
        loss = super().loss(features, targets)
        return loss if self.steps_left >= 0 else loss * torch.nan


def test_a_loss_that_is_no_number_stops_at_once_with_the_last_good_weights() -> None:
    reports, steps_an_epoch = Reports(), 5
    with seeded(Run(seed=3)):
        network = Exploding(2 * steps_an_epoch + 1)
    learned = learn(network, batches, Learned.of, SCHEDULE, Run(seed=3, report=reports))
    assert reports.closing["stopped"] == "non-finite loss"
    assert "epoch 3" in reports.closing["problem"] and "epoch 2 are kept" in reports.closing["problem"]
    assert torch.equal(learned.weight, fit(Run(seed=3, epochs=2)).weight)


def test_a_loss_that_is_no_number_from_the_start_leaves_the_initial_weights_and_says_so() -> None:
    reports = Reports()
    network = Exploding(0)
    initial = network.line.weight.detach().clone()
    learned = learn(network, batches, Learned.of, SCHEDULE, Run(report=reports))
    assert torch.equal(learned.weight, initial)
    assert "nothing was learned" in reports.closing["problem"]
    assert reports.closing["best_epoch"] == 0


def test_weights_that_overflow_in_the_last_step_are_not_kept_where_nothing_is_validated() -> None:
    """One step: its loss and gradient are finite, and what it makes of the weights is not."""
    train, journal = worlds.general().train, Journal()
    recipe = Bpr(learning_rate=1e25, weight_decay=0.0, batch_size=len(train.interactions))
    scorer = recipe.fit(train, Run(epochs=1, report=journal.report))
    assert math.isfinite(journal.epochs[0]["loss"] + journal.epochs[0]["gradient_norm"])
    assert np.isfinite(scorer.scores(train.interactions.histories())).all()
    assert (journal.closing["stopped"], journal.closing["best_epoch"]) == ("non-finite loss", 0)
    assert "nothing was learned" in journal.closing["problem"]


def test_what_is_solved_for_is_not_advised_to_change_a_learning_rate() -> None:
    class Overflowing(Solver):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def step(self, features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
            self.weight.fill_(torch.inf)
            return targets.mean(), torch.ones(())

    reports = Reports()
    learn(Overflowing(), batches, lambda network: Learned(network.weight, False, False), SCHEDULE,
          Run(epochs=2, report=reports))  # fmt: skip
    assert "nothing was learned" in reports.closing["problem"]
    assert "regularization" in reports.closing["problem"] and "learning_rate" not in reports.closing["problem"]


class Clock:
    """Each look at it takes a second."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 1.0
        return self.now


def test_a_spent_time_budget_ends_the_training_at_its_best_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "time", Clock())
    reports = Reports()
    fit(Run(time_budget=8.0, report=reports, validate=scripted(0.3, 0.2, 0.1, 0.1, 0.1, 0.1)))
    assert reports.closing["stopped"] == "time budget"
    assert 1 < len(reports.epochs) < 6
    assert reports.closing["best_epoch"] == 1


def test_a_time_budget_shorter_than_an_epoch_keeps_what_was_learned_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "CHECK_EVERY", 1)
    reports = Reports()
    fit(Run(time_budget=1e-9, report=reports, validate=scripted(0.3)))
    assert reports.closing["stopped"] == "time budget"
    assert (reports.epochs[0]["examples"], reports.closing["best_epoch"]) == (5, 1)


def test_the_cost_of_a_long_first_epoch_is_predicted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "CHECK_EVERY", 1)
    monkeypatch.setattr(loop, "PROBE_SECONDS", 0.0)
    predictions = []

    def report(**numbers: Any) -> None:
        predictions.extend([numbers["predicted_epoch_seconds"]] if "predicted_epoch_seconds" in numbers else [])

    fit(Run(epochs=3, report=report))
    assert len(predictions) == 1 and predictions[0] > 0


def test_an_epoch_without_examples_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one example"):
        fit(Run(epochs=1), feed=lambda numbers: ())


def test_biases_do_not_decay() -> None:
    class Still(Line):
        def loss(self, features: Tensor, targets: Tensor) -> Tensor:
            return 0 * (self.line.weight.sum() + self.line.bias.sum())

    network = Still()
    with torch.no_grad():
        network.line.bias.fill_(1.0)
        network.line.weight.fill_(1.0)
    learn(network, batches, Learned.of, replace(SCHEDULE, weight_decay=0.5), Run(epochs=1))
    assert network.line.bias.item() == 1.0
    assert (network.line.weight < 1.0).all()
