"""The peers' linear models on a matrix of users by films, in their own environment; the last line is JSON.

    PEER/bin/python linear_peer.py CPU_SECONDS MATRIX.npz ease|item_knn|implicit [FILMS]

ease, item_knn: RecBole's own classes, without its reading of data; item_knn for the first FILMS films alone, where it
is given: the work is the same for each block of a hundred. implicit: the library's CosineRecommender. 100 neighbours.
Its address space is held to 20 GiB, and the system ends it after CPU_SECONDS.
"""

import json
import os
import resource
import sys
from types import SimpleNamespace

import numpy as np
from apart import Taken
from scipy import sparse

NEIGHBOURS = 100
MEMORY = 20 * 2**30


def ease(matrix):
    from recbole.model.general_recommender.ease import EASE

    class Config(dict[str, object]):
        device = "cpu"

    config = Config(USER_ID_FIELD="user", ITEM_ID_FIELD="item", NEG_PREFIX="neg_", device="cpu", reg_weight=500.0)
    dataset = SimpleNamespace(num=lambda field: matrix.shape[field == "item"], inter_matrix=lambda form: matrix.copy())
    with Taken() as taken:
        model = EASE(config, dataset)
    if not np.isfinite(model.item_similarity).all():  # NumPy's inverse that finds no memory says nothing
        raise MemoryError("the inverse found no memory within 20 GiB of address space")
    return taken.figures


def item_knn(matrix, n_films):
    from recbole.model.general_recommender.itemknn import ComputeSimilarity

    class FirstFilms(ComputeSimilarity):
        """Its loop, which reads how many columns there are once, ended after the first films; then it builds a matrix
        of all."""

        reads = 0

        @property
        def n_columns(self):
            self.reads += 1
            return n_films if self.reads == 1 else matrix.shape[1]

        @n_columns.setter
        def n_columns(self, number):
            pass

    with Taken() as taken:
        similarity = FirstFilms(matrix, topk=NEIGHBOURS)
        similarity.reads = 0
        similarity.compute_similarity()
    return taken.figures | {"films": n_films}


def implicit(matrix):
    from implicit.nearest_neighbours import CosineRecommender

    weighted = matrix.astype(np.float64)
    with Taken() as taken:
        CosineRecommender(K=NEIGHBOURS, num_threads=1).fit(weighted, show_progress=False)
    return taken.figures


def main():
    seconds, path, model, *films = sys.argv[1:]
    import torch

    torch.set_num_threads(int(os.environ.get("PEER_THREADS", "1")))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    matrix = sparse.load_npz(path)
    taken = resource.getrusage(resource.RUSAGE_SELF)  # imports and reading count as nobody's
    given = int(taken.ru_utime + taken.ru_stime) + 1 + int(seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (given, resource.RLIM_INFINITY))
    if model == "item_knn":
        figures = item_knn(matrix, int(films[0]) if films else matrix.shape[1])
    else:
        figures = {"ease": ease, "implicit": implicit}[model](matrix)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
