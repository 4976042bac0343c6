"""What dbt_like_sql says: a file is a table, and what it reads is found by parsing it. Light: loads sqlglot alone."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlglot import exp

TESTS = "tests"
INPUTS = {
    "raw_ratings": ("user", "item", "rating", "time"),
    "raw_titles": ("item", "title"),
    "raw_years": ("item", "year"),
    "raw_genres": ("item", "genre"),
    "raw_directors": ("item", "director"),
    "raw_writers": ("item", "writer"),
    "arrived_ratings": ("line", "user", "item", "rating", "time", "reason"),
    "train": ("user", "item", "time"),
}
"""The tables that no model makes, with their columns.

Ids are raw, and of one type in all of them: whole numbers or text. raw_ratings: in the order of delivery; time in unix
seconds, rating null where the data has none. Side tables: one value a row. arrived_ratings: the rows of all arrivals as
stg_ratings has them, in order, lines going on behind the source's. train: the training part of a split, sorted by user,
each user's events in time order.
"""


class SqlError(ValueError):
    """A file of dbt_like_sql is wrong, or cannot run on what it was given. The message names the file."""


@dataclass(frozen=True)
class SqlModel:
    """One file of SQL: a table, or a test that must return no row.

    name: the file's, and the table's. group: its folder. description: the first line; of a table, what one row is.
    dependencies: models that it reads. inputs: names of `INPUTS` that it reads. parameters: the `$names` it wants.
    digest: sha256 over the SQL's tokens, the version of the model: comments and white space change nothing.
    """

    name: str
    group: str
    path: Path
    sql: str
    description: str
    dependencies: tuple[str, ...]
    inputs: tuple[str, ...]
    parameters: tuple[str, ...]
    digest: str

    @property
    def tables(self) -> tuple[str, ...]:
        """Everything that it reads."""
        return self.dependencies + self.inputs


def sql_folder() -> Path:
    """Where the SQL lies: `RECPIPE_SQL`, or dbt_like_sql in the checkout that recpipe was installed from."""
    override = os.environ.get("RECPIPE_SQL")
    folder = Path(override) if override else Path(__file__).parents[1] / "dbt_like_sql"
    if not folder.is_dir():
        said_by = "RECPIPE_SQL names it" if override else "it belongs beside the package"
        raise SqlError(
            f"no folder of SQL models at {folder} ({said_by}): "
            "install recpipe from a checkout with `pip install -e .`, or set RECPIPE_SQL to a dbt_like_sql folder"
        )
    return folder


def models(folder: Path) -> dict[str, SqlModel]:
    """The tables of all subfolders but tests/, by name, each after everything that it reads.

    Raises `SqlError` on a cycle, an unknown table, a name used twice, no `order by`, and whatever is no single query.
    """
    paths = sorted(path for path in folder.glob("*/*.sql") if path.parent.name != TESTS)
    if not paths:
        raise SqlError(f"{folder}: no SQL models; wanted are files such as {folder / 'staging' / 'stg_ratings.sql'}")
    by_name: dict[str, Path] = {}
    for path in paths:
        if path.stem in by_name or path.stem in INPUTS:
            taken_by = by_name.get(path.stem, "a table that is handed in")
            raise SqlError(f"{path}: the name {path.stem} is taken by {taken_by}; rename the file")
        by_name[path.stem] = path
    found = {name: _parsed(path, by_name, ordered=True) for name, path in by_name.items()}
    return {name: found[name] for name in _order(found)}


def models_as_they_stand(folder: Path) -> dict[str, SqlModel]:
    """`models`, parsed anew only where a file came, went or changed since the last call."""
    return _parsed_once(folder, tuple(_files(folder)))


def table_tests(folder: Path, models: Mapping[str, SqlModel]) -> dict[str, SqlModel]:
    """The tests of tests/, by name: queries over these models that must return no row."""
    return {path.stem: _parsed(path, models) for path in sorted((folder / TESTS).glob("*.sql"))}


def assigned_tests(models: Mapping[str, SqlModel], tests: Mapping[str, SqlModel]) -> dict[str, list[SqlModel]]:
    """The tests of each model: a test belongs to the last model that it reads, in the order of `models`."""
    places = {name: place for place, name in enumerate(models)}
    found: dict[str, list[SqlModel]] = {name: [] for name in models}
    for test in tests.values():
        if not test.dependencies:
            raise SqlError(f"{test.path}: a test reads at least one model, this one none")
        found[max(test.dependencies, key=places.__getitem__)].append(test)
    return found


def upstream(models: Mapping[str, SqlModel], name: str) -> frozenset[str]:
    """All that a model is made from, directly or not, inputs included; with "train" among it, it belongs to a split."""
    model = models[name]
    return frozenset(model.tables).union(*(upstream(models, dependency) for dependency in model.dependencies))


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    """Path and time of the last change of every file; asked for at every look at a table, so not by a glob."""
    for subfolder in sorted(entry.path for entry in os.scandir(folder) if entry.is_dir()):
        yield from sorted((file.path, file.stat().st_mtime_ns) for file in os.scandir(subfolder)
                          if file.name.endswith(".sql"))  # fmt: skip


@cache
def _parsed_once(folder: Path, files: tuple[tuple[str, int], ...]) -> dict[str, SqlModel]:
    return models(folder)


def _parsed(path: Path, known: Collection[str], ordered: bool = False) -> SqlModel:
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    sql = path.read_text(encoding="utf-8").strip()
    first, _, _ = sql.partition("\n")
    if not first.startswith("-- "):
        raise SqlError(f"{path}: the first line must be a comment that says what one row is, but it is: {first}")
    try:
        statements = sqlglot.parse(sql, read="duckdb")
        tokens = sqlglot.tokenize(sql, read="duckdb")
    except SqlglotError as error:
        raise SqlError(f"{path}: {error}") from error
    query = statements[0]
    if not isinstance(query, exp.Query) or any(token.token_type.name == "SEMICOLON" for token in tokens):
        raise SqlError(f"{path}: wanted is one query (`select …` or `with … select …`) and no semicolon")
    if ordered and not query.args.get("order"):
        raise SqlError(f"{path}: no `order by` at the end; without it the order of the rows is left to chance")
    reads = _tables(path, query, known)
    # the kind of token beside its text, since a word is not the same as that word in quotes
    words = [f"{token.token_type.name} {token.text}" for token in tokens]
    return SqlModel(
        name=path.stem,
        group=path.parent.name,
        path=path,
        sql=sql,
        description=first.removeprefix("-- "),
        dependencies=tuple(sorted(reads - INPUTS.keys())),
        inputs=tuple(sorted(reads & INPUTS.keys())),
        parameters=tuple(sorted({parameter.name for parameter in query.find_all(exp.Placeholder)})),
        digest=hashlib.sha256("\n".join(words).encode()).hexdigest(),
    )


def _tables(path: Path, query: exp.Query, known: Collection[str]) -> set[str]:
    from sqlglot import exp

    steps = {step.alias for step in query.find_all(exp.CTE)}
    if shadowing := sorted(step for step in steps if step in known or step in INPUTS):
        raise SqlError(f"{path}: the step {shadowing[0]} has the name of a table; rename the step")
    reads = set()
    for table in query.find_all(exp.Table):
        if not isinstance(table.this, exp.Identifier) or table.args.get("db"):
            raise SqlError(f"{path}: reads {table.sql(dialect='duckdb')}, wanted is the name of a model or of an input")
        if table.name in steps:
            continue
        if table.name not in known and table.name not in INPUTS:
            there_are = ", ".join([*sorted(known), *INPUTS])
            raise SqlError(f"{path}: there is no table {table.name}; there are: {there_are}")
        reads.add(table.name)
    return reads


def _order(found: Mapping[str, SqlModel]) -> list[str]:
    try:
        return list(TopologicalSorter({name: model.dependencies for name, model in found.items()}).static_order())
    except CycleError as error:
        circle = " reads ".join(str(found[name].path) for name in reversed(error.args[1]))
        raise SqlError(f"models read each other in a circle: {circle}") from error
