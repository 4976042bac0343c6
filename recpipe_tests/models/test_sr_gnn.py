"""SR-GNN: every prefix against a graph that is built for it alone, with films that come again."""

from __future__ import annotations

from itertools import pairwise

import torch

from recpipe.models.sequences.sr_gnn import SrGnn, SrGnnNetwork
from recpipe_tests.networks import PADDING, random_network

FILMS = torch.tensor([[7, 3, 1, 3, 1, 4, 3, 3, 1], [0, 1, 2, 3, 4, 5, 6, 5, 0]])


def literal(learner: SrGnnNetwork, session: list[int]) -> torch.Tensor:
    """W₃ [v' ; g] of one session, from the adjacency lists of its own graph."""
    vectors, nodes = learner.items.weight, {}
    for film in set(session):
        before = [vectors[a] for a, b in pairwise(session) if b == film]
        after = [vectors[b] for a, b in pairwise(session) if a == film]
        means = [torch.stack(found).mean(dim=0) if found else torch.zeros(4) for found in (before, after)]
        into = learner.into.weight @ means[0] + learner.into.bias
        out_of = learner.out_of.weight @ means[1] + learner.out_of.bias
        nodes[film] = learner.cell(torch.cat((into, out_of))[None], vectors[film][None])[0]
    last, seen = nodes[session[-1]], torch.zeros(4)
    for film in session:
        sums = learner.asking.weight @ last + learner.asking.bias + learner.asked.weight @ nodes[film]
        seen = seen + (learner.direction @ torch.sigmoid(sums)) * nodes[film]
    return learner.joining.weight @ torch.cat((last, seen))


def test_every_state_is_that_of_the_graph_of_its_own_prefix() -> None:
    learner = random_network(SrGnn, max_length=9)
    states = learner.states(FILMS)
    for row in range(2):
        for column in range(9):
            session = [film for film in FILMS[row, : column + 1].tolist() if film != PADDING]
            if session:
                torch.testing.assert_close(states[row, column], literal(learner, session))
