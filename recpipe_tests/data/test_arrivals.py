"""Files that arrive beside the source: which ones count, and how one is read."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recpipe.data.archives import BadArchive
from recpipe.data.arrivals import BadName, arrived
from recpipe.data.readers import DamagedFile
from recpipe.data.readers.arrived import Form, read_arrived
from recpipe.data.readers.files import DataFile

NUMBERS = Form("int64", "int64", rated=False)
RATED = Form("int64", "int64", rated=True)
WORDS = Form("string", "string", rated=False)
EVENTS = "user,item,time\n1,10,1300000000\n2,20,1300000001\n"


def read(folder: Path, name: str, content: str | bytes, form: Form = NUMBERS) -> pa.Table:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return read_arrived(DataFile(folder, name), form, "the source")


def test_arrivals_are_the_finished_files_in_the_order_of_their_names(tmp_path: Path) -> None:
    assert arrived(tmp_path / "nowhere") == []
    for name in ("2024-06.csv", "2024-05.tsv.gz", ".hidden.csv", "2024-07.csv.part", "2024-08.csv.TMP", "b.parquet"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    assert [path.name for path in arrived(tmp_path)] == ["2024-05.tsv.gz", "2024-06.csv", "b.parquet"]


@pytest.mark.parametrize("name", ["a|b.csv", "a...csv", "a\tb.csv"])
def test_a_name_that_no_partition_can_have_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(BadName, match="rename it"):
        arrived(tmp_path)


def test_commas_tabs_packed_text_and_parquet_give_the_same_table(tmp_path: Path) -> None:
    tabs = EVENTS.replace(",", "\t")
    expected = pa.table(
        {"user": [1, 2], "item": [10, 20], "rating": pa.nulls(2, pa.float32()), "time": [1_300_000_000, 1_300_000_001]}
    )
    pq.write_table(expected.drop_columns("rating"), tmp_path / "source.parquet")
    seconds = [datetime.fromtimestamp(time, UTC) for time in expected["time"].to_pylist()]
    clocks = expected.set_column(3, "time", pa.array(seconds, pa.timestamp("us", tz="Europe/Berlin")))
    pq.write_table(clocks, tmp_path / "clocks.parquet")
    contents = {
        "a.csv": ("\ufeff" + EVENTS.replace("\n", "\r\n")).encode(),
        "b.tsv": tabs.encode(),
        "c.csv.gz": gzip.compress(EVENTS.encode()),
        "d.TSV.GZ": gzip.compress(tabs.encode()),
        "e.csv": b'time,"item",user,more\n1300000000,"10",1,x\n1300000001,20,2,"y, z"\n',
        "f.parquet": (tmp_path / "source.parquet").read_bytes(),
        "g.parquet": (tmp_path / "clocks.parquet").read_bytes(),
    }
    for name, content in contents.items():
        assert read(tmp_path, name, content).equals(expected), name


def test_ratings_are_read_and_empty_cells_are_null(tmp_path: Path) -> None:
    table = read(tmp_path, "a.csv", "user,item,time,rating\n1,10,1300000000,4.5\n,20,,\nNULL,20,7,3\n", RATED)
    assert table.schema.field("rating").type == pa.float32()
    assert table["user"].to_pylist() == [1, None, None]
    assert table["time"].to_pylist() == [1_300_000_000, None, 7]
    assert table["rating"].to_pylist() == [4.5, None, 3.0]


def test_ids_of_text_stay_as_they_are_written(tmp_path: Path) -> None:
    table = read(tmp_path, "a.csv", "user,item,time\n007,tt1,1300000000\nNULL,1e3,1300000000\n", WORDS)
    assert table["user"].to_pylist() == ["007", None]
    assert table["item"].to_pylist() == ["tt1", "1e3"]
    assert table.schema.field("time").type == pa.int64()


def test_a_time_that_is_no_number_is_left_to_the_rules(tmp_path: Path) -> None:
    table = read(tmp_path, "a.csv", "user,item,time\n1,10,yesterday\n2,20,1300000000\n")
    assert table["time"].to_pylist() == ["yesterday", "1300000000"]
    assert table["user"].type == pa.int64()


@pytest.mark.parametrize(
    ("name", "content", "form", "message"),
    [
        ("a.csv", "", NUMBERS, r"arr/a\.csv, line 1: a line with the names of the columns"),
        ("a.csv", "user,item\n1,2\n", NUMBERS, r"arr/a\.csv, line 1: one column 'time' is wanted; .* user, item"),
        ("a.csv", EVENTS + "3,30\n", NUMBERS, r"arr/a\.csv, line 4: 3 columns are wanted, 2 came: '3,30'"),
        ("a.csv", EVENTS + "ann,30,7\n", NUMBERS, r"arr/a\.csv, line 4: user is not a whole number: 'ann,30,7'"),
        ("a.csv", EVENTS, RATED, r"arr/a\.csv: a column rating is wanted, since the source has ratings"),
        ("a.csv", "user,item,time,rating\n1,2,3,4\n", NUMBERS, r"arr/a\.csv: ratings came, and the source has none"),
        ("a.xlsx", "x", NUMBERS, r"arr/a\.xlsx: its name ends in none of \.csv, \.tsv, \.csv\.gz, .*rename it"),
        ("a.parquet", "PAR1 no", NUMBERS, r"arr/a\.parquet: "),
    ],
)
def test_damage_is_named_by_file_and_line(tmp_path: Path, name: str, content: str, form: Form, message: str) -> None:
    (tmp_path / "arr").mkdir()
    with pytest.raises(DamagedFile, match=message):
        read(tmp_path / "arr", name, content, form)


def test_damaged_parquet_and_packed_files_are_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"user": ["ann"], "item": [1], "time": [2]}), tmp_path / "a.parquet")
    with pytest.raises(DamagedFile, match=r"a\.parquet: .*'ann'"):
        read_arrived(DataFile(tmp_path, "a.parquet"), NUMBERS, "the source")
    pq.write_table(pa.table({"user": [1], "time": [2]}), tmp_path / "b.parquet")
    with pytest.raises(DamagedFile, match=r"b\.parquet: one column 'item' is wanted; the columns are user, time"):
        read_arrived(DataFile(tmp_path, "b.parquet"), NUMBERS, "the source")
    for content in (b"no gzip", gzip.compress(EVENTS.encode() * 99)[:-20]):
        with pytest.raises(BadArchive, match=r"c\.csv\.gz: .*deliver it again"):
            read(tmp_path, "c.csv.gz", content)


def test_no_row_at_all_is_of_any_form(tmp_path: Path) -> None:
    for form in (NUMBERS, RATED, WORDS):
        table = read(tmp_path, "a.csv", "user,item,time\n", form)
        assert table.num_rows == 0
        assert [str(kind) for kind in table.schema.types[:2]] == [form.user, form.item]
