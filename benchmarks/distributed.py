"""A build on two workers, one of which is killed while it trains: docs/distributed.md's transcript from one command.

    python benchmarks/distributed.py --work WORK --out docs/distributed.md

Four builds on a small sample, each in a home of its own: the whole line in one process; then, from a copy of its tables
and splits, the models and reports on one worker, on two, and on two of which the one that trains `mf` is killed after
some epochs. Each time the digests of all artifacts are compared with those of the one process. As root,
with iproute2, each worker lives in a network namespace of its own, joined to the scheduler by a veth pair and a bridge;
else they are plain processes, and the transcript says so. Every process has one thread for arithmetic.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import yaml

from recpipe.data.sample import write_sample
from recpipe.settings import PACKAGE, Project

BRIDGE, NETWORK, PORT = "recpipe0", "10.77.0", 8786
MODELS = "bpr,ease,mf,multi_vae"
SIZE = {"users": 500, "items": 300, "events": 30_000}
VICTIM = "trained_model.mf/holdout"
EPOCHS = 10
"""Epochs of the victim's training before its worker is killed."""
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
MARK = "<!-- distributed -->"


@dataclass
class Transcript:
    """What was done and seen, line by line: printed as it happens, kept for the page."""

    lines: list[str] = field(default_factory=list)

    def say(self, text: str = "") -> None:
        print(text, flush=True)
        self.lines.append(text)


@dataclass(frozen=True)
class Home:
    """A home folder of recpipe with its own Dagster instance, and the settings that all builds here share."""

    folder: Path
    conf: Path

    @property
    def environment(self) -> dict[str, str]:
        where = {"RECPIPE_HOME": str(self.folder), "RECPIPE_CONF": str(self.conf), "COLUMNS": "120"}
        return os.environ | ONE_THREAD | where | {"DAGSTER_HOME": str(self.folder / "dagster")}

    def run(self, *command: str) -> None:
        subprocess.run([sys.executable, *command], env=self.environment, check=True, stdout=subprocess.DEVNULL)

    def build(self, *options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "recpipe", "build", "--models", MODELS, *options]
        return subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, text=True)

    def contents(self) -> dict[str, str]:
        store = Project(self.folder, self.conf).store
        return {record.name: record.content for folder in store.root.iterdir() for record in store.records(folder.name)}


@contextmanager
def network(workers: int) -> Iterator[list[list[str]]]:
    """For each worker what to put before its command: `ip netns exec NAME`, or nothing where that may not be."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        yield [[] for _ in range(workers)]
        return
    names = [f"{BRIDGE}_{number}" for number in range(1, workers + 1)]
    for name in names:  # what an interrupted measurement left
        subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL)
    subprocess.run(["ip", "link", "del", BRIDGE], stderr=subprocess.DEVNULL)
    with ExitStack() as undone:
        ip("link", "add", BRIDGE, "type", "bridge")
        undone.callback(ip, "link", "del", BRIDGE)
        ip("addr", "add", f"{NETWORK}.1/24", "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")
        for number, name in enumerate(names, start=1):
            inside, outside = f"rpin{number}", f"rpout{number}"
            ip("netns", "add", name)
            undone.callback(ip, "netns", "del", name)
            ip("link", "add", outside, "type", "veth", "peer", "name", inside)
            ip("link", "set", inside, "netns", name)
            ip("link", "set", outside, "master", BRIDGE, "up")
            for settings in (
                ("addr", "add", f"{NETWORK}.{number + 1}/24", "dev", inside),
                ("link", "set", inside, "up"),
                ("link", "set", "lo", "up"),
            ):
                ip("-n", name, *settings)
        yield [["ip", "netns", "exec", name] for name in names]


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


@contextmanager
def cluster(home: Home, entries: Sequence[list[str]], work: Path) -> Iterator[tuple[str, dict[str, subprocess.Popen]]]:
    """A scheduler here and one worker an entry; its address, and the workers' processes by host and port."""
    apart = bool(entries[0])
    host = f"{NETWORK}.1" if apart else "127.0.0.1"
    address = f"tcp://{host}:{PORT}"
    dask = [sys.executable, "-m", "dask"]
    with ExitStack() as started:
        start(started, [*dask, "scheduler", "--host", host, "--port", str(PORT), "--no-dashboard"], home, work)
        workers = {}
        for number, entry in enumerate(entries, start=1):
            at = f"tcp://{f'{NETWORK}.{number + 1}' if apart else host}:{PORT + number}"
            options = ["--nthreads", "1", "--memory-limit", "0", "--no-nanny", "--no-dashboard"]
            where = ["--host", at.removeprefix("tcp://").partition(":")[0], "--worker-port", str(PORT + number)]
            workers[at] = start(started, [*entry, *dask, "worker", address, *options, *where], home, work)
        yield address, workers


def start(started: ExitStack, command: Sequence[str], home: Home, work: Path) -> subprocess.Popen:
    log = started.enter_context((work / "dask.log").open("a"))
    process = subprocess.Popen(command, env=home.environment, stdout=log, stderr=log, cwd=work)
    started.callback(process.wait)
    started.callback(process.terminate)
    return process


def new_home(work: Path, name: str, conf: Path, slots: int, like: Home | None = None) -> Home:
    """A home with an empty Dagster instance and so many slots for trainings; `like`: with all that is no model's."""
    home = Home(work / name, conf)
    shutil.rmtree(home.folder, ignore_errors=True)
    if like is not None:
        of_models = shutil.ignore_patterns("trained_model", "evaluation_report", "leaderboard")
        shutil.copytree(like.folder / "artifacts", home.folder / "artifacts", ignore=of_models)
    home.run("-m", "recpipe.instance")
    home.run("-m", "dagster", "instance", "concurrency", "set", "training", str(slots))
    return home


