"""A tiny project of its own for tests of the whole line: data, settings and home in a temporary folder."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import dagster as dg
import numpy as np
import pytest
import yaml

from recpipe.lineage import Node
from recpipe.settings import PACKAGE, Project

MODELS = {
    "ease": {"recipe": "ease", "regularization": 20.0},
    "mf": {"recipe": "mf", "epochs": 3, "embedding_size": 8, "batch_size": 256},
    "popularity": {"recipe": "popularity"},
}
SPLITS = {
    "holdout": {"strategy": "holdout", "last": 2, "random": 2, "valid_last": 2, "valid_random": 2},
    "full": {"strategy": "full"},
}


def write_delivery(folder: Path, users: int = 120, films: int = 60, seed: int = 0) -> None:
    """The competition layout: two tastes, about 20 films a user, every side table, some values missing."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        taste = user % 2
        weights = np.where(np.arange(films) % 2 == taste, 6.0, 1.0) / (1 + np.arange(films) // 2) ** 0.3
        watched = random.choice(films, size=20, replace=False, p=weights / weights.sum())
        start = 1_000_000_000 + 86_400 * int(random.integers(300))
        rows += [(10 * user + 7, 100 + film, start + 60 * place) for place, film in enumerate(watched)]
    lines = [",".join(map(str, row)) for row in rows]
    (folder / "train_ratings.csv").write_text("user,item,time\n" + "\n".join(lines) + "\n")
    sides = {
        "titles": [(100 + film, f"Film {film} ({1960 + film % 40})") for film in range(films)],
        "years": [(100 + film, 1960 + film % 40) for film in range(films - 5)],
        "genres": [(100 + film, ("Drama", "Comedy")[film % 2]) for film in range(films - 3)],
        "directors": [(100 + film, f"d{film % 9}") for film in range(0, films, 2)],
        "writers": [(100 + film, f"w{film % 7}") for film in range(0, films, 3)],
    }
    for name, pairs in sides.items():
        header = f"item\t{name.removesuffix('s')}\n"
        (folder / f"{name}.tsv").write_text(header + "".join(f"{item}\t{value}\n" for item, value in pairs))


def write_conf(folder: Path, source: Path) -> None:
    """Settings for three quick models and two splits."""
    for kind, settings in (("models", MODELS), ("splits", SPLITS)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for name, content in settings.items():
            (folder / kind / f"{name}.yaml").write_text(yaml.safe_dump(content))
    (folder / "dataset.yaml").write_text(yaml.safe_dump({"source": str(source)}))
    (folder / "run.yaml").write_text((PACKAGE / "conf" / "run.yaml").read_text())
    ensemble = {"split": "holdout", "members": ["ease", "mf"], "candidates": 20, "metric": "capped_recall@10"}
    (folder / "ensemble.yaml").write_text(yaml.safe_dump(ensemble))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose environment is set, with nothing made yet."""
    write_delivery(tmp_path / "delivery")
    write_conf(tmp_path / "conf", tmp_path / "delivery")
    return _entered(tmp_path, monkeypatch)


@pytest.fixture(scope="session")
def built_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole line, built once for all tests of a process; nobody changes it."""
    root = tmp_path_factory.mktemp("built")
    write_delivery(root / "delivery")
    write_conf(root / "conf", root / "delivery")
    with pytest.MonkeyPatch.context() as monkeypatch:
        project = _entered(root, monkeypatch)
        with _definitions() as planner, dg.DagsterInstance.ephemeral() as instance:
            goals = [Node("evaluation_report", f"{model}|holdout") for model in MODELS]
            planner.build(project, [*goals, Node("leaderboard", "holdout"), Node("ensemble_submission")], instance)
    return root


@pytest.fixture
def built(built_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of a project in which the whole line is current."""
    for part in ("conf", "delivery", "home"):
        shutil.copytree(built_once / part, tmp_path / part)
    (tmp_path / "conf" / "dataset.yaml").write_text(yaml.safe_dump({"source": str(tmp_path / "delivery")}))
    return _entered(tmp_path, monkeypatch)


@pytest.fixture
def planner() -> Iterator[ModuleType]:
    """The planner with Dagster's definitions loaded for the test's models and splits: name the project first."""
    with _definitions() as fresh:
        yield fresh


def _entered(root: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("RECPIPE_HOME", str(root / "home"))
    monkeypatch.setenv("RECPIPE_CONF", str(root / "conf"))
    for name in ("DAGSTER_HOME", "RECPIPE_ARTIFACTS", "RECPIPE_POSTGRES_URL"):
        monkeypatch.delenv(name, raising=False)
    return Project.here()


@contextmanager
def _definitions() -> Iterator[ModuleType]:
    _forget_definitions()
    from recpipe.defs import planner

    yield planner
    _forget_definitions()


def _forget_definitions() -> None:
    for name in [name for name in sys.modules if name.startswith("recpipe.defs")]:
        del sys.modules[name]
