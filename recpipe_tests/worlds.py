"""Generated data with a known answer: what a working model must find, what chance finds, and what nobody can beat.

Every world is deterministic in its seed, small, and measured by the share of hidden films among each user's first few.
Both bounds are computed on the very same draw: `chance` by the best list that is one for all, `optimum` by the
probabilities that the data was drawn from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recpipe.data.features import BAGS, UNKNOWN_YEAR, Bag, ItemFeatures
from recpipe.data.interactions import Interactions
from recpipe.data.parts import HeldOut
from recpipe.data.training_set import TrainingSet
from recpipe.recipe import Scorer

Scores = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class World:
    """Training data, hidden films, and how to measure a scorer on them.

    at: length of the list. candidates: the films that may stand on it, bool [n_items] or [users × n_items].
    chance, optimum: recall of the best unpersonal list, and of the probabilities that the data was drawn from.
    """

    train: TrainingSet
    held_out: HeldOut
    at: int
    candidates: NDArray[np.bool_]
    chance: float
    optimum: float

    def recall(self, scorer: Scorer) -> float:
        """Mean share of a user's hidden films among the first `at` candidates."""
        return recall(scorer.scores(self.held_out.histories), self.held_out, self.at, self.candidates)

    def between(self, share: float) -> float:
        """The recall that lies at `share` of the way from chance to the optimum."""
        return self.chance + share * (self.optimum - self.chance)


def recall(scores: Scores, held_out: HeldOut, at: int, candidates: NDArray[np.bool_]) -> float:
    """Mean share of hidden films among the first `at`; ties count against the scorer."""
    wanted = held_out.targets.matrix().toarray() > 0
    scores = np.where(candidates, scores.astype(np.float64), -np.inf)
    order = np.lexsort((wanted, -scores), axis=1)[:, :at]
    hits = np.take_along_axis(wanted, order, axis=1).sum(axis=1)
    return float(np.mean(hits / np.minimum(wanted.sum(axis=1), at)))


