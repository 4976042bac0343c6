"""Digests of files are computed again only where a file has changed."""

from __future__ import annotations

import gzip
import json
import os
import time
from pathlib import Path
from zipfile import ZipFile

import pytest

from recpipe.data.digests import Digests
from recpipe.data.readers import source_digest
from recpipe.data.readers.files import DataFile


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files whose content was read for a digest, in order."""
    names: list[str] = []
    digest = DataFile.digest

    def noted(self: DataFile) -> str:
        names.append(self.name)
        return digest(self)

    monkeypatch.setattr(DataFile, "digest", noted)
    return names


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock stands a minute after every change of a file in this test."""
    now = time.time_ns
    monkeypatch.setattr("recpipe.data.digests.time.time_ns", lambda: now() + 60_000_000_000)


def written(folder: Path, name: str, text: str) -> DataFile:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return DataFile(folder, name)


def test_an_unchanged_file_is_read_once_and_a_changed_one_again(tmp_path: Path, read: list[str], later: None) -> None:
    digests = Digests(tmp_path / "digests.json")
    first, second = written(tmp_path / "d", "a.csv", "1"), written(tmp_path / "d", "b.csv", "2")
    told = [digests.of(first), digests.of(second)]
    assert told == [Digests(tmp_path / "digests.json").of(file) for file in (first, second)]
    assert read == ["a.csv", "b.csv"]
    written(tmp_path / "d", "a.csv", "3")
    assert digests.of(first) not in told
    assert digests.of(second) == told[1]
    assert read == ["a.csv", "b.csv", "a.csv"]


def test_a_change_that_keeps_size_and_time_is_seen(tmp_path: Path, later: None) -> None:
    digests = Digests(tmp_path / "digests.json")
    file = written(tmp_path / "d", "a.csv", "1")
    before, stat = digests.of(file), file.stored.stat()
    time.sleep(0.02)  # two ticks of the file system's clock
    written(tmp_path / "d", "a.csv", "2")
    os.utime(file.stored, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert digests.of(file) != before


def test_a_file_that_has_just_changed_is_not_remembered(tmp_path: Path, read: list[str]) -> None:
    digests = Digests(tmp_path / "digests.json")
    file = written(tmp_path / "d", "a.csv", "1")
    assert digests.of(file) == digests.of(file)
    assert read == ["a.csv", "a.csv"]


def test_the_members_of_an_archive_are_known_one_by_one_until_it_is_replaced(
    tmp_path: Path, read: list[str], later: None
) -> None:
    digests = Digests(tmp_path / "digests.json")
    with ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x/ratings.dat", "1::1::5::978300760\n")
        archive.writestr("x/movies.dat", "1::One (1990)::Drama\n")
    plain = source_digest(tmp_path / "a.zip")
    assert [source_digest(tmp_path / "a.zip", digests.of) for _ in range(2)] == [plain, plain]
    assert read == ["x/movies.dat", "x/ratings.dat"]
    with ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x/ratings.dat", "1::1::4::978300760\n")
    assert source_digest(tmp_path / "a.zip", digests.of) != plain


def test_files_that_are_gone_are_forgotten_and_a_damaged_cache_is_built_anew(tmp_path: Path, later: None) -> None:
    digests = Digests(tmp_path / "digests.json")
    first, second = written(tmp_path / "d", "a.csv", "1"), written(tmp_path / "d", "b.csv", "2")
    told = digests.of(first)
    first.stored.unlink()
    digests.of(second)
    assert list(json.loads(digests.path.read_text())) == [str(second.stored)]
    with pytest.raises(FileNotFoundError):
        digests.of(first)
    digests.path.write_text("{ cut off")
    written(tmp_path / "d", "a.csv", "1")
    assert digests.of(first) == told


def test_a_packed_file_has_the_digest_of_what_it_holds(tmp_path: Path) -> None:
    plain = written(tmp_path, "a.csv", "user,item,time\n")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"user,item,time\n", mtime=7))
    assert DataFile(tmp_path, "a.csv.gz").digest() == plain.digest()
