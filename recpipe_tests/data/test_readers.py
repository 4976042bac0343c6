"""Every layout from a few literal lines, as a folder and as a zip."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recpipe.data.archives import BadArchive
from recpipe.data.readers import DamagedFile, RawTables, UnknownLayout, read, recognise, source_digest
from recpipe.data.readers.delimited import SEPARATOR, _OneByte
from recpipe.data.readers.files import delivered
from recpipe.steps.raw import RawRatings, figures

SHARED = Path(__file__).parents[2] / "../shared/data"
needs_shared_data = pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is not beside the checkout")

COMPETITION: dict[str, str | bytes] = {
    "train/train_ratings.csv": "user,item,time\n11,500,1300000000\n11,7,1300000001\n14,500,1200000000\n",
    "train/titles.tsv": 'item\ttitle\n500\tHeat (1995)\n7\t"11\'09""01 (2002)"\n9\tCafé, The\n',
    "train/years.tsv": "item\tyear\n500\t1995\n",
    "train/genres.tsv": "item\tgenre\n500\tCrime\n500\tDrama\n7\tDrama\n",
    "train/directors.tsv": "item\tdirector\n500\tnm0000520\n",
    "train/writers.tsv": "item\twriter\n500\tnm0000520\n7\tnm1\n",
}
ML_100K: dict[str, str | bytes] = {
    "ml-100k/u.data": "196\t242\t3\t881250949\n186\t302\t4\t891717742\n",
    "ml-100k/u.genre": "unknown|0\nAction|1\nComedy|2\n\n",
    "ml-100k/u.item": "242|Señor, El (1996)|24-Jan-1997||http://x|0|1|1\n302|unknown||||1|0|0\n".encode("latin-1"),
    "ml-100k/u1.base": "196\t242\t3\t881250949\n",
}
ML_1M: dict[str, str | bytes] = {
    "ml-1m/ratings.dat": "1::1193::5::978300760\n1::661::3::978302109\n",
    "ml-1m/movies.dat": (
        '73::Misérables, Les (1995)::Drama|Musical\n661::James: a "Peach" (1996)::Animation|Children\'s\n'
    ).encode("latin-1"),
    "ml-1m/users.dat": "1::F::1::10::48067\n",
}
ML_10M: dict[str, str | bytes] = {
    "ml-10M100K/ratings.dat": "1::122::3.5::838985046\n",
    "ml-10M100K/movies.dat": "122::Misérables, Les (1995)::Drama\n9::Nothing (no year)::(no genres listed)\n",
}
ML_25M: dict[str, str | bytes] = {
    "ml-25m/ratings.csv": "\ufeffuserId,movieId,rating,timestamp\r\n1,296,4.5,1147880044\r\n",
    "ml-25m/movies.csv": (
        "\ufeffmovieId,title,genres\r\n"
        '11,"American President, The (1995)",Comedy|Romance\r\n'
        '296,"""Great Performances"" Cats (1998)",(no genres listed)\r\n'
        "297,Death Note (2006–2007),Crime\r\n"
    ),
    "ml-25m/tags.csv": "userId,movieId,tag,timestamp\n",
}
RECBOLE: dict[str, str | bytes] = {
    "ml/ml.inter": (
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\nu1\t5\t4\t964982703.0\nu2\t6\t\t964982704\n"
    ),
    "ml/ml.item": (
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        '5\tToy "Story"\t1995\tAnimation Comedy\n6\tNo Year\tV\t\n'
    ),
}
LAYOUTS = {"competition": COMPETITION, "100k": ML_100K, "1m": ML_1M, "10m": ML_10M, "25m": ML_25M, "recbole": RECBOLE}


def as_bytes(content: str | bytes) -> bytes:
    return content if isinstance(content, bytes) else content.encode()


def folder(path: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(as_bytes(content))
    return path


def zipped(path: Path, files: Mapping[str, str | bytes]) -> Path:
    with ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, as_bytes(content))
    return path


def rows(table: pa.Table) -> list[tuple[Any, ...]]:
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def types(table: pa.Table) -> dict[str, str]:
    return {field.name: str(field.type) for field in table.schema}


