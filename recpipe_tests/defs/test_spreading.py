"""A build whose steps a Dask worker carries out; the kill of a worker is measured in benchmarks/distributed.py."""

import shutil

import dagster as dg
import pytest

from recpipe.instance import dagster_home
from recpipe.lineage import Lineage, Node
from recpipe.progress import listening
from recpipe.settings import Project
from recpipe.yaml_files import SettingsError
from recpipe_tests.defs.test_planner import GOALS, REPORTS, contents

distributed = pytest.importorskip("distributed", reason="the extra `distributed` is not installed")


@pytest.fixture
def instance(built, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(dagster_home(built)))
    with dg.DagsterInstance.get() as shared:
        yield shared


@pytest.fixture
def scheduler():
    def started(threads=1):
        return distributed.LocalCluster(1, threads_per_worker=threads, processes=False, dashboard_address=":0")

    return started


def test_a_worker_makes_what_the_own_process_makes(built, planner, instance, scheduler, built_once):
    from recpipe.defs.spreading import workers_of

    for asset in ("evaluation_report", "leaderboard"):
        shutil.rmtree(built.store.root / asset)
    news = []
    with (
        scheduler() as cluster,
        listening(news.append),
        workers_of(cluster.scheduler_address, built, instance) as hands,
    ):
        done = planner.build(built, GOALS, instance, hands=hands)
    assert set(done.ran) == {*REPORTS, Node("leaderboard", "holdout")}
    assert contents(built) == contents(Project(built_once / "home", built.conf))
    runs = instance.get_runs()
    assert [run.status for run in runs] == [dg.DagsterRunStatus.SUCCESS] * 4
    assert all(run.tags["recpipe/worker"].startswith("inproc://") for run in runs)
    assert news[0]["what"].startswith("1 workers at")


def test_epochs_on_a_worker_are_told_where_the_build_is(built, planner, instance, scheduler):
    from recpipe.defs.spreading import workers_of

    mf = Node("trained_model", "mf|holdout")
    shutil.rmtree(built.store.place(mf.asset, mf.partition))
    news = []
    with (
        scheduler() as cluster,
        listening(news.append),
        workers_of(cluster.scheduler_address, built, instance) as hands,
    ):
        planner.build(built, [mf], instance, hands=hands)
    epochs = [one["epoch"] for one in news if one["event"] == "training" and "epoch" in one]
    assert epochs == [1, 2, 3]


def test_a_worker_with_other_settings_or_another_instance_refuses(built, planner, instance, scheduler, monkeypatch):
    from recpipe.defs import spreading

    monkeypatch.setattr(spreading, "SEEN_WITHIN", 0.0)
    report = REPORTS[0]
    versions = Lineage(built).versions(report)
    with scheduler() as cluster, distributed.Client(cluster) as client:
        asked = client.submit(spreading.step_on_worker, report, "a", versions | {"code": "other"}, "here", "news")
        assert "sees another version of: code" in asked.result()[0]
        asked = client.submit(spreading.step_on_worker, report, "b", versions, "nowhere", "news")
        assert "has another Dagster instance" in asked.result()[0]
    assert instance.get_runs() == []


def test_workers_of_several_threads_are_refused(built, planner, instance, scheduler):
    from recpipe.defs.spreading import workers_of

    with (
        scheduler(threads=2) as cluster,
        pytest.raises(SettingsError, match="--nthreads 1"),
        workers_of(cluster.scheduler_address, built, instance),
    ):
        pass
