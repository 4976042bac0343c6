"""Hands a build's steps to the workers of a Dask scheduler, so that models train at the same time, on several machines.

A task is one step: the worker runs the ordinary run of one asset and partition on the shared Dagster instance and
publishes to the shared home. The walk stays where `recpipe build` was called; it gives out what waits for nothing.

Why Dask itself, and no executor of Dagster: a run here is one step, so there is nothing in it to spread. dagster-dask
names its task after job and step: of two partitions on one scheduler the second gets the result of the first and
succeeds having made nothing (seen with 0.29.27). dagster-celery takes a task off the queue before it is carried out, so
that of a killed worker is lost. dagster-ray and dagster-k8s launch runs and leave retries to Dagster's daemon. Dask's
scheduler notices a closed connection at once, and gives the task to another worker.
"""

import math
import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeAlias

import dagster as dg

from recpipe.defs.planner import RAW, TASK, HandsLost, end_lost_runs, run_step, walking
from recpipe.instance import dagster_home
from recpipe.lineage import Lineage, Node, Versions
from recpipe.progress import Listener, listening, tell
from recpipe.settings import Project
from recpipe.yaml_files import SettingsError

if TYPE_CHECKING:
    from distributed import Client, Future

CONNECTS_WITHIN = 30.0
"""Seconds for the scheduler to answer, and again for its first worker to be there."""

SEEN_WITHIN = 30.0
"""Seconds until what one machine wrote is to be seen by another; network file systems remember what a folder held."""

POOL = "training"

Ended: TypeAlias = "tuple[str | None, str | None]"
"""How a step ended on a worker: the error's text, or the digest of the content that it published."""


class Abandoned(RuntimeError):
    """The build that asked for this step is gone."""


@contextmanager
def workers_of(address: str, project: Project, instance: dg.DagsterInstance) -> Iterator["Workers"]:
    """The workers of the scheduler at `address` (tcp://host:8786), for the length of one build.

    Raises `SettingsError` where the extra is not installed or a worker has several threads, `OSError` where nobody
    answers.
    """
    if find_spec("distributed") is None:
        raise SettingsError("--workers needs an extra: pip install -c constraints.txt -e '.[distributed]'")
    from distributed import Client

    with Client(address, timeout=CONNECTS_WITHIN, name="recpipe") as client:
        client.wait_for_workers(1, timeout=CONNECTS_WITHIN)
        threads = client.nthreads()
        if any(several > 1 for several in threads.values()):
            raise SettingsError(
                f"the workers of {address} have several threads, and Dagster wants one: start them with `--nthreads 1`"
            )
        hands = Workers(client, project, instance)
        hands.say_who(address)
        yield hands


