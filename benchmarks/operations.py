"""What a change reruns, seen on a real instance with the real daemon: docs/operations.md's transcript from one command.

    python benchmarks/operations.py --work WORK --out docs/operations.md

Writes the sample as a delivery, builds eleven models on it, each cut to a few epochs, then starts `dagster dev`,
changes one thing after the other, waits until nothing is due and nothing runs, and lists what ran. At the end a night
comes, with a model that cannot be trained, and a webhook on loopback receives the alarm. About 25 minutes of two free
cores.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from recpipe.instance import dagster_home
from recpipe.settings import PACKAGE, Project
from recpipe.upkeep import due

ELEVEN = ["bpr", "ease", "gru4rec", "item_knn", "knn_basic", "lightgcn", "mf", "multi_vae", "neumf", "popularity",
          "sasrec"]  # fmt: skip
MEMBERS = ["ease", "item_knn", "mf", "multi_vae"]
"""Of the ensemble: the shipped one names other models."""
EPOCHS = 2
LOOK_EVERY = 5
QUIET_LOOKS = 3
"""Looks in a row at which nothing was due and nothing ran, before a change counts as settled."""


@dataclass
class Transcript:
    """Markdown, as it grows; printed too."""

    lines: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.lines.append(text)
        print(text, flush=True)

    def table(self, runs: list[str], seconds: float) -> None:
        """What ran, and that nothing ran twice: a run that failed may be tried again."""
        twice = sorted({run for run in runs if runs.count(run) > 1 and not run.endswith("(failed)")})
        if twice:
            raise AssertionError(f"made twice: {', '.join(twice)}")
        shown = ", ".join(f"`{run}`" for run in runs) or "none"
        self.say(f"**{len(runs)} runs**, {seconds:.0f} s: {shown}\n")


@dataclass(frozen=True)
class Line:
    """A home, its settings, its delivery and its instance."""

    project: Project
    delivery: Path
    instance: dg.DagsterInstance

    def change(self, file: str, **settings: Any) -> None:
        path = self.project.conf / file
        path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | settings))

    def runs_since(self, moment: datetime) -> list[dg.DagsterRun]:
        records = self.instance.get_run_records(dg.RunsFilter(created_after=moment))
        return [record.dagster_run for record in sorted(records, key=lambda record: record.storage_id)]

    def busy(self) -> bool:
        going = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
        return bool(self.instance.get_runs(dg.RunsFilter(statuses=going), limit=1)) or bool(due(self.project).nodes)

    def settle(self, limit: float = 3600.0) -> None:
        end, quiet = time.monotonic() + limit, 0
        while quiet < QUIET_LOOKS:
            if time.monotonic() > end:
                raise TimeoutError(f"still busy after {limit} s: {due(self.project)}")
            time.sleep(LOOK_EVERY)
            quiet = 0 if self.busy() else quiet + 1


def named(run: dg.DagsterRun) -> str:
    """What a run made: asset and partition, and that it failed."""
    assets = ", ".join(sorted(key.to_user_string() for key in run.asset_selection or ())) or run.job_name
    partition = run.tags.get("dagster/partition")
    failed = " (failed)" if run.status == dg.DagsterRunStatus.FAILURE else ""
    return f"{assets}[{partition}]{failed}" if partition else f"{assets}{failed}"


def prepared(work: Path, models: list[str]) -> Line:
    """The sample as a delivery, and settings of these models alone, cut to a few epochs."""
    for name in ("home", "conf", "delivery"):
        shutil.rmtree(work / name, ignore_errors=True)
    shutil.copytree(PACKAGE / "conf", work / "conf")
    os.environ |= {"RECPIPE_HOME": str(work / "home"), "RECPIPE_CONF": str(work / "conf")}
    os.environ.pop("DAGSTER_HOME", None)
    project = Project.here()
    os.environ["DAGSTER_HOME"] = str(dagster_home(project))
    subprocess.run([sys.executable, "-m", "recpipe", "data", "sample", str(work / "delivery")], check=True)
    line = Line(project, work / "delivery", dg.DagsterInstance.get())
    line.change("dataset.yaml", source=str(work / "delivery"))
    line.change("ensemble.yaml", members=MEMBERS)
    for model in project.model_names():
        if model not in models:
            (work / "conf" / "models" / f"{model}.yaml").unlink()
        elif "epochs" in project.model_settings(model):
            line.change(f"models/{model}.yaml", epochs=EPOCHS)
    (work / "conf" / "automation.yaml").write_text(f"look_every: {LOOK_EVERY}\nnightly: {{full_refit: never}}\n")
    return line


@contextmanager
def daemon(work: Path) -> Iterator[str]:
    """`dagster dev` on a free port, with its daemon; stopped at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (work / "dagster-dev.log").open("a") as log:
        process = subprocess.Popen(
            ["dagster", "dev", "-m", "recpipe.defs.definitions", "--port", str(port)],
            stdout=log, stderr=subprocess.STDOUT, cwd=work, start_new_session=True,
        )  # fmt: skip
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@contextmanager
def webhook() -> Iterator[list[dict[str, Any]]]:
    """A server on loopback that keeps what is posted to it; its address is in RECPIPE_WEBHOOK."""
    received: list[dict[str, Any]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ["RECPIPE_WEBHOOK"] = f"http://127.0.0.1:{server.server_port}/"
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()


def changes(line: Line) -> Iterator[tuple[str, Callable[[], object]]]:
    """One thing after the other."""
    conf, ratings = line.project.conf, next(line.delivery.rglob("train_ratings.csv"))
    yield "Nothing is changed.", lambda: None
    yield (
        "A comment in `lightgcn.yaml`, keys of `mf.yaml` in another order.",
        lambda: (
            (conf / "models/lightgcn.yaml").write_text("# tried\n" + (conf / "models/lightgcn.yaml").read_text()),
            (conf / "models/mf.yaml").write_text(
                yaml.safe_dump(
                    dict(reversed(yaml.safe_load((conf / "models/mf.yaml").read_text()).items())), sort_keys=False
                )
            ),
        ),
    )
    yield (
        "`lightgcn.yaml`: another learning rate. It is no member of the ensemble.",
        lambda: line.change("models/lightgcn.yaml", learning_rate=0.02),
    )
    yield "`mf.yaml`: another learning rate. It is a member.", lambda: line.change("models/mf.yaml", learning_rate=0.01)
    yield "`ensemble.yaml`: more candidates.", lambda: line.change("ensemble.yaml", candidates=120)
    yield (
        "The same ratings file delivered again: written anew, the same bytes.",
        lambda: ratings.write_bytes(ratings.read_bytes()),
    )
    yield "A new file `narrow.yaml`.", lambda: (conf / "models/narrow.yaml").write_text("recipe: ease\ndamping: 1.0\n")
    yield (
        "`narrow` becomes a member.",
        lambda: line.change("ensemble.yaml", members=[*MEMBERS, "narrow"]),
    )
    yield "`narrow.yaml` is removed, while `ensemble.yaml` still names it.", (conf / "models/narrow.yaml").unlink
    yield (
        "`splits/holdout.yaml`: one film more of each user is hidden.",
        lambda: line.change(
            "splits/holdout.yaml", last=int(yaml.safe_load((conf / "splits/holdout.yaml").read_text())["last"]) + 1
        ),
    )
    yield (
        "The ratings: one event more.",
        lambda: ratings.write_text(
            ratings.read_text() + ",".join([*ratings.read_text().splitlines()[-1].split(",")[:2], "1700000000"]) + "\n"
        ),
    )


def night(line: Line, received: list[dict[str, Any]], work: Path, told: Transcript) -> None:
    """A night with a model that cannot be trained: its settings leave the Gram matrix singular."""
    soon = datetime.now(UTC) + timedelta(minutes=2)
    (line.project.conf / "automation.yaml").write_text(
        f"look_every: {LOOK_EVERY}\nfollow_changes: true\nnightly: {{at: '{soon:%H:%M}', full_refit: never}}\n"
    )
    line.change("models/ease.yaml", regularization=1e-30, precision="float32")
    line.change("models/popularity.yaml", window_days=60)
    begun = datetime.now(UTC)
    with daemon(work):
        end = time.monotonic() + 1800
        while not any(run.job_name == "nightly" and run.is_finished for run in line.runs_since(begun)):
            if time.monotonic() > end:
                raise TimeoutError("no night came")
            time.sleep(LOOK_EVERY)
        line.settle()
        time.sleep(60)  # the alarm looks every 30 seconds
    told.say(
        f"## A night\n\nThe schedule at {soon:%H:%M} UTC; `ease` has settings that cannot be trained, `popularity` "
        "has a changed one. `follow_changes` saw both before the night did.\n"
    )
    told.table([named(run) for run in line.runs_since(begun)], (datetime.now(UTC) - begun).total_seconds())
    ended = next(run for run in line.runs_since(begun) if run.job_name == "nightly")
    told.say(f"The nightly run ended with {ended.status.value}. The submission's notes:\n")
    for note in [*line.project.store.need("ensemble").notes, *line.project.store.need("ensemble_submission").notes]:
        told.say(f"- {note}")
    told.say(f"\nThe webhook received {len(received)} alarms; the last:\n\n```json")
    told.say(json.dumps({"text": received[-1]["text"], "job": received[-1]["job"]}, indent=1) + "\n```")


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--work", type=Path, required=True, help="an empty folder for home, settings and delivery")
    words.add_argument("--out", type=Path, help="the page whose transcript is replaced")
    words.add_argument("--models", nargs="+", default=ELEVEN, help="with lightgcn, popularity and MEMBERS")
    given = words.parse_args()
    work = given.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    told = Transcript()
    line = prepared(work, given.models)
    models = line.project.model_names()
    begun, clock = datetime.now(UTC), time.monotonic()
    subprocess.run([sys.executable, "-m", "recpipe", "build", "--models", "all"], check=True, stdout=subprocess.DEVNULL)
    told.say(f"## {len(models)} models, from nothing\n")
    told.say(f"`recpipe build --models all`, {EPOCHS} epochs where a model has epochs.\n")
    told.table([named(run) for run in line.runs_since(begun)], time.monotonic() - clock)
    told.say("## Changes, with `dagster dev` running\n")
    with webhook() as received:
        with daemon(work):
            line.settle()
            for what, change in changes(line):
                begun, clock = datetime.now(UTC), time.monotonic()
                change()
                line.settle()
                told.say(f"{what}\n")
                told.table([named(run) for run in line.runs_since(begun)], time.monotonic() - clock)
        night(line, received, work, told)
    if given.out:
        text = given.out.read_text(encoding="utf-8")
        before, _, rest = text.partition("<!-- transcript -->")
        _, _, after = rest.partition("<!-- /transcript -->")
        body = "\n".join(told.lines)
        given.out.write_text(f"{before}<!-- transcript -->\n{body}\n<!-- /transcript -->{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
