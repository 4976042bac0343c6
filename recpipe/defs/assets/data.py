"""From the delivery to splits: raw tables, the tables of dbt_like_sql, interactions, splits."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import dagster as dg

from recpipe.defs.checks import blocking_check, check_result, stop_where_failed
from recpipe.defs.io import Making, output
from recpipe.defs.partitions import ARRIVALS, SPLITS
from recpipe.defs.retrying import retried
from recpipe.lineage import Lineage
from recpipe.settings import Project
from recpipe.storage import Record


@dg.multi_asset(
    outs={
        "raw_ratings": dg.AssetOut(description="Who watched what and when, row by row as delivered."),
        "raw_items": dg.AssetOut(description="Titles, years, genres, directors and writers as delivered."),
    },
    deps=["raw_files"],
    group_name="raw",
    compute_kind="parquet",
)
@retried
def raw(context: dg.AssetExecutionContext) -> Iterator[dg.Output]:
    """Read the configured source; its layout is recognised."""
    from recpipe.steps.raw import RawRatings, delivery, figures, raw_items

    ratings, items = Making(context, "raw_ratings"), Making(context, "raw_items")
    source = {"source": ratings.project.dataset().source}
    found = delivery(ratings.project)
    rows = found.ratings()
    sides = raw_items(found.sides(rows))  # read before anything is staged: either may be damaged
    record = ratings.stage(RawRatings(rows), source)
    told = source | figures(ratings.staged_folder(record))
    yield output(replace(record, figures=told), output_name=ratings.node.asset)
    record = items.stage(sides, source | {"rows": sum(sides.rows.values()), **sides.rows})
    yield output(record, output_name=items.node.asset)


@dg.asset(
    deps=["raw_ratings", "arrived_files"],
    partitions_def=ARRIVALS,
    group_name="raw",
    kinds={"sql", "duckdb", "greatexpectations"},
    check_specs=[blocking_check("arrival_suite", "arrival", "Types, ranges, duplicates of the sound rows.", ARRIVALS)],
)
@retried
def arrival(context: dg.AssetExecutionContext) -> Iterator[dg.Output | dg.AssetCheckResult]:
    """The rows of one further file, judged by the rules of stg_ratings: sound ones, and others with their reason."""
    from recpipe.steps.arrivals import figures, judged_arrival, judged_rows, validated

    making = Making(context)
    record = making.stage(judged_arrival(making.lineage, context.partition_key), {})
    judged = judged_rows(making.staged_folder(record))
    outcome = validated(judged)
    yield check_result(outcome, "arrival_suite", f"arrival-{context.partition_key}")
    stop_where_failed(outcome)
    yield output(replace(record, figures=figures(judged)), views={"dagster/row_count": len(judged)})


def _table(name: str) -> dg.AssetsDefinition:
    """One file of dbt_like_sql as an asset; the tests that belong to the table are its check."""
    lineage = Lineage(Project.here())
    model = lineage.sql[name]
    by_split = lineage.partitioned_by_split(name)
    partitions = SPLITS if by_split else None

    @dg.asset(
        name=name,
        deps=lineage.parents(name),
        partitions_def=partitions,
        group_name=model.group,
        kinds={"sql", "duckdb"},
        description=f"{model.description.removeprefix('-- ')}\n\n```sql\n{model.sql}\n```",
        check_specs=[blocking_check("sql_tests", name, "Queries of tests/ that must return no row.", partitions)],
    )
    @retried
    def table(context: dg.AssetExecutionContext) -> Iterator[dg.Output | dg.AssetCheckResult]:
        from recpipe.steps.tables import SqlTable, broken_tests, table_inputs, table_rows, told_of_arrivals

        making = Making(context)
        inputs = table_inputs(making.lineage, making.node)
        artifact = SqlTable(making.lineage.sql[name], inputs, making.project.run())
        record = making.stage(artifact, {})
        path = making.staged_folder(record) / f"{name}.parquet"
        broken = broken_tests(making.lineage, making.node, path)
        yield dg.AssetCheckResult(
            check_name="sql_tests",
            passed=not broken,
            metadata={test.test.name: dg.MetadataValue.json({"rows": test.rows, "sample": str(test.sample)})
                      for test in broken},
        )  # fmt: skip
        if broken:
            making.discard(record)
            raise dg.Failure("; ".join(f"{test.test.description}: {test.rows} rows" for test in broken))
        figures, notes = told_of_arrivals(making.lineage, name, path)
        yield output(replace(record, figures=figures, notes=notes), views={"dagster/row_count": table_rows(path)})

    return table


@cache
def tables() -> tuple[dg.AssetsDefinition, ...]:
    """All tables of dbt_like_sql."""
    return tuple(_table(name) for name in Lineage(Project.here()).sql)


@dg.asset(
    deps=["accepted_ratings", "rejected_ratings"],
    group_name="core",
    kinds={"numpy", "greatexpectations"},
    check_specs=[blocking_check("interactions_suite", "interactions", "Types, ranges, duplicates, volume.")],
)
@retried
def interactions(context: dg.AssetExecutionContext) -> Iterator[dg.Output | dg.AssetCheckResult]:
    """Who watched what, validated, filtered and numbered. Rejected rows lie apart in `rejected_ratings`."""
    from recpipe.steps.prepare import accepted_ratings, prepare_interactions, rejected_by_reason, validated
    from recpipe.validation.interactions import volume_of

    making = Making(context)
    outcome = validated(making.project)
    yield check_result(outcome, "interactions_suite", "interactions")
    stop_where_failed(outcome)
    prepared = prepare_interactions(making.project)
    figures = {
        "users": prepared.ids.n_users,
        "films": prepared.ids.n_items,
        "events": len(prepared.interactions),
        "source": making.project.dataset().source,
        "accepted": volume_of(accepted_ratings(making.project)),
        "counts": prepared.counts,
        "rejected": rejected_by_reason(making.project),
    }
    yield making.output(prepared, figures)


@dg.asset(deps=["interactions", "item_features"], group_name="core", kinds={"numpy", "matplotlib"})
@retried
def data_report(context: dg.AssetExecutionContext) -> dg.Output[Record]:
    """Look at the data first: long tail, sessions, drift, side data, years, and what they mean for the split."""
    from recpipe.profiling.pages import markdown
    from recpipe.steps.data_report import data_report, figures

    making = Making(context)
    report = data_report(making.project)
    return making.output(report, figures(report), report=dg.MetadataValue.md(markdown(report)))


@dg.asset(
    partitions_def=SPLITS,
    deps=["split_settings"],
    group_name="splits",
    kinds={"numpy", "greatexpectations"},
    check_specs=[blocking_check("split_integrity", "split", "No leak, nothing lost, the order promised.", SPLITS)],
)
@retried
def split(context: dg.AssetExecutionContext, interactions: Any) -> Iterator[dg.Output | dg.AssetCheckResult]:
    """Which events models learn from and which they must find; published only where the integrity suite passes."""
    from recpipe.steps.split import split_interactions, validated

    making = Making(context)
    name = context.partition_key
    parts = split_interactions(making.project, name, interactions)
    outcome = validated(making.project, name, interactions, parts)
    yield check_result(outcome, "split_integrity", f"split-{name}")
    stop_where_failed(outcome)
    yield making.output(parts, parts.summary() | {"digest": parts.digest()})
