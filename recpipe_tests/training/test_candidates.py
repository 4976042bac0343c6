"""What a ranker learns from: hidden films, members that have not seen them, and balanced candidates."""

from __future__ import annotations

from dataclasses import replace

import lightgbm
import numpy as np
import pytest
from scipy import sparse

from recpipe.data.training_set import TrainingSet
from recpipe.models.factors.bpr import Bpr
from recpipe.models.factors.ials import Ials
from recpipe.models.linear.ease import Ease
from recpipe.recipe import Run
from recpipe.training.candidates import Examples, Leak, Member, examples, hold_back
from recpipe.training.journal import Journal
from recpipe_tests import worlds

RUN = Run(seed=0)


def held_back() -> tuple[TrainingSet, sparse.csr_matrix]:
    return hold_back(worlds.general().train, 1, 1, 0.0, np.random.default_rng(0))


def told(member: Member, negatives: int = 5) -> Examples:
    known, wanted = held_back()
    return examples({"member": member}, known, wanted, 20, negatives, np.random.default_rng(1))


def test_what_is_hidden_is_gone_and_nothing_else() -> None:
    train = worlds.general().train
    known, wanted = held_back()
    assert (wanted.sum(axis=1) == 2).all()
    assert known.interactions.matrix().multiply(wanted).nnz == 0
    assert (known.interactions.matrix() + wanted != train.interactions.matrix()).nnz == 0


def test_each_users_latest_film_is_hidden() -> None:
    train = worlds.general().train
    _, wanted = held_back()
    latest = train.interactions.histories().last(1)[:, 0]
    assert (np.asarray(wanted[np.arange(train.n_users), latest]) == 1).all()


def test_films_hidden_from_everybody_are_known_to_nobody() -> None:
    train = worlds.general().train
    known, wanted = hold_back(train, 0, 0, 0.25, np.random.default_rng(0))
    new = known.interactions.item_counts() == 0
    assert 0.15 * train.n_items < new.sum() < 0.35 * train.n_items
    assert (
        np.asarray(wanted.sum(axis=0)).ravel()[new].sum() == wanted.nnz == train.interactions.item_counts()[new].sum()
    )


def test_a_watched_candidate_comes_with_so_many_others_of_its_user() -> None:
    known, _ = held_back()
    made = told(Member.learned(Ease(regularization=20.0), known, RUN), negatives=3)
    for user in np.unique(made.users):
        watched = made.watched[made.users == user]
        assert watched.sum() >= 1
        assert len(watched) == 4 * watched.sum()
    assert made.group_sizes().sum() == len(made.users)


def test_a_member_that_has_seen_the_answers_is_refused() -> None:
    with pytest.raises(Leak, match=r"member has learned from 480 of the 480 films"):
        told(Member.learned(Ease(), worlds.general().train, RUN))


def test_believing_a_member_that_has_seen_the_answers_looks_better_and_is_worse() -> None:
    """What the refusal is for: without it the ranker trusts what it will not have when it is asked about the future."""
    world = worlds.general()
    known, _ = held_back()
    recipe = Ials(embedding_size=32, regularization=0.01, epochs=10)
    honest, seen_all = Member.learned(recipe, known, RUN), Member.learned(recipe, world.train, RUN)
    leaking = replace(seen_all, seen=sparse.csr_matrix(seen_all.seen.shape))  # a lie about what it has seen
    found = {name: _found_first(told(member)) for name, member in {"honest": honest, "leaking": leaking}.items()}
    assert found["leaking"] > found["honest"] + 0.2


def _found_first(made: Examples) -> float:
    """How often a watched film has the highest score of its user's, by trees, on the users they learned from."""
    data = lightgbm.Dataset(made.columns, made.watched.astype(np.float32), group=made.group_sizes())
    trees = lightgbm.train({"objective": "lambdarank", "verbosity": -1, "num_leaves": 4}, data, 10)
    scores = np.split(trees.predict(made.columns), np.cumsum(made.group_sizes())[:-1])
    watched = np.split(made.watched, np.cumsum(made.group_sizes())[:-1])
    return float(np.mean([hits[np.argmax(row)] for row, hits in zip(scores, watched, strict=True)]))


def test_of_a_members_reports_its_problems_alone_are_passed_on_with_its_name() -> None:
    train, journal = worlds.general().train, Journal()
    wild = Bpr(learning_rate=1e25, batch_size=len(train.interactions), epochs=1)
    Member.learned(wild, train, Run(seed=0, report=journal.report), "wild one")
    assert not journal.epochs
    (problem,) = journal.closing.values()
    assert problem.startswith("wild one: ") and "nothing was learned" in problem


def test_members_that_find_nothing_teach_nothing_and_it_is_said() -> None:
    known, wanted = held_back()
    member = Member.learned(Ease(regularization=20.0), known, RUN)
    nothing = sparse.csr_matrix(wanted.shape, dtype=wanted.dtype)
    with pytest.raises(ValueError, match="nothing to learn from"):
        examples({"member": member}, known, nothing, 20, 5, np.random.default_rng(1))
