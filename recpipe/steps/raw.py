"""Raw data as delivered: read from its layout and kept as Parquet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from recpipe.conf_files import SAMPLE
from recpipe.data.readers import Delivery, RawTables, Rows, recognise
from recpipe.data.readers.arrived import Form
from recpipe.data.sample import write_sample
from recpipe.settings import Project

RATINGS = "raw_ratings.parquet"
ROW_GROUP = 2**20
"""Rows that are collected and written together: as many as Arrow takes of a whole table, so the bytes are the same."""


@dataclass(frozen=True, eq=False)
class Tables:
    """Tables by name, as Parquet files of these names in one folder."""

    tables: Mapping[str, pa.Table]

    def write(self, folder: Path) -> None:
        for name, table in self.tables.items():
            pq.write_table(table, folder / f"{name}.parquet", compression="zstd")

    @classmethod
    def read(cls, folder: Path) -> Self:
        return cls({path.stem: pq.read_table(path) for path in sorted(folder.glob("*.parquet"))})

    @property
    def rows(self) -> dict[str, int]:
        """Rows a table."""
        return {name: table.num_rows for name, table in self.tables.items()}


@dataclass(frozen=True, eq=False)
class RawRatings:
    """Who watched what and when, row by row as delivered; read while it is written, a block at a time."""

    rows: Rows

    def write(self, folder: Path) -> None:
        """`raw_ratings.parquet`. Raises `DamagedFile`."""
        with pq.ParquetWriter(folder / RATINGS, self.rows.schema, compression="zstd") as file:
            waiting: list[pa.RecordBatch] = []
            for batch in self.rows.batches():
                waiting.append(batch)
                while sum(map(len, waiting)) >= ROW_GROUP:
                    together = pa.Table.from_batches(waiting)
                    file.write_table(together.slice(0, ROW_GROUP))
                    waiting = together.slice(ROW_GROUP).to_batches()
            if waiting:
                file.write_table(pa.Table.from_batches(waiting))

    @classmethod
    def read(cls, folder: Path) -> Tables:
        return Tables.read(folder)


def read_raw(project: Project) -> RawTables:
    """The tables of the configured source, in memory."""
    return delivery(project).read()


def delivery(project: Project) -> Delivery:
    """The configured source, recognised; the sample is generated first where it is the source."""
    dataset = project.dataset()
    if dataset.source != SAMPLE:
        return recognise(Path(dataset.source))
    folder = project.home / "raw" / f"sample-{dataset.sample_seed}"
    write_sample(folder, seed=dataset.sample_seed)
    return recognise(folder)


def raw_items(sides: Mapping[str, pa.Table]) -> Tables:
    """What is known of the films: one table a field."""
    return Tables({f"raw_{name}": table for name, table in sides.items()})


def figures(folder: Path) -> dict[str, Any]:
    """Of the ratings in a folder: rows, and what further files have to have in common with them (`Form`)."""
    told = pq.ParquetFile(folder / RATINGS)
    rows, schema = told.metadata.num_rows, told.schema_arrow
    user, item = (str(schema.field(name).type) for name in ("user", "item"))
    rating = schema.get_field_index("rating")
    groups = (told.metadata.row_group(group).column(rating) for group in range(told.num_row_groups))
    rated = sum(column.statistics.null_count for column in groups) < rows
    return {"rows": rows, "raw_ratings": rows, "form": asdict(Form(user, item, rated))}
