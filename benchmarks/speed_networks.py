"""An epoch of the networks on ML-1M: against the peer, against its products alone, and where its time goes.

    python benchmarks/speed_networks.py --data ml-1m.zip --work WORK --out docs/performance.md \
        --peer-python PEER/bin/python --peer-script recbole_peer.py

Splits, settings and the peer's are those of benchmarks/epochs.py; `multi_vae, as the peer` has the peer's layers,
embedding_size and batch. Each of our figures comes from a process of its own, on one thread, and is the best of
`--repeats`. An epoch is a whole `fit` without validation: the making of graph and batches is in it.

Of one more epoch torch's profiler tells the seconds of each operator without what it calls, and of Python between
them. Products are mm, addmm, bmm and baddbmm, the kernel of weighted sums over bags (a sparse product, as its gradient
is), and the kernels that fuse attention with its two products. In one more epoch each product is carried out a second
time at once, its arguments in the caches: these second times are the limit. Both are of a tenth of the users where the
model is sequential, and the limit then is the epoch's by the same share.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import epochs
import torch
from apart import Taken, told_by_own
from arguments import words_of
from bars import Row, table
from figures import Figure, Figures, write_between
from peer import Peer
from torch.profiler import ProfilerActivity
from torch.utils._python_dispatch import TorchDispatchMode

from recpipe.data.parts import Parts
from recpipe.data.preparation import Preparation
from recpipe.data.preparing import prepare
from recpipe.data.readers import read
from recpipe.data.splitting import strategy_from
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Recipe, Run
from recpipe.settings import Project

AS_PEER = "multi_vae, as the peer"
MODELS = ("multi_vae", AS_PEER, "lightgcn", "gru4rec", "sasrec")
DENSE = ("mm", "addmm", "addmm_", "bmm", "baddbmm", "_scaled_dot_product_flash_attention_for_cpu",
         "_scaled_dot_product_flash_attention_for_cpu_backward")  # fmt: skip
PRODUCTS = (*DENSE, "_embedding_bag", "_embedding_bag_forward_only")
SHARE = 0.7
"""The bar: of an epoch's seconds, at least so many in products."""
TENTH = 10
LIMIT = 200
"""CPU seconds after which an epoch of the peer is ended: GRU4Rec needs 87 on ml-100k and would need some 900 here."""


def recipe_of(model: str) -> Recipe:
    """With the settings of conf/models, pairs in the peer's batches; or with the peer's settings."""
    name = model.partition(",")[0]
    recipe = Project.here().recipe(name)
    if model == AS_PEER:
        changes: dict[str, Any] = {"layers": (600,), "embedding_size": 128, "batch_size": epochs.BATCH}
    else:
        by_rows = name in epochs.BY_USERS or name in epochs.SEQUENTIAL
        changes = {} if by_rows else {"batch_size": epochs.BATCH}
    return type(recipe)(**recipe.model_dump() | changes)


def parts_of(model: str, data: Path) -> Parts:
    """The last film of each user apart for sequential models, a tenth of the films at random for the others."""
    interactions = prepare(read(data).ratings, Preparation()).interactions
    return strategy_from(epochs.LAST if model in epochs.SEQUENTIAL else epochs.RANDOM).split(interactions)


def epoch(fit: Callable[[], object]) -> Figure:
    """What one takes."""
    with Taken() as taken:
        fit()
    return taken.figures


def profile(fit: Callable[[], object]) -> Figure:
    """Seconds of each operator, in all, and of Python: what is left of the CPU seconds."""
    with torch.profiler.profile(activities=[ProfilerActivity.CPU]) as found:
        fit()
    seconds = {event.key: event.self_cpu_time_total / 1e6 for event in found.key_averages()}
    largest = dict(sorted(seconds.items(), key=lambda pair: -pair[1])[:25])
    products = sum(spent for name, spent in seconds.items() if name.removeprefix("aten::") in PRODUCTS)
    return {
        "profiled_seconds": round(sum(seconds.values()), 4),
        "products": round(products, 4),
        "largest": {name: round(spent, 4) for name, spent in largest.items()},
    }


class Twice(TorchDispatchMode):
    """Carries each product out a second time. seconds: of the second times, on the CPU; calls: how many."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds, self.calls = 0.0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """The first time's result."""
        given = kwargs or {}
        found = func(*args, **given)
        if func._opname in PRODUCTS:
            if func._opname == "addmm_":  # it adds to its first argument
                args = (args[0].clone(), *args[1:])
            clock = time.process_time()
            func(*args, **given)
            self.seconds += time.process_time() - clock
            self.calls += 1
        return found