def test_the_competition_layout(tmp_path: Path) -> None:
    tables = read(folder(tmp_path, COMPETITION))
    assert types(tables.ratings) == {"user": "int64", "item": "int64", "rating": "float", "time": "int64"}
    assert rows(tables.ratings) == [
        (11, 500, None, 1300000000), (11, 7, None, 1300000001), (14, 500, None, 1200000000),
    ]  # fmt: skip
    assert rows(tables.titles) == [(500, "Heat (1995)"), (7, "11'09\"01 (2002)"), (9, "Café, The")]
    assert rows(tables.years) == [(500, 1995)] and types(tables.years) == {"item": "int64", "year": "int32"}
    assert rows(tables.genres) == [(500, "Crime"), (500, "Drama"), (7, "Drama")]
    assert rows(tables.directors) == [(500, "nm0000520")]
    assert rows(tables.writers) == [(500, "nm0000520"), (7, "nm1")]


def test_movielens_100k(tmp_path: Path) -> None:
    tables = read(folder(tmp_path, ML_100K))
    assert rows(tables.ratings) == [(196, 242, 3.0, 881250949), (186, 302, 4.0, 891717742)]
    assert rows(tables.titles) == [(242, "Señor, El (1996)"), (302, "unknown")]
    assert rows(tables.years) == [(242, 1996)]
    assert rows(tables.genres) == [(242, "Action"), (242, "Comedy")]
    assert len(tables.directors) == len(tables.writers) == 0


def test_movielens_100k_without_its_list_of_genres(tmp_path: Path) -> None:
    flags = "|".join("1" if position in (5, 18) else "0" for position in range(19))
    files = {"u.data": "1\t2\t3\t4\n", "u.item": f"2|Heat (1995) (V)|||x|{flags}\n"}
    tables = read(folder(tmp_path, files))
    assert rows(tables.genres) == [(2, "Comedy"), (2, "Western")]
    assert rows(tables.years) == [(2, 1995)]


def test_movielens_1m_is_latin_1_and_keeps_quotation_marks(tmp_path: Path) -> None:
    tables = read(folder(tmp_path, ML_1M))
    assert rows(tables.ratings) == [(1, 1193, 5.0, 978300760), (1, 661, 3.0, 978302109)]
    assert rows(tables.titles) == [(73, "Misérables, Les (1995)"), (661, 'James: a "Peach" (1996)')]
    assert rows(tables.genres) == [(73, "Drama"), (73, "Musical"), (661, "Animation"), (661, "Children's")]


def test_movielens_10m_is_utf_8_with_half_stars(tmp_path: Path) -> None:
    tables = read(folder(tmp_path, ML_10M))
    assert rows(tables.ratings) == [(1, 122, 3.5, 838985046)]
    assert rows(tables.titles)[0] == (122, "Misérables, Les (1995)")
    assert rows(tables.years) == [(122, 1995)]
    assert rows(tables.genres) == [(122, "Drama")]


def test_movielens_csv_with_byte_order_mark_and_quotes(tmp_path: Path) -> None:
    tables = read(folder(tmp_path, ML_25M))
    assert rows(tables.ratings) == [(1, 296, 4.5, 1147880044)]
    assert rows(tables.titles)[:2] == [
        (11, "American President, The (1995)"),
        (296, '"Great Performances" Cats (1998)'),
    ]
    assert rows(tables.years) == [(11, 1995), (296, 1998), (297, 2006)]
    assert rows(tables.genres) == [(11, "Comedy"), (11, "Romance"), (297, "Crime")]


