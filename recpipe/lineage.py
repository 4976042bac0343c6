"""What is made from what: for every artifact the versions of its inputs now, and so whether it is current.

An artifact's record keeps the versions that it was made from. It is current where these equal the versions of now:
settings and code by digest, upstream artifacts by the digest of their content. Only records and settings are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from recpipe.settings import Project, read_yaml
from recpipe.sql_models import SqlModel, models, sql_folder, upstream
from recpipe.storage import Record, artifact_name, digest_of
from recpipe.versions import code_version

FULL = "full"
"""The split on which everything trains: what the submission's members are refitted on."""

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


def model_node(model: str, split: str, asset: str = "trained_model") -> Node:
    return Node(asset, f"{model}|{split}")


@dataclass(frozen=True)
class Lineage:
    """The line of one project."""

    project: Project

    def state(self, node: Node) -> State:
        """Missing, stale (with the inputs that changed since) or current."""
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
            found[str(needed)] = None if record is None else record.content
        return found | self._own_versions(node)

    def upstream(self, node: Node) -> list[Node]:
        """The artifacts that go into this one, by the settings of now."""
        if node.asset in self.sql:
            return [self._table(name, node.partition) for name in self.sql[node.asset].tables]
        model, _, split = (node.partition or "").rpartition("|")
        match node.asset:
            case "raw_ratings" | "raw_items":
                return []
            case "interactions":
                return [Node("accepted_ratings")]
            case "split":
                return [Node("interactions")]
            case "trained_model":
                first = [Node("split", split)]
                return [*first, *self._side_data(model)]
            case "evaluation_report":
                return [model_node(model, split), Node("split", split)]
            case "leaderboard":
                reports = [model_node(name, node.partition or "", "evaluation_report")
                           for name in self.project.model_names()]  # fmt: skip
                return [report for report in reports if self._record(report)]
            case "ensemble":
                split = self.project.ensemble_split()
                members = [model_node(name, split) for name in self.project.ensemble_members()]
                return [Node("split", split), *members]
            case "ensemble_submission":
                members = [model_node(name, FULL) for name in self.used_members()]
                return [Node("ensemble"), Node("split", FULL), Node("interactions"), Node("item_features"), *members]
        raise KeyError(f"there is no asset {node.asset!r}")

    def used_members(self) -> list[str]:
        """The members that the current ensemble gives weight to; all configured ones where there is no ensemble."""
        record = self._record(Node("ensemble"))
        return list(record.figures["used"]) if record else self.project.ensemble_members()

    def needs(self, node: Node) -> list[Node]:
        """What must have been made first: upstream, and for a refit the training that finds its epochs."""
        return [*self.upstream(node), *self._refit_needs(node)]

    def line_to(self, node: Node) -> list[Node]:
        """An artifact and everything that it needs, upstream first."""
        seen: dict[Node, None] = {}

        def visit(current: Node) -> None:
            if current in seen:
                return
            for needed in self.needs(current):
                visit(needed)
            seen[current] = None

        visit(node)
        return list(seen)

    def best_epoch(self, model: str) -> int | None:
        """How many epochs a refit on all the data learns: what validation found on the ensemble's split."""
        record = self._record(model_node(model, self.project.ensemble_split()))
        return None if record is None else record.figures.get("best_epoch")

    @property
    def sql(self) -> dict[str, SqlModel]:
        """The tables of dbt_like_sql by name, each after everything that it reads."""
        folder = sql_folder()
        files = tuple((path, path.stat().st_mtime_ns) for path in sorted(folder.glob("*/*.sql")))
        return _sql_models(folder, files)

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
        from recpipe.models.catalog import recipe_modules
        from recpipe.versions import declares

        return declares(recipe_modules()[self.project.model_settings(model)["recipe"]], "uses_features")

    def _refit_needs(self, node: Node) -> list[Node]:
        model, _, split = (node.partition or "").rpartition("|")
        if node.asset == "trained_model" and split == FULL:
            return [model_node(model, self.project.ensemble_split())]
        return []

    def _own_versions(self, node: Node) -> Versions:
        """Settings and code that go into an artifact."""
        if node.asset in self.sql:
            engine = ENGINES[self.project.run().sql_engine]
            return {"sql": self.sql[node.asset].digest, "code": code_version(engine)}
        model, _, split = (node.partition or "").rpartition("|")
        dataset = self.project.dataset()
        match node.asset:
            case "raw_ratings" | "raw_items":
                return {"source": self.source_version(), "code": code_version("recpipe.steps.raw")}
            case "interactions":
                return {"settings": digest_of(dataset.preparation), "code": code_version("recpipe.steps.prepare")}
            case "split":
                settings = self.project.split_settings(node.partition or "")
                return {"settings": digest_of(settings), "code": code_version("recpipe.steps.split")}
            case "trained_model":
                return self._model_versions(model, split)
            case "evaluation_report":
                return {"code": code_version("recpipe.steps.evaluate")}
            case "leaderboard":
                return {"metric": self.project.run().metric, "code": code_version("recpipe.evaluation.leaderboard")}
            case "ensemble":
                settings = read_yaml(self.project.conf / "ensemble.yaml")
                return {"settings": digest_of(settings), "code": code_version("recpipe.steps.ensemble")}
            case "ensemble_submission":
                settings = read_yaml(self.project.conf / "ensemble.yaml")
                return {"settings": digest_of(settings), "code": code_version("recpipe.steps.submit")}
        raise KeyError(f"there is no asset {node.asset!r}")

    def _model_versions(self, model: str, split: str) -> Versions:
        from recpipe.models.catalog import recipe_modules

        settings = self.project.model_settings(model)
        module = recipe_modules()[settings["recipe"]]
        versions: Versions = {
            "settings": digest_of(settings | {"run": self.project.run().choices}),
            "code": code_version(module, "recpipe.steps.train"),
        }
        if split == FULL:
            versions["epochs"] = str(self.best_epoch(model))
        return versions

    def source_version(self) -> str:
        """The version of the raw data: the sample's seed and code, or the content of the files."""
        from recpipe.settings import SAMPLE

        dataset = self.project.dataset()
        if dataset.source == SAMPLE:
            return digest_of({"sample": dataset.sample_seed, "code": code_version("recpipe.data.sample")})
        from recpipe.data.readers import source_digest

        return source_digest(Path(dataset.source))

    def _record(self, node: Node) -> Record | None:
        return self.project.store.record(node.asset, node.partition)


@cache
def _sql_models(folder: Path, files: tuple[tuple[Path, int], ...]) -> dict[str, SqlModel]:
    """Parsed anew only where a file has changed."""
    return models(folder)
