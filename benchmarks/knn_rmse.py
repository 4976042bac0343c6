"""RMSE of knn_basic over the five folds that MovieLens 100K is published with; Surprise's README has 0.98 for KNNBasic.

    python benchmarks/knn_rmse.py ../shared/data/ml-100k.zip

Settings are Surprise's defaults: users, msd, 40 neighbours, at least 1. Each fold learns from `uN.base` alone; films
that it has not seen get the mean rating.
"""

from __future__ import annotations

import argparse
import time
import zipfile
from pathlib import Path

import numpy as np

from recpipe.data.interactions import Interactions
from recpipe.data.training_set import TrainingSet
from recpipe.models.neighbours.knn_basic import KnnBasic
from recpipe.recipe import Run

FOLDS = 5


def main() -> None:
    """Print the RMSE of each fold, and the mean."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="ml-100k.zip, or the folder it unpacks to")
    parser.add_argument("--similarity", default="msd", choices=("msd", "cosine", "pearson"))
    parser.add_argument("--based-on", default="users", choices=("users", "items"))
    arguments = parser.parse_args()
    recipe = KnnBasic(similarity=arguments.similarity, based_on=arguments.based_on)
    errors = []
    for fold in range(1, FOLDS + 1):
        started = time.perf_counter()
        base, test = (read_ratings(arguments.data, f"u{fold}.{part}") for part in ("base", "test"))
        errors.append(rmse(recipe, base, test))
        print(f"fold {fold}: RMSE {errors[-1]:.4f}  ({time.perf_counter() - started:.1f} s)")
    print(f"mean:   RMSE {np.mean(errors):.4f}")


def rmse(recipe: KnnBasic, base: Interactions, test: Interactions) -> float:
    """Root mean square error of the predicted ratings of `test`, learning from `base`."""
    scorer = recipe.fit(TrainingSet(base), Run())
    predicted = scorer.predict(base.histories(), test.users, test.items)
    assert test.ratings is not None
    return float(np.sqrt(np.mean((predicted - test.ratings) ** 2)))


def read_ratings(data: Path, name: str) -> Interactions:
    """One file of the archive: user, item, rating, time, tab-separated. Row numbers are the file's numbers."""
    if data.is_dir():
        text = next(data.rglob(name)).read_text(encoding="ascii")
    else:
        with zipfile.ZipFile(data) as archive:
            inside = next(member for member in archive.namelist() if member.endswith(f"/{name}"))
            text = archive.read(inside).decode("ascii")
    users, items, ratings, times = np.loadtxt(text.splitlines(), dtype=np.int64, unpack=True)
    return Interactions.sorted_from(users, items, times, ratings.astype(np.float32), n_users=944, n_items=1683)


if __name__ == "__main__":
    main()
