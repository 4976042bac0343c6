"""EASE and item kNN against the peers and against the bare linear algebra: docs/performance.md's part `linear`.

    python benchmarks/speed_linear.py --work WORK --peer-python PEER/bin/python --out docs/performance.md

Generated long-tailed interactions: 20,000 users × 10,000 films, and the shape of MovieLens 20M. Each piece in a process
of its own on one thread. Ours: `fit`, from the interactions to the scorer. The limit: SciPy's sparse Gram matrix made
dense, then LAPACK's potrf and potri where it stands, nothing else. The peers: RecBole's EASE and ItemKNN, the classes
alone, and implicit's CosineRecommender, from a sparse matrix in memory (benchmarks/linear_peer.py); RecBole's ItemKNN
for `--peer-films` of the films, its time scaled to all.
Each figure is kept in benchmarks/measured/speed_linear.jsonl and is not measured again while it stands there.
"""

from __future__ import annotations

import argparse
import json
import resource
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from apart import Failed, Taken, told, told_by_own
from arguments import words_of
from bars import Row, table
from figures import Figure, Figures, write_between
from generated import ML_20M, long_tailed
from scipy import sparse
from scipy.linalg import lapack

from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.linear.ease import Ease
from recpipe.models.neighbours.item_knn import ItemKnn
from recpipe.recipe import Run

SHAPES = {10_000: {"n_users": 20_000, "n_items": 10_000, "n_events": 2_000_000}, 20_000: ML_20M}
"""By how many films."""
PRECISIONS: dict[str, type[np.floating[Any]]] = {"float32": np.float32, "float64": np.float64}
MOST_GRAMS = 2.2
PEER = Path(__file__).with_name("linear_peer.py")


def path_of(work: Path, n_films: int) -> Path:
    return work / f"{n_films}.npz"


def generate_once(path: Path, n_films: int) -> None:
    """Binary float32 [users × films]."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        sparse.save_npz(path, long_tailed(**SHAPES[n_films]).matrix(), compressed=False)


def training_set(matrix: sparse.csr_matrix) -> TrainingSet:
    users = np.repeat(np.arange(matrix.shape[0], dtype=np.int32), np.diff(matrix.indptr))
    return TrainingSet(Interactions(users, matrix.indices, np.zeros(matrix.nnz, np.int64), None, *matrix.shape))


def ours(recipe: Ease | ItemKnn, path: Path) -> Figure:
    train = training_set(sparse.load_npz(path))
    with Taken() as taken:
        recipe.fit(train, Run())
    return taken.figures


def bare(precision: str, path: Path) -> Figure:
    """The Gram matrix and its inverse, and no more."""
    watched = sparse.load_npz(path).astype(PRECISIONS[precision])
    factor, invert = lapack.get_lapack_funcs(("potrf", "potri"), dtype=PRECISIONS[precision])
    with Taken() as taken:
        gram = (watched.T @ watched).toarray(order="F")
        gram[np.diag_indices_from(gram)] += 500.0
        factor(gram, lower=1, overwrite_a=1, clean=0)
        invert(gram, lower=1, overwrite_c=1)
    return taken.figures


def piece(words: list[str]) -> Figure:
    """What a process of its own measures: ["bare" or "ease", precision, path] or ["item_knn", path]."""
    path = Path(words[-1])
    if words[0] == "item_knn":
        return ours(ItemKnn(neighbours=100), path)
    return bare(words[1], path) if words[0] == "bare" else ours(Ease(precision=words[1]), path)


def of_peer(given: argparse.Namespace, *words: object) -> Figure:
    """The peer's figures, or after how many CPU seconds it was ended, or that it failed and how."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    try:
        return told([given.peer_python, PEER, str(given.peer_limit), *map(str, words)])
    except Failed as error:
        if resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before > 0.9 * given.peer_limit:
            return {"unfinished": given.peer_limit}
        return {"failed": str(error).strip().splitlines()[-1][:200]}


