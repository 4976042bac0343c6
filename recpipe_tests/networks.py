"""Networks for tests by literal formulas: small, and random everywhere, so that nothing hides behind a zero."""

from __future__ import annotations

from typing import Any

import torch

from recpipe.training.windows import WindowRecipe

N_USERS, N_ITEMS = 3, 7
PADDING = N_ITEMS
TINY: dict[str, Any] = {"embedding_size": 4, "dropout": 0.0, "max_length": 8}


def random_network(kind: type[WindowRecipe], **settings: Any) -> Any:
    """Of so many users and films, in evaluation mode; every parameter N(0, 0.5²), the padding's vector zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        learner = kind(**TINY | settings).network(N_USERS, N_ITEMS)
        for parameter in learner.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
        with torch.no_grad():
            learner.items.weight[-1] = 0.0
    return learner.eval()
