"""Artifacts on a storage that machines share: two caches are two machines, whatever the kind of storage."""

import dataclasses
import json
import shutil
import subprocess
import sys
import uuid
from contextlib import suppress
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from recpipe import remote as remote_module
from recpipe.lineage import Lineage, Node, Standing
from recpipe.remote import Damaged, Remote, Unreachable
from recpipe.settings import Project
from recpipe.steps.submit import place_file, publish_file
from recpipe.storage import RECORD, Missing, Store, VersionGone, artifact_place
from recpipe.yaml_files import SettingsError
from recpipe_tests.test_storage import Text, written

AT_ONCE = timedelta(seconds=-1)
"""Nothing counts as an upload under way."""


@pytest.fixture(params=["memory", "file"])
def url(request, tmp_path):
    return f"memory://{uuid.uuid4().hex}/line" if request.param == "memory" else f"file://{tmp_path}/shared"


def machine(cache: Path, url: str) -> Store:
    return Store(cache, Remote.at(url, cache, attempts=1, connect_timeout=1, read_timeout=1))


@pytest.fixture
def machines(url, tmp_path):
    return machine(tmp_path / "one", url), machine(tmp_path / "two", url)


def paths(store: Store) -> list[str]:
    """What lies on the storage, below its base."""
    return [path.removeprefix(f"{store.remote.base}/") for path in store.remote.files.find(store.remote.base)]


def versions(store: Store) -> set[str]:
    return {path.split("/")[3] for path in paths(store) if path.startswith("thing/a/b/v-")}


class Failing:
    """A filesystem of which one call breaks."""

    def __init__(self, files, call, first=lambda *_: None):
        self._files, self._call, self._first = files, call, first

    def __getattr__(self, name):
        if name != self._call:
            return getattr(self._files, name)

        def broken(*words, **_):
            self._first(*words)
            raise OSError("cut off")

        return broken


def breaking(store: Store, call: str, **how) -> Store:
    return Store(store.root, dataclasses.replace(store.remote, files=Failing(store.remote.files, call, **how)))


def test_what_one_machine_wrote_another_finds_with_its_record_and_downloads_once(machines):
    one, two = machines
    assert two.record("thing", "a|b") is None
    assert two.records("thing") == []
    record = written(one, "hello")
    assert two.need("thing", "a|b") == record
    assert two.records("thing") == [record]
    assert two.backend.address(record).endswith(f"/thing/a/b/{record.version}")
    folder = two.folder("thing", "a|b")
    assert Text.read(folder) == Text("hello")
    assert Text.read(breaking(two, "get").folder("thing", "a|b")) == Text("hello")  # from the cache
    assert list(two.root.rglob(RECORD)) == []


def test_partitions_have_records_of_their_own(machines):
    one, two = machines
    written(one, "x", "b|c")
    written(one, "y", "a|c")
    assert [record.partition for record in two.records("thing")] == ["a|c", "b|c"]


@pytest.mark.parametrize("call", ["put", "pipe_file"])
def test_a_process_that_dies_before_or_after_the_upload_leaves_the_old_version(machines, call, monkeypatch):
    one, two = machines
    old = written(one, "good")
    monkeypatch.setattr(remote_module, "replace_text", lambda *_: (_ for _ in ()).throw(OSError("cut off")))
    with pytest.raises(Unreachable, match=r"could not be used \(cut off\).*goes on from there"):
        written(breaking(one, call), "new")
    assert two.need("thing", "a|b") == old
    assert Text.read(two.folder("thing", "a|b")) == Text("good")


def test_a_download_that_is_cut_off_is_not_used_and_leaves_nothing(machines):
    one, two = machines
    written(one, "good")

    def half(_names, targets):
        Path(targets[0]).write_text("go")

    with pytest.raises(Unreachable):
        breaking(two, "get", first=half).folder("thing", "a|b")
    assert list(two.place("thing", "a|b").iterdir()) == []
    assert Text.read(two.folder("thing", "a|b")) == Text("good")


def test_files_that_are_not_those_of_the_record_are_refused_with_what_to_do(machines):
    one, two = machines
    record = written(one, "good")
    one.remote.files.pipe_file(f"{one.remote.base}/thing/a/b/{record.version}/text.txt", b"changed")
    with pytest.raises(
        Damaged, match=r"thing\[a\|b\].*not what its record tells of.*remove .*record\.json.*recpipe build"
    ):
        two.folder("thing", "a|b")
    assert list(two.place("thing", "a|b").iterdir()) == []


