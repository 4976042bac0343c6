"""Runs one model of the library `implicit` on parts that were written for the peer, and prints one line of JSON.

    PEER/bin/python implicit_peer.py FOLDER/ratings.dat MODEL [key=value ...]

MODEL: ALS, LogisticMF or BPR, with the library's own defaults; other words are its settings, as far as it knows them.
Parts: FOLDER/NAME.train.inter and so on, in NAME's folder. Training and validation films are masked, all films ranked,
as the other peer does. Needs numpy, scipy and implicit alone.
"""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking
from implicit.lmf import LogisticMatrixFactorization
from scipy import sparse

MODELS = {
    "ALS": AlternatingLeastSquares,
    "LogisticMF": LogisticMatrixFactorization,
    "BPR": BayesianPersonalizedRanking,
}
AT = 10


def part(folder: Path, name: str, shape: tuple[int, int]) -> sparse.csr_matrix:
    """Binary float32 [users × films] of one part."""
    users, items = pairs(folder, name)
    return sparse.csr_matrix((np.ones(len(users), np.float32), (users, items)), shape=shape)


def pairs(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    path = folder / (f"{folder.name}.{name}.inter" if name else f"{folder.name}.inter")
    users, items = np.loadtxt(path, delimiter="\t", skiprows=1, usecols=(0, 1), dtype=np.int64, unpack=True)
    return users, items


def main() -> None:
    marker, name, *words = sys.argv[1:]
    folder = Path(marker).parent
    given = {key: json.loads(value) for key, value in (word.split("=", 1) for word in words) if key == "seed"}
    users, items = pairs(folder, "")
    shape = int(users.max()) + 1, int(items.max()) + 1
    train, valid, test = (part(folder, each, shape) for each in ("train", "valid", "test"))
    threads = int(os.environ.get("PEER_THREADS", "1"))
    model = MODELS[name](random_state=given.get("seed", 0), num_threads=threads)
    started = time.time()
    model.fit(train, show_progress=False)
    fitted = time.time()
    asked = np.flatnonzero(test.getnnz(axis=1))
    scores = model.user_factors[asked] @ model.item_factors.T
    scores[(train + valid)[asked].nonzero()] = -np.inf
    top = np.argsort(-scores, axis=1, kind="stable")[:, :AT]
    hits = np.take_along_axis(test[asked].toarray(), top, axis=1) > 0
    wanted = test.getnnz(axis=1)[asked]
    discounts = 1 / np.log2(np.arange(2, AT + 2))
    ideal = np.cumsum(discounts)[np.minimum(wanted, AT) - 1]
    found = {"ndcg@10": float((hits @ discounts / ideal).mean()), "recall@10": float((hits.sum(1) / wanted).mean())}
    print(json.dumps({"model": name, "fit_s": round(fitted - started, 2), "test": found}))


if __name__ == "__main__":
    main()
