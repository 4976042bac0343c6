"""What the scorers that hold a torch network share: weights as plain arrays, and scoring in blocks of one size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recpipe.data.interactions import FloatArray, Histories
from recpipe.recipe import NetworkRecipe, Recipe

WEIGHTS = "weights."


def weights_of(network: nn.Module) -> dict[str, Any]:
    """The state of a network by name, each name after `weights.`."""
    return {WEIGHTS + name: tensor.detach().cpu().numpy() for name, tensor in network.state_dict().items()}


def network_from(arrays: dict[str, Any], recipe: Recipe) -> Any:
    """The recipe's network with the weights in `arrays`, in evaluation mode, on the CPU."""
    if not isinstance(recipe, NetworkRecipe):
        raise TypeError(
            f"{type(recipe).__name__} builds no network; a stored network needs the recipe that it came from"
        )
    with torch.random.fork_rng(devices=[]):  # the initial weights are overwritten: nobody's random state shall notice
        network = recipe.network(int(arrays["n_users"]), int(arrays["n_items"]))
    stored = {name.removeprefix(WEIGHTS): value for name, value in arrays.items() if name.startswith(WEIGHTS)}
    network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in stored.items()})
    return network.eval()


def device_of(network: nn.Module) -> torch.device:
    """Where the network's parameters lie."""
    return next(network.parameters()).device


def score_in_blocks(
    network: nn.Module, score: Callable[[Histories], Tensor], users: Histories, block: int
) -> FloatArray:
    """float32 [rows × n_items]: `score` over blocks of exactly `block` rows.

    The last block is filled up by repeating its first row: matrix products of another shape may round otherwise, and a
    user's scores shall not depend on who else was asked about.
    """
    scores = np.empty((len(users), users.n_items), dtype=np.float32)
    was_training = network.training
    network.eval()
    with torch.no_grad():
        for start in range(0, len(users), block):
            rows = np.arange(start, start + block)
            wanted = min(block, len(users) - start)
            rows[wanted:] = start
            scores[start : start + wanted] = score(users.rows(rows))[:wanted].float().cpu().numpy()
    network.train(was_training)
    return scores
