"""All films ranked for all users, and measured, against a bare product with a bare top k and the peers.

    python benchmarks/speed_ranking.py --work WORK --out docs/performance.md --peer-python PEER/bin/python

The shape of MovieLens 20M, generated: 138,000 users × 20,000 films, random factors of length 128, a tenth of each
user's films hidden and those known masked, lists of 100. Ours: `evaluate`, all its six metrics of every user, what the
lists are like as a whole, and film groups. The limit: the same product into one buffer that is made once, and the top k
of its blocks, nothing masked, nothing measured; of the ways and block sizes of `WAYS` the fastest on `SAMPLE` users
ranks all users. The peers: RecBole's evaluator with five metrics, on `PEERS_USERS` users and scaled, and implicit's top
k. One thread; the best of `--times`. What was measured is kept in benchmarks/measured/speed_ranking.jsonl.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from apart import Taken, told, told_by_own
from arguments import words_of
from bars import Row, table
from figures import Figure, Figures, write_between
from generated import ML_20M, long_tailed
from numpy.typing import NDArray
from peer import write_parts

from recpipe.data.interactions import FloatArray, Histories
from recpipe.data.parts import Parts
from recpipe.data.splitting import strategy_from
from recpipe.evaluation.evaluate import evaluate
from recpipe.evaluation.ranking import rank
from recpipe.scoring.factors import Factors

K, SIZE = 100, 128
N_USERS, N_ITEMS = ML_20M["n_users"], ML_20M["n_items"]
SAMPLE = 8_192
"""Users of the choice among the ways to the limit."""
PEERS_USERS = 4_000
SMALL = N_USERS // 4
"""Users of the second look at the memory."""
BLOCKS = (128, 512, 1024)
BATCHES = {"recbole": 4096, "recbole, 128 users a batch": 128 * (N_ITEMS + 1)}
"""RecBole's eval_batch_size, in cells: its default, one user a batch here, and as many users as ours."""


def factors() -> Factors:
    random = np.random.default_rng(0)
    return Factors(
        random.standard_normal((N_USERS, SIZE), dtype=np.float32),
        random.standard_normal((N_ITEMS, SIZE), dtype=np.float32),
    )


def prepared(work: Path) -> None:
    """The split, and what the peers read, made once."""
    whole, few = work / "ml_20m", work / "few"
    if not (whole / "meta.json").exists():
        whole.mkdir(parents=True, exist_ok=True)
        strategy_from({"strategy": "ratio_random", "seed": 1}).split(long_tailed(**ML_20M)).write(whole)
    if not (few / "few.item").exists():
        parts = Parts.read(whole)
        chosen = parts.interactions.users < PEERS_USERS
        write_parts(Parts(parts.interactions.take(chosen), parts.part[chosen], parts.reason[chosen]), few)
        films = "\n".join(map(str, range(N_ITEMS)))
        _write(few, parts.test.histories.rows(np.flatnonzero(parts.test.histories.users < PEERS_USERS)))
        _write(work / "all", parts.test.histories)
        (few / "few.item").write_text(f"item_id:token\n{films}\n", encoding="ascii")


def _write(folder: Path, known: Histories) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    learned = factors()
    arrays = {"user_factors": learned.user_factors[known.users] if folder.name == "all" else learned.user_factors,
              "item_factors": learned.item_factors, "offsets": known.offsets, "items": known.items}  # fmt: skip
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)


def ours(work: Path, n_users: int, lists_alone: bool) -> Figure:
    parts = Parts.read(work / "ml_20m")
    scorer, train = factors(), parts.train
    few, held_out = (parts.test.rows(np.flatnonzero(parts.test.targets.users < n)) for n in (256, n_users))
    evaluate(scorer, few, train, cut_offs=(K,))
    with Taken() as taken:
        told = None if lists_alone else evaluate(scorer, held_out, train, cut_offs=(K,))
        if lists_alone:
            rank(scorer, held_out.histories, K)
    means = {name.replace("@", "_at_"): value for name, value in told.means().items()} if told else {}
    return taken.figures | {"users": len(held_out)} | means


def _partition(scores: FloatArray, workspace: FloatArray) -> None:
    np.copyto(workspace, scores)
    workspace.partition(N_ITEMS - K, axis=1)  # values alone: numbers of films take longer


def _argpartition(scores: FloatArray, workspace: FloatArray) -> NDArray[np.integer]:
    return np.argpartition(scores, N_ITEMS - K, axis=1)[:, N_ITEMS - K :]


def _torch_topk(scores: FloatArray, workspace: FloatArray) -> Any:
    import torch

    torch.set_num_threads(1)
    return torch.topk(torch.from_numpy(scores), K, dim=1, sorted=False)


WAYS: dict[str, Callable[[FloatArray, FloatArray], Any]] = {
    "np.partition": _partition, "np.argpartition": _argpartition, "torch.topk": _torch_topk,
}  # fmt: skip


