"""Losses against sampled films: pure functions, each a mean per example, never negative, lower is better, in float32.

Everywhere watched: [rows], the score of the film to be found; not_watched: [rows × negatives], the scores of others.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def sampled_softmax(watched: Tensor, not_watched: Tensor) -> Tensor:
    """Mean of -ln softmax([watched, not_watched])[0]: ln(1 + negatives) where all are equal. -inf leaves a film out."""
    watched = watched.float()
    return (torch.cat((watched[:, None], not_watched.float()), dim=1).logsumexp(dim=1) - watched).mean()


def generalised_binary_cross_entropy(watched: Tensor, not_watched: Tensor, n_items: int, calibration: float) -> Tensor:
    """gBCE (Petrov and Macdonald, "gSASRec", RecSys 2023), with k negatives and sampling rate r = k / (n_items - 1):

        β = r · (t · (1 - 1/r) + 1/r),  -(β ln σ(watched) + Σ ln(1 - σ(not_watched))) / (k + 1), a mean over the rows.

    calibration: t, from 0 (plain binary cross-entropy) to 1 (scores that estimate probabilities). -inf leaves one out.
    """
    negatives = not_watched.shape[1]
    rate = negatives / (n_items - 1)
    power = rate * (calibration * (1 - 1 / rate) + 1 / rate)
    of_watched = power * functional.softplus(-watched.float())
    return ((of_watched + functional.softplus(not_watched.float()).sum(dim=1)) / (negatives + 1)).mean()


def top1(watched: Tensor, not_watched: Tensor) -> Tensor:
    """TOP1 (Hidasi et al. 2016): mean over rows and negatives of σ(n - w) + σ(n²)."""
    watched, not_watched = watched.float()[:, None], not_watched.float()
    return (torch.sigmoid(not_watched - watched) + torch.sigmoid(not_watched.square())).mean()


def top1_max(watched: Tensor, not_watched: Tensor) -> Tensor:
    """TOP1-max (Hidasi and Karatzoglou 2018): Σ s (σ(n - w) + σ(n²)), s = softmax(n) over a row's negatives."""
    watched, not_watched = watched.float()[:, None], not_watched.float()
    terms = torch.sigmoid(not_watched - watched) + torch.sigmoid(not_watched.square())
    return (torch.softmax(not_watched, dim=1) * terms).sum(dim=1).mean()


def bpr_max(watched: Tensor, not_watched: Tensor, regularization: float) -> Tensor:
    """BPR-max (Hidasi and Karatzoglou 2018): -ln Σ s σ(w - n) + λ Σ s n², s = softmax(n) over a row.

    As logsumexp(ln s + ln σ), which does not underflow. regularization: λ.
    """
    watched, not_watched = watched.float()[:, None], not_watched.float()
    log_share = torch.log_softmax(not_watched, dim=1)
    ranking = -(log_share + functional.logsigmoid(watched - not_watched)).logsumexp(dim=1)
    penalty = (log_share.exp() * not_watched.square()).sum(dim=1)
    return (ranking + regularization * penalty).mean()
