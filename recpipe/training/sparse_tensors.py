"""Sparse matrices of torch in CSR: made, and multiplied with dense ones."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor
from torch.nn import functional


def csr(starts: Tensor, columns: Tensor, values: Tensor, n_columns: int, check: bool = False) -> Tensor:
    """[rows × n_columns] with values [entries] at `columns` [entries]; row r's stand from starts[r] to starts[r + 1].

    starts [rows + 1] and columns are of one whole type. check: raise where they are no such index; it costs a pass.
    """
    with warnings.catch_warnings():  # what stands here is all that is used, and tested
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(
            starts, columns, values, size=(len(starts) - 1, n_columns), check_invariants=check
        )


def sparse_product(matrix: Tensor, dense: Tensor) -> Tensor:
    """Sparse CSR float32 [rows × nodes] × dense float32 [nodes × size] → [rows × size], without gradients.

    On the CPU by the kernel of weighted sums over bags, which takes less than half the time of torch's sparse product
    and adds in the same order.
    """
    if dense.device.type != "cpu":
        return matrix @ dense
    return functional.embedding_bag(
        matrix.col_indices(), dense, matrix.crow_indices(), mode="sum", per_sample_weights=matrix.values(),
        include_last_offset=True,
    )  # fmt: skip
