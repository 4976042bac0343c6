"""A project: where its data and settings lie, and each setting as a typed object, checked against what there is."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from recpipe.conf_files import SAMPLE, AutomationSettings, DatasetSettings, RunSettings, StorageSettings
from recpipe.storage import Store, digest_of, replace_text
from recpipe.yaml_files import SettingsError, nearest, parse, read_yaml

if TYPE_CHECKING:
    from recpipe.blending.settings import EnsembleSettings
    from recpipe.data.digests import Digests
    from recpipe.data.splitting import Strategy
    from recpipe.recipe import Recipe
    from recpipe.search.settings import SearchSettings
    from recpipe.studies.settings import RobustnessSettings, SplitTrustSettings, StudySettings

PACKAGE = Path(__file__).parent


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
        told = parse(DatasetSettings, settings, path)  # alone at first: a mistake is not blamed on the other file
        if not self._chosen.exists():
            return told
        return parse(DatasetSettings, settings | read_yaml(self._chosen), self._chosen)

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

    def split_asked(self, named: str) -> str:
        """A split by name; the ensemble's where none is named."""
        known = self.split_names()
        if named and named not in known:
            raise SettingsError(f"--split: {named!r} is none{nearest(named, known)}")
        return named or self.ensemble_split()

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

    def filters_by_year(self) -> bool:
        """Whether the submission leaves out films released after the user's last watch, read likewise."""
        return bool(read_yaml(self.conf / "ensemble.yaml").get("release_year_filter"))

    def _named_members(self) -> list[str]:
        return list(read_yaml(self.conf / "ensemble.yaml").get("members") or [])

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


def _names(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.yaml"))


def _named(folder: Path, name: str, what: str) -> Path:
    path = folder / f"{name}.yaml"
    if not path.exists():
        raise SettingsError(f"{path} is missing: there is no {what} {name!r}{nearest(name, _names(folder))}")
    return path
