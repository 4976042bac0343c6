"""The whole line on PostgreSQL and S3, with both servers killed in the middle; docs/production.md shows what was seen.

    python tools/production/rehearsal.py [HOME]        # `make production` installs what it needs first

HOME is a folder that `recpipe build` has filled with the defaults before; it is copied, and saves that build.

The sample is built twice: with the defaults (SQLite, local files), and on two servers of this machine's loopback. The
two submissions must be the same bytes. Ends with status 1 where something was not as it should be.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

from servers import Servers, free_port

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "production.md"
MARK = "<!-- rehearsal -->"
PATIENCE = 1200
"""Seconds until a build that shows nothing new is given up."""
QUERY = "{ assetNodes { assetKey { path } assetMaterializations(limit: 1) { runId } } }"


@dataclass
class Transcript:
    """What was done and seen, in order; `folder` is left out of what is shown."""

    folder: Path
    parts: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def tell(self, title: str, text: str, seconds: float | None = None) -> None:
        """One step with what came out."""
        took = "" if seconds is None else f" ({seconds:.0f} s)"
        shown = text.replace(str(self.folder), "…").strip()
        self.parts.append(f"**{title}**{took}\n\n```\n{shown}\n```")
        print(f"--- {title}{took}\n{shown}\n", flush=True)

    def must(self, true: bool, what: str) -> None:
        """A promise, kept or broken."""
        self.parts.append(f"{'Kept' if true else 'BROKEN'}: {what}.")
        print(self.parts[-1], flush=True)
        if not true:
            self.wrong.append(what)


def main() -> None:
    """Everything in a folder of its own, which is removed in the end."""
    folder = Path(tempfile.mkdtemp(prefix="recpipe-production-"))
    folder.chmod(0o755)  # the user postgres must get through
    if sys.argv[1:]:
        shutil.copytree(sys.argv[1], folder / "local")
    seen = Transcript(folder)
    servers = Servers.begin(folder / "servers")
    try:
        rehearse(folder, servers, seen)
    finally:
        servers.stop()
    write_page(seen)
    shutil.rmtree(folder)
    if seen.wrong:
        sys.exit("not as it should be: " + "; ".join(seen.wrong))


def rehearse(folder: Path, servers: Servers, seen: Transcript) -> None:
    """The two builds, the kills, the looks from other processes, and the comparison."""
    local, first, second = folder / "local", folder / "first", folder / "second"
    build_with_defaults(local, seen)
    production = servers.environment
    made = build_through_a_restart(first, production, servers, seen)
    look_from_another_home(second, production, seen)
    ask_the_webserver(first, production, made, seen)
    materialize_bare(first, production, seen)
    compare(local, first, second, production, seen)


def build_with_defaults(home: Path, seen: Transcript) -> None:
    """The reference: SQLite and local files."""
    build = Build(home, {})
    status, output, seconds = build.end()
    seen.tell("The sample with the defaults: recpipe build", _steps_and_end(output), seconds)
    seen.must(status == 0, "the build with the defaults ends with status 0")


def build_through_a_restart(home: Path, production: Mapping[str, str], servers: Servers, seen: Transcript) -> set[str]:
    """Both servers are killed twice in the middle of trainings: back after seconds, and gone until the build ends.

    The assets that were made in the end come back.
    """
    build = Build(home, production)
    build.wait_for("made evaluation_report[item_knn|holdout]")
    time.sleep(2)
    down = _restart(servers)
    build.wait_for("made evaluation_report[mf|holdout]")
    seen.tell(
        f"PostgreSQL and S3 killed (SIGKILL) after item_knn's report, back {down:.1f} s later: the build goes on",
        "\n".join(line for line in build.lines() if re.match("made (trained_model|evaluation_report).*", line)),
    )
    time.sleep(2)
    servers.kill_postgres()
    servers.kill_s3()
    status, output, seconds = build.end()
    seen.tell("Both killed after mf's report and left dead: how the build ends", _last(output, 1), seconds)
    seen.must(
        status == 1 and "goes on from there" in _last(output, 1),
        "the build ends with status 1 and a sentence that says what to do",
    )
    made = _made(output)
    servers.start_postgres()
    servers.start_s3()
    status, output, seconds = Build(home, production).end()
    seen.tell("Both back: recpipe build", _steps_and_end(output), seconds)
    seen.must(status == 0 and not made & _made(output), "the next build makes nothing again that was made before")
    return {name.partition("[")[0] for name in made | _made(output)}


def look_from_another_home(home: Path, production: Mapping[str, str], seen: Transcript) -> None:
    """An empty home folder on the same storages, as another machine would have it."""
    done, seconds = _run(["-m", "recpipe", "status"], home, production)
    seen.tell("An empty home folder, as on another machine: recpipe status", done.stdout, seconds)
    status, output, seconds = Build(home, production).end()
    seen.tell("There: recpipe build", _steps_and_end(output), seconds)
    seen.must(
        status == 0 and "0 steps run" in output, "the other home finds everything current and gets the submission"
    )


def ask_the_webserver(home: Path, production: Mapping[str, str], made: set[str], seen: Transcript) -> None:
    """`dagster dev` on the same instance, asked through GraphQL for the latest materialisations."""
    with _webserver(home, production) as url:
        answer = _asked(url)
    nodes = {"/".join(node["assetKey"]["path"]): node["assetMaterializations"] for node in answer["data"]["assetNodes"]}
    known = sorted(name for name, found in nodes.items() if found)
    seen.tell("dagster dev, asked through GraphQL for materialisations", f"{len(known)} assets: {', '.join(known)}")
    seen.must(made <= set(known), "the webserver knows a materialisation of every asset that was made")


def materialize_bare(home: Path, production: Mapping[str, str], seen: Transcript) -> None:
    """The bare command, with what the environment's activation sets."""
    command = "dagster asset materialize --select leaderboard --partition holdout"
    activate = f"VIRTUAL_ENV={sys.prefix}; PATH={sys.prefix}/bin:$PATH; . {ROOT}/tools/activate.sh; echo $DAGSTER_HOME"
    script = f"{activate}; {command} 2>&1 | grep -c -e STEP_SUCCESS -e RUN_SUCCESS"
    done = subprocess.run(
        ["bash", "-c", script],
        env=_environment(home, production),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    seen.tell(f"{command}, in the activated environment: DAGSTER_HOME, and events of success", done.stdout)
    seen.must(done.stdout.split()[-1:] == ["2"], "the bare command works on the same storages")


def compare(local: Path, first: Path, second: Path, production: Mapping[str, str], seen: Transcript) -> None:
    """Four submissions: with the defaults, in both homes, and beside the artifacts on S3."""
    code = (
        "import fsspec, os, sys; sys.stdout.buffer.write(fsspec.open("
        "os.environ['RECPIPE_ARTIFACTS'] + '/submission.csv').open().read())"
    )
    beside = subprocess.run(
        [sys.executable, "-c", code], env=_environment(first, production), capture_output=True, check=True
    ).stdout
    wanted = (local / "submission.csv").read_bytes()
    same = {
        "first home": (first / "submission.csv").read_bytes() == wanted,
        "second home": (second / "submission.csv").read_bytes() == wanted,
        "S3, beside the artifacts": beside == wanted,
    }
    told = "\n".join(f"{name}: {'the same bytes' if equal else 'DIFFERENT'}" for name, equal in same.items())
    seen.tell(f"submission.csv ({len(wanted):,} bytes) against the build with the defaults", told)
    seen.must(all(same.values()), "the submissions are the same bytes")


class Build:
    """`recpipe build` in a process of its own, its output in a file."""

    def __init__(self, home: Path, storages: Mapping[str, str]) -> None:
        home.mkdir(exist_ok=True)
        self._log = home / "build.log"
        self._started = time.monotonic()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "recpipe", "build"],
                env=_environment(home, storages), stdout=log, stderr=subprocess.STDOUT, cwd=ROOT,
            )  # fmt: skip

    def lines(self) -> list[str]:
        """What it has shown so far."""
        return self._log.read_text(encoding="utf-8").splitlines()

    def wait_for(self, word: str) -> None:
        """Until a line begins with the word; RuntimeError where the build ends before."""
        deadline = time.monotonic() + PATIENCE
        while not any(line.startswith(word) for line in self.lines()):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the build did not come to {word!r}:\n" + "\n".join(self.lines()))
            time.sleep(0.5)

    def end(self) -> tuple[int, str, float]:
        """Exit status, output, seconds since the start."""
        status = self._process.wait(PATIENCE)
        return status, "\n".join(self.lines()), time.monotonic() - self._started


