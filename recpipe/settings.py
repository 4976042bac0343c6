"""YAML and environment into typed objects; every error names the file, the key and the nearest valid key."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from recpipe.storage import Store, replace_text

if TYPE_CHECKING:
    from recpipe.blending.settings import EnsembleSettings
    from recpipe.data.preparing import Preparation
    from recpipe.data.splitting import Strategy
    from recpipe.recipe import Recipe

PACKAGE = Path(__file__).parent
SAMPLE = "sample"
M = TypeVar("M", bound=BaseModel)


class SettingsError(ValueError):
    """A setting that cannot be used: the message names file, key and what to write instead."""


class DatasetSettings(BaseModel):
    """conf/dataset.yaml: which data, and what of it counts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field(SAMPLE, description="'sample', or the path of a folder or zip in a layout that is recognised")
    sample_seed: int = Field(0, ge=0, description="of the generated movie world")
    features: bool = Field(True, description="hand side tables (genres, directors, writers, years) to the recipes")
    most_volume_drop: float = Field(0.2, gt=0, le=1, description="share by which rows, users or films may fall at once")
    preparation: dict[str, Any] = Field(default_factory=dict, description="rating threshold, k-core, repeats")

    def prepared_by(self) -> Preparation:
        """The typed preparation settings."""
        from recpipe.data.preparing import Preparation

        return Preparation(**self.preparation)