def test_recbole_atomic_files(tmp_path: Path) -> None:
    tables = read(folder(tmp_path, RECBOLE))
    assert types(tables.ratings) == {"user": "string", "item": "int64", "rating": "float", "time": "int64"}
    assert rows(tables.ratings) == [("u1", 5, 4.0, 964982703), ("u2", 6, None, 964982704)]
    assert rows(tables.titles) == [(5, 'Toy "Story"'), (6, "No Year")]
    assert rows(tables.years) == [(5, 1995)]
    assert rows(tables.genres) == [(5, "Animation"), (5, "Comedy")]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_zip_reads_like_its_folder_and_has_the_same_digest(tmp_path: Path, layout: str) -> None:
    unpacked = folder(tmp_path / "data", LAYOUTS[layout])
    archive = zipped(tmp_path / "data.zip", LAYOUTS[layout])
    here, there = read(unpacked), read(archive)
    for table in RawTables.__dataclass_fields__:
        assert getattr(here, table).equals(getattr(there, table)), table
    assert source_digest(unpacked) == source_digest(archive)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_without_side_tables_the_ratings_are_read_all_the_same(tmp_path: Path, layout: str) -> None:
    files = {
        name: content
        for name, content in LAYOUTS[layout].items()
        if name.endswith(("inter", "data")) or "ratings" in name
    }
    tables = read(folder(tmp_path, files))
    assert len(tables.ratings)
    assert types(tables.years) == {"item": "int64", "year": "int32"}
    assert not any(len(getattr(tables, side)) for side in ("titles", "years", "genres", "directors", "writers"))


def test_the_digest_follows_what_is_read_and_nothing_else(tmp_path: Path) -> None:
    before = source_digest(folder(tmp_path, COMPETITION))
    (tmp_path / "train" / "notes.txt").write_text("not read")
    assert source_digest(tmp_path) == before
    (tmp_path / "train" / "years.tsv").write_text("item\tyear\n500\t1996\n")
    assert source_digest(tmp_path) != before


def test_text_ids_tabs_and_other_orders_of_columns_are_understood(tmp_path: Path) -> None:
    files = {
        "train_ratings.csv": "time\tuser\titem\trating\tdevice\n10\tanna\tf1\t4.5\ttv\n20\t007\tf2\t3\ttv\n",
        "genres.tsv": "item\tgenre\nf1\tDrama\n",
    }
    tables = read(folder(tmp_path, files))
    assert types(tables.ratings) == {"user": "string", "item": "string", "rating": "float", "time": "int64"}
    assert rows(tables.ratings) == [("anna", "f1", 4.5, 10), ("007", "f2", 3.0, 20)]
    assert rows(tables.genres) == [("f1", "Drama")]


@pytest.mark.parametrize("ids", ["1", "anna"])
def test_empty_cells_arrive_as_nulls(tmp_path: Path, ids: str) -> None:
    lines = f"user,item,time\n{ids},2,3\n,2,3\n{ids},,3\n{ids},2,\n{ids},2,NULL\n{ids},2,nan\n"
    table = read(folder(tmp_path, {"train_ratings.csv": lines})).ratings
    assert [table[name].null_count for name in ("user", "item", "time")] == [1, 1, 3]


def test_a_side_row_without_a_value_tells_nothing(tmp_path: Path) -> None:
    files = {
        "train_ratings.csv": "user,item,time\n1,2,3\n",
        "genres.tsv": "item\tgenre\n2\t\n\tDrama\n2\tNA\n",
        "years.tsv": "item\tyear\n2\t\n",
    }
    tables = read(folder(tmp_path, files))
    assert rows(tables.genres) == [(2, "NA")]
    assert rows(tables.years) == []


