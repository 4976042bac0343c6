"""Files that arrive beside the source: what runs for them, what they bring, and what one that is bad cannot spoil."""

import shutil
from io import StringIO
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from recpipe.lineage import Lineage, Node, Standing, arrival_node
from recpipe.settings import Project
from recpipe.showing import show_status
from recpipe_tests.conftest import _definitions, _entered, write_conf, write_delivery

INTERACTIONS = Node("interactions")
GOALS = [INTERACTIONS, Node("item_features")]
FIRST, LAST = 1_000_000_000, 1_100_000_000
"""No event of the source is earlier, none is later."""
JOINT = ["accepted_ratings", "interactions", "items", "rejected_ratings"]
"""What runs for an arrival beside the arrival itself; item_features only where there is a new film."""


@pytest.fixture(scope="module")
def prepared_once(tmp_path_factory):
    """A project up to interactions, without arrivals; nobody changes it."""
    root = tmp_path_factory.mktemp("prepared")
    write_delivery(root / "delivery")
    write_conf(root / "conf", root / "delivery")
    with pytest.MonkeyPatch.context() as monkeypatch:
        project = _entered(root, monkeypatch)
        with _definitions() as planner, dg.DagsterInstance.ephemeral() as instance:
            planner.build(project, GOALS, instance)
    return root


@pytest.fixture
def prepared(prepared_once, tmp_path, monkeypatch):
    """A copy of it, on the same source."""
    for part in ("conf", "home"):
        shutil.copytree(prepared_once / part, tmp_path / part)
    return _entered(tmp_path, monkeypatch)


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def arrive(project: Project, name: str, *rows: tuple[object, ...]) -> Path:
    """Write a file of user, item and time."""
    lines = [",".join(map(str, row)) for row in rows]
    path = project.home / "raw" / "arrivals" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["user,item,time", *lines]) + "\n")
    return path


def names(nodes):
    return sorted(str(node) for node in nodes)


def events(project):
    return project.store.need("interactions").figures["events"]


def films(project, user):
    """A user's films in the order of time, as delivered."""
    made = project.store.read("interactions")
    mine = made.interactions.users == made.ids.users.to_pylist().index(user)
    return made.ids.raw_items(made.interactions.items[mine]).to_pylist()


def brought(project):
    return project.store.need("accepted_ratings").figures.get("arrivals", {})


def status(project):
    shown = Console(file=StringIO(), width=160)
    show_status(project, shown, everything=False)
    return shown.file.getvalue()


def test_a_new_file_runs_its_own_reading_the_joint_tables_and_what_is_downstream(prepared, planner, instance):
    before = prepared.store.need("interactions")
    arrive(prepared, "2024-06.csv", (7, 100, LAST), (7, 101, LAST))
    done = planner.build(prepared, GOALS, instance)
    assert names(done.ran) == sorted(["arrival[2024-06.csv]", *JOINT])
    assert {"raw_ratings", "stg_ratings", "item_features"} <= set(names(done.current))
    assert events(prepared) == before.figures["events"] + 2
    assert planner.build(prepared, GOALS, instance).ran == []
    arrive(prepared, "2024-05.csv", (7, 999, LAST))
    done = planner.build(prepared, GOALS, instance)
    assert names(done.ran) == sorted(["arrival[2024-05.csv]", "item_features", *JOINT])
    assert films(prepared, 7)[-3:] == [999, 100, 101]  # equal times: in the order of the names, then of the lines
    assert sorted(instance.get_dynamic_partitions("arrivals")) == ["2024-05.csv", "2024-06.csv"]