def limit(way: str, block: int, n_users: int) -> Figure:
    """The product alone and the product with the top k, CPU seconds."""
    learned, top_k = factors(), WAYS[way]
    columns = np.ascontiguousarray(learned.item_factors.T)  # a sixth faster than the transposed view
    scores, workspace = np.zeros((2, block, N_ITEMS), dtype=np.float32)
    np.matmul(learned.user_factors[:block], columns, out=scores)
    top_k(scores, workspace)

    def work(*steps: Callable[[FloatArray, FloatArray], Any]) -> float:
        with Taken() as taken:
            for start in range(0, n_users, block):
                rows = learned.user_factors[start : start + block]
                np.matmul(rows, columns, out=scores[: len(rows)])
                for step in steps:
                    step(scores[: len(rows)], workspace[: len(rows)])
        return float(taken.figures["cpu_seconds"])

    return {"cpu_seconds": work(top_k), "product_cpu_seconds": work(), "users": n_users}


def measure(work: Path, kept: Figures, peer_python: Path | None, times: int) -> None:
    own = partial(told_by_own, __file__, "--work", work)

    def best(call: Callable[[], Figure]) -> Figure:
        return min((call() for _ in range(times)), key=lambda figure: float(figure["cpu_seconds"]))

    for who, n_users in (("ours", N_USERS), ("ours, fewer users", SMALL), ("ours, lists alone", N_USERS)):
        words = ["--piece", "ours", "--users", n_users] + ["--lists-alone"] * ("lists" in who)
        kept.once({"who": who}, partial(best, partial(own, *words)))
    for way in WAYS:
        for block in BLOCKS:
            words = ["--piece", "limit", "--way", way, "--block", block]
            kept.once({"who": "sample of limit", "way": way, "block": block},
                      partial(best, partial(own, *words, "--users", SAMPLE)))  # fmt: skip
    samples = [figure for figure in kept.all() if figure["who"] == "sample of limit"]
    found = min(samples, key=lambda figure: float(figure["cpu_seconds"]))
    words = ["--piece", "limit", "--way", found["way"], "--block", found["block"], "--users", N_USERS]
    kept.once({"who": "limit", "way": found["way"], "block": found["block"]}, partial(best, partial(own, *words)))
    if peer_python:
        script = [peer_python, Path(__file__).with_name("ranking_peer.py")]
        for who, batch in BATCHES.items():
            kept.once({"who": who}, partial(best, partial(told, [*script, work / "few", "recbole", str(batch)])))
        words = ["--piece", "ours", "--users", PEERS_USERS]
        kept.once({"who": "ours, the peer's users"}, partial(best, partial(own, *words)))
        kept.once({"who": "implicit"}, partial(best, partial(told, [*script, work / "all", "implicit"])))


def rows(figures: list[Figure]) -> list[Row]:
    """The evaluation with its bars, the lists alone, and the peer with larger batches."""
    by = {figure["who"]: figure for figure in figures}
    whole, fewer, bare = by["ours"], by["ours, fewer users"], by["limit"]
    limited = {"limit": bare["cpu_seconds"], "limit_name": f"product and {bare['way']}, {bare['block']} users at once"}
    most = max(whole["peak_memory_mb"], fewer["peak_memory_mb"])
    memory = (
        f"extra memory {whole['peak_memory_mb']:.0f} MB for {N_USERS:,} users, {fewer['peak_memory_mb']:.0f} MB for "
        f"{SMALL:,}, of 1,000 MB"
    )

    def scaled(who: str) -> float | None:
        return by[who]["cpu_seconds"] * whole["users"] / by[who]["users"] if who in by else None

    return [
        Row("all metrics of lists of 100", whole["cpu_seconds"], scaled("recbole"), most_of_limit=1.5,
            least_of_peer=10, peer_name="RecBole 1.2.1, scaled", bounds=((memory, most < 1000),), **limited),
        Row("the same, the peer with 128 users a batch", whole["cpu_seconds"], scaled("recbole, 128 users a batch"),
            peer_name="RecBole, scaled", **limited),
        Row("the lists alone", by["ours, lists alone"]["cpu_seconds"], scaled("implicit"),
            peer_name="implicit 0.7.3's topk", **limited),
    ]  # fmt: skip


def main() -> None:
    words = words_of(__doc__, "speed_ranking")
    words.add_argument("--work", type=Path, required=True)
    words.add_argument("--peer-python", type=Path)
    words.add_argument("--times", type=int, default=3)
    words.add_argument("--piece", choices=("ours", "limit"))
    words.add_argument("--way", choices=sorted(WAYS))
    words.add_argument("--block", type=int, default=1024)
    words.add_argument("--users", type=int, default=N_USERS)
    words.add_argument("--lists-alone", action="store_true")
    given = words.parse_args()
    if given.piece == "ours":
        print(json.dumps(ours(given.work, given.users, given.lists_alone)))
    elif given.piece == "limit":
        print(json.dumps(limit(given.way, given.block, given.users)))
    else:
        prepared(given.work)
        kept = Figures(given.figures)
        measure(given.work, kept, given.peer_python, given.times)
        lines = list(table(rows(kept.all())))
        if given.out:
            write_between(given.out, "speed_ranking", lines)
        sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
