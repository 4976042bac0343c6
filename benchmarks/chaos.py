"""Kill the build a hundred times, at moments all over the line, and end with the same bytes.

    python benchmarks/chaos.py --work WORK [--kills 100] [--seed 0] [--full-disk] [--out docs/chaos.md]

WORK/before: a world built with another seed and one epoch a training, so that every kill falls on a home in which all
is stale and old versions are there to be broken. WORK/undisturbed: a copy of it, built to the end with the settings
as they are. WORK/chaos: another copy, killed (SIGKILL to the whole process group), started again, and so on; a second
process reads every artifact meanwhile, and `recpipe gc` runs after every tenth kill. At the end all artifacts, what
they were made from, and the submission must equal the undisturbed ones, and nothing must be left over.

--epochs: at most so many a training, with a checkpoint after each. --minutes: no kill begins later than that.
--full-disk, as root: the world before is built on a file system that is too small, which then grows.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from figures import write_between
from killing import Kill, Moment, Step, moments, run_and_kill, undisturbed
from standing import differences, orphans, records

from recpipe.settings import PACKAGE, Project

GC_EVERY = 10
SIZES = (4, 8, 14, 22)
"""MiB of the file systems that are too small."""
ENOUGH = 400
MOST_EPOCHS = 1_000_000


@dataclass
class Found:
    """What a chaos came to. wrong: sentences; empty where all is well."""

    kills: list[Kill]
    wrong: list[str]
    reads: int
    artifacts: int
    cpu_seconds: float
    wall_seconds: float


def environment(home: Path, conf: Path) -> dict[str, str]:
    """For a command on this home: one thread, so that bytes are the same."""
    cleared = {name: value for name, value in os.environ.items() if name not in ("DAGSTER_HOME", "DAGSTER_MODULE_NAME")}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**cleared, **threads, "RECPIPE_HOME": str(home), "RECPIPE_CONF": str(conf)}


def conf_with(conf: Path, target: Path, epochs: int, sample_seed: int) -> Path:
    """The same settings with fewer epochs, a checkpoint after each, for the generated world of another seed."""
    shutil.copytree(conf, target, dirs_exist_ok=True)
    project = Project(target, target)
    for model in project.model_names():
        recipe = project.recipe(model)
        if "epochs" in type(recipe).model_fields:
            fewer = project.model_settings(model) | {"epochs": min(epochs, getattr(recipe, "epochs", epochs))}
            (target / "models" / f"{model}.yaml").write_text(yaml.safe_dump(fewer), encoding="utf-8")
    dataset = project.dataset().model_dump() | {"sample_seed": sample_seed}
    (target / "dataset.yaml").write_text(yaml.safe_dump(dataset), encoding="utf-8")
    run = project.run().model_dump(mode="json") | {"checkpoint_every": 0}
    (target / "run.yaml").write_text(yaml.safe_dump(run), encoding="utf-8")
    return target


@contextmanager
def reader(home: Path, conf: Path, stop: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that reads the whole home again and again until the block ends."""
    stop.unlink(missing_ok=True)
    script = Path(__file__).with_name("standing.py")
    told = environment(home, conf) | {"PYTHONPATH": str(PACKAGE.parent)}
    words = [sys.executable, str(script), str(home), str(stop)]
    process = subprocess.Popen(words, env=told, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        stop.touch()


def chaos(
    home: Path, conf: Path, expected: Path, build: tuple[list[Step], float], planned: Sequence[Moment], minutes: float
) -> Found:
    """Kill and compare; `home` is as it was before the undisturbed build, whose steps and start-up are `build`."""
    began, cpu = time.monotonic(), _cpu_of_children()
    told = environment(home, conf)

    def between(number: int) -> bool:
        if reading.poll() is not None:
            raise RuntimeError(f"the reader failed: {reading.communicate()[1]}")
        if number % GC_EVERY == 0:
            subprocess.run([sys.executable, "-m", "recpipe", "gc"], env=told, check=True, stdout=subprocess.DEVNULL)
            print(f"{number} kills, {time.monotonic() - began:.0f} s", flush=True)
        return time.monotonic() - began < 60 * minutes

    with reader(home, conf, home.with_name(f"{home.name}.stop")) as reading:
        done, last = run_and_kill(told, *build, planned, between)
    words, errors = reading.communicate()
    wrong = [] if last.process.returncode == 0 else [f"the last build failed: {' '.join(last.said[-5:])}"]
    wrong += [] if reading.returncode == 0 else [f"the reader failed: {errors.strip()}"]
    project = Project(home, conf)
    wrong += differences(project, Project(expected, conf))
    swept = subprocess.run([sys.executable, "-m", "recpipe", "gc"], env=told, capture_output=True, text=True)
    wrong += [] if swept.returncode == 0 else [f"gc failed: {swept.stderr.strip()}"]
    wrong += [f"left over: {path}" for path in orphans(project)] + unended_runs(home)
    reads = json.loads(words)["reads"] if reading.returncode == 0 else 0
    spent = _cpu_of_children() - cpu
    return Found(done, wrong, reads, len(records(project)), spent, time.monotonic() - began)


def unended_runs(home: Path) -> list[str]:
    """Runs of Dagster that stand as under way, and pool slots that are held, though nobody is at work."""
    import dagster as dg

    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        runs = [record.dagster_run for record in instance.get_run_records()]
        storage = instance.event_log_storage
        pools = storage.get_concurrency_keys()
        slots = [slot for pool in pools for slot in storage.get_concurrency_info(pool).claimed_slots]
        return [f"run {run.run_id} stands as {run.status.value}" for run in runs if not run.is_finished] + [
            f"run {slot.run_id} holds a slot" for slot in slots
        ]


def full_disk(folder: Path, conf: Path, expected: Path) -> tuple[list[str], list[str]]:
    """Build on file systems that are too small, then on one that is not: rows for the page, and what was wrong."""
    folder.mkdir(parents=True, exist_ok=True)
    rows, wrong = [], []
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZES[0]}m", "recpipe", str(folder)], check=True)
    try:
        for size in (*SIZES, ENOUGH):
            subprocess.run(["mount", "-o", f"remount,size={size}m", str(folder)], check=True)
            row, found = _build_on(Project(folder, conf), fits=size == ENOUGH)
            rows.append(f"| {size} {row}")
            wrong += [f"{size} MiB: {each}" for each in found]
        wrong += differences(Project(folder, conf), Project(expected, conf))
    finally:
        subprocess.run(["umount", str(folder)], check=True)
    return rows, wrong


