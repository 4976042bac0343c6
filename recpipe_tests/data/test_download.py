"""Downloads, against a server on loopback that knows ranges, breaks off and lies when it is told to."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from recpipe.data.archives import BadArchive
from recpipe.data.download import DownloadFailed, download
from recpipe.data.readers import read

SHARED = Path(__file__).parents[2] / "../shared/data"


@dataclass
class Publisher:
    """files: what is served, by path. breaks: for each path, after how many bytes the next answers stop."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    breaks: dict[str, list[int]] = field(default_factory=dict)
    failures: dict[str, list[int]] = field(default_factory=dict)
    ranges: bool = True
    asked: list[tuple[str, str | None]] = field(default_factory=list)


def handler(publisher: Publisher) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            publisher.asked.append((self.path, wanted))
            if failures := publisher.failures.get(self.path):
                return self.send_error(failures.pop(0))
            content = publisher.files.get(self.path)
            if content is None:
                return self.send_error(404)
            first = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and publisher.ranges else 0
            if first and first >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                return self.end_headers()
            self.send_response(206 if first else 200)
            self.send_header("Content-Length", str(len(content) - first))
            self.end_headers()
            stops = publisher.breaks.get(self.path)
            self.wfile.write(content[first : first + stops.pop(0)] if stops else content[first:])

        def log_message(self, *args: object) -> None:
            """Nothing on the screen."""

    return Handler


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    publisher = Publisher()
    with ThreadingHTTPServer(("127.0.0.1", 0), handler(publisher)) as server:
        publisher.url = f"http://127.0.0.1:{server.server_address[1]}/"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield publisher
        server.shutdown()
        thread.join()


def movielens(readme: tuple[str, str] = ("README", "For research only.")) -> bytes:
    """An archive like ml-100k, 400 kB long because half of it is noise."""
    content = io.BytesIO()
    with ZipFile(content, "w") as archive:
        archive.writestr(f"ml-100k/{readme[0]}", readme[1])
        archive.writestr("ml-100k/u.data", "1\t10\t5\t100\n2\t10\t3\t50\n")
        archive.writestr("ml-100k/noise", np.random.default_rng(0).bytes(400_000))
    return content.getvalue()


def publish(publisher: Publisher, name: str, content: bytes) -> None:
    publisher.files[f"/{name}.zip"] = content
    publisher.files[f"/{name}.zip.md5"] = f"{hashlib.md5(content).hexdigest()}  {name}.zip\n".encode()


def test_an_archive_is_fetched_checked_unpacked_and_read(publisher: Publisher, tmp_path: Path) -> None:
    publish(publisher, "ml-100k", movielens())
    told: list[tuple[int, int | None]] = []
    came = download(
        "ml-100k", tmp_path, base_url=publisher.url, progress=lambda done, total: told.append((done, total))
    )
    assert came.folder == tmp_path / "ml-100k"
    assert came.licence == "For research only."
    assert came.verified
    size = len(publisher.files["/ml-100k.zip"])
    assert told[0] == (0, size) and told[-1] == (size, size)
    assert len(read(came.folder).ratings) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["ml-100k"]

    asked = len(publisher.asked)
    assert download("ml-100k", tmp_path, base_url=publisher.url).licence == "For research only."
    assert len(publisher.asked) == asked, "what is there is not fetched again"


def test_a_broken_transfer_goes_on_where_it_stopped(publisher: Publisher, tmp_path: Path) -> None:
    publish(publisher, "ml-1m", movielens())
    publisher.breaks["/ml-1m.zip"] = [100_000, 150_000]
    publisher.failures["/ml-1m.zip"] = [503]
    came = download("ml-1m", tmp_path, base_url=publisher.url, pause=0)
    assert came.verified
    ranges = [wanted for path, wanted in publisher.asked if path == "/ml-1m.zip"]
    assert ranges == [None, None, "bytes=100000-", "bytes=250000-"]


