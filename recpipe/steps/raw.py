"""Raw data as delivered: read once from its layout and kept as Parquet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from recpipe.conf_files import SAMPLE
from recpipe.data.readers import RawTables, read
from recpipe.data.readers.arrived import Form
from recpipe.data.sample import write_sample
from recpipe.settings import Project

SIDE_TABLES = ("titles", "years", "genres", "directors", "writers")


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


def read_raw(project: Project) -> RawTables:
    """The tables of the configured source; the sample is generated first where it is the source."""
    dataset = project.dataset()
    if dataset.source != SAMPLE:
        return read(Path(dataset.source))
    folder = project.home / "raw" / f"sample-{dataset.sample_seed}"
    write_sample(folder, seed=dataset.sample_seed)
    return read(folder)


def raw_ratings(tables: RawTables) -> Tables:
    """Who watched what and when, row by row as delivered."""
    return Tables({"raw_ratings": tables.ratings})


def form_of(tables: RawTables) -> dict[str, Any]:
    """What further files have to have in common with these, for the record: the fields of `Form`."""
    return asdict(Form.of(tables.ratings))


def raw_items(tables: RawTables) -> Tables:
    """What is known of the films: one table a field."""
    return Tables({f"raw_{name}": getattr(tables, name) for name in SIDE_TABLES})
