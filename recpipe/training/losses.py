"""The losses: pure functions, each a mean per example, none ever negative, lower is better. Always in float32."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def bpr(watched: Tensor, not_watched: Tensor) -> Tensor:
    """Bayesian personalised ranking (Rendle et al. 2009): mean of -ln sigmoid(watched - not watched).

    As softplus(not watched - watched), which neither overflows nor loses precision. watched: [rows] or [rows × 1];
    not_watched: [rows × negatives]. ln 2 where all scores are equal.
    """
    watched = watched.reshape(-1, 1).float()
    return functional.softplus(not_watched.reshape(len(watched), -1).float() - watched).mean()


def binary_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean of -[t ln sigmoid(s) + (1 - t) ln(1 - sigmoid(s))]; both tensors of one shape. ln 2 where s is 0."""
    return functional.binary_cross_entropy_with_logits(logits.float(), targets.float())


def watched_first(logits: Tensor) -> Tensor:
    """Binary cross-entropy of [rows × (1 + negatives)] whose first column was watched and whose others were not."""
    targets = torch.zeros_like(logits, dtype=torch.float32)
    targets[:, 0] = 1.0
    return binary_cross_entropy(logits, targets)


def watched_squared(scores: Tensor) -> Tensor:
    """Mean of (t - s)² over [rows × (1 + negatives)]: t is 1 in the first column and 0 in the others."""
    targets = torch.zeros_like(scores, dtype=torch.float32)
    targets[:, 0] = 1.0
    return functional.mse_loss(scores.float(), targets)


def softmax_cross_entropy(logits: Tensor, targets: Tensor, padding: int) -> Tensor:
    """Mean of -ln softmax(logits)[target] over targets that are not `padding`; ln n_items where logits are equal.

    logits: [... × n_items]; targets: int64 [...]. Without any target: 0.
    """
    flat = targets.reshape(-1)
    total = functional.cross_entropy(logits.reshape(len(flat), -1).float(), flat, ignore_index=padding, reduction="sum")
    return total / (flat != padding).sum().clamp(min=1)


def multinomial(logits: Tensor, histories: Tensor) -> Tensor:
    """Mean a row of -sum over its films of ln softmax(logits) (Liang et al. 2018). Both [rows × n_items]."""
    return -(functional.log_softmax(logits.float(), dim=-1) * histories).sum(dim=-1).mean()


def info_nce(views: Tensor, candidates: Tensor, own: Tensor, counts: Tensor, temperature: float) -> Tensor:
    """Mean of −ln softmax(cos(view, candidate) / temperature) at the candidate that is a row's own (Oord et al. 2018).

    views: [rows × size]; candidates: [n × size]; own: int64 [rows]; counts: how many times each row stands in the mean,
    [rows]. ln n where all cosines are equal.
    """
    cosines = functional.normalize(views, dim=1) @ functional.normalize(candidates, dim=1).T
    each = functional.cross_entropy(cosines.float() / temperature, own, reduction="none")
    return (each * counts).sum() / counts.sum()