DAMAGED = {
    "too few": (COMPETITION, "train/train_ratings.csv", "user,item,time\n1,2,3\n1,2\n1,4,5\n", 3, "'1,2'"),
    "too many": (
        COMPETITION,
        "train/train_ratings.csv",
        "user,item,time\n1,2,3,4\n",
        2,
        "3 columns are wanted, 4 came",
    ),
    "no number": (COMPETITION, "train/train_ratings.csv", "user,item,time\n1,2,3\n\n1,2,noon\n", 4, "'1,2,noon'"),
    "huge": (COMPETITION, "train/train_ratings.csv", f"user,item,time\n1,2,{'9' * 30}\n", 2, "whole number"),
    "text id": (COMPETITION, "train/train_ratings.csv", "user,item,time\nanna,2,3\nanna,2\n", 3, "'anna,2'"),
    "side item": (
        COMPETITION,
        "train/genres.tsv",
        "item\tgenre\n1\tDrama\n2l\tDrama\n",
        3,
        "item is not a whole",
    ),
    "side year": (COMPETITION, "train/years.tsv", "item\tyear\n1\tMCMXCV\n", 2, "year is not a whole number"),
    "open quote": (COMPETITION, "train/titles.tsv", 'item\ttitle\n1\t"Heat\n2\tAlien\n3\t"Up"\n', 2, "quotation mark"),
    "no column": (COMPETITION, "train/train_ratings.csv", "user,film,time\n1,2,3\n", 1, "'item' is wanted"),
    "100k": (ML_100K, "ml-100k/u.data", "1\t2\t3\t4\n1\t2\tfive\t4\n", 2, "rating is not a number"),
    "100k item": (ML_100K, "ml-100k/u.item", "1|Heat (1995)|0|1\n", 1, "8 columns are wanted, 4 came"),
    "1m": (ML_1M, "ml-1m/ratings.dat", "1::2::3::4\n1::2::3:4\n", 2, "4 columns are wanted, 3 came"),
    "1m id": (ML_1M, "ml-1m/ratings.dat", "1::2::3::4\nanna::2::3::4\n", 2, "user is not a whole number"),
    "25m": (ML_25M, "ml-25m/ratings.csv", "userId,movieId,rating,timestamp\n1,2,4.5,x\n", 2, "timestamp is not"),
    "cut": (ML_25M, "ml-25m/ratings.csv", "userId,movieId,rating,timestamp\n1,2,4.5,6\n1,2,4", 3, "3 came: '1,2,4'"),
    "recbole": (
        RECBOLE,
        "ml/ml.inter",
        "user_id:token\titem_id:token\ttimestamp:float\n1\t2\n",
        2,
        "3 columns are wanted",
    ),
    "recbole header": (RECBOLE, "ml/ml.inter", "user_id\titem_id\ttimestamp\n1\t2\t3\n", 1, "names with types"),
    "no time": (RECBOLE, "ml/ml.inter", "user_id:token\titem_id:token\n1\t2\n", 1, "a field time"),
}


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("fault", DAMAGED)
def test_damage_is_named_by_file_and_line(tmp_path: Path, fault: str, packed: bool) -> None:
    files, name, content, line, said = DAMAGED[fault]
    data = (
        zipped(tmp_path / "data.zip", files | {name: content}) if packed else folder(tmp_path, files | {name: content})
    )
    with pytest.raises(DamagedFile) as caught:
        read(data)
    assert caught.value.line == line
    assert f"{data.name}/{name}, line {line}: " in str(caught.value)
    assert said in str(caught.value)


def test_an_empty_file_is_damaged(tmp_path: Path) -> None:
    with pytest.raises(DamagedFile, match=r"u\.data: the file is empty"):
        read(folder(tmp_path / "a", {"u.data": ""}))
    with pytest.raises(DamagedFile, match="names of the columns"):
        read(folder(tmp_path / "b", {"train_ratings.csv": ""}))


def test_a_header_without_rows_is_an_empty_table(tmp_path: Path) -> None:
    tables = read(folder(tmp_path, {"train_ratings.csv": "user,item,time\n"}))
    assert len(tables.ratings) == 0 and types(tables.ratings)["rating"] == "float"


def test_damage_far_down_a_long_file_is_found(tmp_path: Path) -> None:
    lines = [f"{row},{row},{row}" for row in range(1, 120_001)]
    lines[100_000] = "1,2,3,4"
    with pytest.raises(DamagedFile, match="line 100002: 3 columns are wanted, 4 came: '1,2,3,4'"):
        read(folder(tmp_path, {"train_ratings.csv": "user,item,time\n" + "\n".join(lines) + "\n"}))


def test_rows_keep_the_order_of_a_long_file(tmp_path: Path) -> None:
    lines = "".join(f"{row * 7919 % 1000},{row},5\n" for row in range(400_000))
    table = read(folder(tmp_path, {"train_ratings.csv": "user,item,time\n" + lines})).ratings
    assert table["item"].to_pylist() == list(range(400_000))