class RunSettings(BaseModel):
    """conf/run.yaml: the circumstances under which models are trained and compared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(0, ge=0, description="of every random number in training")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto takes a GPU where there is one")
    threads: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        "auto", description="of one training on the CPU; auto: half of the cores"
    )
    time_budget: float | None = Field(None, gt=0, description="seconds a model; its best epoch so far is then kept")
    metric: str = Field("ndcg@10", description="what early stopping follows and leaderboards are sorted by")
    sql_engine: Literal["duckdb", "spark"] = Field("duckdb", description="what runs dbt_like_sql; the tables are equal")
    spark_master: str = Field("local[2]", description="where Spark computes: local[threads], or a cluster's address")
    workers: str | None = Field(
        None, pattern=r"^\w+://.+", description="a Dask scheduler, tcp://host:8786, whose workers carry out builds"
    )
    baselines: tuple[str, ...] = Field((), description="what a build measures beside the ensemble's members")

    @property
    def choices(self) -> dict[str, Any]:
        """What can change a result: the version of a trained model includes it."""
        return {"seed": self.seed, "metric": self.metric, "time_budget": self.time_budget}


@dataclass(frozen=True)
class Project:
    """Where this project's data and settings lie. `home`: all that is written. `conf`: the YAML files."""

    home: Path
    conf: Path

    @classmethod
    def here(cls) -> Project:
        """`RECPIPE_HOME` (default: `data/` of the checkout) and `RECPIPE_CONF` (default: the package's `conf/`)."""
        home = os.environ.get("RECPIPE_HOME") or str(PACKAGE.parent / "data")
        conf = os.environ.get("RECPIPE_CONF") or str(PACKAGE / "conf")
        return cls(Path(home).absolute(), Path(conf).absolute())

    @property
    def store(self) -> Store:
        return Store(self.home / "artifacts")

    @property
    def submission_file(self) -> Path:
        """The latest submission, where people look for it."""
        return self.home / "submission.csv"

    def model_names(self) -> list[str]:
        return _names(self.conf / "models")

    def split_names(self) -> list[str]:
        return _names(self.conf / "splits")

    def model_settings(self, model: str) -> dict[str, Any]:
        """A model's YAML as it stands: `recipe` and that recipe's settings."""
        settings = read_yaml(_named(self.conf / "models", model, "model"))
        if "recipe" not in settings:
            raise SettingsError(f"{self.conf / 'models' / model}.yaml: the key 'recipe' is missing; name one recipe")
        return settings

    def recipe(self, model: str) -> Recipe:
        """A model's recipe with its settings, checked."""
        from recpipe.models.catalog import recipe_class, recipe_modules

        settings = self.model_settings(model)
        path = self.conf / "models" / f"{model}.yaml"
        name = settings.pop("recipe")
        if name not in recipe_modules():
            raise SettingsError(f"{path}: recipe: no recipe is called {name!r}{nearest(str(name), recipe_modules())}")
        return parse(recipe_class(name), settings, path)

    def split_settings(self, split: str) -> dict[str, Any]:
        return read_yaml(_named(self.conf / "splits", split, "split"))

    def strategy(self, split: str) -> Strategy:
        """A split's strategy with its settings, checked."""
        from recpipe.data.splitting import STRATEGIES

        settings = self.split_settings(split)
        path = self.conf / "splits" / f"{split}.yaml"
        name = settings.get("strategy")
        if name not in STRATEGIES:
            raise SettingsError(f"{path}: strategy: {name!r} is none{nearest(str(name), STRATEGIES)}")
        return parse(STRATEGIES[name], settings, path)

    def dataset(self) -> DatasetSettings:
        """conf/dataset.yaml, with what `recpipe build --data` left in the home folder on top."""
        path = self.conf / "dataset.yaml"
        settings = read_yaml(path)
        if self._chosen.exists():
            path = self._chosen
            settings |= read_yaml(path)
        return parse(DatasetSettings, settings, path)

    def run(self) -> RunSettings:
        """conf/run.yaml, its baselines checked against the files beside it."""
        path = self.conf / "run.yaml"
        settings = parse(RunSettings, read_yaml(path), path)
        self._only_models(settings.baselines, path, "baselines")
        return settings

    def submission_models(self) -> list[str]:
        """What a build makes where nobody names models: the ensemble's members, and the baselines beside them."""
        return sorted({*self.ensemble_members(), *self.run().baselines})

    def choose_data(self, source: str) -> None:
        """Remember which data this home folder is about: 'sample' or a path."""
        if source != SAMPLE:
            path = Path(source).expanduser().absolute()
            if not path.exists():
                raise SettingsError(f"--data: {path} does not exist; give a folder, a zip, or 'sample'")
            source = str(path)
        replace_text(self._chosen, yaml.safe_dump({"source": source}))

    def ensemble(self) -> EnsembleSettings:
        """conf/ensemble.yaml, its members and split checked against the files beside it."""
        from recpipe.blending.settings import EnsembleSettings

        path = self.conf / "ensemble.yaml"
        settings = parse(EnsembleSettings, read_yaml(path), path)
        self._only_models(settings.members, path, "members")
        if settings.split not in self.split_names():
            raise SettingsError(
                f"{path}: split: {settings.split!r} is none{nearest(settings.split, self.split_names())}"
            )
        return settings

    def ensemble_members(self) -> list[str]:
        """The members' names, read without the typed settings: what Dagster needs to know at load."""
        return list(read_yaml(self.conf / "ensemble.yaml").get("members", []))

    def ensemble_split(self) -> str:
        """The split on whose validation part the ensemble is chosen, read likewise."""
        return str(read_yaml(self.conf / "ensemble.yaml").get("split", "holdout"))

    def _only_models(self, named: Iterable[str], path: Path, key: str) -> None:
        models = self.model_names()
        for name in named:
            if name not in models:
                raise SettingsError(f"{path}: {key}: no model {name!r}{nearest(name, models)}")

    @property
    def _chosen(self) -> Path:
        return self.home / "dataset.yaml"


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that holds one mapping; errors name the file and the line."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SettingsError(f"{path} is missing") from None
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingsError(f"{path}: a mapping of settings was wanted, a {type(content).__name__} came")
    return content


def parse(kind: type[M], settings: Mapping[str, Any], path: Path) -> M:
    """Settings into their typed form; unknown keys and values out of bounds become one readable error."""
    try:
        return kind(**settings)
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(kind, path, problem) for problem in error.errors())) from error


def nearest(word: str, choices: Mapping[str, Any] | list[str]) -> str:
    """A half-sentence that names the nearest valid words."""
    close = difflib.get_close_matches(word, list(choices), n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; there are: {', '.join(sorted(choices))}"


def _explain(kind: type[BaseModel], path: Path, problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"{path}: {key}: no such setting{nearest(key, list(kind.model_fields))}"
    if problem["type"] == "missing":
        return f"{path}: {key}: is missing"
    return f"{path}: {key}: {problem['msg'][0].lower()}{problem['msg'][1:]}; {problem['input']!r} came"


def _names(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.yaml"))


def _named(folder: Path, name: str, what: str) -> Path:
    path = folder / f"{name}.yaml"
    if not path.exists():
        raise SettingsError(f"{path} is missing: there is no {what} {name!r}{nearest(name, _names(folder))}")
    return path
