"""One arrival without Dagster: its rows judged by the SQL of the source, the sound ones by the suite."""

from __future__ import annotations

from dataclasses import asdict

import pyarrow as pa
import pytest

from recpipe.data.readers.arrived import Form
from recpipe.lineage import Lineage
from recpipe.settings import Project
from recpipe.steps.arrivals import figures, judged_arrival, judged_rows, validated
from recpipe.steps.raw import Tables
from recpipe.storage import Missing

TIME = 1_000_000_000
RATED = Form("int64", "int64", rated=True)


def source_of(project: Project, form: Form | None) -> None:
    """A source that was read, of which an arrival needs to know the form alone."""
    known = {} if form is None else {"form": asdict(form)}
    project.store.write("raw_ratings", None, Tables({}), {}, known)


def judged(project: Project, text: str) -> pa.Table:
    """The rows of an arrival with this text, through the files that the step writes."""
    folder = project.home / "raw" / "arrivals"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a.csv").write_text(text)
    written = project.home / "written"
    written.mkdir()
    judged_arrival(Lineage(project), "a.csv").write(written)
    return judged_rows(written)


def test_bad_rows_are_kept_beside_the_sound_ones_with_line_and_reason(project: Project) -> None:
    source_of(project, RATED)
    rows = [f"1,10,{TIME},4", f",10,{TIME},4", "1,10,never,4", "1,10,,4", f"1,10,{TIME},11", f"1,10,{TIME},5"]
    table = judged(project, "user,item,time,rating\n" + "\n".join(rows) + "\n")
    assert table.column_names == ["line", "user", "item", "rating", "time", "reason"]
    assert table["line"].to_pylist() == [1, 2, 3, 4, 5, 6]
    reasons = [
        None,
        "user missing",
        "time is no number",
        "time missing",
        "rating outside 0 to 10",
        "user, item and time as in an earlier row",
    ]
    assert table["reason"].to_pylist() == reasons
    assert figures(table) == {"rows": 6, "sound": 1, "rejected": dict.fromkeys(reasons[1:], 1)}
    assert validated(table).success


def test_a_sound_row_without_its_rating_fails_the_suite_where_there_are_ratings(project: Project) -> None:
    source_of(project, RATED)
    outcome = validated(judged(project, f"user,item,time,rating\n1,10,{TIME},4\n2,10,{TIME},\n"))
    assert [check.name for check in outcome.failures()] == ["no row lacks its rating"]


def test_a_file_that_has_gone_and_a_source_of_unknown_form_are_named(project: Project) -> None:
    with pytest.raises(Missing, match=r"the arrival a\.csv is not there any more"):
        judged_arrival(Lineage(project), "a.csv")
    source_of(project, None)
    with pytest.raises(Missing, match="raw_ratings was read by an older version"):
        judged(project, "user,item,time\n")
