import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from recpipe import sql_models
from recpipe.sql_models import SqlError

SHIPPED = sql_models.sql_folder()


def write_sql(folder: Path, **files: str) -> Path:
    """Files of SQL in `folder`; `core__items` becomes core/items.sql."""
    for name, sql in files.items():
        path = folder / f"{name.replace('__', '/')}.sql"
        path.parent.mkdir(exist_ok=True)
        path.write_text(sql)
    return folder


def test_a_model_knows_what_it_reads_and_comes_after_it(tmp_path: Path) -> None:
    folder = write_sql(
        tmp_path,
        core__a_last="-- one row a film\nwith b as (select item from first) select * from b, train order by 1",
        staging__first="-- one row a title\n\nselect item from raw_titles where item > $least order by item",
    )
    models = sql_models.models(folder)
    assert list(models) == ["first", "a_last"]
    first, last = models.values()
    assert (first.group, first.description) == ("staging", "one row a title")
    assert (first.dependencies, first.inputs, first.parameters) == ((), ("raw_titles",), ("least",))
    assert (last.dependencies, last.inputs, last.parameters) == (("first",), ("train",), ())
    assert sql_models.upstream(models, "a_last") == {"first", "raw_titles", "train"}


def test_models_as_they_stand_are_parsed_anew_only_where_a_file_came_went_or_changed(tmp_path: Path) -> None:
    first = "-- one row a title\nselect item from raw_titles order by item"
    folder = write_sql(tmp_path, staging__first=first)
    before = sql_models.models_as_they_stand(folder)
    assert sql_models.models_as_they_stand(folder) is before
    write_sql(tmp_path, staging__second="-- one row a title\nselect item, title from raw_titles order by item")
    assert list(sql_models.models_as_they_stand(folder)) == ["first", "second"]
    write_sql(tmp_path, staging__first=first.replace("select item", "select title"))
    after = folder / "staging" / "first.sql"
    os.utime(after, ns=(0, after.stat().st_mtime_ns + 1_000_000))  # a clock that stood still would hide the change
    assert sql_models.models_as_they_stand(folder)["first"].digest != before["first"].digest
    after.unlink()
    assert list(sql_models.models_as_they_stand(folder)) == ["second"]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("-- one row\nselect * from raw_title order by item", r"bad\.sql: there is no table raw_title; .*raw_titles"),
        ("-- one row\nselect * from 'a.parquet' order by 1", r"bad\.sql: there is no table a\.parquet"),
        ("-- one row\nselect * from read_csv('a.csv') order by 1", r"bad\.sql: reads READ_CSV"),
        ("-- one row\nselect * from raw_titles", r"bad\.sql: no `order by`"),
        ("select * from raw_titles order by item", r"bad\.sql: the first line must be a comment"),
        ("-- one row\nselect 1 order by 1; select 2", r"bad\.sql: wanted is one query"),
        ("-- one row\ncreate table x as select 1", r"bad\.sql: wanted is one query"),
        ("-- one row\nselect * from raw_titles where item = 'a order by item", r"bad\.sql: Error tokenizing"),
        ("-- one row\nselect (1 from raw_titles order by item", r"bad\.sql: .*Expecting \)"),
        ("-- one row\nwith train as (select 1 as a) select * from train order by a", r"bad\.sql: the step train"),
    ],
)  # fmt: skip
def test_a_faulty_model_is_an_error_that_names_the_file(tmp_path: Path, sql: str, message: str) -> None:
    with pytest.raises(SqlError, match=message):
        sql_models.models(write_sql(tmp_path, core__bad=sql))


def test_a_circle_of_models_is_an_error_that_names_the_files(tmp_path: Path) -> None:
    folder = write_sql(
        tmp_path,
        core__hen="-- one row a hen\nselect * from egg order by 1",
        core__egg="-- one row an egg\nselect * from hen order by 1",
    )
    with pytest.raises(
        SqlError, match=r"(hen\.sql reads .*egg\.sql reads .*hen|egg\.sql reads .*hen\.sql reads .*egg)"
    ):
        sql_models.models(folder)


def test_one_name_in_two_folders_is_an_error(tmp_path: Path) -> None:
    sql = "-- one row a title\nselect * from raw_titles order by item"
    with pytest.raises(SqlError, match=r"core.items\.sql"):
        sql_models.models(write_sql(tmp_path, core__items=sql, features__items=sql))


def test_the_digest_stands_for_the_words_not_for_comments_and_white_space(tmp_path: Path) -> None:
    written = [
        "-- one row a title\nselect item, 'x' as x from raw_titles order by item",
        "-- one row a film\n\nselect\n    item, -- its id\n    'x' as x\nfrom raw_titles /* all */\norder by item\n",
        "-- one row a title\nselect item, 'y' as x from raw_titles order by item",
        "-- one row a title\nselect item, \"x\" as x from raw_titles order by item",
    ]  # fmt: skip
    digests = [sql_models.models(write_sql(tmp_path, core__a=sql))["a"].digest for sql in written]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_a_test_belongs_to_the_last_model_that_it_reads(tmp_path: Path) -> None:
    folder = write_sql(
        tmp_path,
        staging__a="-- one row a title\nselect * from raw_titles order by item",
        core__b="-- one row a title\nselect * from a order by item",
        tests__same_rows="-- b has what a has\nselect * from a except select * from b",
        tests__no_null="-- every title has its film\nselect * from a where item is null",
    )
    models = sql_models.models(folder)
    tests = sql_models.table_tests(folder, models)
    assigned = sql_models.assigned_tests(models, tests)
    assert {name: [test.name for test in found] for name, found in assigned.items()} == {
        "a": ["no_null"],
        "b": ["same_rows"],
    }


def test_the_folder_of_sql_can_be_named_and_must_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECPIPE_SQL", str(tmp_path))
    assert sql_models.sql_folder() == tmp_path
    monkeypatch.setenv("RECPIPE_SQL", str(tmp_path / "nowhere"))
    with pytest.raises(SqlError, match=r"nowhere \(RECPIPE_SQL names it\).*pip install -e"):
        sql_models.sql_folder()


def test_the_shipped_sql_is_lower_case_outside_strings_and_comments() -> None:
    for path in SHIPPED.glob("*/*.sql"):
        bare = re.sub(r"--[^\n]*|'[^']*'", "", path.read_text(encoding="utf-8"))
        assert bare == bare.lower(), path


def test_only_the_behaviour_of_users_and_items_reads_the_training_part() -> None:
    models = sql_models.models(SHIPPED)
    inside_a_split = {name for name in models if "train" in sql_models.upstream(models, name)}
    assert inside_a_split == {"user_behaviour", "item_behaviour"}


def test_every_cleaned_table_and_every_table_of_features_has_a_test() -> None:
    models = sql_models.models(SHIPPED)
    tested = {name for test in sql_models.table_tests(SHIPPED, models).values() for name in test.dependencies}
    assert tested >= {name for name, model in models.items() if model.group != "staging"}


def test_reading_the_models_loads_no_database() -> None:
    code = (
        "import sys; from recpipe import sql_models, warehouse; sql_models.models(sql_models.sql_folder()); "
        "print([name for name in ('duckdb', 'pyarrow', 'pandas', 'torch', 'dagster') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=SHIPPED.parent)
    assert done.stdout.strip() == "[]"
