"""The peers' full ranking, in their environment alone: RecBole's evaluator, and implicit's top k of all films.

    PEER/bin/python ranking_peer.py FOLDER recbole EVAL_BATCH_SIZE
    PEER/bin/python ranking_peer.py FOLDER implicit

FOLDER: `user_factors.npy` and `item_factors.npy`, float32; `offsets.npy` and `items.npy`, each user's known films,
which `implicit` leaves out; and for RecBole the atomic files NAME.train.inter and so on (NAME: the folder's), with
NAME.item, so that films that nobody has watched are ranked too. RecBole's model is its BPR with these factors, its
evaluation `Trainer.evaluate` as it stands. Prints what was taken, and the metrics' means.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from apart import Taken

K = 100
METRICS = ["Recall", "NDCG", "MRR", "Hit", "Precision"]


def recbole(folder: Path, batch: int) -> dict[str, Any]:
    import torch

    torch.set_num_threads(1)
    for name, kind in (("bool", bool), ("int", int), ("float", float), ("object", object), ("long", int)):
        if name not in np.__dict__:
            setattr(np, name, kind)  # RecBole 1.2.1 uses names that NumPy has let go
    os.chdir(folder)  # it leaves logs where it stands
    sys.argv = sys.argv[:1]  # it reads the command line too
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.trainer import Trainer
    from recbole.utils import get_model

    users, items = np.load("user_factors.npy"), np.load("item_factors.npy")
    config = Config(model="BPR", dataset=folder.name, config_dict={
        "data_path": str(folder.parent), "benchmark_filename": ["train", "valid", "test"], "eval_batch_size": batch,
        "load_col": {"inter": ["user_id", "item_id"], "item": ["item_id"]}, "eval_args": {"mode": "full"},
        "USER_ID_FIELD": "user_id", "ITEM_ID_FIELD": "item_id", "metrics": METRICS, "topk": [K],
        "valid_metric": f"NDCG@{K}", "metric_decimal_place": 8, "embedding_size": users.shape[1], "use_gpu": False,
        "show_progress": False, "state": "ERROR",
    })  # fmt: skip
    dataset = create_dataset(config)
    train, _, test = data_preparation(config, dataset)
    model = get_model("BPR")(config, train.dataset)
    tables = ("user_id", users, model.user_embedding), ("item_id", items, model.item_embedding)
    for field, factors, embedding in tables:
        tokens = dataset.field2id_token[field][1:].astype(np.int64)  # its number 0 is padding
        embedding.weight.data[1:] = torch.from_numpy(factors[tokens])
    trainer = Trainer(config, model)
    with Taken() as taken:
        told = trainer.evaluate(test, load_best_model=False, show_progress=False)
    means = {name.replace("@", "_at_"): float(value) for name, value in told.items()}
    return taken.figures | {"users": len(test.uid_list), "items": dataset.item_num - 1} | means


def implicit(folder: Path) -> dict[str, Any]:
    from implicit.cpu.topk import topk
    from scipy import sparse

    users, items = np.load(folder / "user_factors.npy"), np.load(folder / "item_factors.npy")
    offsets, films = np.load(folder / "offsets.npy"), np.load(folder / "items.npy")
    known = sparse.csr_matrix((np.ones(len(films), np.float32), films, offsets), shape=(len(users), len(items)))
    known.sum_duplicates()
    topk(items, users[:256], K, num_threads=1)
    with Taken() as taken:
        topk(items, users, K, filter_query_items=known, num_threads=1)
    with Taken() as bare:
        topk(items, users, K, num_threads=1)
    return taken.figures | {"users": len(users), "bare_cpu_seconds": bare.figures["cpu_seconds"]}


if __name__ == "__main__":
    at, who = Path(sys.argv[1]).absolute(), sys.argv[2]
    print(json.dumps(recbole(at, int(sys.argv[3])) if who == "recbole" else implicit(at)))
