"""The YAML models, with settings that suit a few hundred events: small vectors, few epochs, short batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

import recpipe
from recpipe.models.catalog import family, recipe_class
from recpipe.recipe import Recipe

CONF = Path(recpipe.__file__).parent / "conf" / "models"

TINY: dict[str, Any] = {
    "epochs": 10,
    "batch_size": 256,
    "embedding_size": 16,
    "learning_rate": 0.01,
    "weight_decay": 0.0,
    "max_length": 20,
    "dropout": 0.1,
}
"""Applied wherever a recipe has the field."""

TINY_OF: dict[str, dict[str, Any]] = {
    "admm_slim": {"regularization": 10.0},
    "bert4rec": {"layers": 2, "learning_rate": 0.005, "mask_probability": 0.2, "last_share": 0.5},
    "boosted_ranker": {
        "members": {
            "ease": {"recipe": "ease", "regularization": 20.0},
            "fm": {
                "recipe": "fm",
                "epochs": 10,
                "embedding_size": 16,
                "learning_rate": 0.01,
                "batch_size": 256,
                "film_dropout": 0.2,
            },
        },
        "candidates": 30,
        "hidden_films": 0.2,
        "hidden_last": 1,
        "hidden_random": 1,
        "negatives": 5,
        "trees": 40,
        "leaves": 8,
        "learning_rate": 0.1,
    },
    "cdae": {"batch_size": 32},
    "cfm": {"layers": (4, 4, 4, 4), "pretraining": 8, "epochs": 2},
    "conv_ncf": {"layers": (4, 4, 4, 4), "pretraining": 8, "epochs": 2},
    "deep_fm": {"layers": (16, 8)},
    "dgcf": {"layers": 4, "intents": 2},
    "ease": {"regularization": 20.0},
    "enmf": {"batch_size": 16, "learning_rate": 0.05},
    "gcmc": {"epochs": 40, "learning_rate": 0.02, "weight_decay": 0.5, "dropout": 0.5},
    "higher_order_ease": {"pairs": 30, "regularization": 20.0, "pair_regularization": 100.0},
    "lightgcn": {"initial_deviation": 0.1},
    "logistic_mf": {"batch_size": 8, "learning_rate": 0.03, "weight_decay": 0.5},
    "macrid_vae": {"epochs": 15, "batch_size": 32, "prototypes": 3},
    "multi_dae": {"batch_size": 32},
    "multi_vae": {"batch_size": 32},
    "nais": {"batch_size": 8, "layers": (4,), "pretraining": 0},
    "ncepl_rec": {"regularization": 50.0},
    "ncl": {"layers": 3, "prototypes": 5, "pretraining": 2},
    "neumf": {"layers": (16, 8)},
    "rec_vae": {"batch_size": 32, "layers": (16, 16)},
    "s3_rec": {"pretraining": 2},
    "slim_elastic": {"regularization": 0.05},
    "spectral_cf": {"epochs": 60, "layers": 3, "learning_rate": 0.02, "regularization": 0.1},
}
"""By recipe, where one size does not fit all."""


def model_names(*families: str) -> list[str]:
    """The YAML models whose recipes lie in these folders; of all folders where none is named."""
    names = sorted(path.stem for path in CONF.glob("*.yaml"))
    return [name for name in names if not families or family(settings_of(name)["recipe"]) in families]


def settings_of(name: str) -> dict[str, Any]:
    """A model's YAML as it stands."""
    content: dict[str, Any] = yaml.safe_load((CONF / f"{name}.yaml").read_text(encoding="utf-8"))
    return content


def recipe_of(name: str) -> Recipe:
    """A model as its YAML has it."""
    settings = settings_of(name)
    return recipe_class(settings.pop("recipe"))(**settings)


def tiny_recipe(name: str, **changes: Any) -> Recipe:
    """A model for tiny data. `changes` apply where the recipe has the field."""
    settings = settings_of(name)
    kind = recipe_class(settings["recipe"])
    small = {**TINY, **TINY_OF.get(settings.pop("recipe"), {}), **changes}
    return kind(**settings | {key: value for key, value in small.items() if key in kind.model_fields})


ITERATIVE = [name for name in model_names() if "epochs" in type(recipe_of(name)).model_fields]
"""The models that learn in epochs."""

BY_GRADIENTS = [name for name in ITERATIVE if "learning_rate" in type(recipe_of(name)).model_fields]
"""Those of them that go downhill; the others solve for their weights."""
