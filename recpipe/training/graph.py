"""The graph of users and films: two nodes are joined where the user watched the film. Shared by the graph models.

Nodes are the users, then the films. One propagation is one sparse product, there and back.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from recpipe.data.interactions import FloatArray
from recpipe.training.losses import bpr, info_nce
from recpipe.training.sparse_tensors import csr, sparse_product


class Graph(nn.Module):
    """Ã = D^(−½) A D^(−½), the normalised adjacency, made once a training and neither learned nor stored.

    adjacency: sparse CSR float32 [nodes × nodes], symmetric; a node without edges has zeros. edges: int64, one for
    each entry of Ã: the number of the pair of user and film it stands for, in the order of `watched`'s entries, so
    that other weights for the pairs (`weighed`) need no new index.
    """

    adjacency: Tensor
    edges: Tensor

    def __init__(self, watched: sparse.csr_matrix) -> None:
        """watched: binary [n_users × n_items]."""
        super().__init__()
        self.n_users, self.n_items = watched.shape
        self.n_edges = watched.nnz
        numbered = sparse.csr_matrix((np.arange(1, watched.nnz + 1), watched.indices, watched.indptr), watched.shape)
        both = sparse.block_array([[None, numbered], [numbered.T, None]], format="csr")
        degrees = np.diff(both.indptr)
        scale = np.divide(1.0, np.sqrt(degrees), out=np.zeros(len(degrees)), where=degrees > 0)
        weights = (scale[np.repeat(np.arange(len(degrees)), degrees)] * scale[both.indices]).astype(np.float32)
        index = [torch.from_numpy(array.astype(np.int64)) for array in (both.indptr, both.indices, both.data - 1)]
        adjacency = csr(index[0], index[1], torch.from_numpy(weights), len(degrees), check=True)
        self.register_buffer("adjacency", adjacency, persistent=False)
        self.register_buffer("edges", index[2], persistent=False)

    def weighed(self, weights: Tensor) -> Tensor:
        """weights float32 [entries of Ã] → the sparse matrix with these in place of Ã's, on the same index."""
        index = self.adjacency.crow_indices(), self.adjacency.col_indices()
        return csr(*index, weights, n_columns=len(self.adjacency))

    def normalised(self, weights: Tensor) -> Tensor:
        """weights float32 [pairs], none negative → D^(−½) W D^(−½) of them, D the sums of each node's weights.

        On the same index as Ã; a node whose weights are all 0 has zeros.
        """
        users, films = self.pairs()
        degrees = weights.new_zeros(self.n_users + self.n_items)
        degrees = degrees.index_add(0, users, weights).index_add(0, films, weights)
        scale = torch.where(degrees > 0, degrees.rsqrt(), 0.0)
        return self.weighed((weights * scale[users] * scale[films])[self.edges])

    def pairs(self) -> tuple[Tensor, Tensor]:
        """The nodes of both ends of each pair, the user's and the film's, each int64 [pairs]."""
        lengths = self.adjacency.crow_indices().diff()[: self.n_users]
        users = torch.arange(self.n_users, device=lengths.device).repeat_interleave(lengths)
        return users, self.adjacency.col_indices()[: self.n_edges]  # users' rows come first, in the order of `watched`

    def layers(self, nodes: Tensor, count: int, adjacency: Tensor | None = None) -> list[Tensor]:
        """nodes [nodes × size] → themselves, then Ã of them, Ã² … Ã^count; or of another symmetric matrix."""
        matrix = self.adjacency if adjacency is None else adjacency
        layers = [nodes]
        for _ in range(count):
            layers.append(symmetric_product(matrix, layers[-1]))
        return layers

    def embeddings(self, size: int, deviation: float) -> nn.Parameter:
        """A vector a node, N(0, deviation²): [nodes × size]."""
        return nn.Parameter(torch.randn(self.n_users + self.n_items, size) * deviation)

    def sides(self, nodes: Tensor) -> tuple[FloatArray, FloatArray]:
        """nodes [nodes × size] → the users' rows and the films', for a scorer."""
        rows = nodes.detach().cpu().numpy()
        return rows[: self.n_users], rows[self.n_users :]

    def contrast(self, views: Tensor, others: Tensor, rows: Tensor, side: int, temperature: float) -> Tensor:
        """`info_nce` of users or films, each against all nodes of its side in `others`: a mean a row.

        views, others: [nodes × size]; rows: int64 [rows], users or films; side: 0 for users, 1 for films. Who comes
        several times is compared once and counted as often as it comes.
        """
        nodes = (slice(0, self.n_users), slice(self.n_users, None))[side]
        distinct, counts = rows.unique(return_counts=True)
        return info_nce(views[nodes][distinct], others[nodes], distinct, counts, temperature)

    def triples(self, users: Tensor, films: Tensor) -> Tensor:
        """users int64 [rows], films int64 [rows × films] → the nodes of both, int64 [rows × (1 + films)]."""
        return torch.cat((users[:, None], films + self.n_users), dim=1)


def symmetric_product(symmetric: Tensor, dense: Tensor) -> Tensor:
    """Sparse [nodes × nodes] × dense [nodes × size], with the gradient of the dense one.

    In float32 also where autocast would take bfloat16: not every device has a sparse product in it, and what one
    neighbour of hundreds adds would be rounded away.
    """
    with torch.autocast(dense.device.type, enabled=False):
        product: Tensor = _SymmetricProduct.apply(symmetric, dense.float())
    return product


def mean_of(layers: list[Tensor]) -> Tensor:
    """Of tensors of one shape, element by element."""
    return sum(layers[1:], start=layers[0]) / len(layers)


def ranking_with_penalty(final: Tensor, initial: Tensor, nodes: Tensor, regularization: float) -> Tensor:
    """−log σ(e_u · e_i − e_u · e_j) + λ/2 (|e⁰_u|² + |e⁰_i|² + |e⁰_j|²), a mean per triple (He et al. 2020).

    final: e, initial: e⁰, both [nodes × size]; nodes: int64 [rows × 3], a user, a film watched and one not.
    """
    of_users, of_watched, of_others = final[nodes].unbind(dim=1)
    ranking = bpr((of_users * of_watched).sum(dim=1), (of_users * of_others).sum(dim=1))
    return ranking + regularization * (initial[nodes].square().sum() / (2 * len(nodes)))


class _SymmetricProduct(torch.autograd.Function):
    """Sparse × dense where the sparse matrix is symmetric: the gradient is the same product.

    Autograd alone would transpose the sparse matrix at every step, which costs twenty times the product itself.
    """

    @staticmethod
    def forward(ctx: Any, symmetric: Tensor, dense: Tensor) -> Tensor:
        """[nodes × nodes], [nodes × size] → [nodes × size]."""
        ctx.symmetric = symmetric
        return sparse_product(symmetric, dense)

    @staticmethod
    def vjp(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        """Of the result → of the arguments: none for the matrix, [nodes × size] for the dense one."""
        return None, sparse_product(ctx.symmetric, gradient.contiguous())