def test_two_colons_that_fall_into_two_blocks_are_one_delimiter() -> None:
    content = b"1::2::3::4\n1:2::a:b:::c::::d\n::\n"
    for size in range(1, 12):
        stream = _OneByte(BytesIO(content), "::")
        blocks = list(iter(lambda stream=stream, size=size: stream.read(size), b""))
        assert b"".join(blocks) == content.replace(b"::", SEPARATOR)
        assert all(len(block) <= max(size, 2) for block in blocks)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_ratings_that_are_written_while_they_are_read_are_those_that_are_read(
    tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recpipe.steps.raw.ROW_GROUP", 2)
    delivery = recognise(folder(tmp_path, LAYOUTS[layout]))
    RawRatings(delivery.ratings()).write(tmp_path)
    written = pq.read_table(tmp_path / "raw_ratings.parquet")
    assert written.equals(delivery.read().ratings)
    assert figures(tmp_path)["rows"] == len(written)
    rated = written["rating"].null_count < len(written)
    assert figures(tmp_path)["form"] == {"user": types(written)["user"], "item": types(written)["item"], "rated": rated}


def test_damage_far_down_is_named_while_ratings_are_written(tmp_path: Path) -> None:
    lines = "".join(f"{row},{row},{row}\n" for row in range(1, 120_001)) + "1,2\n"
    delivery = recognise(folder(tmp_path, {"train_ratings.csv": "user,item,time\n" + lines}))
    with pytest.raises(DamagedFile, match="line 120002: 3 columns are wanted, 2 came: '1,2'"):
        RawRatings(delivery.ratings()).write(tmp_path)


def test_text_ids_that_begin_late_make_the_whole_column_text(tmp_path: Path) -> None:
    lines = "".join(f"{row},1,5\n" for row in range(400_000)) + "anna,1,5\n"
    table = read(folder(tmp_path, {"train_ratings.csv": "user,item,time\n" + lines})).ratings
    assert types(table)["user"] == "string" and types(table)["item"] == "int64"


@pytest.mark.parametrize("ids", [("7", "007"), ("-7", "-07"), ("0x1f", "31"), ("0", "00")])
def test_ids_that_numbers_would_make_one_stay_text(tmp_path: Path, ids: tuple[str, str]) -> None:
    lines = "".join(f"{n},{item},5\n" for n, item in enumerate(ids))
    table = read(folder(tmp_path, {"train_ratings.csv": "user,item,time\n" + lines})).ratings
    assert table["user"].to_pylist() == [0, 1]
    assert table["item"].to_pylist() == list(ids)


@pytest.mark.parametrize("user", ["3", "anna"])
def test_spaces_around_a_number_are_none_of_it(tmp_path: Path, user: str) -> None:
    table = read(folder(tmp_path, {"train_ratings.csv": f"user,item,time\n{user}, 8 ,5\n{user},9,5\n"})).ratings
    assert table["item"].to_pylist() == [8, 9]


def test_a_quotation_mark_in_a_column_that_is_not_read_swallows_no_rows(tmp_path: Path) -> None:
    lines = 'user,item,time,note\n1,10,100,"bad\n2,11,101,"bad2\n3,12,102,x\n'
    with pytest.raises(DamagedFile, match="line 2: a quotation mark is not closed"):
        read(folder(tmp_path, {"train_ratings.csv": lines}))
    well = lines.replace('"bad\n', '"good, ""and"" closed"\n').replace('"bad2', 'an 8" disc')
    assert read(folder(tmp_path, {"train_ratings.csv": well})).ratings["user"].to_pylist() == [1, 2, 3]


def test_a_quotation_mark_within_a_cell_is_not_the_damage(tmp_path: Path) -> None:
    lines = 'user,item,time,note\n1,2,3,5" disc\n1,3,x,y\n'
    with pytest.raises(DamagedFile, match="line 3: time is not a whole number"):
        read(folder(tmp_path, {"train_ratings.csv": lines}))


def test_ids_of_latin_1_are_text(tmp_path: Path) -> None:
    lines = "user,item,time\nzoë,2,3\n".encode("latin-1")
    assert rows(read(folder(tmp_path, {"train_ratings.csv": lines})).ratings) == [("zoë", 2, None, 3)]


def test_other_columns_may_have_any_names_and_bytes(tmp_path: Path) -> None:
    lines = "user,item,time,,\n1,2,3,é,\xe9\n".encode("latin-1")
    assert rows(read(folder(tmp_path, {"train_ratings.csv": lines})).ratings) == [(1, 2, None, 3)]


@pytest.mark.parametrize("ids", ["2", "f2"])
def test_what_is_no_year_is_left_out(tmp_path: Path, ids: str) -> None:
    files = {
        "train_ratings.csv": f"user,item,time\n1,{ids},3\n",
        "years.tsv": f"item\tyear\n{ids}\tNULL\n{ids}\t3000000000\n{ids}\t0\n{ids}\t1995\n",
    }
    assert read(folder(tmp_path, files)).years["year"].to_pylist() == [1995]


def test_a_time_of_recbole_that_is_no_second_is_none(tmp_path: Path) -> None:
    lines = "user_id:token\titem_id:token\ttimestamp:float\n1\t2\t1e30\n1\t3\t-1e30\n1\t4\tinf\n1\t5\t7.9\n"
    assert read(folder(tmp_path, {"ml.inter": lines})).ratings["time"].to_pylist() == [None, None, None, 7]


def test_what_vanishes_in_hidden_folders_is_not_looked_at(tmp_path: Path) -> None:
    files = folder(tmp_path, COMPETITION | {".train.1/train_ratings.csv": "", "a/b/c/d.csv": ""})
    assert sorted(file.name for file in delivered(files)) == sorted(COMPETITION)


def test_two_layouts_in_one_place_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UnknownLayout, match=r"2 were found: .*ml-1m/ratings\.dat \(movielens\)") as caught:
        read(folder(tmp_path, COMPETITION | ML_1M))
    assert "train/train_ratings.csv (competition)" in str(caught.value)