def test_a_version_that_was_replaced_between_two_looks_is_read_in_its_new_form(machines, monkeypatch):
    one, two = machines
    old = written(one, "old")
    new = written(one, "new")
    one.remote.files.rm(f"{one.remote.base}/thing/a/b/{old.version}", recursive=True)
    seen = [old.json(), new.json()]
    monkeypatch.setattr(Remote, "record", lambda self, place: seen.pop(0))
    assert Text.read(two.folder("thing", "a|b")) == Text("new")
    seen[:] = [old.json(), old.json()]
    with pytest.raises(VersionGone, match=r"is not there any more.*remove .*record\.json"):
        two.folder("thing", "a|b")


def test_the_version_before_stays_for_those_who_read_it_and_older_ones_go(machines, monkeypatch):
    one, _ = machines
    monkeypatch.setattr(remote_module, "IN_FLIGHT", AT_ONCE)
    records = [written(one, text) for text in ("first", "second", "third")]
    assert versions(one) == {records[1].version, records[2].version}
    one.publish(records[2])
    assert records[2].version in versions(one)


def test_an_upload_under_way_on_another_machine_is_left_alone_and_can_be_published(machines):
    one, two = machines
    slow = two.stage("thing", "a|b", Text("slow"), {}, {})
    two.backend.upload(slow)
    for text in ("first", "second", "third"):
        written(one, text)
    two.publish(slow)
    assert Text.read(one.folder("thing", "a|b")) == Text("slow")


def test_a_machine_that_only_reads_forgets_old_versions(machines, monkeypatch):
    one, two = machines
    monkeypatch.setattr(remote_module, "IN_FLIGHT", AT_ONCE)
    written(one, "first")
    old = two.folder("thing", "a|b")
    written(one, "second")
    assert Text.read(two.folder("thing", "a|b")) == Text("second")
    assert not old.exists()


WRITER = """
import sys, time
from datetime import timedelta
from pathlib import Path
from recpipe import remote
from recpipe.storage import Store
from recpipe_tests.test_remote import machine, written

remote.IN_FLIGHT = timedelta(0)
for number in range(12):
    written(machine(Path(sys.argv[1]), sys.argv[2]), f"{number} " * 2000)
    time.sleep(0.02)
"""


def test_a_reader_sees_whole_versions_in_their_order_while_another_process_writes(tmp_path):
    url = f"file://{tmp_path}/shared"
    reader = machine(tmp_path / "two", url)
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "one"), url])
    seen = []
    while process.poll() is None or seen[-1:] != [11]:
        with suppress(Missing, VersionGone):  # nothing written yet; or two versions went by within one look
            words = set(Text.read(reader.folder("thing", "a|b")).text.split())
            assert len(words) == 1
            seen.append(int(words.pop()))
        assert process.poll() in {None, 0}
    assert seen == sorted(seen)
    assert len(set(seen)) > 1


def share(project: Project, url: str, monkeypatch: pytest.MonkeyPatch, home: Path) -> Project:
    """The project's artifacts brought to a storage; a project with an empty home that finds them there."""
    local = project.store
    monkeypatch.setenv("RECPIPE_ARTIFACTS", url)
    here = Project(project.home, project.conf).store
    for path in sorted(local.root.rglob(RECORD)):
        record = local.need(**{key: json.loads(path.read_text())[key] for key in ("asset", "partition")})
        shutil.copytree(local.folder(record.asset, record.partition), here.root / record.place / record.version)
        here.publish(record)
    return Project(home, project.conf)


def test_another_home_finds_everything_current_and_gets_the_submission(built, url, tmp_path, monkeypatch):
    other = share(built, url, monkeypatch, tmp_path / "other")
    lineage = Lineage(other)
    line = lineage.line_to(Node("ensemble_submission"))
    assert {lineage.state(node).standing for node in line} == {Standing.CURRENT}
    assert len(line) > 15
    place_file(other)
    assert other.submission_file.read_bytes() == built.submission_file.read_bytes()
    assert url in other.address


def test_the_submission_lies_beside_the_artifacts_too(built, url, tmp_path, monkeypatch):
    folder = built.store.folder("ensemble_submission")
    monkeypatch.setenv("RECPIPE_ARTIFACTS", url)
    other = Project(tmp_path / "other", built.conf)
    publish_file(other, folder)
    assert "submission.csv" in paths(other.store)
    assert other.submission_file.read_bytes() == built.submission_file.read_bytes()


