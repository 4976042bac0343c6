"""What grows: the sizes of generated data, and a model's fit and ranking measured at each of them, in this process."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from apart import Taken
from generated import long_tailed

from recpipe.data.features import Bag, ItemFeatures
from recpipe.data.interactions import Interactions
from recpipe.data.preparation import Preparation
from recpipe.data.preparing import prepare
from recpipe.data.splitting import strategy_from
from recpipe.data.training_set import TrainingSet
from recpipe.evaluation.evaluate import evaluate
from recpipe.evaluation.ranking import rank
from recpipe.models.catalog import family
from recpipe.recipe import Recipe, Run
from recpipe.scoring.factors import Factors
from recpipe.settings import Project


class Size(NamedTuple):
    """events: drawn; repeats of a user and a film go."""

    users: int
    films: int
    events: int


AXES = ("users", "films", "interactions")
FACTORS = (1, 2, 4, 8)
LIGHT, USUAL, HALF = Size(8_000, 2_000, 240_000), Size(2_000, 1_000, 60_000), Size(1_000, 1_000, 30_000)
QUARTER, SEQUENCES, SOLVED = Size(500, 1_000, 15_000), Size(125, 1_000, 7_500), Size(4_000, 300, 60_000)
BASES = {
    "baselines": LIGHT, "knn_basic": LIGHT, "user_knn": LIGHT, "markov_chain": LIGHT, "markov_fading": LIGHT,
    "neighbours": Size(4_000, 1_000, 120_000), "enmf": Size(4_000, 1_000, 120_000),
    "linear": Size(4_000, 500, 120_000), "admm_slim": SOLVED, "slim_elastic": SOLVED, "ncepl_rec": USUAL,
    "line": HALF, "nncf": HALF, "lightgcn": HALF, "multi_vae": HALF, "nais": Size(2_000, 300, 15_000),
    "neural": QUARTER, "graphs": QUARTER, "rec_vae": QUARTER, "macrid_vae": QUARTER,
    "deep_fm": QUARTER, "cfm": QUARTER, "logistic_cfm": QUARTER, "boosted_ranker": Size(1_000, 400, 30_000),
    "sequences": SEQUENCES, "fpmc": Size(500, 1_000, 30_000),
}  # fmt: skip
"""The smallest data by family or model, so that the dearest point takes a few seconds."""
WARMING = Size(200, 100, 4_000)
SMALLER: dict[str, dict[str, Any]] = {
    "cfm": {"embedding_size": 8, "layers": (4, 4, 4)}, "logistic_cfm": {"embedding_size": 8, "layers": (4, 4, 4)},
    "conv_ncf": {"embedding_size": 8, "layers": (4, 4, 4)}, "repeat_net": {"embedding_size": 16},
    "sr_gnn": {"embedding_size": 32}, "nextitnet": {"embedding_size": 32},
}  # fmt: skip
"""Settings of the dearest models, whose constant alone they change."""
ASKED = 128
"""Users whose films are ranked at each point."""
ENOUGH, MOST = 0.2, 5
"""CPU seconds after which, and times so many, a short piece of work is not repeated any more."""


def base_of(model: str) -> Size:
    return BASES.get(model, BASES.get(family_of(model), USUAL))


def family_of(model: str) -> str:
    return family(type(Project.here().recipe(model)).recipe_name())


def sizes(base: Size) -> dict[str, list[Size]]:
    """By axis, ascending. Users: each brings as many events; films and interactions: nothing else changes."""
    return {
        "users": [Size(base.users * factor, base.films, base.events * factor) for factor in FACTORS],
        "films": [base._replace(films=base.films * factor) for factor in FACTORS],
        "interactions": [base._replace(events=base.events * factor) for factor in FACTORS],
    }


def interactions_of(size: Size, folder: Path) -> Interactions:
    """Drawn once and kept in `folder`."""
    path = folder / f"{size.users}x{size.films}x{size.events}.npz"
    if not path.exists():
        drawn = long_tailed(*size)
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(path, users=drawn.users, items=drawn.items, times=drawn.times, ratings=drawn.ratings)
    with np.load(path) as kept:
        return Interactions(**kept, n_users=size.users, n_items=size.films)


def features_of(n_items: int) -> ItemFeatures:
    """Two genres of eighteen a film, a director of three films, two writers of four films each, a year."""
    random = np.random.default_rng(0)

    def drawn(count: int, each: int) -> Bag:
        return Bag.from_lists([[f"{value:06d}" for value in set(film)]
                               for film in random.integers(0, max(1, count), (n_items, each)).tolist()])  # fmt: skip

    bags = {"genres": drawn(18, 2), "directors": drawn(n_items // 3, 1), "writers": drawn(n_items // 2, 2)}
    years = random.integers(1931, 2014, n_items).astype(np.int32)
    return ItemFeatures(tuple(f"film {film}" for film in range(n_items)), years, bags)


def recipe_of(model: str) -> Recipe:
    """As in conf/models, without trainings before the model's own, the dearest with smaller vectors."""
    recipe = Project.here().recipe(model)
    stages = {"pretraining": 0} if "pretraining" in type(recipe).model_fields else {}
    return type(recipe)(**recipe.model_dump() | SMALLER.get(model, {}) | stages)