def measures(given: argparse.Namespace) -> dict[tuple[str, str], Callable[[], Figure]]:
    """By what is measured and whose it is."""
    found: dict[tuple[str, str], Callable[[], Figure]] = {}
    knn = path_of(given.work, 20_000)
    found["item kNN, 20000", "ours"] = partial(told_by_own, __file__, "--piece", "item_knn", knn)
    if given.peer_python:
        found["item kNN, 20000", "implicit"] = partial(of_peer, given, knn, "implicit")
        found["item kNN, 20000", "RecBole"] = partial(of_peer, given, knn, "item_knn", given.peer_films)
    for n_films in SHAPES:
        path = path_of(given.work, n_films)
        for precision in PRECISIONS:
            for who, name in (("limit", "bare"), ("ours", "ease")):
                measure = partial(told_by_own, __file__, "--piece", name, precision, path)
                found[f"EASE, {n_films}, {precision}", who] = measure
        if given.peer_python:
            found[f"EASE, {n_films}", "RecBole"] = partial(of_peer, given, path, "ease")
    return found


def rows(figures: list[Figure]) -> list[Row]:
    """Those whose own figures are there."""
    known = {(figure["work"], figure["who"]): figure for figure in figures}

    def cpu(work: str, who: str) -> float | None:
        figure = known.get((work, who), {})
        return figure.get("cpu_seconds", figure.get("unfinished"))

    found = []
    for n_films in SHAPES:
        for precision, kind in PRECISIONS.items():
            work = f"EASE, {n_films}, {precision}"
            if (work, "ours") not in known:
                continue
            mine = known[work, "ours"]
            grams = mine["peak_memory_mb"] * 2**20 / (np.dtype(kind).itemsize * n_films**2)
            bounds = [(f"peak memory {grams:.2f} of at most {MOST_GRAMS} × the Gram matrix", grams <= MOST_GRAMS)]
            if cpu(f"EASE, {n_films}", "RecBole") is None:
                bounds.append(("≥ 3 × as fast as the peer, of which there is no figure", False))
            found.append(
                Row(
                    f"EASE fit, {n_films:,} films, {precision}", mine["cpu_seconds"],
                    cpu(f"EASE, {n_films}", "RecBole"), cpu(work, "limit"), most_of_limit=1.3, least_of_peer=3,
                    peer_name="RecBole, float32", limit_name="sparse Gram, potrf, potri", bounds=tuple(bounds),
                    peer_unfinished="unfinished" in known.get((f"EASE, {n_films}", "RecBole"), {}),
                )
            )  # fmt: skip
    mine = known.get(("item kNN, 20000", "ours"))
    for peer, least in (("implicit", 1), ("RecBole", 5)) if mine else ():
        theirs = known.get(("item kNN, 20000", peer), {})
        scale = SHAPES[20_000]["n_items"] / theirs["films"] if "films" in theirs else 1
        seconds = theirs["cpu_seconds"] * scale if "cpu_seconds" in theirs else None
        name = peer if scale == 1 else f"{peer}, of 1 film in {scale:.0f}, scaled"
        found.append(
            Row("item kNN fit, ML-20M's shape", mine["cpu_seconds"], seconds, least_of_peer=least, peer_name=name)
        )
    return found


def main() -> None:
    words = words_of(__doc__, "speed_linear")
    words.add_argument("--piece", nargs="+", help=argparse.SUPPRESS)
    words.add_argument("--work", type=Path, help="a folder for the generated matrices")
    words.add_argument("--only", default="", help="measure what begins so: `EASE, 10000`")
    words.add_argument("--peer-python", type=Path, help="of an environment with RecBole and implicit")
    words.add_argument("--peer-limit", type=int, default=600, help="CPU seconds after which a peer is ended")
    words.add_argument(
        "--peer-films", type=int, default=1000, help="films of which RecBole's ItemKNN finds the nearest"
    )
    given = words.parse_args()
    if given.piece:
        print(json.dumps(piece(given.piece)))
        return
    figures = Figures(given.figures)
    if given.work:
        for (work, who), measure in measures(given).items():
            if work.startswith(given.only):
                n_films = int(work.split(", ")[1])
                generate_once(path_of(given.work, n_films), n_films)
                figures.once({"work": work, "who": who}, measure)
    if given.out:
        write_between(given.out, "linear", list(table(rows(figures.all()))))


if __name__ == "__main__":
    main()