def test_late_repeated_and_bad_rows_are_handled_counted_and_shown(prepared, planner, instance):
    arrive(prepared, "a.csv", (7, 100, LAST), (7, 999, FIRST), (8, 100, LAST), ("", 100, LAST), (7, 100, "never"))
    arrive(prepared, "b.csv", (7, 100, LAST), (7, 101, LAST - 1), (7, 101, LAST - 1))
    planner.build(prepared, [INTERACTIONS], instance)
    assert prepared.store.need("arrival", "a.csv").figures == {
        "rows": 5,
        "sound": 3,
        "rejected": {"user missing": 1, "time is no number": 1},
    }
    assert brought(prepared) == {
        "a.csv": {"accepted": 3, "repeated": 0, "late": 1, "new_users": 1, "new_films": 1},
        "b.csv": {"accepted": 1, "repeated": 1, "late": 1, "new_users": 0, "new_films": 0},
    }
    figures = prepared.store.need("interactions").figures
    assert figures["rejected"] == {
        "user missing": 1,
        "time is no number": 1,
        "user, item and time as in an earlier row": 2,
    }
    assert films(prepared, 7)[0] == 999  # the late row stands where it belongs
    shown = " ".join(status(prepared).split())
    assert "arrival standing rows rejected repeated late new users new films" in shown
    assert "a.csv current 5 2 0 1 1 1" in shown
    assert "b.csv current 3 1 1 1 0 0" in shown


def test_a_changed_file_runs_alone_and_a_removed_one_leaves_nothing(prepared, planner, instance):
    accepted, before = prepared.store.need("accepted_ratings"), prepared.store.need("interactions")
    arrive(prepared, "a.csv", (7, 100, LAST))
    changed = arrive(prepared, "b.csv", (7, 101, LAST))
    planner.build(prepared, [INTERACTIONS], instance)
    arrive(prepared, "b.csv", (7, 101, LAST), (7, 102, LAST))
    assert Lineage(prepared).state(arrival_node("b.csv")).why == ("source",)
    done = planner.build(prepared, [INTERACTIONS], instance)
    assert names(done.ran) == ["accepted_ratings", "arrival[b.csv]", "interactions", "rejected_ratings"]
    assert events(prepared) == before.figures["events"] + 3
    changed.unlink()
    (changed.parent / "a.csv").unlink()
    done = planner.build(prepared, [INTERACTIONS], instance)
    assert names(done.ran) == ["accepted_ratings", "interactions", "rejected_ratings"]
    assert prepared.store.need("accepted_ratings").content == accepted.content
    assert prepared.store.need("interactions").content == before.content
    assert prepared.store.records("arrival") == []
    assert instance.get_dynamic_partitions("arrivals") == []


def test_an_unreadable_file_fails_alone_and_its_last_good_version_stays_where_there_is_one(prepared, planner, instance):
    before = events(prepared)
    arrive(prepared, "a.csv", (7, 100, LAST))
    arrive(prepared, "b.csv", (7, 101, LAST), (7,))
    done = planner.build(prepared, [INTERACTIONS], instance)
    assert names(done.failed) == ["arrival[b.csv]"]
    assert "arrivals/b.csv, line 3: 3 columns are wanted, 1 came" in done.failed[arrival_node("b.csv")]
    assert events(prepared) == before + 1
    told = "arrival[b.csv] has not been read or cannot be: its rows are not in here"
    assert prepared.store.need("accepted_ratings").notes == [told]
    assert told in status(prepared)
    again = planner.build(prepared, [INTERACTIONS], instance)
    assert (again.ran, names(again.failed)) == ([], ["arrival[b.csv]"])
    arrive(prepared, "b.csv", (7, 101, LAST))  # mended, and now the other one turns bad
    arrive(prepared, "a.csv", (7, 100, LAST), ("ann", 101, LAST))
    done = planner.build(prepared, [INTERACTIONS], instance)
    assert names(done.failed) == ["arrival[a.csv]"]
    assert "arrivals/a.csv, line 3: user is not a whole number" in done.failed[arrival_node("a.csv")]
    assert events(prepared) == before + 2
    (note,) = prepared.store.need("accepted_ratings").notes
    assert note.startswith("arrival[a.csv] has not been read or cannot be as it stands now: its version of 20")


def test_rows_that_are_all_bad_or_rated_otherwise_than_the_source_do_not_get_in(prepared, planner, instance):
    before = prepared.store.need("interactions")
    arrive(prepared, "a.csv", (7, 100, 5), (7, 101, 5))
    (prepared.home / "raw" / "arrivals" / "b.csv").write_text(f"user,item,time,rating\n7,100,{LAST},4\n")
    arrive(prepared, "c.csv")
    done = planner.build(prepared, [INTERACTIONS], instance)
    assert "there are enough rows" in done.failed[arrival_node("a.csv")]
    source = prepared.dataset().source
    assert f"arrivals/b.csv: ratings came, and {source} has none" in done.failed[arrival_node("b.csv")]
    assert names(done.failed) == ["arrival[a.csv]", "arrival[b.csv]"]  # no rows at all, as in c.csv, are no fault
    assert prepared.store.need("interactions") == before
    key = dg.AssetCheckKey(dg.AssetKey("arrival"), "arrival_suite")
    seen = instance.event_log_storage.get_asset_check_execution_history(key, limit=5)
    assert sorted(record.status.value for record in seen) == ["FAILED", "PLANNED", "SUCCEEDED"]  # b.csv got none