def _build_on(project: Project, fits: bool) -> tuple[str, list[str]]:
    """One build on a file system: the rest of its row, and what was wrong."""
    before = records(project) if project.store.root.exists() else {}
    told = environment(project.home, project.conf) | {"NO_COLOR": "1", "COLUMNS": "400"}
    done = subprocess.run([sys.executable, "-m", "recpipe", "build"], env=told, capture_output=True, text=True)
    said = done.stdout + done.stderr
    plainly = "is full" in said and "recpipe gc" in said and "Traceback" not in said
    wrong = [] if (done.returncode == 0 if fits else done.returncode == 1 and plainly) else [said.strip()]
    after = records(project)
    wrong += [f"{name} is gone" for name in before.keys() - after.keys()]
    swept = subprocess.run([sys.executable, "-m", "recpipe", "gc"], env=told, capture_output=True, text=True)
    wrong += [] if swept.returncode == 0 else [f"gc: {swept.stderr.strip()}"]
    wrong += [f"left over: {path}" for path in orphans(project, build_failed=not fits)]
    failed = [line.split()[1].rstrip(":") for line in said.splitlines() if line.startswith("failed ")]
    return f"| {done.returncode} | {', '.join(map(_cell, dict.fromkeys(failed))) or '–'} | {len(after)} |", wrong


