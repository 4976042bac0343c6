"""What Dagster and the record of what is current cost: loading, each step of a build, a build with nothing to do.

    python benchmarks/speed_orchestration.py --work WORK --data ml-1m.zip --out docs/performance.md

Loading: `dagster definitions validate` on recpipe's definitions, and on none at all, which is the limit, both with the
instance that an activated environment names. A build of MODELS on ML-1M, from the zip to the leaderboard, in a home
folder of its own: each step's CPU seconds from its start to its end in the planner, the run in Dagster included, beside
the same functions called one after the other in one process (bare_steps.py), in another home folder. What the first
takes beyond the second is overhead; the limit is one run of an asset that does nothing. Nothing to do: `recpipe build`
once more, as a process of its own, against one that imports Dagster and opens the same instance. CPU seconds of one
thread, with bytecode kept as Python does by default, since without it every process compiles this project anew; the
best of `--times`, of the two builds one each.
"""

from __future__ import annotations

import io
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from apart import told_by_own
from arguments import words_of
from bars import Row, table
from figures import Figure, Figures, write_between

MODELS = ("ease", "item_knn", "multi_vae")
EPOCHS = 3
"""Of multi_vae, as a whole build with early stopping would take the machine for an hour."""
NOTHING = "import dagster as dg\n\ndefs = dg.Definitions()\n"
OPENED = "import dagster as dg; dg.DagsterInstance.get().get_runs_count()"


def conf(work: Path) -> Path:
    """recpipe/conf with fewer epochs."""
    import recpipe

    folder = work / "conf"
    shutil.copytree(Path(recpipe.__file__).parent / "conf", folder, dirs_exist_ok=True)
    path = folder / "models" / "multi_vae.yaml"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text(
        "\n".join(f"epochs: {EPOCHS}" if line.startswith("epochs:") else line for line in lines) + "\n",
        encoding="utf-8",
    )
    return folder


def taken(command: Sequence[str], times: int) -> Figure:
    """The least CPU seconds of a process and its children, and the wall seconds of that call."""
    figures = []
    for _ in range(times):
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        after, seconds = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - started
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        figures.append({"cpu_seconds": round(cpu, 3), "seconds": round(seconds, 3)})
    return min(figures, key=lambda figure: figure["cpu_seconds"])


def in_dagster(data: str) -> dict[str, float]:
    """A whole build in this process: CPU seconds of each step by its node."""
    from rich.console import Console

    from recpipe.defs.building import build_line
    from recpipe.instance import dagster_home
    from recpipe.progress import listening
    from recpipe.settings import Project

    project = Project.here()
    project.choose_data(data)
    os.environ["DAGSTER_HOME"] = str(dagster_home(project))
    started: dict[str, float] = {}
    steps: dict[str, float] = {}

    def hear(news: dict[str, Any]) -> None:
        if news["event"] == "start":
            started[str(news["node"])] = time.process_time()
        elif news["event"] == "done":
            steps[str(news["node"])] = time.process_time() - started[str(news["node"])]

    with listening(hear):
        assert build_line(project, MODELS, "", Console(file=io.StringIO()))
    return steps


def bare(data: str) -> dict[str, float]:
    from bare_steps import in_turn

    from recpipe.defs.building import build_goals
    from recpipe.lineage import Lineage
    from recpipe.settings import Project

    project = Project.here()
    project.choose_data(data)
    for model in MODELS:  # a build checks every model's settings before its first step, which loads their modules
        project.recipe(model)
    lineage = Lineage(project)
    nodes = dict.fromkeys(node for goal in build_goals(project, MODELS, "") for node in lineage.line_to(goal))
    return {str(node): seconds for node, seconds in in_turn(project, list(nodes))}


def one_run() -> float:
    """CPU seconds of one run of an asset that does nothing, on this home's instance: the least of five."""
    import dagster as dg

    @dg.asset
    def nothing() -> None: ...

    job = dg.Definitions(assets=[nothing], executor=dg.in_process_executor).resolve_implicit_global_asset_job_def()
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    took = []
    with dg.DagsterInstance.get() as instance:
        for _ in range(6):  # the first one loads what a run needs
            started = time.process_time()
            assert job.execute_in_process(instance=instance, run_config=quiet).success
            took.append(time.process_time() - started)
    return min(took[1:])