def test_a_large_arrival_that_vanishes_stops_at_the_volume_and_the_last_good_line_stays(prepared, planner, instance):
    path = arrive(prepared, "a.csv", *((user, 100 + film, LAST) for user in range(30) for film in range(40)))
    planner.build(prepared, [INTERACTIONS], instance)
    before = prepared.store.need("interactions")
    path.unlink()
    with pytest.raises(planner.BuildFailed, match="the number of rows has not dropped suddenly"):
        planner.build(prepared, [INTERACTIONS], instance)
    assert prepared.store.need("interactions") == before


def test_arrivals_are_read_anew_where_the_ids_of_the_source_change_and_not_where_its_rows_do(
    prepared, planner, instance, tmp_path
):
    arrive(prepared, "a.csv", ("007", 100, LAST))
    planner.build(prepared, [INTERACTIONS], instance)
    write_delivery(tmp_path / "delivery")
    ratings = tmp_path / "delivery" / "train_ratings.csv"
    ratings.write_text(ratings.read_text() + f"7,100,{LAST}\n")  # the source holds the arrival's row from now on
    prepared.choose_data(str(tmp_path / "delivery"))
    done = planner.build(prepared, [Node("accepted_ratings")], instance)
    assert names(done.ran) == ["accepted_ratings", "raw_ratings", "rejected_ratings", "stg_ratings"]
    assert brought(prepared)["a.csv"]["repeated"] == 1
    ratings.write_text(ratings.read_text() + f"ann,100,{FIRST}\n")
    done = planner.build(prepared, [Node("accepted_ratings")], instance)
    assert "arrival[a.csv]" in names(done.ran)
    table = pq.read_table(prepared.store.folder("accepted_ratings") / "accepted_ratings.parquet")
    assert table["user"].to_pylist()[-2:] == ["ann", "007"]


def test_arrivals_are_listed_with_digests_and_files_that_are_being_written_are_not(prepared):
    lineage = Lineage(prepared)
    assert lineage.arrivals() == {}
    arrive(prepared, "b.csv", (7, 100, LAST))
    arrive(prepared, "a.csv", (7, 100, LAST))
    arrive(prepared, ".c.csv", (7, 100, LAST))
    arrive(prepared, "d.csv.part", (7, 100, LAST))
    listed = lineage.arrivals()
    assert list(listed) == ["a.csv", "b.csv"]
    assert listed["a.csv"] == listed["b.csv"]
    arrive(prepared, "b.csv", (7, 101, LAST))
    assert lineage.arrivals()["a.csv"] == listed["a.csv"]
    assert lineage.arrivals()["b.csv"] != listed["b.csv"]
    assert lineage.arrivals_not_read() == {"a.csv": Standing.MISSING, "b.csv": Standing.MISSING}


def test_dagster_sees_the_arrivals_as_parents_of_the_joint_tables_whatever_lies_there(prepared, planner, instance):
    arrive(prepared, "a|b.csv", (7, 100, LAST))  # its name is refused by a build, and the definitions load
    with pytest.raises(ValueError, match="rename it"):
        planner.build(prepared, [INTERACTIONS], instance)
    from recpipe.defs.definitions import defs

    graph = defs.resolve_asset_graph()
    for joint in ("accepted_ratings", "rejected_ratings"):
        assert dg.AssetKey("arrival") in graph.get(dg.AssetKey(joint)).parent_keys
    assert graph.get(dg.AssetKey("arrival")).parent_keys == {dg.AssetKey("raw_ratings"), dg.AssetKey("arrived_files")}
    assert dg.AssetKey("arrival") not in graph.get(dg.AssetKey("stg_ratings")).parent_keys
