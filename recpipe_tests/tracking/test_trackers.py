"""TensorBoard with its own library; MLflow and Weights & Biases, which weigh 100 MB and more, through stand-ins."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from recpipe.conf_files import RunSettings
from recpipe.models.factors.mf import Mf
from recpipe.progress import tell
from recpipe.tracking.following import followed
from recpipe.training.journal import Journal

EPOCHS = [
    {"epoch": 1, "loss": 0.5, "valid": 0.1, "seconds": 2.0, "peak_memory_mb": 300.0},
    {"epoch": 2, "loss": 0.25, "valid": 0.2, "seconds": 2.5, "peak_memory_mb": 310.0},
]
FIGURES = {"best_epoch": 2, "stopped": "epochs"}


def follow(tracker: str, folder: Path, **settings: Any) -> None:
    """A training of two epochs, as its trackers see it."""
    chosen = RunSettings(trackers=[tracker], **settings)
    with followed(Mf(embedding_size=8), "mf", "holdout", chosen, folder) as following:
        for row in EPOCHS:
            tell(event="training", epochs=2, seconds_left=0.0, **row)
        following.end(Journal(EPOCHS), FIGURES)
    assert following.notes == []


class Calls:
    """Stands for any object of a library: keeps the names and arguments of what is called on it."""

    def __init__(self) -> None:
        self.made: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *given, **named: self.made.append((name, given, named))

    def of(self, name: str) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        return [(given, named) for called, given, named in self.made if called == name]


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, **content: Any) -> None:
    module = ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)
    module.__dict__.update(content)
    monkeypatch.setitem(sys.modules, name, module)


def test_tensorboard_shows_every_figure_by_epoch_and_the_settings(tmp_path: Path) -> None:
    follow("tensorboard", tmp_path)
    (file,) = tmp_path.glob("tensorboard/mf/holdout/*/events.*")
    read = EventAccumulator(str(file)).Reload()
    assert set(read.Tags()["scalars"]) == {"loss", "valid", "seconds", "peak_memory_mb"}
    assert [(event.step, event.value) for event in read.Scalars("loss")] == [(1, 0.5), (2, 0.25)]
    texts = {tag: read.Tensors(tag)[0].tensor_proto.string_val[0].decode() for tag in read.Tags()["tensors"]}
    assert "| embedding_size | 8 |" in texts["settings/text_summary"]
    assert "| best_epoch | 2 |" in texts["figures/text_summary"]


def test_mlflow_gets_a_run_with_parameters_metrics_by_step_and_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, stores = Calls(), []
    client.__dict__["get_experiment_by_name"] = lambda name: None
    client.__dict__["create_experiment"] = lambda name, artifact_location: f"{name} at {artifact_location}"
    client.__dict__["create_run"] = lambda experiment, **named: SimpleNamespace(info=SimpleNamespace(run_id="r1"))

    def opened(uri: str) -> Calls:
        stores.append(uri)
        return client

    stand_in(monkeypatch, "mlflow", MlflowClient=opened)
    pair = {"Metric": lambda *given: given, "Param": lambda *given: given}
    stand_in(monkeypatch, "mlflow.entities", **pair)
    follow("mlflow", tmp_path)
    assert stores == [f"sqlite:///{tmp_path}/mlflow.db"]
    parameters, *metrics = client.of("log_batch")
    assert ("embedding_size", "8") in parameters[1]["params"]
    losses = [(step, value) for _, named in metrics for name, value, _, step in named["metrics"] if name == "loss"]
    assert losses == [(1, 0.5), (2, 0.25)]
    assert client.of("set_terminated") == [(("r1", "FINISHED"), {})]
    follow("mlflow", tmp_path, mlflow_uri="http://tracking.example")
    assert stores[1:] == ["http://tracking.example"]


def test_wandb_is_offline_unless_asked_and_gets_rows_and_a_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, begun = Calls(), []
    run.__dict__["summary"] = {}

    def begin(**named: Any) -> Calls:
        begun.append(named)
        return run

    stand_in(monkeypatch, "wandb", init=begin, Settings=lambda **named: named)
    follow("wandb", tmp_path)
    assert (begun[0]["mode"], begun[0]["dir"]) == ("offline", str(tmp_path))
    assert [given[0]["loss"] for given, _ in run.of("log")] == [0.5, 0.25]
    assert [given[0]["epoch"] for given, _ in run.of("log")] == [1, 2]
    assert run.summary["final/best_epoch"] == 2
    assert run.of("finish") == [((), {"exit_code": 0})]
    follow("wandb", tmp_path, wandb_mode="online")
    assert begun[1]["mode"] == "online"