def alone(fit: Callable[[], object]) -> Figure:
    """Of an epoch's CPU seconds, what its products take without anything between them."""
    whole = epoch(fit)["cpu_seconds"]
    with Twice() as twice:
        fit()
    return {"epoch_cpu_seconds": whole, "cpu_seconds": round(twice.seconds, 4), "calls": twice.calls}


MEASURES: dict[str, Callable[[Callable[[], object]], Figure]] = {"epoch": epoch, "profile": profile, "alone": alone}


def one(measure: str, model: str, data: Path) -> Figure:
    """One measurement, in this process."""
    events, recipe = parts_of(model, data).train, recipe_of(model)
    if measure != "epoch" and model in epochs.SEQUENTIAL:  # the profiler keeps each call, 10 GB of them in an epoch
        events = events.take(events.users % TENTH == 0)
    train = TrainingSet(events)
    epochs._warm_up()
    return MEASURES[measure](lambda: recipe.fit(train, Run(seed=1, epochs=1)))


def best_of(repeats: int, measure: str, model: str, data: Path) -> Figure:
    """The run with the fewest CPU seconds."""
    runs = [told_by_own(__file__, "--data", data, "--one", measure, model) for _ in range(repeats)]
    return min(runs, key=lambda figure: figure.get("cpu_seconds", figure.get("profiled_seconds")))


def rows(figures: list[Figure]) -> Iterator[Row]:
    """A row a model."""
    known = {(figure["measure"], figure["model"]): figure for figure in figures}
    for model in MODELS:
        ours, theirs = known.get(("epoch", model)), known.get(("peer", model.partition(",")[0]), {})
        if ours is None:
            continue
        seen, bare = known.get(("profile", model)), known.get(("alone", model))
        limit = ours["cpu_seconds"] * bare["cpu_seconds"] / bare["epoch_cpu_seconds"] if bare else None
        share = seen["products"] / seen["profiled_seconds"] if seen else 0.0
        bounds = ((f"≥ {SHARE:.0%} in products: {share:.0%}", share >= SHARE),) if seen else ()
        yield Row(
            f"an epoch of `{model}` on ML-1M", ours["cpu_seconds"],
            theirs.get("epoch_cpu_seconds", theirs.get("unfinished")), limit, least_of_peer=3,
            peer_name="RecBole", limit_name="products alone", bounds=bounds, peer_unfinished="unfinished" in theirs,
        )  # fmt: skip


def main() -> None:
    words = words_of(__doc__, "speed_networks")
    words.add_argument("--data", type=Path, required=True, help="MovieLens 1M, folder or zip")
    words.add_argument("--work", type=Path, help="a folder for the peer's files")
    words.add_argument("--models", nargs="*", default=MODELS, metavar="MODEL")
    words.add_argument("--measures", nargs="*", default=["peer", *MEASURES], metavar="MEASURE")
    words.add_argument("--repeats", type=int, default=3)
    words.add_argument("--peer-python", type=Path, help="of an environment with RecBole; without it only ours is run")
    words.add_argument("--peer-script", type=Path)
    words.add_argument("--one", nargs=2, metavar=("MEASURE", "MODEL"), help="one measurement here, as JSON")
    given = words.parse_args()
    if given.one:
        torch.set_num_threads(1)
        print(json.dumps(one(*given.one, given.data)))
        return
    figures = Figures(given.figures)
    for model in given.models:
        for measure in given.measures:
            if measure != "peer":
                repeated = partial(best_of, given.repeats, measure, model, given.data)
                figures.once({"measure": measure, "model": model}, repeated)
            elif given.peer_python and model != AS_PEER:
                figures.once({"measure": "peer", "model": model}, partial(of_peer, model, given))
    if given.out:
        write_between(given.out, "networks", list(table(rows(figures.all()))))


def of_peer(model: str, given: argparse.Namespace) -> Figure:
    """An epoch of the peer, or after how many CPU seconds it was ended."""
    settings: dict[str, Any] = epochs.ORDERED if model in epochs.SEQUENTIAL else {}
    peer = Peer(given.peer_python, given.peer_script, limit=LIMIT)
    called, kind = (epochs.PEERS | epochs.SEQUENTIAL)[model], "last" if settings else "parts"
    return epochs.of_peer(peer, called, parts_of(model, given.data), given.work / f"{kind}-ml-1m", 1, **settings)


if __name__ == "__main__":
    main()
