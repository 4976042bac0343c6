"""The artifact store: replaced whole or not at all."""

import errno
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from recpipe.processes import lives, this_process
from recpipe.space import ADVICE, NoSpace, advised
from recpipe.storage import RECORD, VIEWS, Missing, Store, content_digest, replace_text


@dataclass(frozen=True)
class Text:
    """A minimal artifact."""

    text: str
    seen_in: str = "once"

    def write(self, folder: Path) -> None:
        (folder / "text.txt").write_text(self.text)
        (folder / VIEWS).mkdir()
        (folder / VIEWS / "seconds.txt").write_text(self.seen_in)
        if self.text == "break":
            raise RuntimeError("killed while writing")

    @classmethod
    def read(cls, folder: Path) -> "Text":
        return cls((folder / "text.txt").read_text(), (folder / VIEWS / "seconds.txt").read_text())


def written(store: Store, text: str, partition: str | None = "a|b"):
    return store.write("thing", partition, Text(text), {"input": "1"}, {"rows": 3})


def test_a_forgotten_partition_leaves_nothing_and_no_other_is_touched(tmp_path):
    store = Store(tmp_path)
    kept = written(store, "kept", "a|b")
    written(store, "gone", "a|c")
    store.forget("thing", "a|c")
    assert store.records("thing") == [kept]
    assert not store.place("thing", "a|c").exists()


def test_what_was_written_is_found_with_its_record(tmp_path):
    store = Store(tmp_path)
    written(store, "hello")
    record = store.need("thing", "a|b")
    assert record.figures == {"rows": 3}
    assert record.made_from == {"input": "1"}
    assert Text.read(store.folder("thing", "a|b")) == Text("hello")
    assert store.records("thing") == [record]


def test_equal_content_has_an_equal_version_and_times_do_not_count(tmp_path):
    store = Store(tmp_path)
    first = store.write("thing", None, Text("hello", "1 s"), {}, {})
    second = store.write("thing", None, Text("hello", "2 s"), {}, {})
    assert first.content == second.content
    assert store.write("thing", None, Text("other"), {}, {}).content != first.content


def test_a_write_that_breaks_leaves_the_old_version_current_and_no_orphan(tmp_path):
    store = Store(tmp_path)
    old = written(store, "good")
    with pytest.raises(RuntimeError, match="killed"):
        written(store, "break")
    assert store.need("thing", "a|b") == old
    assert Text.read(store.folder("thing", "a|b")).text == "good"
    assert [path.name for path in store.place("thing", "a|b").glob("v-*")] == [old.version]


def test_what_was_replaced_stays_with_its_record_for_those_who_read_it(tmp_path):
    store = Store(tmp_path)
    texts = ["one", "two", "three"]
    records = [written(store, text) for text in texts]
    current, *superseded = store.versions("thing", "a|b")
    assert (current.record, current.current, current.superseded_at) == (records[2], True, None)
    assert [version.record for version in superseded] == [records[1], records[0]]
    assert all(version.superseded_at and not version.current for version in superseded)
    folders = [store.place("thing", "a|b") / version.name for version in superseded]
    assert [Text.read(folder).text for folder in folders] == ["two", "one"]
    assert list(store.places()) == [("thing", "a|b")]


def test_a_staged_version_is_listed_without_a_record_and_its_process_is_told(tmp_path):
    store = Store(tmp_path)
    staged = store.stage("thing", None, Text("half"), {}, {})
    (version,) = store.versions("thing")
    assert (version.name, version.record, version.process) == (staged.version, None, this_process())
    store.discard(staged)
    assert store.versions("thing") == []


def test_removing_a_version_leaves_the_others_and_no_empty_folder(tmp_path):
    store = Store(tmp_path)
    written(store, "old")
    new = written(store, "new")
    current, old = store.versions("thing", "a|b")
    store.remove_version(old)
    assert store.versions("thing", "a|b") == [current]
    assert Text.read(store.folder("thing", "a|b")) == Text("new")
    assert store.need("thing", "a|b") == new
    store.remove_version(current)
    assert store.record("thing", "a|b") is None
    assert list(tmp_path.iterdir()) == []


