"""The steps of a build called one after the other in one process, without Dagster and without a record of what is
current: what a build's steps are compared with.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from typing import Any

from recpipe.conf_files import RunSettings
from recpipe.lineage import Lineage, Node
from recpipe.settings import Project


def in_turn(project: Project, nodes: list[Node]) -> Iterator[tuple[Node, float]]:
    """Each node with the CPU seconds of its function, what it reads and writes included. Upstream first; the two raw
    tables are one step, that of the first."""
    for node in nodes:
        if node.asset != "raw_items":
            started = time.process_time()
            _make(project, node)
            yield node, time.process_time() - started


def _make(project: Project, node: Node) -> None:
    lineage, (model, _, split) = Lineage(project), (node.partition or "").rpartition("|")
    if node.asset in lineage.sql:
        _table(lineage, node)
        return
    match node.asset:
        case "raw_ratings":
            from recpipe.steps.raw import RawRatings, delivery, raw_items

            found = delivery(project)
            rows = found.ratings()
            sides = raw_items(found.sides(rows))
            _written(project, node, RawRatings(rows))
            _written(project, Node("raw_items"), sides)
        case "interactions":
            from recpipe.steps.prepare import prepare_interactions, validated
            from recpipe.validation.data_docs import write_data_docs

            write_data_docs([validated(project)], project.home / "docs" / "interactions")
            _written(project, node, prepare_interactions(project))
        case "split":
            from recpipe.steps.split import split_interactions, validated
            from recpipe.validation.data_docs import write_data_docs

            prepared = project.store.read("interactions")
            parts = split_interactions(project, split, prepared)
            write_data_docs([validated(project, split, prepared, parts)], project.home / "docs" / "split")
            _written(project, node, parts, parts.summary() | {"digest": parts.digest()})
        case "trained_model":
            _written(project, node, _trained(project, model, split, project.run()))
        case "evaluation_report":
            from recpipe.evaluation.pages import markdown
            from recpipe.steps.evaluate import evaluation_report

            report = evaluation_report(project, model, split)
            _written(project, node, report)
            markdown(report)
        case _:
            from recpipe.steps.evaluate import leaderboard

            board = leaderboard(project, split)
            _written(project, node, board)
            board.markdown()


def _table(lineage: Lineage, node: Node) -> None:
    from recpipe.steps.tables import SqlTable, broken_tests, table_inputs, told_of_arrivals

    project = lineage.project
    artifact = SqlTable(lineage.sql[node.asset], table_inputs(lineage, node), project.run())
    record = _written(project, node, artifact)
    path = project.store.folder(node.asset, node.partition) / f"{node.asset}.parquet"
    assert record and not broken_tests(lineage, node, path)
    told_of_arrivals(lineage, node.asset, path)


def _trained(project: Project, model: str, split: str, settings: RunSettings) -> Any:
    from recpipe.steps.train import train, training_set

    recipe, parts = project.recipe(model), project.store.read("split", split)
    folder = project.checkpoints(f"{model}|{split}") / "bare"
    trained = train(recipe, parts, training_set(project, recipe, parts), settings, None, folder, project.claims)
    shutil.rmtree(folder, ignore_errors=True)
    return trained


def _written(project: Project, node: Node, artifact: Any, figures: dict[str, Any] | None = None) -> Any:
    """A report says which version of its split it is from, and a leaderboard reads it: that alone is noted."""
    split = (node.partition or "").rpartition("|")[2]
    record = project.store.record("split", split) if node.asset == "evaluation_report" else None
    made_from = {f"split[{split}]": record.content} if record else {}
    return project.store.write(node.asset, node.partition, artifact, made_from, figures or {})