def test_an_unknown_layout_is_refused_with_what_was_found_and_what_is_understood(tmp_path: Path) -> None:
    with pytest.raises(UnknownLayout, match=r"found: events\.json; understood are: .*u\.data.*NAME\.inter"):
        read(folder(tmp_path, {"events.json": "{}"}))
    with pytest.raises(FileNotFoundError, match="is not there"):
        read(tmp_path / "nowhere")
    (tmp_path / "events.json").write_text("{}")
    with pytest.raises(BadArchive, match="a folder or a zip archive is wanted"):
        read(tmp_path / "events.json")


def test_an_unsafe_zip_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(BadArchive, match="points outside"):
        read(zipped(tmp_path / "evil.zip", COMPETITION | {"../x": "y"}))


def test_the_leavings_of_operating_systems_are_overlooked(tmp_path: Path) -> None:
    junk: dict[str, str | bytes] = {"__MACOSX/train/train_ratings.csv": b"\0", "train/._train_ratings.csv": b"\0"}
    assert len(read(zipped(tmp_path / "mac.zip", COMPETITION | junk)).ratings) == 3


@needs_shared_data
def test_the_published_movielens_1m() -> None:
    tables = read(SHARED / "ml-1m.zip")
    assert len(tables.ratings) == 1_000_209
    assert tables.ratings.slice(0, 1).to_pylist() == [{"user": 1, "item": 1193, "rating": 5.0, "time": 978300760}]
    assert len(tables.titles) == len(tables.years) == 3883
    assert (73, "Misérables, Les (1995)") in rows(tables.titles)


@needs_shared_data
def test_the_published_movielens_100k_and_the_competition() -> None:
    assert recognise(SHARED / "ml-100k.zip").layout == "movielens"
    tables = read(SHARED / "ml-100k.zip")
    assert (len(tables.ratings), len(tables.titles), len(tables.years)) == (100_000, 1682, 1681)
    tables = read(SHARED / "competition.zip")
    assert len(tables.ratings) == 1_000_209 and len(tables.titles) == 6807 and len(tables.writers) == 11306
