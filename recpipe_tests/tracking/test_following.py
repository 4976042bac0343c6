"""Trackers hear of every epoch, and what goes wrong in them costs nothing but a note."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from recpipe.conf_files import RunSettings
from recpipe.models.factors.mf import Mf
from recpipe.progress import listening, tell
from recpipe.tracking import following
from recpipe.tracking.following import Following, check_installed, followed
from recpipe.tracking.tracker import Training
from recpipe.training.journal import Journal
from recpipe.yaml_files import SettingsError

TRAINING = Training("mf", "holdout", {"recipe": "mf"}, Path("nowhere"), "1")
ROWS = [{"epoch": 1, "loss": 0.5, "valid": None}, {"epoch": 2, "loss": 0.25, "valid": 0.1}]


class Told:
    """Keeps what it is told; raises where `fails_at` says: begin, epoch 2, or end."""

    def __init__(self, training: Training, fails_at: str = "") -> None:
        self.fails_at, self.epochs, self.ends = fails_at, [], []
        self._perhaps("begin")

    def epoch(self, number: int, figures: Mapping[str, float]) -> None:
        self._perhaps(f"epoch {number}")
        self.epochs.append((number, dict(figures)))

    def end(self, figures: Mapping[str, Any] | None) -> None:
        self._perhaps("end")
        self.ends.append(figures)

    def _perhaps(self, place: str) -> None:
        if self.fails_at == place:
            raise AttributeError(f"the library has changed: {place}\nand more")


def opened(told: dict[str, Told], **fails_at: str) -> Following:
    def opener(name: str):
        def open_it(training: Training) -> Told:
            told[name] = Told(training, fails_at[name])
            return told[name]

        return open_it

    return Following(TRAINING, {name: opener(name) for name in fails_at})


def test_each_tracker_hears_the_figures_of_every_epoch_and_the_end() -> None:
    told: dict[str, Told] = {}
    trackers = opened(told, one="", other="")
    for row in ROWS:
        trackers.hear({"event": "training", "epochs": 9, "seconds_left": 3.0, **row})
    trackers.hear({"event": "training", "note": "no epoch"})
    trackers.hear({"event": "done", "epoch": 7})
    trackers.end(Journal(ROWS), {"best_epoch": 2})
    trackers.end_failed()
    for each in told.values():
        assert each.epochs == [(1, {"loss": 0.5}), (2, {"loss": 0.25, "valid": 0.1})]
        assert each.ends == [{"best_epoch": 2}]
    assert trackers.notes == []


def test_parts_that_are_trained_first_keep_their_own_names_and_epochs() -> None:
    told: dict[str, Told] = {}
    opened(told, one="").hear({"event": "training", "gmf_epoch": 3, "gmf_loss": 0.5, "gmf_valid": None})
    assert told["one"].epochs == [(3, {"gmf/loss": 0.5})]


def test_epochs_from_before_a_kill_are_handed_in_at_the_end() -> None:
    told: dict[str, Told] = {}
    trackers = opened(told, one="")
    trackers.hear({"event": "training", **ROWS[1]})
    trackers.hear({"event": "training", "gmf_epoch": 2, "gmf_loss": 0.5})
    trackers.end(Journal(ROWS, stages={"gmf": [{"epoch": 1, "loss": 0.75}, {"epoch": 2, "loss": 0.5}]}), {})
    assert told["one"].epochs == [
        (2, {"loss": 0.25, "valid": 0.1}), (2, {"gmf/loss": 0.5}), (1, {"gmf/loss": 0.75}), (1, {"loss": 0.5})
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("place", "said", "heard"), [("begin", "could not begin", 0), ("epoch 2", "failed at epoch 2", 1),
                                 ("end", "failed at the end", 2)],
)  # fmt: skip
def test_a_tracker_that_fails_is_dropped_with_one_note_and_the_others_go_on(place: str, said: str, heard: int) -> None:
    told: dict[str, Told] = {}
    news: list[dict[str, Any]] = []
    with listening(news.append):
        trackers = opened(told, broken=place, sound="")
        for row in ROWS:
            trackers.hear({"event": "training", **row})
        trackers.end(Journal(ROWS), {"best_epoch": 2})
    assert len(told["sound"].epochs) == 2 and told["sound"].ends == [{"best_epoch": 2}]
    assert len(told["broken"].epochs) == heard if "broken" in told else heard == 0
    assert trackers.notes == [
        f"broken {said} and was left out, the training was not: AttributeError: the library has changed: {place}"
    ]
    assert [each["note"] for each in news] == trackers.notes


def test_an_interrupt_inside_a_tracker_is_no_failure_of_the_tracker() -> None:
    class Interrupted(Told):
        def epoch(self, number: int, figures: Mapping[str, float]) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Following(TRAINING, {"one": Interrupted}).hear({"event": "training", **ROWS[0]})


def test_a_training_that_fails_ends_its_trackers_as_failed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told = Told(TRAINING)
    monkeypatch.setattr(following, "_openers", lambda settings: {"one": lambda training: told})
    with pytest.raises(ValueError, match="diverged"), followed(Mf(), "mf", "holdout", RunSettings(), tmp_path):
        tell(event="training", **ROWS[0])
        raise ValueError("diverged")
    assert told.epochs == [(1, {"loss": 0.5})]
    assert told.ends == [None]


def test_a_tracker_that_is_not_installed_is_an_error_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(following, "find_spec", lambda name: None if name == "wandb" else object())
    check_installed(["tensorboard", "mlflow"])
    settings = RunSettings(trackers=["wandb"])
    wanted = r"wandb is not installed: pip install -c constraints.txt -e '\.\[wandb\]'"
    with pytest.raises(SettingsError, match=wanted), followed(Mf(), "mf", "holdout", settings, tmp_path):
        pytest.fail("nothing may begin")


def test_nothing_of_a_tracker_is_imported_where_none_is_asked_for() -> None:
    code = (
        "import sys; from pathlib import Path; from recpipe.models.factors.mf import Mf; "
        "from recpipe.conf_files import RunSettings; from recpipe.tracking.following import followed\n"
        "with followed(Mf(), 'mf', 'holdout', RunSettings(), Path('nowhere')): pass\n"
        "print([name for name in ('tensorboard', 'mlflow', 'wandb') if name in sys.modules], Path('nowhere').exists())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] False"