@dataclass(frozen=True)
class Overflowing:
    """An artifact that does not fit on the disk."""

    error: Exception

    def write(self, folder: Path) -> None:
        (folder / "half.txt").write_text("half")
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        ValueError("I/O error: No space left on device (os error 28)"),  # as libraries of other languages say it
    ],
)
def test_a_full_disk_is_said_with_what_to_do_and_the_old_version_stays(tmp_path, error):
    store = Store(tmp_path)
    old = written(store, "good")
    with pytest.raises(NoSpace, match=r"thing\[a\|b\] could not be written.*disk.*full.*iB free.*recpipe gc"):
        store.write("thing", "a|b", Overflowing(error), {}, {})
    assert store.need("thing", "a|b") == old
    assert sorted(path.name for path in store.place("thing", "a|b").iterdir()) == [RECORD, old.version]


def test_a_disk_that_is_full_when_the_record_is_written_leaves_the_old_one(tmp_path, monkeypatch):
    store = Store(tmp_path)
    old = written(store, "good")
    staged = store.stage("thing", "a|b", Text("new"), {}, {})

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NoSpace, match="recpipe gc"):
        store.publish(staged)
    assert store.need("thing", "a|b") == old
    assert sorted(path.name for path in store.place("thing", "a|b").glob(".*")) == []


def test_a_reason_that_tells_of_a_full_disk_is_followed_by_what_to_do_once():
    assert advised("OSError: [Errno 28] No space left on device").endswith(f"; {ADVICE}")
    assert advised(advised("database or disk is full")).count(ADVICE) == 1
    assert advised("out of memory") == "out of memory"


def test_another_error_is_not_taken_for_a_full_disk(tmp_path):
    with pytest.raises(OSError, match="broken pipe") as caught:
        Store(tmp_path).write("thing", None, Overflowing(OSError(errno.EPIPE, "broken pipe")), {}, {})
    assert not isinstance(caught.value, NoSpace)


def test_a_missing_artifact_is_named_with_what_to_do(tmp_path):
    with pytest.raises(Missing, match=r"trained_model\[ease\|holdout\] has not been made.*recpipe build"):
        Store(tmp_path).need("trained_model", "ease|holdout")


def test_a_record_cannot_name_a_class_outside_the_project(tmp_path):
    store = Store(tmp_path)
    written(store, "x", None)
    path = store.place("thing") / RECORD
    path.write_text(json.dumps(json.loads(path.read_text()) | {"kind": "os:system"}))
    with pytest.raises(ValueError, match="not of this project"):
        store.read("thing")


def test_text_is_replaced_whole_and_leaves_no_temporary_file(tmp_path):
    replace_text(tmp_path / "a" / "file", "one")
    replace_text(tmp_path / "a" / "file", "two")
    assert [path.read_text() for path in (tmp_path / "a").iterdir()] == ["two"]


def test_the_digest_sees_names_and_bytes(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    (tmp_path / "one" / "a").write_text("x")
    (tmp_path / "two" / "b").write_text("x")
    assert content_digest(tmp_path / "one") != content_digest(tmp_path / "two")


SLOW_WRITER = """
import sys, time
from pathlib import Path
from recpipe.storage import Store

class Slow:
    def write(self, folder):
        (folder / "half.txt").write_text("half")
        print("writing", flush=True)
        time.sleep(60)

Store(Path(sys.argv[1])).write("thing", "a|b", Slow(), {}, {})
"""


def test_a_process_killed_while_it_writes_leaves_the_old_version_and_is_known_to_be_gone(tmp_path):
    store = Store(tmp_path)
    old = written(store, "good")
    process = subprocess.Popen([sys.executable, "-c", SLOW_WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    assert [lives(version.process or "") for version in store.versions("thing", "a|b") if not version.current] == [True]
    process.kill()
    process.wait()
    process.stdout.close()
    assert store.need("thing", "a|b") == old
    assert Text.read(store.folder("thing", "a|b")) == Text("good")
    left = [version for version in store.versions("thing", "a|b") if not version.current]
    assert [(version.record, lives(version.process or "")) for version in left] == [(None, False)]
    written(store, "new")
    assert Text.read(store.folder("thing", "a|b")) == Text("new")