def general(seed: int = 0, n_users: int = 240, n_blocks: int = 5, block_size: int = 24) -> World:
    """Users and films in blocks: nine films in ten come from the user's block, popular ones more often, the rest from
    anywhere. Fifteen films each, of which three are hidden."""
    random = np.random.default_rng(seed)
    n_items = n_blocks * block_size
    tilt = 1.0 / (5.0 + random.permutation(n_items))
    user_block = random.integers(0, n_blocks, n_users)
    own = (np.arange(n_items) // block_size)[None, :] == user_block[:, None]
    inside = np.where(own, tilt, 0.0)
    chances = 0.9 * inside / inside.sum(axis=1, keepdims=True) + 0.1 * tilt / tilt.sum()
    films = np.stack([random.choice(n_items, 15, replace=False, p=row) for row in chances])
    return _world(films, n_hidden=3, n_items=n_items, at=10, probabilities=chances)


def two_hop(seed: int = 0, n_communities: int = 4, size: int = 8, n_users: int = 80) -> World:
    """Near films, bridges and far films in each community. People watch near films alone, near films and bridges, or
    bridges and far films; hidden from the first kind are far films of their community, which nobody watched together
    with anything that they know. Only far films are candidates."""
    random = np.random.default_rng(seed)
    n_items = 3 * size * n_communities
    kinds = {"near": (0,), "bridge": (0, 1), "far": (1, 2)}
    histories, hidden, targets = [], [], []
    for kind, layers in kinds.items():
        for user in range(n_users):
            community = user % n_communities
            films = np.concatenate([(3 * community + layer) * size + np.arange(size) for layer in layers])
            histories.append(random.choice(films, 6, replace=False))
            hidden.append(random.choice((3 * community + 2) * size + np.arange(size), 3, replace=False))
            targets.append(kind == "near")
    train = _interactions(histories, n_items)
    asked = np.flatnonzero(targets)
    held_out = HeldOut(train.histories(asked), _interactions(hidden, n_items).histories(asked))
    is_far = (np.arange(n_items) // size) % 3 == 2
    truth = np.zeros((len(asked), n_items))
    for row, user in enumerate(asked.tolist()):
        truth[row, (3 * (user % n_communities) + 2) * size + np.arange(size)] = 1.0
    return World(
        TrainingSet(train), held_out, size, is_far, chance=1.0 / n_communities,
        optimum=recall(truth, held_out, size, is_far),
    )  # fmt: skip


def new_films(field: str, seed: int = 0, n_users: int = 200, n_blocks: int = 5, block_size: int = 24) -> World:
    """Films of a block have one value in `field` (genres, directors or writers) and share nothing else; everybody has a
    block, from which nine films in ten come. The last quarter of each block is new: nobody has watched it yet, three of
    it are hidden for each user, and only new films are candidates. A film in ten has no value."""
    random = np.random.default_rng(seed)
    n_items = n_blocks * block_size
    block, new = np.arange(n_items) // block_size, np.arange(n_items) % block_size >= block_size - block_size // 4
    liked = np.where(block[None, :] == random.integers(0, n_blocks, n_users)[:, None], 0.9 * n_blocks - 0.9, 0.1)
    chances = [each / each.sum(axis=1, keepdims=True) for each in (liked * ~new, liked * new)]
    films = [np.stack([random.choice(n_items, count, replace=False, p=row) for row in each])
             for count, each in zip((12, 3), chances, strict=True)]  # fmt: skip
    said = random.random(n_items) >= 0.1
    values = [[f"value {number}"] if known else [] for number, known in zip(block, said, strict=True)]
    bags = {name: Bag.from_lists(values if name == field else [[]] * n_items) for name in BAGS}
    features = ItemFeatures(("",) * n_items, np.full(n_items, UNKNOWN_YEAR, dtype=np.int32), bags)
    train = _interactions(list(films[0]), n_items)
    held_out = HeldOut(train.histories(), _interactions(list(films[1]), n_items).histories())
    at = block_size // 4
    return World(
        TrainingSet(train, features), held_out, at, new, chance=1.0 / n_blocks,
        optimum=recall(np.where(said, chances[1], chances[1].mean(axis=1, keepdims=True)), held_out, at, new),
    )  # fmt: skip


def first_order(seed: int = 0, n_users: int = 150, n_items: int = 12, length: int = 50) -> World:
    """A chain: the next film follows from the last one, four times in five, else it is any film.

    All films stand in one circle, so every film is equally frequent, and histories are so long that everybody has seen
    nearly everything: without order there is nothing to learn. Films are watched again, so all are candidates.
    """
    random = np.random.default_rng(seed)
    circle = random.permutation(n_items)
    follows = np.empty(n_items, dtype=np.int64)
    follows[circle] = np.roll(circle, 1)
    transitions = np.full((n_items, n_items), 0.2 / n_items)
    transitions[np.arange(n_items), follows] += 0.8
    films = np.empty((n_users, length + 1), dtype=np.int64)
    films[:, 0] = random.integers(0, n_items, n_users)
    for step in range(length):
        films[:, step + 1] = _draw(random, transitions[films[:, step]])
    return _chain(films, transitions[films[:, -2]])


def second_order(seed: int = 0, n_users: int = 150, n_items: int = 5, length: int = 50) -> World:
    """A chain over pairs: the next film follows from the last two, four times in five, else it is any film.

    A Latin square says what follows, so that one of the two alone tells nothing.
    """
    random = np.random.default_rng(seed)
    square = (np.arange(n_items)[:, None] + np.arange(n_items)[None, :]) % n_items
    square = random.permutation(n_items)[square][random.permutation(n_items)]
    transitions = np.full((n_items, n_items, n_items), 0.2 / n_items)
    np.put_along_axis(transitions, square[..., None], 0.2 / n_items + 0.8, axis=2)
    films = np.empty((n_users, length + 1), dtype=np.int64)
    films[:, :2] = random.integers(0, n_items, (n_users, 2))
    for step in range(1, length):
        films[:, step + 1] = _draw(random, transitions[films[:, step - 1], films[:, step]])
    return _chain(films, transitions[films[:, -3], films[:, -2]])


def repeats(seed: int = 0, n_users: int = 150, n_items: int = 60, length: int = 20) -> World:
    """Sessions that come back: four times in five the next film is the one watched three films ago, else any film."""
    random = np.random.default_rng(seed)
    films = random.integers(0, n_items, (n_users, length + 1))
    for step in range(3, length + 1):
        again = random.random(n_users) < 0.8
        films[again, step] = films[again, step - 3]
    probabilities = np.full((n_users, n_items), 0.2 / n_items)
    probabilities[np.arange(n_users), films[:, -4]] += 0.8
    return _chain(films, probabilities)


@dataclass(frozen=True, eq=False)
class RatingWorld:
    """Ratings of low rank, with noise, in arbitrary order of films; a fifth is hidden.

    rows, items, ratings: the hidden pairs. chance: RMSE of the training mean. optimum: RMSE of the truth, the noise.
    """

    train: TrainingSet
    rows: NDArray[np.int64]
    items: NDArray[np.int64]
    ratings: NDArray[np.float32]
    chance: float
    optimum: float

    def rmse(self, predicted: Scores) -> float:
        """Root mean square error on the hidden pairs."""
        return float(np.sqrt(np.mean((predicted - self.ratings) ** 2)))


def rated(seed: int = 0, n_users: int = 120, n_items: int = 60, rank: int = 2, noise: float = 0.3) -> RatingWorld:
    """rating = 3 + taste of the user · kind of the film + noise, half of all pairs rated."""
    random = np.random.default_rng(seed)
    truth = 3.0 + random.choice([-0.7, 0.7], (n_users, rank)) @ random.choice([-1.0, 1.0], (rank, n_items))
    ratings = (truth + noise * random.standard_normal(truth.shape)).astype(np.float32)
    users, items = np.nonzero(random.random(truth.shape) < 0.5)
    hidden = random.random(len(users)) < 0.2
    train = Interactions.sorted_from(
        users[~hidden], items[~hidden], np.zeros((~hidden).sum(), dtype=np.int64), ratings[users, items][~hidden],
        n_users, n_items,
    )  # fmt: skip
    rows, columns = users[hidden], items[hidden]
    left = ratings[rows, columns]
    mean = float(ratings[users, items][~hidden].mean())
    return RatingWorld(
        TrainingSet(train), rows, columns, left, chance=float(np.sqrt(np.mean((left - mean) ** 2))),
        optimum=float(np.sqrt(np.mean((left - truth[rows, columns]) ** 2))),
    )  # fmt: skip


def _draw(random: np.random.Generator, probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
    """One film a row."""
    return (random.random((len(probabilities), 1)) > probabilities.cumsum(axis=1)[:, :-1]).sum(axis=1)


def _chain(films: NDArray[np.int64], probabilities: NDArray[np.float64]) -> World:
    """The last film of each row is hidden; the list has one place."""
    return _world(films, 1, probabilities.shape[1], at=1, probabilities=probabilities, again=True)


def _world(
    films: NDArray[np.int64], n_hidden: int, n_items: int, at: int, probabilities: Scores, again: bool = False
) -> World:
    train = _interactions(list(films[:, :-n_hidden]), n_items)
    held_out = HeldOut(train.histories(), _interactions(list(films[:, -n_hidden:]), n_items).histories())
    seen = train.matrix().toarray() > 0
    candidates = np.ones_like(seen) if again else ~seen
    counts = np.bincount(films[:, :-n_hidden].ravel(), minlength=n_items) - 1e-6 * np.arange(n_items)
    return World(
        TrainingSet(train), held_out, at, candidates,
        chance=recall(np.tile(counts, (len(films), 1)), held_out, at, candidates),
        optimum=recall(probabilities, held_out, at, candidates),
    )  # fmt: skip


def _interactions(films: list[NDArray[np.int64]], n_items: int) -> Interactions:
    """One row of films a user, in the order watched, a day between them."""
    lengths = [len(row) for row in films]
    users = np.repeat(np.arange(len(films)), lengths)
    times = np.concatenate([np.arange(length) * 86_400 for length in lengths])
    return Interactions.sorted_from(users, np.concatenate(films), times, None, len(films), n_items)
