"""The command line, as people call it."""

import os
import re
import signal
import subprocess
import sys
import time

import dagster as dg
import pytest

COMMAND = [sys.executable, "-m", "recpipe"]


def run(*words, **environment):
    told = os.environ | {"NO_COLOR": "1", "COLUMNS": "200"} | environment
    return subprocess.run([*COMMAND, *words], capture_output=True, text=True, env=told, check=False)


def pool_is_held(project):
    """Whether a run of mf has claimed its pool's slot, that is, has begun to train."""
    with dg.DagsterInstance.from_config(str(project.home / "dagster")) as instance:
        storage = instance.event_log_storage
        slots = [
            slot for key in storage.get_concurrency_keys() for slot in storage.get_concurrency_info(key).claimed_slots
        ]
        runs = [instance.get_run_by_id(slot.run_id) for slot in slots]
        return any(run is not None and "mf" in run.tags.get("recpipe/step", "") for run in runs)


def test_help_names_every_command(project):
    done = run("--help")
    assert done.returncode == 0
    for command in ("build", "status", "gc", "models", "recommend", "look", "data"):
        assert command in done.stdout


def test_what_stands_is_shown_and_a_user_gets_films(built):
    status = run("status", "--all")
    assert "trained_model[ease|holdout]" in status.stdout
    assert "missing" not in status.stdout
    assert "stale" not in status.stdout
    assert re.search(r"member of the submission +weight +alone, on validation +why", status.stdout)
    (ease,) = re.findall(r"^ *ease +([01]\.\d{3}) +(0\.\d{4}) +(\S.*)$", status.stdout, flags=re.MULTILINE)
    assert ease[2].startswith(("the best alone", "left aside", "without it", "no share"))
    asked = run("recommend", "--user", "7", "--model", "ease", "--seen")
    assert asked.returncode == 0, asked.stderr
    assert "Film" in asked.stdout
    nobody = run("recommend", "--user", "8")
    assert nobody.returncode == 2
    assert "'8' is not in the data" in nobody.stderr


def test_the_data_report_is_made_and_shown(built):
    made = run("data", "report")
    assert made.returncode == 0, made.stdout + made.stderr
    assert "made data_report" in made.stdout
    assert "For the split: Every user has films enough" in made.stdout
    page = built.store.folder("data_report") / "views" / "data_report.html"
    assert f"page: {page}" in made.stdout and page.exists()


def test_a_page_of_recommendations_is_written(built, tmp_path):
    done = run("look", "--user", "7", "--sample", "1", "--models", "ease,popularity", "--to", str(tmp_path / "p.html"))
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "p.html") in done.stdout
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert page.count("<h2 id=") == 2 and "User 7" in page and "popularity" in page
    nobody = run("look", "--user", "8")
    assert nobody.returncode == 2 and "'8' is not in the data" in nobody.stderr


def test_a_model_is_shown_with_what_a_training_on_the_current_data_takes(built):
    shown = run("models", "mf")
    assert re.search(r"on the current interactions: about \d+ MiB, \d+\.\d CPU seconds an epoch", shown.stdout)


def test_a_build_with_nothing_to_do_loads_nothing_that_trains_draws_or_checks(built):
    heavy = ("torch", "pandas", "matplotlib", "sklearn", "lightgbm", "great_expectations", "duckdb")
    code = (
        "import sys; from recpipe.cli import app; app(['build'], standalone_mode=False); "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "\n0 steps run" in done.stdout
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_a_misspelt_setting_is_found_before_the_first_step(built):
    (built.conf / "models" / "ease.yaml").write_text("recipe: ease\nregularisation: 3\n")
    done = run("build")
    assert done.returncode == 2
    assert "regularisation: no such setting" in done.stderr and "made" not in done.stdout


def test_a_misspelt_setting_ends_with_the_file_the_key_and_status_two(project):
    (project.conf / "models" / "ease.yaml").write_text("recipe: ease\nregularisation: 3\n")
    done = run("models")
    assert done.returncode == 2
    assert "ease.yaml: regularisation: no such setting; did you mean 'regularization'?" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_that_does_not_exist_is_refused_with_the_nearest(project):
    done = run("build", "--models", "eese")
    assert done.returncode == 2
    assert "did you mean 'ease'" in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is not of this system")
def test_a_build_killed_in_the_middle_of_training_goes_on_at_the_next_call(project):
    settings = project.conf / "models" / "mf.yaml"
    settings.write_text("recipe: mf\nepochs: 100000\npatience: 100000\nbatch_size: 64\n")
    process = subprocess.Popen([*COMMAND, "build"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline and not project.store.record("trained_model", "ease|holdout"):
            time.sleep(0.2)
        while time.monotonic() < deadline and not pool_is_held(project):
            time.sleep(0.2)
        assert pool_is_held(project)
        time.sleep(1)  # mf, which comes after ease, is being trained now and will not end by itself
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert project.store.record("trained_model", "mf|holdout") is None
    settings.write_text("recipe: mf\nepochs: 2\n")
    done = run("build")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "trained_model[mf|holdout]" in done.stdout
    assert "trained_model[ease|holdout]" not in done.stdout  # what was done is not done again
    with dg.DagsterInstance.from_config(str(project.home / "dagster")) as instance:
        assert [run for run in instance.get_runs() if not run.is_finished] == []  # the killed one stands as failed
    assert project.submission_file.exists()
    assert "submission.csv" in done.stdout
    assert "capped_recall@10" in done.stdout  # the ensemble's verdict
    assert "ndcg@10" in done.stdout  # the leaderboard