@contextmanager
def _webserver(home: Path, production: Mapping[str, str]) -> Iterator[str]:
    environment = _environment(home, production)
    made = subprocess.run(
        [sys.executable, "-m", "recpipe.instance"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    port = free_port()
    command = [sys.executable, "-m", "dagster", "dev", "-h", "127.0.0.1", "-p", str(port)]
    with (home / "dev.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=environment | {"DAGSTER_HOME": made.stdout.strip()}, stdout=log, stderr=log, cwd=ROOT,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield f"http://127.0.0.1:{port}/graphql"
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def _asked(url: str) -> dict:
    deadline = time.monotonic() + 120
    while True:
        try:
            request = Request(url, json.dumps({"query": QUERY}).encode(), {"Content-Type": "application/json"})
            with urlopen(request) as answer:
                return json.loads(answer.read())
        except URLError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)


def _restart(servers: Servers) -> float:
    started = time.monotonic()
    servers.kill_postgres()
    servers.kill_s3()
    time.sleep(2)
    servers.start_postgres()
    servers.start_s3()
    return time.monotonic() - started


def _environment(home: Path, storages: Mapping[str, str]) -> dict[str, str]:
    ours = ("RECPIPE_", "DAGSTER_", "AWS_")
    rest = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return rest | {"RECPIPE_HOME": str(home), "NO_COLOR": "1", "COLUMNS": "200"} | dict(storages)


def _run(words: list[str], home: Path, storages: Mapping[str, str]) -> tuple[subprocess.CompletedProcess[str], float]:
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, *words], env=_environment(home, storages), capture_output=True, text=True, check=True, cwd=ROOT
    )
    return done, time.monotonic() - started


def _made(output: str) -> set[str]:
    return set(re.findall(r"^made (\S+)", output, flags=re.MULTILINE))


def _steps_and_end(output: str) -> str:
    steps = re.findall(r"^\d+ steps run, \d+ current.*", output, flags=re.MULTILINE)
    return "\n".join([*steps, _last(output, 1)])


def _last(output: str, lines: int) -> str:
    return "\n".join(output.splitlines()[-lines:])


def write_page(seen: Transcript) -> None:
    """Put the transcript between the marks of docs/production.md."""
    before, _, after = PAGE.read_text(encoding="utf-8").split(MARK)
    PAGE.write_text(MARK.join([before, "\n" + "\n\n".join(seen.parts) + "\n", after]), encoding="utf-8")


if __name__ == "__main__":
    main()
