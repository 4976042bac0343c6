"""What is made from what: for every artifact the versions of its inputs now, and so whether it is current.

An artifact's record keeps the versions that it was made from. It is current where these equal the versions of now:
settings and code by digest, upstream artifacts by the digest of their content. Only records and settings are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from recpipe.settings import Project
from recpipe.sql_models import SqlModel, models_as_they_stand, sql_folder, upstream
from recpipe.storage import Record, artifact_name, digest_of
from recpipe.versions import code_version, declares, defaults
from recpipe.yaml_files import SettingsError, read_yaml

FULL = "full"
"""The split on which everything trains: what the submission's members are refitted on."""

UNPARTITIONED = frozenset({"raw_ratings", "raw_items", "interactions", "data_report", "ensemble", "ensemble_submission",
                           "robustness_report", "split_trust_report"})  # fmt: skip
BY_SPLIT = frozenset({"split", "leaderboard", "comparison"})
BY_MODEL = frozenset({"trained_model", "evaluation_report", "model_search"})
"""The assets of the line beside the tables of SQL, by their partitions: none, a split, a model and a split."""
ARRIVAL = "arrival"
ARRIVED = "arrived_ratings"
"""In SQL: the rows of all arrivals, the files that came after the source."""
ENGINES = {"duckdb": "recpipe.warehouse", "spark": "recpipe.spark_warehouse"}
"""The module that runs dbt_like_sql, by the name of run.yaml's `sql_engine`."""

Versions = dict[str, str | None]


@dataclass(frozen=True, order=True)
class Node:
    """One artifact of the line: an asset, and its partition where it has them."""

    asset: str
    partition: str | None = None

    def __str__(self) -> str:
        return artifact_name(self.asset, self.partition)


class Standing(StrEnum):
    CURRENT = "current"
    STALE = "stale"
    MISSING = "missing"


@dataclass(frozen=True)
class State:
    """How an artifact stands, and why: the names of inputs that changed or are missing."""

    node: Node
    standing: Standing
    why: tuple[str, ...] = ()


def arrival_node(name: str) -> Node:
    """The reading of one file that arrived, by its name."""
    return Node("arrival", name)


def model_node(model: str, split: str, asset: str = "trained_model") -> Node:
    return Node(asset, f"{model}|{split}")