def test_a_second_command_goes_on_with_the_part_of_the_first(publisher: Publisher, tmp_path: Path) -> None:
    publish(publisher, "ml-1m", movielens())
    publisher.breaks["/ml-1m.zip"] = [100_000]
    with pytest.raises(DownloadFailed, match=r"closed after 100,000 of .* run the command again"):
        download("ml-1m", tmp_path, base_url=publisher.url, attempts=1)
    assert (tmp_path / "ml-1m.zip.part").stat().st_size == 100_000
    download("ml-1m", tmp_path, base_url=publisher.url, attempts=1)
    assert publisher.asked[-1] == ("/ml-1m.zip", "bytes=100000-")


def test_a_server_without_ranges_begins_again(publisher: Publisher, tmp_path: Path) -> None:
    publish(publisher, "ml-1m", movielens())
    publisher.ranges = False
    (tmp_path / "ml-1m.zip.part").write_bytes(b"x" * 1000)
    assert download("ml-1m", tmp_path, base_url=publisher.url).verified


def test_a_part_that_is_whole_or_too_long_is_noticed(publisher: Publisher, tmp_path: Path) -> None:
    content = movielens()
    publish(publisher, "ml-1m", content)
    (tmp_path / "ml-1m.zip.part").write_bytes(content)
    assert download("ml-1m", tmp_path / ".", base_url=publisher.url, pause=0).verified
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "ml-1m.zip.part").write_bytes(content + b"more")
    assert download("ml-1m", tmp_path / "again", base_url=publisher.url, pause=0).verified


def test_a_wrong_checksum_is_refused_and_the_file_removed(publisher: Publisher, tmp_path: Path) -> None:
    publish(publisher, "ml-1m", movielens())
    publisher.files["/ml-1m.zip.md5"] = b"MD5 (ml-1m.zip) = " + b"0" * 32
    with pytest.raises(DownloadFailed, match=r"published md5 is 0{32}"):
        download("ml-1m", tmp_path, base_url=publisher.url)
    assert not list(tmp_path.iterdir())


def test_an_archive_without_a_checksum_is_not_called_verified(publisher: Publisher, tmp_path: Path) -> None:
    page = ("README.html", "<html><style>p {color: red}</style><p>Research &amp; teaching</p></html>")
    publisher.files["/ml-10m.zip"] = movielens(page)
    came = download("ml-10m", tmp_path, base_url=publisher.url)
    assert came.verified is False
    assert came.licence == "Research & teaching"


def test_an_unsafe_archive_is_refused_and_removed(publisher: Publisher, tmp_path: Path) -> None:
    content = io.BytesIO()
    with ZipFile(content, "w") as archive:
        archive.writestr("../outside", "x")
    publish(publisher, "ml-1m", content.getvalue())
    with pytest.raises(BadArchive, match="points outside"):
        download("ml-1m", tmp_path / "raw", base_url=publisher.url)
    assert not list((tmp_path / "raw").iterdir())
    assert not (tmp_path / "outside").exists()


def test_a_file_that_is_not_there_is_not_asked_for_twice(publisher: Publisher, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match="404"):
        download("ml-1m", tmp_path, base_url=publisher.url)
    assert [path for path, _ in publisher.asked] == ["/ml-1m.zip.md5", "/ml-1m.zip"]


def test_names_and_addresses_are_checked_at_the_door(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"did you mean ml-1m\?"):
        download("ml-1", tmp_path)
    with pytest.raises(ValueError, match="http"):
        download("ml-1m", tmp_path, base_url="file:///etc/")


@pytest.mark.skipif(not (SHARED / "ml-100k.zip").exists(), reason="../shared/data is not beside the checkout")
def test_the_published_ml_100k_comes_through_the_line(publisher: Publisher, tmp_path: Path) -> None:
    publish(publisher, "ml-100k", (SHARED / "ml-100k.zip").read_bytes())
    came = download("ml-100k", tmp_path, base_url=publisher.url)
    assert "USAGE LICENSE" in came.licence
    assert len(read(came.folder).ratings) == 100_000