class Workers:
    """The hands of a build (`planner.Hands`) elsewhere; only the delivery is read in the build's own process."""

    def __init__(self, client: "Client", project: Project, instance: dg.DagsterInstance) -> None:
        self._client, self._instance = client, instance
        self._lineage = Lineage(project)
        self._under_way: dict[Future, Node] = {}
        self._ended: list[tuple[Node, str | None]] = []
        self._news = f"recpipe-{uuid.uuid4().hex}"
        self._history = f"recpipe/{project.home}"
        instance.run_storage.set_cursor_values({self._history: self._news})
        here = copy_context()  # whoever listens to this build; Dask calls from a thread of its own
        client.subscribe_topic(self._news, lambda event: here.run(tell, **event[1]))

    def say_who(self, address: str) -> None:
        """How many workers there are, and whether the pool lets as many train."""
        many, slots = len(self._client.nthreads()), self._training_slots()
        tell(event="waiting", what=f"{many} workers at {address}")
        if slots < many:
            tell(
                event="waiting",
                what=f"the pool {POOL!r} lets {slots} of them train at a time; for all: "
                f"dagster instance concurrency set {POOL} {many}",
            )

    @property
    def busy(self) -> bool:
        return bool(self._under_way or self._ended)

    def free_for(self, node: Node) -> bool:
        """A worker is idle, and the pool has a slot: a worker that waited for one would be of no use to others."""
        if node.asset in RAW:
            return True
        training = sum(each.asset == "trained_model" for each in self._under_way.values())
        if node.asset == "trained_model" and training >= self._training_slots():
            return False
        return len(self._under_way) < len(self._client.nthreads())

    def start(self, node: Node) -> None:
        if node.asset in RAW:  # the delivery lies where the build was called
            self._ended.append((node, run_step(node, self._instance)))
            return
        task = f"{node.asset}-{uuid.uuid4().hex}"
        future = self._client.submit(
            step_on_worker, node, task, self._lineage.versions(node), self._history, self._news, key=task, pure=False
        )
        self._under_way[future] = node

    def finished(self) -> list[tuple[Node, str | None]]:
        from distributed import CancelledError, wait

        if not self._ended:
            try:
                done = wait(list(self._under_way), return_when="FIRST_COMPLETED").done
            except CancelledError as gone:
                lost = ", ".join(str(node) for node in self._under_way.values())
                raise HandsLost(f"the scheduler is gone, and with it {lost}; what was made before stands") from gone
            for future in done:
                node = self._under_way.pop(future)
                self._ended.append((node, self._error(node, future)))
        ended, self._ended = self._ended, []
        return ended

    def _error(self, node: Node, future: "Future") -> str | None:
        """The step's error; where there is none, what it published is to be seen from here as well."""
        crash = future.exception()
        if crash is not None:  # not the step's own error: such as a task whose workers died one after the other
            end_lost_runs(self._instance, future.key)
            return f"{type(crash).__name__}: {crash}"
        error, content = future.result()
        home = self._lineage.project.home
        if error is None and not _soon(lambda: _content(self._lineage.project, node) == content):
            return f"made, but not to be seen in {home} after {SEEN_WITHIN:.0f} s: do all machines share this folder?"
        return error

    def _training_slots(self) -> float:
        """How many trainings the pool lets run at a time."""
        for pool in self._instance.event_log_storage.get_pool_limits():
            if pool.name == POOL:
                return pool.limit
        limit = self._instance.get_concurrency_config().pool_config.default_pool_limit
        return math.inf if limit is None else limit


def step_on_worker(node: Node, task: str, versions: Versions, history: str, news: str) -> Ended:
    """One step in a worker: an ordinary run on the instance that all machines share.

    versions: of everything that goes into the step, as the build sees it; a worker with other code, settings or data
    refuses. history: under which key the build has left `news` in its Dagster instance. news: the topic of epochs.
    A task that comes to a second worker ends the run of the first, which is lost.
    """
    from distributed import get_worker

    project = Project.here()
    worker = get_worker()
    if not _soon(lambda: Lineage(project).versions(node) == versions):
        now = Lineage(project).versions(node)
        differing = sorted(name for name in now.keys() | versions.keys() if now.get(name) != versions.get(name))
        return (
            f"the worker {worker.address} sees another version of: {', '.join(differing)} (home {project.home})",
            None,
        )
    os.environ["DAGSTER_HOME"] = str(dagster_home(project))
    with dg.DagsterInstance.get() as instance, walking(), listening(_teller(news, task, node)):
        if instance.run_storage.get_cursor_values({history}).get(history) != news:
            return f"the worker {worker.address} has another Dagster instance ({os.environ['DAGSTER_HOME']})", None
        end_lost_runs(instance, task)
        error = run_step(node, instance, {TASK: task, "recpipe/worker": worker.address})
    return error, None if error else _content(project, node)


def _teller(topic: str, task: str, node: Node) -> Listener:
    """Tells the build about epochs; ends the training where Dask has given the task up."""
    from distributed import get_worker

    worker = get_worker()

    def tell_build(news: dict[str, Any]) -> None:
        if worker.state.tasks[task].state == "cancelled":
            raise Abandoned(f"the build that asked for {node} is gone")
        worker.log_event(topic, news | {"node": str(node)})

    return tell_build


def _content(project: Project, node: Node) -> str | None:
    record = project.store.record(node.asset, node.partition)
    return None if record is None else record.content


def _soon(seen: Callable[[], bool]) -> bool:
    """Whether it is so within `SEEN_WITHIN`."""
    until = time.monotonic() + SEEN_WITHIN
    while not seen():
        if time.monotonic() > until:
            return False
        time.sleep(0.5)
    return True