def page(found: Found, steps: list[Step], seed: int) -> list[str]:
    """The figures and the histogram of kills, as lines of Markdown."""
    counts = Counter(kill.under_way for kill in found.kills)
    names = [step.name for step in steps]
    told = {name.replace("|", "/").replace("[", ".").replace("]", ""): name for name in names}
    seconds = {step.name: f"{step.seconds:.1f}" for step in steps}
    by_name = Counter({told.get(name, name): count for name, count in counts.items()})
    lines = [
        f"{len(found.kills)} kills (seed {seed}) over {len(steps)} steps; {found.artifacts} artifacts compared; "
        f"{found.reads} reads by the second process; {found.cpu_seconds:.0f} CPU s, {found.wall_seconds:.0f} s in all.",
        "",
        "**Differences, leftovers, broken reads: none.**" if not found.wrong else "**Wrong:**",
        *(f"- {wrong}" for wrong in found.wrong),
        "",
        "| under way when the kill came | seconds undisturbed | kills |",
        "|---|---|---|",
    ]
    rows = [*names, *sorted(by_name.keys() - set(names))]
    lines += [f"| {_cell(name)} | {seconds.get(name, '')} | {by_name[name]} |" for name in rows]
    return lines


def _cell(name: str) -> str:
    """A name in a table of Markdown."""
    return "`" + name.replace("|", "\\|") + "`"


def show(lines: list[str], out: Path | None, marker: str) -> None:
    """On the terminal, and on the page where one is wanted."""
    print("\n".join(lines))
    if out:
        write_between(out, marker, lines)


def build_before(work: Path, conf: Path) -> Path:
    """WORK/conf-before; WORK/before is current by it afterwards."""
    before = conf_with(conf, work / "conf-before", epochs=1, sample_seed=1)
    subprocess.run([sys.executable, "-m", "recpipe", "build"], env=environment(work / "before", before), check=True)
    return before


def kills_on(work: Path, conf: Path, kills: int, seed: int, minutes: float) -> tuple[list[str], list[str]]:
    """Build WORK/undisturbed from WORK/before, then WORK/chaos with kills: the page's lines, and what was wrong."""
    for name in ("undisturbed", "chaos"):
        shutil.rmtree(work / name, ignore_errors=True)
        shutil.copytree(work / "before", work / name)
    steps, start_up = undisturbed(environment(work / "undisturbed", conf))
    planned = moments(steps, start_up, kills, seed)
    found = chaos(work / "chaos", conf, work / "undisturbed", (steps, start_up), planned, minutes)
    return page(found, steps, seed), found.wrong


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--work", type=Path, required=True, help="a folder for the three homes")
    words.add_argument("--conf", type=Path, default=PACKAGE / "conf")
    words.add_argument("--kills", type=int, default=100, help="0: none, and only what else is asked for")
    words.add_argument("--minutes", type=float, default=math.inf, help="after which no kill begins")
    words.add_argument("--epochs", type=int, default=MOST_EPOCHS, help="at most, of one training")
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--full-disk", action="store_true", help="also the file system that is too small; as root")
    words.add_argument("--out", type=Path, help="the page whose figures are replaced")
    asked = words.parse_args()
    work = asked.work.absolute()
    work.mkdir(parents=True, exist_ok=True)
    before = build_before(work, asked.conf.absolute())
    wrong: list[str] = []
    if asked.kills:
        conf = conf_with(asked.conf.absolute(), work / "conf", asked.epochs, sample_seed=0)
        lines, wrong = kills_on(work, conf, asked.kills, asked.seed, asked.minutes)
        if asked.epochs < MOST_EPOCHS:
            lines.insert(0, f"Trainings were cut to {asked.epochs} epochs.")
        show(lines, asked.out, "kills")
    if asked.full_disk:
        rows, wrong_there = full_disk(work / "small", before, work / "before")
        wrong = [*wrong, *wrong_there]
        lines = ["| MiB | exit status | failed | artifacts that stand |", "|---|---|---|---|", *rows]
        lines += ["", "**Lost, left over, different at the end: none.**" if not wrong_there else "**Wrong:**"]
        show([*lines, *(f"- {each}" for each in wrong_there)], asked.out, "full-disk")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
