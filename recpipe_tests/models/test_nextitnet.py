"""NextItNet: the dilated convolutions against a literal loop, and how far they see."""

from __future__ import annotations

import torch

from recpipe.models.sequences.nextitnet import Nextitnet
from recpipe_tests.networks import random_network


def test_a_block_is_two_convolutions_of_growing_distance_and_a_shortcut() -> None:
    learner, films = random_network(Nextitnet, dilations=(2,), kernel_size=3), torch.tensor([[7, 3, 1, 4, 0, 5, 6]])
    inputs = learner.items(films)[0] * 2
    block = learner.blocks[0]

    def convolved(values: list[torch.Tensor], kernel: torch.Tensor, distance: int, t: int) -> torch.Tensor:
        places = [(kernel[k], t - (2 - k) * distance) for k in range(3)]
        return sum((values[place] @ weights for weights, place in places if place >= 0), torch.zeros(4))

    first = [torch.relu(block.norms[0](convolved(list(inputs), block.kernels[0], 2, t))) for t in range(7)]
    first[0] = torch.zeros(4)  # padding
    for t in range(1, 7):
        second = torch.relu(block.norms[1](convolved(first, block.kernels[1], 4, t)))
        torch.testing.assert_close(learner.states(films)[0, t], inputs[t] + second)


def test_a_film_beyond_the_reach_of_all_convolutions_does_not_matter() -> None:
    learner = random_network(Nextitnet, dilations=(1,), kernel_size=2)  # reads 1 + 2 films before the latest
    films, changed = torch.tensor([[0, 1, 2, 3, 4]]), torch.tensor([[5, 1, 2, 3, 4]])
    assert torch.equal(learner.states(films)[0, 4], learner.states(changed)[0, 4])
    assert not torch.allclose(learner.states(films)[0, 3], learner.states(changed)[0, 3])
