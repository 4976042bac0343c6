"""What a search tries for each word of the vocabulary, and where a recipe takes a word on another scale.

The tables stand here and not at the recipes' fields because a recipe's code is a version of every model that was
trained with it: a range that is moved makes no trained model stale. A recipe of known words is searchable as soon as it
is there.
"""

from __future__ import annotations

from typing import Any

from recpipe.search.dimensions import Choices, Dimension, Range, When


def _between(low: float, high: float, *also: Any, when: When | None = None) -> Range:
    return Range(low=low, high=high, also=also, when=when)


def _log(low: float, high: float, *also: Any, when: When | None = None) -> Range:
    return Range(low=low, high=high, log=True, also=also, when=when)


def _one_of(*choices: Any) -> Choices:
    return Choices(choices=choices)


def _with(setting: str, *among: Any) -> When:
    return When(setting=setting, among=among)


_BY_ALPHA = _with("similarity", "asymmetric_cosine")
_BY_SAMPLES = _with("loss", "bpr", "bpr_max", "top1", "top1_max")
_GRU4REC: dict[str, Dimension | None] = {
    "negatives": _log(64, 2048, when=_BY_SAMPLES),
    "alpha": _between(0.0, 1.0, when=_BY_SAMPLES),
    "regularization": _between(0.0, 2.0, when=_with("loss", "bpr_max")),
}
_WINDOWS: dict[str, Dimension | None] = {
    "negatives": _log(32, 1024, when=_with("loss", "sampled_softmax", "gbce")),
    "calibration": _between(0.0, 1.0, when=_with("loss", "gbce")),
}
_GRAPH: dict[str, Dimension | None] = {"layers": _between(1, 4)}
_WIDE = _one_of(100, 200, 400)

RANGES: dict[str, Dimension] = {
    "alpha": _between(0.0, 1.0),
    "annealing_steps": _log(200, 20_000),
    "beta": _between(0.0, 1.0),
    "damping": _between(0.0, 1.0),
    "deviation": _log(0.02, 0.5),
    "dropout": _between(0.0, 0.8),
    "edge_dropout": _between(0.0, 0.8),
    "embedding_size": _one_of(32, 64, 128),
    "filters": _one_of(8, 16, 32),
    "half_life": _log(0.5, 50.0, None),
    "heads": _one_of(1, 2, 4),
    "initial_deviation": _log(0.01, 0.3),
    "intents": _one_of(2, 4, 8),
    "kernel_size": _one_of(2, 3, 5),
    "l1_share": _log(0.001, 0.3),
    "last_share": _between(0.0, 0.5),
    "learning_rate": _log(1e-4, 0.05),
    "leaves": _log(7, 127),
    "margin": _between(0.0, 0.9),
    "mask_probability": _between(0.1, 0.6),
    "min_neighbours": _between(1, 20),
    "negative_weight": _log(0.01, 1.0),
    "negatives": _log(1, 32),
    "neighbours": _log(10, 500),
    "order": _between(2, 9),
    "own_share": _between(0.0, 1.0),
    "pair_regularization": _log(500.0, 50_000.0),
    "pairs": _log(100, 5000),
    "prototype_weight": _log(1e-5, 1e-2),
    "prototypes": _between(2, 8),
    "regularization": _log(1e-6, 0.1, 0.0),
    "sampling": _one_of("uniform", "popularity"),
    "scaling": _between(0.0, 1.0),
    "shrinkage": _log(1.0, 3000.0, 0.0),
    "structure_weight": _log(1e-4, 0.1),
    "temperature": _log(0.05, 1.0),
    "truncation": _log(1, 50),
    "vertical_filters": _one_of(2, 4, 8),
    "weight_decay": _log(0.01, 10.0, 0.0),
    "window_days": _log(7.0, 3650.0, None),
}
"""By word: good for every recipe that has the word and says nothing else below."""

