"""YAML and environment into typed objects; every error names the file, the key and the nearest valid key."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar
from zoneinfo import available_timezones

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from recpipe.storage import Store, digest_of, replace_text

if TYPE_CHECKING:
    from recpipe.blending.settings import EnsembleSettings
    from recpipe.data.digests import Digests
    from recpipe.data.preparing import Preparation
    from recpipe.data.splitting import Strategy
    from recpipe.recipe import Recipe
    from recpipe.search.settings import SearchSettings
    from recpipe.studies.settings import RobustnessSettings, SplitTrustSettings, StudySettings

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
    arrivals: str = Field("raw/arrivals", description="folder of further rating files; relative to the home folder")
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
    memory_limit: float | None = Field(
        None, gt=0, description="GiB that all trainings at a time may take together; null: what is free"
    )
    metric: str = Field("ndcg@10", description="what early stopping follows and leaderboards are sorted by")
    checkpoint_every: float = Field(60.0, ge=0, description="seconds between checkpoints of a training; 0: each epoch")
    sql_engine: Literal["duckdb", "spark"] = Field("duckdb", description="what runs dbt_like_sql; the tables are equal")
    spark_master: str = Field("local[2]", description="where Spark computes: local[threads], or a cluster's address")
    workers: str | None = Field(
        None, pattern=r"^\w+://.+", description="a Dask scheduler, tcp://host:8786, whose workers carry out builds"
    )
    baselines: tuple[str, ...] = Field((), description="what a build measures beside the ensemble's members")
    trackers: tuple[Literal["tensorboard", "mlflow", "wandb"], ...] = Field(
        (), description="where epochs go beside the artifact's own journal; each is an extra of this name"
    )
    mlflow_uri: str | None = Field(None, description="of MLflow's store or server; null: mlflow.db in the home folder")
    wandb_mode: Literal["offline", "online"] = Field("offline", description="online sends to Weights & Biases")

    @property
    def memory_budget(self) -> int | None:
        """The limit in bytes."""
        return None if self.memory_limit is None else int(self.memory_limit * 2**30)

    @property
    def choices(self) -> dict[str, Any]:
        """What can change a result: the version of a trained model includes it."""
        return {"seed": self.seed, "metric": self.metric, "time_budget": self.time_budget}


class NightlySettings(BaseModel):
    """The part `nightly` of conf/automation.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(
        True, description="whether the schedule is running when `dagster dev` starts for the first time"
    )
    at: str = Field("03:00", pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description="time of day, HH:MM")
    time_zone: str = Field("UTC", description="a name of the IANA data base")
    full_refit: Literal["never", "weekly", "monthly"] = Field("monthly", description="everything anew, current or not")

    @field_validator("time_zone")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in available_timezones():
            raise ValueError(f"no time zone is called {name!r}{nearest(name, sorted(available_timezones()))}")
        return name

    @property
    def cron(self) -> str:
        """Minute and hour, every day."""
        hour, minute = self.at.split(":")
        return f"{int(minute)} {int(hour)} * * *"

    def refits_on(self, day: date) -> bool:
        """Whether everything is made anew that night: Sundays, or the first of a month."""
        return {"never": False, "weekly": day.isoweekday() == 7, "monthly": day.day == 1}[self.full_refit]


