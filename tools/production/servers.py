"""A PostgreSQL server and an S3 server on this machine's loopback, for rehearsing a production setting.

    python tools/production/servers.py start FOLDER    # prints the environment that recpipe needs, as export lines
    python tools/production/servers.py stop FOLDER

PostgreSQL is Debian's package `postgresql`; it refuses to run as root and is run as the user `postgres` then. The S3
server is moto's (`pip install 'recpipe[rehearsal]'`). It keeps objects in memory, so its recorder writes every request
to a file first, and a restart plays the writing ones back: together they stand for a server with a disk.
"""

from __future__ import annotations

import argparse
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

BUCKET = "recpipe"
STARTED = "servers.json"
PATIENCE = 60
"""Seconds until a server that does not answer is given up."""


class NotHere(RuntimeError):
    """A program that the servers need is not installed."""


@dataclass(frozen=True)
class Servers:
    """Both servers' ports; everything that they write lies under `folder`."""

    folder: str
    postgres_port: int
    s3_port: int

    @classmethod
    def begin(cls, folder: Path) -> Servers:
        """Make the folder of the database, start both servers, make the bucket."""
        _check_installed()
        folder.mkdir(parents=True, exist_ok=True)
        servers = cls(str(folder.absolute()), free_port(), free_port())
        (folder / STARTED).write_text(json.dumps(asdict(servers)) + "\n")
        servers._make_database()
        servers.start_postgres()
        servers.start_s3()
        _answer(f"{servers.endpoint}/{BUCKET}", "PUT")
        return servers

    @classmethod
    def begun(cls, folder: Path) -> Servers:
        """The servers that were started on a folder."""
        return cls(**json.loads((folder / STARTED).read_text()))

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.s3_port}"

    @property
    def environment(self) -> dict[str, str]:
        """What recpipe, Dagster and the S3 client read."""
        return {
            "RECPIPE_POSTGRES_URL": f"postgresql+psycopg2://postgres@127.0.0.1:{self.postgres_port}/postgres",
            "RECPIPE_ARTIFACTS": f"s3://{BUCKET}/line",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "rehearsal",
            "AWS_SECRET_ACCESS_KEY": "rehearsal",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def start_postgres(self) -> None:
        """Start the database server and wait until it accepts connections."""
        self._as_postgres("pg_ctl", "start", "--wait", "--pgdata", str(self._database), "--log", str(self._log),
                          "--options", f"-p {self.postgres_port} -c listen_addresses=127.0.0.1 "
                          f"-c unix_socket_directories={self._database}")  # fmt: skip

    def start_s3(self) -> None:
        """Start the S3 server and play back what was recorded before."""
        record = Path(self.folder, "s3-requests.jsonl")
        _keep_what_wrote(record)
        environment = os.environ | {"MOTO_RECORDER_FILEPATH": str(record), "MOTO_ENABLE_RECORDING": "1"}
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.s3_port)]
        with Path(self.folder, "s3.log").open("ab") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment, cwd=self.folder, start_new_session=True
            )
        Path(self.folder, "s3.pid").write_text(str(process.pid))
        _until(lambda: _listens(self.s3_port), "the S3 server")
        if record.exists() and record.stat().st_size:
            _answer(f"{self.endpoint}/moto-api/recorder/replay-recording", "POST")

    def kill_postgres(self) -> None:
        """SIGKILL to the server's first process; its children end when they see it."""
        pid = int((self._database / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)
        _until(lambda: not _listens(self.postgres_port), "the end of the PostgreSQL server")

    def kill_s3(self) -> None:
        """SIGKILL to the S3 server."""
        os.kill(int(Path(self.folder, "s3.pid").read_text()), signal.SIGKILL)
        _until(lambda: not _listens(self.s3_port), "the end of the S3 server")

    def stop(self) -> None:
        """End both servers; their folder stays."""
        if _listens(self.s3_port):
            self.kill_s3()
        if _listens(self.postgres_port):
            self._as_postgres("pg_ctl", "stop", "--mode", "fast", "--pgdata", str(self._database))

    @property
    def _database(self) -> Path:
        return Path(self.folder, "postgres")

    @property
    def _log(self) -> Path:
        return self._database / "server.log"

    def _make_database(self) -> None:
        self._database.mkdir()
        if os.geteuid() == 0:
            shutil.chown(self._database, "postgres", "postgres")
        self._database.chmod(0o700)
        self._as_postgres("initdb", "--pgdata", str(self._database), "--username", "postgres", "--auth", "trust")

    def _as_postgres(self, program: str, *words: str) -> None:
        user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        command = [*user, str(_postgres_program(program)), *words]
        # its output goes to a file: the server would keep a pipe open
        output = Path(self.folder, f"{program}.log")
        with output.open("wb") as log:
            done = subprocess.run(command, stdout=log, stderr=log, check=False, cwd="/")
        if done.returncode:
            raise RuntimeError(f"{program} ended with {done.returncode}: {output.read_text()}")


def _check_installed() -> None:
    _postgres_program("initdb")
    if os.geteuid() == 0:
        if shutil.which("runuser") is None:
            raise NotHere("runuser is missing: install Debian's package util-linux")
        pwd.getpwnam("postgres")
    for module, extra in (
        ("moto", "rehearsal"),
        ("flask", "rehearsal"),
        ("s3fs", "s3"),
        ("dagster_postgres", "postgres"),
    ):
        if find_spec(module) is None:
            raise NotHere(f"{module} is missing: pip install -c constraints.txt -e '.[{extra}]'")


def _postgres_program(name: str) -> Path:
    """Debian keeps the server's programs out of PATH, by version."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parent.parent.name))
    on_path = shutil.which(name)
    if not found and on_path is None:
        raise NotHere(f"{name} is missing: install Debian's package postgresql (apt-get install postgresql)")
    return found[-1] if found else Path(str(on_path))


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {PATIENCE} s for {what}")
        time.sleep(0.1)


def _answer(url: str, method: str) -> None:
    try:
        with urlopen(Request(url, method=method, data=b"")) as answer:
            answer.read()
    except URLError as error:
        raise RuntimeError(f"{method} {url}: {error}") from error


def _keep_what_wrote(record: Path) -> None:
    """Reading changed nothing; and requests that came at once share a line, which moto itself would not read.

    What a killed server began to write at the end, of a request that it had not answered, is left out.
    """
    if not record.exists():
        return
    text, place, kept = record.read_text(encoding="utf-8"), 0, []
    while (place := text.find("{", place)) >= 0:
        try:
            request, place = json.JSONDecoder().raw_decode(text, place)
        except json.JSONDecodeError:
            break
        if request["method"] not in {"GET", "HEAD"}:
            kept.append(json.dumps(request) + "\n")
    record.write_text("".join(kept), encoding="utf-8")


def main() -> None:
    """`start` and `stop`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["start", "stop"])
    parser.add_argument("folder", type=Path, help="where the servers write; readable by the user postgres")
    told = parser.parse_args()
    try:
        if told.action == "stop":
            Servers.begun(told.folder).stop()
            return
        for name, value in Servers.begin(told.folder).environment.items():
            print(f"export {name}={value}")
    except (NotHere, KeyError) as missing:
        sys.exit(f"servers: {missing}")


if __name__ == "__main__":
    main()
