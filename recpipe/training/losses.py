"""The losses: pure functions, each a mean per example, none ever negative, lower is better. Always in float32."""

from __future__ import annotations

from typing import Any

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


def watched_above(scores: Tensor) -> Tensor:
    """`bpr` of [rows × (1 + negatives)]: the first column was watched."""
    return bpr(scores[:, 0], scores[:, 1:])


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


def multinomial(logits: Tensor, histories: Tensor) -> Tensor:
    """Mean a row of -sum over its films of ln softmax(logits) (Liang et al. 2018). Both [rows × n_items]."""
    log_shares = functional.log_softmax(logits.float(), dim=-1)
    return -torch.dot(log_shares.reshape(-1), histories.float().reshape(-1)) / max(1, len(histories))


def info_nce(views: Tensor, candidates: Tensor, own: Tensor, counts: Tensor, temperature: float) -> Tensor:
    """Mean of −ln softmax(cos(view, candidate) / temperature) at the candidate that is a row's own (Oord et al. 2018).

    views: [rows × size]; candidates: [n × size]; own: int64 [rows]; counts: how many times each row stands in the mean,
    [rows]. ln n where all cosines are equal. The cosines are never there as a whole, nor kept for the gradient.
    """
    with torch.autocast(views.device.type, enabled=False):
        scaled = functional.normalize(views.float(), dim=1) / temperature
        unit = functional.normalize(candidates.float(), dim=1)
        loss: Tensor = _NegativeLogSoftmax.apply(scaled, unit, own, counts / counts.sum(), None, None)
    return loss


def softmax_over(
    states: Tensor, vectors: Tensor, targets: Tensor, left_out: Tensor | None = None, biases: Tensor | None = None
) -> Tensor:
    """Mean of -ln softmax(state · vectors + biases)[target]: ln n where all scores are equal.

    states: [rows × size]; vectors: [n × size]; targets: int64 [rows]; left_out: int64 [rows × any], for each row
    vectors that are no choice there, never its target, the same one as often as you like; biases: [n], zeros where
    None. The scores are never there as a whole.
    """
    weights = torch.full((len(states),), 1 / max(1, len(states)), device=states.device)
    with torch.autocast(states.device.type, enabled=False):
        given = None if biases is None else biases.float()
        loss: Tensor = _NegativeLogSoftmax.apply(states.float(), vectors.float(), targets, weights, left_out, given)
    return loss


BLOCK = {"cpu": 2**19, "cuda": 2**26}
"""Numbers at once, by device: what fits a processor's cache, and what fills a graphics card."""


class _NegativeLogSoftmax(torch.autograd.Function):
    """Sum of weight · −ln softmax(view · candidates + biases)[own], its gradient taken on the way, by blocks of rows.

    The gradient of a sum knows what comes back to it, one number, only as a factor: it need not wait for it.
    """

    @staticmethod
    def forward(
        ctx: Any,
        views: Tensor,
        candidates: Tensor,
        own: Tensor,
        weights: Tensor,
        left_out: Tensor | None,
        biases: Tensor | None,
    ) -> Tensor:
        """views [rows × size], candidates [n × size], own int64 [rows], weights [rows], left_out int64 [rows × any],
        biases [n] → a number."""
        others = left_out if left_out is not None else own.new_empty((len(own), 0))
        rows = max(1, BLOCK.get(views.device.type, BLOCK["cpu"]) // (2 * len(candidates)))  # of logits and of shares
        total, of_views, of_candidates = views.new_zeros(()), torch.empty_like(views), torch.zeros_like(candidates)
        of_biases = None if biases is None else torch.zeros_like(biases)
        room = views.new_empty((2, min(rows, len(views)), len(candidates)))
        blocks = (tensor.split(rows) for tensor in (views, own[:, None], weights[:, None], of_views, others))
        for block, chosen, weight, gradient, no_choice in zip(*blocks, strict=True):
            logits, shares = room[:, : len(block)]
            torch.mm(block, candidates.T, out=logits)
            if biases is not None:
                logits += biases
            logits.scatter_(1, no_choice, -torch.inf)
            torch.softmax(logits, dim=1, out=shares)
            # ln of the sum of exponentials, by the largest share: its own may be too small for a float
            log_sums = logits.amax(dim=1, keepdim=True) - shares.amax(dim=1, keepdim=True).log()
            total += (weight * (log_sums - logits.gather(1, chosen))).sum()
            errors = shares.scatter_add_(1, chosen, torch.full_like(weight, -1.0))
            torch.mm(errors, candidates, out=gradient).mul_(weight)  # on the short side of the products
            if ctx.needs_input_grad[1]:
                of_candidates.addmm_(errors.T, block * weight)
            if of_biases is not None:
                of_biases.addmv_(errors.T, weight[:, 0])
        ctx.save_for_backward(of_views, of_candidates, of_biases)
        return total

    @staticmethod
    def vjp(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None, None, Tensor | None]:
        """A number → those of views, candidates and biases, in their shapes."""
        of_views, of_candidates, of_biases = ctx.saved_tensors
        biases = None if of_biases is None else gradient * of_biases
        return gradient * of_views, gradient * of_candidates, None, None, None, biases
