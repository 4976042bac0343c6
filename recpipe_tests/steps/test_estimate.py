"""What trainings will take: formula times probe, epochs up to the budget, and whether the memory is there."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from recpipe.claims import Wanted
from recpipe.probing import Probe
from recpipe.showing_trainings import show_estimates
from recpipe.steps import estimate
from recpipe.steps.estimate import Estimate, estimates
from recpipe.steps.loading import parts_of
from recpipe.training.costs import START_SECONDS
from recpipe.yaml_files import SettingsError

PROBE = Probe(correction=2.0, ranking=1e-3, users=10, films=10, seconds=0.1)


def an_estimate(epochs: int | None = 10, budget: float | None = None, probe: Probe | None = PROBE) -> Estimate:
    return Estimate("mf", Wanted("mf", 100, 50), 100, 50, 3.0, epochs, budget, ranked=500, probe=probe)


def test_an_epoch_is_the_formula_times_the_probe_and_a_validation_follows_each() -> None:
    assert an_estimate().seconds == 6.0
    assert an_estimate().validation == 0.5
    assert an_estimate().at_most == pytest.approx(START_SECONDS + 10 * 6.5)


def test_without_a_probe_the_formula_stands_alone() -> None:
    alone = an_estimate(probe=None)
    assert (alone.seconds, alone.validation) == (3.0, 0.0)
    assert alone.at_most == pytest.approx(START_SECONDS + 30)


def test_a_budget_bounds_what_has_epochs_and_not_what_is_learned_in_one_step() -> None:
    assert an_estimate(budget=20.0).at_most == 20.0
    assert an_estimate(budget=200.0).at_most == pytest.approx(START_SECONDS + 65)
    assert an_estimate(epochs=None, budget=2.0).at_most == 6.0


def test_memory_fits_up_to_the_last_byte() -> None:
    assert an_estimate().fits
    assert not replace(an_estimate(), room=99).fits
    assert not replace(an_estimate(), gpu_room=49).fits


def test_the_split_is_made_in_memory_from_a_delivery_where_nothing_has_been_built(project) -> None:
    parts = parts_of(project, "holdout", "")
    assert (parts.train.n_users, parts.train.n_items) == (120, 60)
    assert 0 < len(parts.train) < 120 * 20
    assert len(parts.valid) == 120
    assert not project.store.every_record()
    other = parts_of(project, "full", str(project.conf.parent / "delivery"))
    assert len(other.train) == 120 * 20


def test_a_delivery_that_is_not_there_and_a_model_that_is_none_are_refused_by_name(project) -> None:
    with pytest.raises(SettingsError, match="the data nowhere do not exist"):
        parts_of(project, "holdout", "nowhere")
    with pytest.raises(SettingsError, match="no model 'eese'; did you mean 'ease'"):
        list(estimates(project, ["eese"], parts_of(project, "holdout", "")))


def shown(project, *models: str, probed: bool = False) -> str:
    told = io.StringIO()
    show_estimates(project, Console(file=told, width=150), models, split="", source="", probed=probed)
    return told.getvalue()


def test_what_does_not_fit_is_said_with_what_to_set(project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "free_memory", lambda: 80 * 2**20)
    text = shown(project, "ease", "mf")
    assert [line.split()[3] for line in text.splitlines() if line.lstrip().startswith(("ease ", "mf "))] == [
        "yes",
        "no",
    ]
    assert "mf: 80 MiB may be taken: set a smaller embedding_size" in text


def test_a_model_that_cannot_be_probed_is_told_by_its_formula_with_the_reason(
    project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> Probe:
        raise ValueError("ease needs more films than two")

    monkeypatch.setattr(estimate.Probe, "of", refused)
    assert "ease: by the formula alone: ease needs more films than two" in shown(project, "ease", probed=True)