def settings(work: Path) -> Path:
    """The shipped settings on a sample, with one thread a training, so that content does not depend on the machine."""
    conf = work / "conf"
    shutil.rmtree(conf, ignore_errors=True)
    shutil.copytree(PACKAGE / "conf", conf)
    run = yaml.safe_load((conf / "run.yaml").read_text())
    (conf / "run.yaml").write_text(yaml.safe_dump(run | {"threads": 1, "device": "cpu"}))
    write_sample(work / "delivery", **SIZE)
    (conf / "dataset.yaml").write_text(yaml.safe_dump({"source": str(work / "delivery")}))
    return conf


def ended(process: subprocess.Popen[str]) -> list[str]:
    """What a build printed: its lines, without the leaderboard's box."""
    printed, _ = process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"the build failed:\n{printed}")
    return [line.rstrip() for line in printed.splitlines() if line.strip()]


def kill_in_training(home: Home, workers: dict[str, subprocess.Popen]) -> str:
    """SIGKILL for the worker that trains the victim, after `EPOCHS` epochs; its address."""
    os.environ["DAGSTER_HOME"] = home.environment["DAGSTER_HOME"]
    with dg.DagsterInstance.get() as instance:
        while True:
            time.sleep(0.5)
            for run in instance.get_runs(dg.RunsFilter(tags={"recpipe/step": VICTIM})):
                epochs = sum("epoch" in entry.user_message for entry in instance.all_logs(run.run_id))
                if epochs >= EPOCHS and not run.is_finished:
                    address = run.tags["recpipe/worker"]
                    workers[address].kill()
                    return address


def runs_of_the_victim(home: Home) -> list[str]:
    os.environ["DAGSTER_HOME"] = home.environment["DAGSTER_HOME"]
    with dg.DagsterInstance.get() as instance:
        records = instance.get_run_records(dg.RunsFilter(tags={"recpipe/step": VICTIM}), ascending=True)
        return [
            f"  {record.dagster_run.tags['recpipe/worker']}  {record.dagster_run.status.value:8}"
            f"  {(record.end_time or 0) - (record.start_time or 0):6.1f} s"
            for record in records
        ]


def timed(name: str, home: Home, out: Transcript, *options: str) -> float:
    began = time.monotonic()
    last = [line for line in ended(home.build(*options)) if re.match(r"\d+ steps run", line)]
    seconds = time.monotonic() - began
    out.say(
        f"{name:12} {seconds:6.1f} s; {last[0]}; {at_a_time(home):.2f} steps at a time; load {os.getloadavg()[0]:.1f}"
    )
    return seconds


def at_a_time(home: Home) -> float:
    """How many steps were under way on average: seconds of all runs over those from the first to the last."""
    os.environ["DAGSTER_HOME"] = home.environment["DAGSTER_HOME"]
    with dg.DagsterInstance.get() as instance:
        spans = [(record.start_time or 0.0, record.end_time or 0.0) for record in instance.get_run_records()]
    starts, ends = zip(*spans, strict=True)
    return (sum(ends) - sum(starts)) / (max(ends) - min(starts))


def measure(work: Path, out: Transcript) -> None:
    conf = settings(work)
    local = new_home(work, "local", conf, 1)
    with network(2) as entries:
        apart = (
            "each worker in a network namespace of its own" if entries[0] else "workers are plain processes: no netns"
        )
        out.say(f"{os.cpu_count()} cores, shared with other work; {apart}")
        out.say(f"sample of {SIZE['users']} users, {SIZE['items']} films, {SIZE['events']} events; models {MODELS}")
        seconds = {"local": timed("one process", local, out)}
        for many in (1, 2):
            home = new_home(work, f"workers_{many}", conf, many, like=local)
            with cluster(home, entries[:many], work) as (address, _):
                seconds[f"{many}"] = timed(f"{many} worker{'s' * (many > 1)}", home, out, "--workers", address)
            say_same(local, home, out)
        out.say(f"two workers against one: {seconds['1'] / seconds['2']:.2f} times as fast on the clock")
        out.say()
        home = new_home(work, "killed", conf, 2, like=local)
        with cluster(home, entries, work) as (address, workers):
            out.say(f"$ recpipe build --models {MODELS} --workers {address}")
            build = home.build("--workers", address)
            killed = kill_in_training(home, workers)
            printed = ended(build)
    for line in printed:
        if re.match(r"made|failed|left out|\d+ (workers|steps)", line):
            out.say(line)
    out.say()
    out.say(f"SIGKILL for {killed} after {EPOCHS} epochs of mf; its runs in Dagster:")
    for line in runs_of_the_victim(home):
        out.say(line)
    say_same(local, home, out)


def say_same(local: Home, home: Home, out: Transcript) -> None:
    ours, theirs = local.contents(), home.contents()
    different = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
    out.say(f"  {len(ours)} artifacts, content as in one process: {', '.join(different) or 'all the same'}")
    if different:
        raise SystemExit("the contents differ")


def write_page(path: Path, lines: Sequence[str]) -> None:
    """Replace what stands between the page's two marks."""
    before, _, after = path.read_text(encoding="utf-8").split(MARK)
    block = "\n".join(["", "```", *lines, "```", ""])
    path.write_text(MARK.join([before, block, after]), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="an empty folder for homes, settings and logs")
    parser.add_argument("--out", type=Path, help="the page whose transcript is replaced")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    out = Transcript()
    measure(options.work.absolute(), out)
    if options.out:
        write_page(options.out, out.lines)


if __name__ == "__main__":
    main()
