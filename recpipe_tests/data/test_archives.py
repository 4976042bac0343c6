"""Archives are untrusted: what must not be unpacked is refused before a byte is written."""

from __future__ import annotations

import stat
import zlib
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import pytest

from recpipe.data.archives import BadArchive, unpack
from recpipe.data.readers.files import DataFile


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_an_archive_is_unpacked_with_its_folders(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "films.zip", {"films/a.csv": b"1\n", "films/deep/b.csv": b"2\n", "films/empty/": b""})
    unpack(archive, tmp_path / "out" / "here")
    assert (tmp_path / "out/here/films/a.csv").read_bytes() == b"1\n"
    assert (tmp_path / "out/here/films/deep/b.csv").read_bytes() == b"2\n"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["here"]


@pytest.mark.parametrize("name", ["../outside.csv", "films/../../outside.csv", "/outside.csv", "C:/outside.csv"])
def test_a_path_outside_the_target_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    archive = zipped(tmp_path / "evil.zip", {"good.csv": b"1\n", name: b"2\n"})
    with pytest.raises(BadArchive, match="points outside"):
        unpack(archive, tmp_path / "out" / "here")
    assert not list((tmp_path / "out").iterdir())
    assert not (tmp_path / "outside.csv").exists()


def test_a_link_is_refused(tmp_path: Path) -> None:
    link = ZipInfo("films.csv")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(BadArchive, match="link"):
        unpack(tmp_path / "link.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_too_many_bytes_and_too_many_files_are_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "big.zip", {"a": b"0" * 5000, "b": b"0" * 5001})
    with pytest.raises(BadArchive, match=r"10,001 bytes; at most 10,000"):
        unpack(archive, tmp_path / "out", most_bytes=10_000)
    with pytest.raises(BadArchive, match="2 files; at most 1"):
        unpack(archive, tmp_path / "out", most_files=1)
    assert not (tmp_path / "out").exists()


def test_an_archive_that_lies_about_its_sizes_is_refused(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "liar.zip", {"a": b"0" * 5000})
    size = (5000).to_bytes(4, "little")
    archive.write_bytes(archive.read_bytes().replace(size, (10).to_bytes(4, "little")))
    with pytest.raises(BadArchive, match="damaged"):
        unpack(archive, tmp_path / "out", most_bytes=1000)
    assert not (tmp_path / "out").exists()


def test_damage_leaves_nothing_behind(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "torn.zip", {"a": bytes(range(256)) * 40})
    content = bytearray(archive.read_bytes())
    content[60:80] = bytes(20)
    archive.write_bytes(content)
    with pytest.raises((BadArchive, OSError)):
        unpack(archive, tmp_path / "out")
    (tmp_path / "text.zip").write_text("<html>not found</html>")
    with pytest.raises(BadArchive, match="a zip archive is wanted"):
        unpack(tmp_path / "text.zip", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["text.zip", "torn.zip"]


def test_a_stream_that_cannot_be_unpacked_is_damage(tmp_path: Path) -> None:
    """Broken bits of a packed file break zlib before the checksum is looked at."""
    archive = zipped(
        tmp_path / "train.zip", {"train_ratings.csv": b"".join(b"%d,%d,7\n" % (row, row) for row in range(9999))}
    )
    content = bytearray(archive.read_bytes())
    content[60:63] = b"\xff\xff\xff"
    archive.write_bytes(content)
    with ZipFile(archive) as torn, torn.open("train_ratings.csv") as member, pytest.raises(zlib.error):
        member.read()
    with pytest.raises(BadArchive, match="damaged, fetch it again"):
        unpack(archive, tmp_path / "out")
    with pytest.raises(BadArchive, match="damaged, fetch it again"):
        DataFile(archive, "train_ratings.csv").content()


def test_what_stands_in_the_way_is_kept(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "films.zip", {"a.csv": b"new"})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.csv").write_bytes(b"old")
    with pytest.raises(FileExistsError, match="stands in the way"):
        unpack(archive, tmp_path / "out")
    assert (tmp_path / "out" / "a.csv").read_bytes() == b"old"