class AutomationSettings(BaseModel):
    """conf/automation.yaml: what runs by itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    follow_changes: bool = Field(True, description="a changed file or setting reruns what it touches")
    look_every: int = Field(15, ge=1, description="seconds between looks at the sources")
    nightly: NightlySettings = Field(default_factory=NightlySettings, description="the nightly retrain")
    freshest_within: float = Field(26.0, gt=0, description="hours that a stale submission may stay")


class StorageSettings(BaseModel):
    """conf/storage.yaml: where artifacts lie. Credentials stand in the environment, never in a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    artifacts: str = Field("", description="an address such as s3://bucket/prefix; empty: in the home folder")
    attempts: int = Field(10, ge=1, description="of a request to S3, with growing pauses of 20 seconds at most")
    connect_timeout: float = Field(5, gt=0, description="seconds until an attempt to reach S3 is given up")
    read_timeout: float = Field(20, gt=0, description="seconds of silence until an attempt is given up")


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

    @cached_property
    def store(self) -> Store:
        """The artifacts: in the home folder, or where conf/storage.yaml or `RECPIPE_ARTIFACTS` says."""
        settings = self.storage()
        if not settings.artifacts:
            return Store(self.home / "artifacts")
        from recpipe.remote import Remote

        name = re.sub(r"[^A-Za-z0-9]+", "-", settings.artifacts)
        cache = self.home / "cache" / f"{name}-{digest_of(settings.artifacts)[:8]}"  # s3://a/b-c is not s3://a-b/c
        remote = Remote.at(
            settings.artifacts, cache, settings.attempts, settings.connect_timeout, settings.read_timeout
        )
        return Store(cache, remote)

    def storage(self) -> StorageSettings:
        """conf/storage.yaml where there is one, with the environment's `RECPIPE_ARTIFACTS` on top."""
        path = self.conf / "storage.yaml"
        settings = parse(StorageSettings, read_yaml(path) if path.exists() else {}, path)
        artifacts = os.environ.get("RECPIPE_ARTIFACTS") or settings.artifacts
        if artifacts:
            from recpipe.remote import check_kind

            try:
                check_kind(artifacts)
            except ValueError as error:  # the address itself is not repeated: somebody may have put a password there
                raise SettingsError(f"{path} or RECPIPE_ARTIFACTS: artifacts: {error}") from error
        return settings.model_copy(update={"artifacts": artifacts})

    @property
    def address(self) -> str:
        """Where this project writes, for people: the home folder, and the artifacts' storage where it is another."""
        artifacts = self.storage().artifacts
        return f"{self.home}, artifacts: {artifacts}" if artifacts else str(self.home)

    def checkpoints(self, model_and_split: str) -> Path:
        """What killed trainings of `model|split` have left to go on from: a folder for each set of inputs."""
        return self.home.joinpath("checkpoints", *model_and_split.split("|"))

    @property
    def claims(self) -> Path:
        """Where trainings that run at the same time claim memory and GPUs."""
        return self.home / "memory"

    @property
    def searches(self) -> Path:
        """Where the trials of searches are kept, unless conf/search.yaml names a data base."""
        return self.home / "search"

    @property
    def digests(self) -> Digests:
        """The digests of delivered files, kept in the home folder."""
        from recpipe.data.digests import Digests

        return Digests(self.home / "digests.json")

    @property
    def arrivals_folder(self) -> Path:
        """Where further files of ratings are put beside the source."""
        return self.home / Path(self.dataset().arrivals).expanduser()

    def arrivals(self) -> list[str]:
        """The names of the files that arrived beside the source, in order. Raises `BadName`."""
        from recpipe.data.arrivals import arrived

        return [path.name for path in arrived(self.arrivals_folder)]

    @property
    def tracking(self) -> Path:
        """Where TensorBoard, MLflow and Weights & Biases are written to."""
        return self.home / "tracking"

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
        from recpipe.models.catalog import recipe_class

        name, _ = self.recipe_module(model)
        settings = {key: value for key, value in self.model_settings(model).items() if key != "recipe"}
        return parse(recipe_class(name), settings, self.conf / "models" / f"{model}.yaml")

    def recipe_module(self, model: str) -> tuple[str, str]:
        """The name of a model's recipe and the module that it stands in; nothing is imported."""
        from recpipe.models.catalog import recipe_modules

        name, modules = str(self.model_settings(model)["recipe"]), recipe_modules()
        if name not in modules:
            path = self.conf / "models" / f"{model}.yaml"
            raise SettingsError(f"{path}: recipe: no recipe is called {name!r}{nearest(name, modules)}")
        return name, modules[name]

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

    def automation(self) -> AutomationSettings:
        """conf/automation.yaml; the defaults where there is none."""
        path = self.conf / "automation.yaml"
        return parse(AutomationSettings, read_yaml(path) if path.exists() else {}, path)

    def search(self) -> SearchSettings:
        """conf/search.yaml where there is one, with the environment's `RECPIPE_SEARCH_STORAGE` on top."""
        from pydantic import SecretStr

        from recpipe.search.settings import SearchSettings

        path = self.conf / "search.yaml"
        settings = parse(SearchSettings, read_yaml(path) if path.exists() else {}, path)
        self._only_models(settings.spaces, path, "spaces")
        storage = os.environ.get("RECPIPE_SEARCH_STORAGE")
        return settings.model_copy(update={"storage": SecretStr(storage)}) if storage else settings

    def submission_models(self) -> list[str]:
        """What a build makes where nobody names models: the ensemble's members, and the baselines beside them."""
        return sorted({*self.ensemble_members(), *self.run().baselines})

    def models_asked(self, named: Sequence[str]) -> list[str]:
        """Models by name, none twice: the submission's where none is named, every one for `all`."""
        if not named:
            return self.submission_models()
        known = self.model_names()
        if list(named) == ["all"]:
            return known
        for name in named:
            if name not in known:
                raise SettingsError(f"no model {name!r}{nearest(name, known)}")
        return list(dict.fromkeys(named))

    def choose_data(self, source: str) -> None:
        """Remember which data this home folder is about: 'sample' or a path."""
        if source != SAMPLE:
            path = Path(source).expanduser().absolute()
            if not path.exists():
                raise SettingsError(f"--data: {path} does not exist; give a folder, a zip, or 'sample'")
            source = str(path)
        replace_text(self._chosen, yaml.safe_dump({"source": source}))

    def robustness(self) -> RobustnessSettings:
        """The part `robustness` of conf/studies.yaml, its models and splits checked against the files beside it.

        What `choose_for_study` noted and has no YAML any more is left out.
        """
        return self._studies(self._chosen_for_studies(), "robustness").robustness

    def split_trust(self) -> SplitTrustSettings:
        """The part `split_trust`, likewise."""
        return self._studies(self._chosen_for_studies(), "split_trust").split_trust

    def choose_for_study(self, study: str, **choices: list[str]) -> None:
        """Remember, in the home folder, what a study is to look at; what is empty stays as it was."""
        before, new = self._chosen_for_studies(), {name: names for name, names in choices.items() if names}
        chosen = before | {study: before.get(study, {}) | new}
        self._studies(chosen, study)
        replace_text(self._chosen_studies, yaml.safe_dump(chosen))

    def ensemble(self) -> EnsembleSettings:
        """conf/ensemble.yaml, its members and split checked against the files beside it."""
        from recpipe.blending.settings import EnsembleSettings

        path = self.conf / "ensemble.yaml"
        settings = parse(EnsembleSettings, read_yaml(path), path)
        gone = self.removed_members()
        self._only_models([member for member in settings.members if member not in gone], path, "members")
        settings = settings.model_copy(update={"members": tuple(self.ensemble_members())})
        if settings.split not in self.split_names():
            raise SettingsError(
                f"{path}: split: {settings.split!r} is none{nearest(settings.split, self.split_names())}"
            )
        return settings

    def ensemble_members(self) -> list[str]:
        """The members' names, read without the typed settings: what Dagster needs to know at load.

        A member whose YAML was removed after it had been trained is none any more; see `removed_members`.
        """
        gone = self.removed_members()
        return [member for member in self._named_members() if member not in gone]

    def removed_members(self) -> list[str]:
        """Names in ensemble.yaml that were models once: artifacts stand, the YAML is gone. Others are misspelt."""
        models = self.model_names()
        return [
            name
            for name in self._named_members()
            if name not in models and self.store.place("trained_model", name).exists()
        ]

    def ensemble_split(self) -> str:
        """The split on whose validation part the ensemble is chosen, read likewise."""
        return str(read_yaml(self.conf / "ensemble.yaml").get("split", "holdout"))

    def _named_members(self) -> list[str]:
        return list(read_yaml(self.conf / "ensemble.yaml").get("members", []))

    def _only_models(self, named: Iterable[str], path: Path, key: str) -> None:
        models = self.model_names()
        for name in named:
            if name not in models:
                raise SettingsError(f"{path}: {key}: no model {name!r}{nearest(name, models)}")

    def _chosen_for_studies(self) -> dict[str, Any]:
        """What was noted, without what has no YAML any more."""
        known = {"models": self.model_names(), "splits": self.split_names()}
        noted = read_yaml(self._chosen_studies) if self._chosen_studies.exists() else {}
        return {
            study: {kind: [name for name in names if name in known[kind]] for kind, names in choices.items()}
            for study, choices in noted.items()
        }

    def _studies(self, chosen: Mapping[str, Mapping[str, Any]], checked: str) -> StudySettings:
        """conf/studies.yaml, the defaults where there is none, with what was chosen on top; one study is checked."""
        from recpipe.studies.settings import StudySettings

        path = self.conf / "studies.yaml"
        told = parse(StudySettings, read_yaml(path) if path.exists() else {}, path).model_dump()
        if chosen.get(checked):
            path = self._chosen_studies
            told[checked] |= chosen[checked]
        settings = parse(StudySettings, told, path)
        study, splits = getattr(settings, checked), self.split_names()
        self._only_models(study.models, path, f"{checked}.models")
        for split in study.splits:
            if split not in splits:
                raise SettingsError(f"{path}: {checked}.splits: no split {split!r}{nearest(split, splits)}")
        return settings

    @property
    def _chosen(self) -> Path:
        return self.home / "dataset.yaml"

    @property
    def _chosen_studies(self) -> Path:
        return self.home / "studies.yaml"


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
    if not key:  # of several settings together
        return f"{path}: {problem['msg'].removeprefix('Value error, ')}"
    return f"{path}: {key}: {problem['msg'][0].lower()}{problem['msg'][1:]}; {problem['input']!r} came"


def _names(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.yaml"))


def _named(folder: Path, name: str, what: str) -> Path:
    path = folder / f"{name}.yaml"
    if not path.exists():
        raise SettingsError(f"{path} is missing: there is no {what} {name!r}{nearest(name, _names(folder))}")
    return path