OF_RECIPE: dict[str, dict[str, Dimension | None]] = {
    "admm_slim": {"regularization": _log(10.0, 2000.0)},
    "bert4rec": {"layers": _between(1, 3)},
    "boosted_ranker": {"learning_rate": _log(0.01, 0.3), "negatives": _log(5, 100)},
    "caser": _WINDOWS,
    "cdae": {"embedding_size": _one_of(50, 100, 200)},
    "cfm": {"embedding_size": None},
    "conv_ncf": {"embedding_size": None},
    "deep_fm": {"layers": _one_of((64, 32), (32, 16), (128, 64), (64,))},
    "dgcf": _GRAPH | {"alpha": _log(1e-5, 0.1, 0.0)},
    "dmf": {"layers": _one_of((64,), (128,), (128, 64))},
    "ease": {"regularization": _log(10.0, 5000.0)},
    "fpmc": _WINDOWS,
    "gcmc": {"layers": _one_of((32,), (64,), (128,))},
    "gru4rec": _GRU4REC | {"layers": _between(1, 3)},
    "gru4rec_session": _GRU4REC,
    "higher_order_ease": {"regularization": _log(10.0, 5000.0)},
    "ials": {"alpha": _log(0.02, 5.0), "regularization": _log(0.003, 3.0)},
    "item_knn": {"alpha": _between(0.0, 1.0, when=_BY_ALPHA), "nearest_of": _one_of("watched", "scored"),
                 "weighting": _one_of("none", "tfidf", "bm25")},
    "knn_basic": {"based_on": _one_of("users", "items"), "nearest": _one_of("per_film", "overall")},
    "lightgcn": _GRAPH,
    "logistic_mf": {"alpha": _log(0.2, 20.0), "negatives": None},
    "macrid_vae": {"alpha": _log(0.02, 2.0), "embedding_size": _one_of(50, 100, 200), "layers": _one_of((), (100,))},
    "markov_chain": {"alpha": _log(0.001, 10.0), "half_life": _log(0.02, 50.0)},
    "multi_dae": {"embedding_size": _WIDE, "layers": _one_of((), (600,))},
    "multi_vae": {"alpha": _log(0.05, 4.0), "embedding_size": _WIDE, "layers": _one_of((), (600,))},
    "nais": {"layers": _one_of((8,), (16,), (32,)), "regularization": _log(0.001, 1.0, 0.0)},
    "narm": _WINDOWS | {"layers": _between(1, 2)},
    "ncepl_rec": {"beta": _between(0.5, 1.5), "embedding_size": _WIDE, "regularization": _log(100.0, 100_000.0)},
    "ncl": _GRAPH | {"alpha": _log(0.1, 10.0), "prototypes": _log(20, 1000)},
    "neumf": {"alpha": None, "layers": _one_of((64, 32, 16), (32, 16), (64, 32))},
    "nextitnet": _WINDOWS | {"dilations": _one_of((1, 4), (1, 2, 4), (1, 4, 1, 4))},
    "ngcf": {"layers": _one_of((64,), (64, 64), (64, 64, 64))},
    "nncf": {"layers": _one_of((8,), (32, 16), (16, 8))},
    "rec_vae": {"alpha": _log(0.001, 0.1), "embedding_size": _WIDE,
                "layers": _one_of((600,), (200,), (600, 600, 600))},
    "rp3beta": {"alpha": _between(0.2, 1.5), "nearest_of": _one_of("watched", "scored")},
    "s3_rec": _WINDOWS | {"layers": _between(1, 3)},
    "sasrec": _WINDOWS | {"layers": _between(1, 3)},
    "sgl": _GRAPH | {"alpha": _log(1e-4, 0.5)},
    "simplex": {"negative_weight": _log(1.0, 100.0), "negatives": _log(50, 1000)},
    "slim_elastic": {"neighbours": None, "regularization": _log(0.01, 3.0)},
    "spectral_cf": _GRAPH,
    "sr_gnn": _WINDOWS,
    "stamp": _WINDOWS,
    "user_knn": {"alpha": _between(0.0, 1.0, when=_BY_ALPHA), "weighting": _one_of("none", "tfidf", "bm25")},
}  # fmt: skip
"""By recipe: words on a scale of its own, and words that it is not searched by (None)."""

AS_THEY_ARE: dict[str, str] = {
    **dict.fromkeys(("precision", "tolerance", "coupling", "iterations"), "how exactly it is computed, and how long"),
    **dict.fromkeys(("epochs", "patience", "pretraining", "trees", "batch_size"), "early stopping and the time decide"),
    **dict.fromkeys(
        ("accumulation", "activation", "assignment", "batch_norm", "biases", "centred", "channels", "depth",
         "hyper_layers", "inputs", "loss", "members", "neighbourhoods", "non_negative", "normalisation", "parts",
         "pooling", "similarity", "views", "zero_diagonal"),
        "another model rather than another setting: a YAML of its own compares it",
    ),
    **dict.fromkeys(
        ("candidates", "film_dropout", "hidden_films", "hidden_last", "hidden_random", "max_length", "minimum_films"),
        "what the data and the question ask for",
    ),
}  # fmt: skip
"""Words that are not searched, each with the reason; conf/search.yaml can have them searched all the same."""