@dataclass(frozen=True)
class Lineage:
    """The line of one project."""

    project: Project

    def state(self, node: Node) -> State:
        """Missing, stale (with the inputs that changed since) or current. Raises `SettingsError`."""
        record = self.project.store.record(node.asset, node.partition)
        if record is None:
            return State(node, Standing.MISSING)
        now = self.versions(node)
        changed = [name for name in sorted(now.keys() | record.made_from.keys())
                   if now.get(name) != record.made_from.get(name)]  # fmt: skip
        return State(node, Standing.STALE if changed else Standing.CURRENT, tuple(changed))

    def versions(self, node: Node) -> Versions:
        """The versions of now of everything that goes into an artifact, by name; None where an input is missing."""
        found: Versions = {}
        for needed in self.upstream(node):
            record = self._record(needed)
            found[str(needed)] = None if record is None else _seen_by(node, record)
        return found | self._own_versions(node)

    def upstream(self, node: Node) -> list[Node]:
        """The artifacts that go into this one, by the settings of now."""
        if node.asset in self.sql:
            tables = [self._table(name, node.partition) for name in self.sql[node.asset].tables if name != ARRIVED]
            return [*tables, *(self.arrivals_taken_in() if self.joins_arrivals(node.asset) else [])]
        model, _, split = (node.partition or "").rpartition("|")
        match node.asset:
            case "raw_ratings" | "raw_items":
                return []
            case "arrival":
                return [Node("raw_ratings")]
            case "interactions":
                return [Node("accepted_ratings")]
            case "data_report":
                return [Node("interactions"), Node("item_features")]
            case "split":
                return [Node("interactions")]
            case "trained_model" | "model_search":
                first = [Node("split", split)]
                return [*first, *self._side_data(model)]
            case "evaluation_report":
                return [model_node(model, split), Node("split", split)]
            case "leaderboard":
                reports = [model_node(name, node.partition or "", "evaluation_report")
                           for name in self.project.model_names()]  # fmt: skip
                return [report for report in reports if self._record(report)]
            case "comparison":
                board = Node("leaderboard", node.partition)
                return [board, *self.upstream(board)]
            case "robustness_report":
                settings = self.project.robustness()
                return [model_node(name, on, "evaluation_report") for name in settings.models for on in settings.splits]
            case "split_trust_report":
                side_data = {
                    each: None for model in self.project.split_trust().models for each in self._side_data(model)
                }
                return list(dict.fromkeys([Node("interactions"), *side_data]))
            case "ensemble":
                split = self.project.ensemble_split()
                members = [model_node(name, split) for name in self.project.ensemble_members()]
                years = [Node("item_features"), Node("interactions")] if self.project.filters_by_year() else []
                return [Node("split", split), *years, *members]
            case "ensemble_submission":
                members = [model_node(name, FULL) for name in self.used_members()]
                return [Node("ensemble"), Node("split", FULL), Node("interactions"), Node("item_features"), *members]
        raise KeyError(f"there is no asset {node.asset!r}")

    def used_members(self) -> list[str]:
        """The members that the current ensemble gives weight to; all configured ones where there is no ensemble.

        One whose YAML has gone since is none any more.
        """
        record = self._record(Node("ensemble"))
        used = list(record.figures["used"]) if record else self.project.ensemble_members()
        return [member for member in used if member in self.project.model_names()]

    def line_to(self, node: Node) -> list[Node]:
        """An artifact and everything that it needs, upstream first; nothing beyond what has unusable settings."""
        seen: dict[Node, None] = {}

        def visit(current: Node) -> None:
            if current in seen:
                return
            for needed in self.needs_if_readable(current):
                visit(needed)
            seen[current] = None

        visit(node)
        return list(seen)

    def needs(self, node: Node) -> list[Node]:
        """What is made before an artifact: what goes into it, the training that a refit repeats, arrivals to judge."""
        return [*self.upstream(node), *self._made_before(node)]

    def needs_if_readable(self, node: Node) -> list[Node]:
        """As `needs`; nothing where settings cannot be used, which `state` tells."""
        try:
            return self.needs(node)
        except SettingsError:
            return []

    def has(self, node: Node) -> bool:
        """Whether an artifact is of this line: its asset is known, its model and its split have their YAML."""
        if node.asset in self.sql:
            by_split = self.partitioned_by_split(node.asset)
            return node.partition in self.project.split_names() if by_split else node.partition is None
        if node.asset in UNPARTITIONED:
            return node.partition is None
        if node.asset == ARRIVAL:
            return node.partition in self.project.arrivals()
        model, _, split = (node.partition or "").rpartition("|")
        if node.asset in BY_MODEL and model not in self.project.model_names():
            return False
        return node.asset in BY_MODEL | BY_SPLIT and split in self.project.split_names()

    def arrivals(self) -> dict[str, str]:
        """The digest of every arrival that is there, by name, in order; a file that has not changed is not read."""
        folder = self.project.arrivals_folder
        found = {name: self._arrival_digest(folder, name) for name in self.project.arrivals()}
        return {name: digest for name, digest in found.items() if digest is not None}

    def arrivals_taken_in(self) -> list[Node]:
        """The arrivals that can stand behind the source now: each in its last good version, if of the source's form."""
        raw = self._record(Node("raw_ratings"))
        found = []
        for node in map(arrival_node, self.project.arrivals()):
            record = self._record(node)
            if raw and record and record.made_from.get("raw_ratings") == _seen_by(node, raw):
                found.append(node)
        return found

    def arrivals_not_read(self) -> dict[str, Standing]:
        """The arrivals that are not read as they stand now: stale, or missing where no version of them was good."""
        raw, folder = self._record(Node("raw_ratings")), self.project.arrivals_folder
        shared = self._judging_versions() | ({"raw_ratings": _seen_by(arrival_node(""), raw)} if raw else {})
        found = {}
        for name in self.project.arrivals():  # like `state`, with what all have in common looked up once
            record = self._record(arrival_node(name))
            if record is None:
                found[name] = Standing.MISSING
            elif record.made_from != shared | {"source": self._arrival_digest(folder, name)}:
                found[name] = Standing.STALE
        return found

    def parents(self, table: str) -> list[str]:
        """The assets that a table of dbt_like_sql reads, `arrival` among them whether or not any has come."""
        names = self.sql[table].tables
        return sorted({"arrival" if name == ARRIVED else self._table(name, FULL).asset for name in names})

    def joins_arrivals(self, table: str) -> bool:
        """Whether a table of dbt_like_sql reads the rows of the arrivals."""
        return ARRIVED in self.sql[table].tables

    def best_epoch(self, model: str) -> int | None:
        """How many epochs a refit on all the data learns: what validation found on the ensemble's split."""
        record = self._record(model_node(model, self.project.ensemble_split()))
        return None if record is None else record.figures.get("best_epoch")

    @property
    def sql(self) -> dict[str, SqlModel]:
        """The tables of dbt_like_sql by name, each after everything that it reads."""
        return models_as_they_stand(sql_folder())

    def partitioned_by_split(self, table: str) -> bool:
        """Whether a table is computed inside a split: it reads its training part, or a table that does."""
        return "train" in upstream(self.sql, table)

    def _table(self, name: str, split: str | None) -> Node:
        """Which artifact a table name in SQL stands for."""
        if name in self.sql:
            return Node(name, split if self.partitioned_by_split(name) else None)
        if name == "train":
            return Node("split", split)
        return Node("raw_ratings" if name == "raw_ratings" else "raw_items")

    def _side_data(self, model: str) -> Iterator[Node]:
        if self.project.dataset().features and self.uses_features(model):
            yield Node("item_features")
            yield Node("interactions")

    def uses_features(self, model: str) -> bool:
        """Whether a model's recipe declares that it looks at side data."""
        from recpipe.models.catalog import class_name

        name, module = self.project.recipe_module(model)
        return declares(module, class_name(name), "uses_features")

    def _made_before(self, node: Node) -> list[Node]:
        """What is made first although its content does not go in: an artifact goes on without an arrival that fails."""
        if node.asset in self.sql and self.joins_arrivals(node.asset):
            return [arrival_node(name) for name in self.project.arrivals()]
        model, _, split = (node.partition or "").rpartition("|")
        if node.asset == "trained_model" and split == FULL:
            return [model_node(model, self.project.ensemble_split())]
        return []

    def _own_versions(self, node: Node) -> Versions:
        """Settings and code that go into an artifact."""
        if node.asset in self.sql:
            return self._table_versions(node.asset)
        model, _, split = (node.partition or "").rpartition("|")
        dataset = self.project.dataset()
        match node.asset:
            case "raw_ratings" | "raw_items":
                return {"source": self.source_version(), "code": code_version("recpipe.steps.raw")}
            case "arrival":
                source = self._arrival_digest(self.project.arrivals_folder, node.partition or "")
                return self._judging_versions() | {"source": source}
            case "interactions":
                return {
                    "settings": digest_of(dataset.preparation.model_dump(mode="json")),
                    "code": code_version("recpipe.steps.prepare"),
                }
            case "data_report":
                return {"code": code_version("recpipe.steps.data_report")}
            case "split":
                settings = self.project.split_settings(node.partition or "")
                return {"settings": digest_of(settings), "code": code_version("recpipe.steps.split")}
            case "trained_model":
                return self._model_versions(model, split)
            case "model_search":
                return self._search_versions(model)
            case "evaluation_report":
                return {"code": code_version("recpipe.steps.evaluate")}
            case "leaderboard":
                return {"metric": self.project.run().metric, "code": code_version("recpipe.evaluation.leaderboard")}
            case "comparison":
                return {"metric": self.project.run().metric, "code": code_version("recpipe.studies.comparison")}
            case "robustness_report":
                code = code_version("recpipe.studies.robustness_report")
                settings = self.project.robustness().model_dump(mode="json")
                return {"settings": digest_of(settings), "metric": self.project.run().metric, "code": code}
            case "split_trust_report":
                return self._split_trust_versions()
            case "ensemble":
                settings = read_yaml(self.project.conf / "ensemble.yaml")
                return {"settings": digest_of(settings), "code": code_version("recpipe.steps.ensemble")}
            case "ensemble_submission":
                settings = read_yaml(self.project.conf / "ensemble.yaml")
                return {"settings": digest_of(settings), "code": code_version("recpipe.steps.submit")}
        raise KeyError(f"there is no asset {node.asset!r}")

    def _table_versions(self, table: str) -> Versions:
        engine = ENGINES[self.project.run().sql_engine]
        versions: Versions = {"sql": self.sql[table].digest, "code": code_version(engine)}
        if self.joins_arrivals(table):
            versions["code"] = code_version(engine, "recpipe.data.joining")
            not_read = self.arrivals_not_read()  # a version of its own, so that its notes say what holds now
            versions["arrivals not read"] = ", ".join(f"{name} {how}" for name, how in not_read.items()) or None
        return versions

    def _judging_versions(self) -> Versions:
        """What goes into every arrival: the rules of a row and the code that reads it."""
        return {"sql": self.sql["stg_ratings"].digest, "code": code_version("recpipe.steps.arrivals")}

    def _arrival_digest(self, folder: Path, name: str) -> str | None:
        from recpipe.data.readers.files import DataFile

        if not (folder / name).is_file():
            return None
        return self.project.digests.of(DataFile(folder, name))

    def _model_versions(self, model: str, split: str) -> Versions:
        versions: Versions = {
            "settings": self._settings_version(model),
            "code": self.recipe_code(model, "recpipe.steps.train"),
        }
        if split == FULL:
            versions["epochs"] = str(self.best_epoch(model))
        return versions

    def _split_trust_versions(self) -> Versions:
        """The study trains by itself: its models and its splits are settings to it."""
        settings = self.project.split_trust()
        models = {f"model {model}": digest_of(self._model_versions(model, "")) for model in settings.models}
        splits = {f"split {split}": digest_of(self.project.split_settings(split)) for split in settings.splits}
        code = code_version("recpipe.steps.split_trust")
        return {"settings": digest_of(settings.model_dump(mode="json")), "code": code, **models, **splits}

    def _search_versions(self, model: str) -> Versions:
        """What a search starts from; how long it went on is no version."""
        own = self.project.search().spaces.get(model)
        return {
            "settings": self._settings_version(model),
            "space": None if own is None else digest_of({name: str(each) for name, each in own.items()}),
            "code": self.recipe_code(model, "recpipe.steps.search"),
        }

    def recipe_code(self, model: str, *modules: str) -> str:
        """The version of a model's recipe, of its members, and of these modules."""
        _, module = self.project.recipe_module(model)
        return code_version(module, *modules, *self._member_modules(self._settings(model)))

    def _settings_version(self, model: str) -> str:
        """Of a model's settings, its defaults written out, and of what a run chooses."""
        return digest_of(self._settings(model) | {"run": self.project.run().choices})

    def _settings(self, model: str) -> dict[str, Any]:
        from recpipe.models.catalog import class_name

        name, module = self.project.recipe_module(model)
        return defaults(module, class_name(name)) | self.project.model_settings(model)

    def _member_modules(self, settings: Mapping[str, Any]) -> list[str]:
        """The modules of the recipes that a recipe names as its members: it imports them by these names alone."""
        from recpipe.models.catalog import recipe_modules

        known, members = recipe_modules(), settings.get("members")
        if not isinstance(members, Mapping):  # none, or what the recipe itself refuses
            return []
        named = {member.get("recipe") for member in members.values() if isinstance(member, Mapping)}
        return sorted(known[name] for name in named if name in known)

    def source_version(self) -> str:
        """The version of the raw data: the sample's seed and code, or the content of the files."""
        from recpipe.conf_files import SAMPLE

        dataset = self.project.dataset()
        if dataset.source == SAMPLE:
            return digest_of({"sample": dataset.sample_seed, "code": code_version("recpipe.data.sample")})
        from recpipe.data.readers import source_digest

        return source_digest(Path(dataset.source), self.project.digests.of)

    def _record(self, node: Node) -> Record | None:
        return self.project.store.record(node.asset, node.partition)


def _seen_by(node: Node, needed: Record) -> str:
    """The version of an input: its content; to an arrival just the form of the source's ratings counts."""
    return digest_of(needed.figures.get("form")) if node.asset == "arrival" else needed.content