def measure(model: str, folder: Path) -> list[dict[str, Any]]:
    """At every size: CPU seconds and peak memory of a fit, of one epoch where there are any, and CPU seconds of
    ranking `ASKED` users' films. The first fit of a process, which imports, is not measured."""
    recipe = recipe_of(model)
    run = Run(seed=1, epochs=1 if "epochs" in type(recipe).model_fields else None)
    recipe.fit(_training_set(recipe, WARMING, folder), run)
    points = []
    for size in every(base_of(model)):
        train = _training_set(recipe, size, folder)
        taken, scorer = best(partial(recipe.fit, train, run))
        asked = train.interactions.histories()
        asked = asked.rows(np.flatnonzero(asked.lengths)[:ASKED])
        ranked, _ = best(partial(rank, scorer, asked, 10))
        points.append({"size": size, "fit": taken["cpu_seconds"], "memory": taken["peak_memory_mb"],
                       "rank": ranked["cpu_seconds"], "scorer": type(scorer).__name__})  # fmt: skip
    return points


def measure_path(work: str, folder: Path) -> list[dict[str, Any]]:
    """At every size: CPU seconds and peak memory of one step of the data path, one of `PATH`."""
    step = PATH[work]
    step(interactions_of(WARMING, folder))()
    points = []
    for size in every(USUAL if work == "evaluate" else LIGHT):
        taken, _ = best(step(interactions_of(size, folder)))
        points.append({"size": size, "fit": taken["cpu_seconds"], "memory": taken["peak_memory_mb"]})
    return points


def every(base: Size) -> list[Size]:
    """Each size of any axis once, ascending by events."""
    return sorted({size for row in sizes(base).values() for size in row}, key=lambda size: size.events)


def _preparing(interactions: Interactions) -> Callable[[], Any]:
    events = pa.table({"user": interactions.users, "item": interactions.items, "rating": interactions.ratings,
                       "time": interactions.times})  # fmt: skip
    settings = Preparation(min_rating=2.0, repeats="latest", min_user_events=5, min_item_events=5)
    return partial(prepare, events, settings)


def _splitting(name: str, interactions: Interactions) -> Callable[[], Any]:
    strategy = Project.here().strategy(name)
    return lambda: strategy.split(interactions)


def _evaluating(interactions: Interactions) -> Callable[[], Any]:
    parts, random = strategy_from({"strategy": "ratio_random", "seed": 1}).split(interactions), np.random.default_rng(0)
    vectors = (random.standard_normal((n, 64), np.float32) for n in (interactions.n_users, interactions.n_items))
    return partial(evaluate, Factors(*vectors), parts.test, parts.train)


PATH: dict[str, Callable[[Interactions], Callable[[], Any]]] = {
    "prepare": _preparing,
    **{f"split {name}": partial(_splitting, name) for name in ("holdout", "ratio_random", "ratio_time", "strong")},
    "evaluate": _evaluating,
}
"""Steps of the data path, by name: from interactions to the work that is measured."""


def best(work: Callable[[], Any]) -> tuple[dict[str, float], Any]:
    """The least CPU seconds of a few runs, the first one's memory, and what the last returned."""
    seconds: list[float] = []
    memory = 0.0
    while sum(seconds) < ENOUGH and len(seconds) < MOST:
        made = None  # an older result is no memory of this run
        gc.collect()
        with Taken() as taken:
            made = work()
        memory = memory or taken.figures["peak_memory_mb"]
        seconds.append(taken.figures["cpu_seconds"])
    return {"cpu_seconds": min(seconds), "peak_memory_mb": memory}, made


def _training_set(recipe: Recipe, size: Size, folder: Path) -> TrainingSet:
    features = features_of(size.films) if recipe.uses_features else None
    return TrainingSet(interactions_of(size, folder), features)