def test_the_first_steps_run_on_a_shared_storage_and_a_second_home_repeats_none(
    project, planner, url, tmp_path, monkeypatch
):
    import dagster as dg

    monkeypatch.setenv("RECPIPE_ARTIFACTS", url)
    goals = [Node("stg_genres")]
    with dg.DagsterInstance.ephemeral() as instance:
        first = planner.build(Project.here(), goals, instance)
        monkeypatch.setenv("RECPIPE_HOME", str(tmp_path / "second"))
        second = planner.build(Project.here(), goals, instance)
        run = instance.get_runs()[-1]
        shown = [
            entry.dagster_event for entry in instance.all_logs(run.run_id, dg.DagsterEventType.ASSET_MATERIALIZATION)
        ]
    assert [str(node) for node in first.ran] == ["raw_items", "stg_genres"]
    assert second.ran == []
    folders = [event.materialization.metadata["folder"].value for event in shown if event]
    assert all(folder.startswith(url) for folder in folders)
    assert folders
    assert not (project.home / "artifacts").exists()


def test_without_a_setting_artifacts_lie_in_the_home_folder(project):
    assert project.store == Store(project.home / "artifacts")


def test_the_environment_comes_before_the_file(project, monkeypatch):
    (project.conf / "storage.yaml").write_text(yaml.safe_dump({"artifacts": "memory://from/file"}))
    assert project.storage().artifacts == "memory://from/file"
    monkeypatch.setenv("RECPIPE_ARTIFACTS", "memory://from/environment")
    assert project.storage().artifacts == "memory://from/environment"


def test_two_storages_never_share_a_cache(project, monkeypatch):
    caches = []
    for address in ("memory://a/b-c", "memory://a-b/c"):
        monkeypatch.setenv("RECPIPE_ARTIFACTS", address)
        caches.append(Project.here().store.root)
    assert caches[0] != caches[1]
    assert all(cache.parent == project.home / "cache" for cache in caches)


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("somewhere", r"an address such as s3://bucket/prefix was wanted"),
        ("ftp://host/folder", r"an address such as s3://bucket/prefix was wanted, of one of: s3"),
        ("s3://name:secret-word@bucket/x", r"credentials do not belong into an address"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_and_not_repeated(project, monkeypatch, address, told):
    monkeypatch.setenv("RECPIPE_ARTIFACTS", address)
    with pytest.raises(SettingsError, match=told) as refused:
        project.storage()
    assert "secret-word" not in str(refused.value)


def test_a_storage_whose_package_is_missing_is_named_with_what_to_install(project, monkeypatch):
    monkeypatch.setattr(remote_module, "find_spec", lambda name: None)
    monkeypatch.setenv("RECPIPE_ARTIFACTS", "s3://bucket/prefix")
    with pytest.raises(SettingsError, match=r"s3:// needs a package.*pip install 'recpipe\[s3\]'"):
        project.storage()


def test_a_misspelt_storage_setting_is_named_with_the_nearest(project):
    (project.conf / "storage.yaml").write_text("atempts: 3\n")
    with pytest.raises(SettingsError, match=r"storage\.yaml: atempts: no such setting; did you mean 'attempts'"):
        project.storage()


def test_a_missing_artifact_on_a_shared_storage_is_missing(machines):
    with pytest.raises(Missing, match="has not been made"):
        machines[0].folder("thing", "a|b")


@pytest.mark.skipif(
    any(find_spec(name) is None for name in ("s3fs", "moto", "flask")),
    reason="needs the extras s3 and rehearsal: an S3 client and a server for the loopback",
)
def test_the_same_on_s3_and_a_server_that_is_gone_is_told_within_its_bound(tmp_path, monkeypatch):
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in (("ENDPOINT_URL", f"http://{host}:{port}"), ("ACCESS_KEY_ID", "a"),
                        ("SECRET_ACCESS_KEY", "secret-word"), ("DEFAULT_REGION", "us-east-1")):  # fmt: skip
        monkeypatch.setenv(f"AWS_{name}", value)
    one, two = (machine(tmp_path / name, "s3://bucket/line") for name in ("one", "two"))
    one.remote.files.mkdir("bucket")
    assert two.record("thing", "a|b") is None
    written(one, "good")
    record = written(one, "better")
    assert two.records("thing") == [record]
    assert Text.read(two.folder("thing", "a|b")) == Text("better")
    assert two.backend.record(artifact_place("thing", None)) is None
    server.stop()
    with pytest.raises(Unreachable, match=r"s3://bucket/line could not be used \(.*goes on from there") as lost:
        two.record("thing", "a|b")
    assert "secret-word" not in str(lost.value)
