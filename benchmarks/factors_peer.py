"""Fits ALS or BPR of the library `implicit` epoch by epoch, and keeps its factors after some of them.

    PEER/bin/python factors_peer.py TRAIN.npz FOLDER MODEL EPOCHS [setting=value ...]

TRAIN.npz: binary [users × films], as scipy keeps it. After epochs 1, 2, 4, 8, ... FOLDER/EPOCH.npz has `users` and
`items`. Prints one line of JSON: seconds, the CPU seconds of each epoch, without what is kept. Needs numpy, scipy and
implicit alone.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from implicit.cpu.bpr import BayesianPersonalizedRanking
from scipy import sparse

MODELS = {"ALS": AlternatingLeastSquares, "BPR": BayesianPersonalizedRanking}


def main() -> None:
    path, folder, name, epochs, *words = sys.argv[1:]
    settings = {key: json.loads(value) for key, value in (word.split("=", 1) for word in words)}
    model = MODELS[name](iterations=int(epochs), num_threads=1, random_state=1, **settings)
    watched = sparse.load_npz(path).astype(np.float32)
    seconds: list[float] = []
    started = time.process_time()

    def after(*_: object) -> None:
        nonlocal started
        seconds.append(time.process_time() - started)
        done = len(seconds)
        if done & (done - 1) == 0:
            np.savez(Path(folder) / f"{done}.npz", users=model.user_factors, items=model.item_factors)
        started = time.process_time()

    model.fit(watched, show_progress=False, callback=after)
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
