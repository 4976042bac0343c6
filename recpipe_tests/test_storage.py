"""The artifact store: replaced whole or not at all."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

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


def test_what_a_killed_process_left_is_never_current_and_goes_with_the_next_write(tmp_path):
    store = Store(tmp_path)
    old = written(store, "good")
    store.stage("thing", "a|b", Text("half"), {}, {})  # the process dies before it publishes
    assert store.need("thing", "a|b") == old
    new = written(store, "new")
    assert [path.name for path in store.place("thing", "a|b").glob("v-*")] == [new.version]


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


def test_a_process_killed_while_it_writes_leaves_the_old_version_and_the_next_write_cleans_up(tmp_path):
    store = Store(tmp_path)
    old = written(store, "good")
    process = subprocess.Popen([sys.executable, "-c", SLOW_WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    process.kill()
    process.wait()
    process.stdout.close()
    assert store.need("thing", "a|b") == old
    assert Text.read(store.folder("thing", "a|b")) == Text("good")
    new = written(store, "new")
    assert [path.name for path in store.place("thing", "a|b").glob("v-*")] == [new.version]