def measure(work: Path, data: Path, kept: Figures, times: int) -> None:
    python, dagster = sys.executable, str(Path(sys.executable).with_name("dagster"))
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ |= {"RECPIPE_CONF": str(conf(work)), "RECPIPE_HOME": str(work / "loading")}
    os.environ.pop("DAGSTER_HOME", None)
    opened = subprocess.run([python, "-m", "recpipe.instance"], check=True, capture_output=True, text=True)
    os.environ["DAGSTER_HOME"] = opened.stdout.strip()  # as an activated environment has it
    empty = work / "nothing.py"
    empty.write_text(NOTHING, encoding="ascii")
    validate = [dagster, "definitions", "validate"]
    loads = {
        "import": [python, "-c", "import recpipe.defs.definitions"],
        "import of Dagster": [python, "-c", "import dagster"],
        "validate": [*validate, "-m", "recpipe.defs.definitions"],
        "validate nothing": [*validate, "-f", str(empty)],
    }
    for what, command in loads.items():
        kept.once({"what": what}, partial(taken, command, times))
    for piece in ("in Dagster", "bare"):
        home = work / piece.replace(" ", "_")
        os.environ |= {"RECPIPE_HOME": str(home), "DAGSTER_HOME": str(home / "dagster")}
        words = ["--work", work, "--data", data.absolute(), "--piece", piece]

        def steps(home: Path = home, words: list[object] = words) -> Figure:
            shutil.rmtree(home, ignore_errors=True)
            return {"steps": told_by_own(__file__, *words)}

        kept.once({"what": piece}, steps)
    os.environ |= {"RECPIPE_HOME": str(work / "in_Dagster"), "DAGSTER_HOME": str(work / "in_Dagster" / "dagster")}
    kept.once({"what": "one run"}, lambda: told_by_own(__file__, "--work", work, "--data", data, "--piece", "one run"))
    build = [python, "-m", "recpipe", "build", "--models", ",".join(MODELS)]
    kept.once({"what": "nothing to do"}, partial(taken, build, times))
    kept.once({"what": "instance opened"}, partial(taken, [python, "-c", OPENED], times))


def rows(figures: list[Figure]) -> list[Row]:
    """Loading, overhead of the build as a whole and a step, and a build with nothing to do."""
    by = {figure["what"]: figure for figure in figures}
    within, without = by["in Dagster"]["steps"], by["bare"]["steps"]
    work, overhead = sum(without.values()), {name: within[name] - without[name] for name in within}
    share, per_step = sum(overhead.values()) / work, median(overhead.values())
    small = [name for name in within if overhead[name] > 0.2 * without[name]]
    again, validate, loaded = by["nothing to do"], by["validate"], by["import"]
    return [
        Row("definitions: import", loaded["cpu_seconds"], limit=by["import of Dagster"]["cpu_seconds"],
            limit_name="`import dagster`", bounds=(("≤ 2 s", loaded["cpu_seconds"] <= 2),)),
        Row("definitions: `dagster definitions validate`", validate["cpu_seconds"],
            limit=by["validate nothing"]["cpu_seconds"], limit_name="the same of no definition",
            bounds=(("≤ 2 s", validate["cpu_seconds"] <= 2),)),
        Row(f"{len(within)} steps on ML-1M, overhead of all", sum(overhead.values()), limit=work,
            limit_name="their work", bounds=((f"{share:.0%} of the work, ≤ 20 %", share <= 0.2),)),
        Row("overhead a step, median", per_step, limit=by["one run"]["cpu_seconds"],
            limit_name="one run of an asset that does nothing",
            bounds=((f"≤ 20 % of each step's own work: {len(within) - len(small)} of {len(within)}", not small),)),
        Row("a build with nothing to do", again["cpu_seconds"], limit=by["instance opened"]["cpu_seconds"],
            limit_name="`import dagster`, instance opened", bounds=(("≤ 3 s", again["cpu_seconds"] <= 3),)),
    ]  # fmt: skip


def steps_table(figures: list[Figure]) -> list[str]:
    """Each step's work and overhead."""
    by = {figure["what"]: figure for figure in figures}
    within, without = by["in Dagster"]["steps"], by["bare"]["steps"]
    said = {name: f"`{name}`".replace("|", r"\|") for name in within}
    lines = [f"| {said[name]} | {without[name]:.2f} | {within[name] - without[name]:.2f} |" for name in within]
    return ["| step | work, CPU s | overhead |", "|---|---|---|", *lines]


def main() -> None:
    words = words_of(__doc__, "speed_orchestration")
    words.add_argument("--work", type=Path, required=True)
    words.add_argument("--data", type=Path, required=True)
    words.add_argument("--times", type=int, default=5)
    words.add_argument("--piece", choices=("in Dagster", "bare", "one run"))
    given = words.parse_args()
    given.work = given.work.absolute()
    if given.piece == "one run":
        print(json.dumps({"cpu_seconds": one_run()}))
    elif given.piece:
        print(json.dumps((in_dagster if given.piece == "in Dagster" else bare)(str(given.data))))
    else:
        given.work.mkdir(parents=True, exist_ok=True)
        kept = Figures(given.figures)
        measure(given.work, given.data, kept, given.times)
        for marker, lines in (("orchestration", list(table(rows(kept.all())))), ("steps", steps_table(kept.all()))):
            if given.out:
                write_between(given.out, f"speed_{marker}", lines)
            sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
