"""Boosted ranker: what it puts first, what it reports, which settings it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from recpipe.data.training_set import TrainingSet
from recpipe.models.factors.mf import Mf
from recpipe.models.features.boosted_ranker import BoostedRanker
from recpipe.recipe import Run
from recpipe.scoring.boosted_trees import BoostedTrees
from recpipe.scoring.pair_features import candidates, features, names
from recpipe.training.candidates import Member
from recpipe.training.journal import Journal
from recpipe_tests import worlds
from recpipe_tests.settings_for_tests import tiny_recipe

MEMBERS = {
    "ease": {"recipe": "ease", "regularization": 20.0},
    "latest": {"recipe": "markov_chain"},
}


def ranker(**settings: Any) -> BoostedRanker:
    plain = {"members": MEMBERS, "candidates": 10, "hidden_last": 1, "hidden_random": 1, "negatives": 5, "trees": 20}
    return BoostedRanker(**plain | settings)


def fitted(train: TrainingSet, journal: Journal | None = None, **settings: Any) -> BoostedTrees:
    run = Run(seed=1) if journal is None else Run(seed=1, report=journal.report)
    return ranker(**settings).fit(train, run)


def test_candidates_come_first_in_the_order_of_the_trees_and_the_others_in_that_of_the_first_member() -> None:
    world = worlds.general()
    scorer = fitted(world.train)
    histories = world.held_out.histories
    said = {name: member.scores(histories) for name, member in scorer.members.items()}
    chosen = candidates(said, histories, 10)
    scores = scorer.scores(histories)
    assert scores[chosen].min() > 0 >= scores[~chosen].max()
    assert scores.min() >= -1
    told = np.full(chosen.shape, -np.inf)
    told[chosen] = scorer._booster.predict(features(scorer.films, said, histories, chosen))
    for user in range(0, len(histories), 40):
        named = np.flatnonzero(chosen[user])
        np.testing.assert_array_equal(np.sign(np.diff(scores[user, named])), np.sign(np.diff(told[user, named])))
        others = np.flatnonzero(~chosen[user])
        np.testing.assert_allclose(np.corrcoef(scores[user, others], said["ease"][user, others])[0, 1], 1.0, atol=1e-4)


def test_it_finds_the_block_of_the_hidden_films_where_one_member_knows_it_and_the_other_does_not() -> None:
    world = worlds.general()
    assert world.recall(fitted(world.train)) > world.between(0.75)


def test_a_members_problem_is_reported_with_the_members_name() -> None:
    journal = Journal()
    members = MEMBERS | {"wild-one": {"recipe": "bpr", "learning_rate": 1e25, "batch_size": 100_000, "epochs": 1}}
    fitted(worlds.general().train, journal, members=members)
    assert journal.closing["problem"].startswith("wild-one: ")


def test_what_the_trees_split_at_is_reported_by_name() -> None:
    journal = Journal()
    fitted(worlds.general().train, journal)
    importance = journal.closing["importance"]
    assert list(importance) == names(tuple(MEMBERS))
    assert sum(importance.values()) == pytest.approx(1.0, abs=1e-4)
    assert max(importance, key=lambda name: importance[name]) in {"ease score", "ease place"}
    assert 0 < journal.closing["best_valid"] <= 1
    assert 1 <= journal.closing["trees"] <= 20


def test_when_the_time_is_up_the_trees_so_far_count() -> None:
    journal = Journal()
    run = Run(seed=1, report=journal.report, time_budget=1e-3)
    scorer = ranker(trees=500, patience=500).fit(worlds.general().train, run)
    assert journal.closing["trees"] < 20
    assert journal.closing["stopped"] == "time budget"
    assert np.isfinite(scorer.scores(worlds.general().held_out.histories)).all()


@pytest.mark.parametrize(("settings", "stopped"), [({"patience": 1}, "patience"), ({"trees": 1}, "trees")])
def test_why_there_are_no_more_trees_is_told(settings: dict[str, Any], stopped: str) -> None:
    journal = Journal()
    fitted(worlds.general().train, journal, **{"trees": 500} | settings)
    assert journal.closing["stopped"] == stopped


def test_a_member_that_its_share_of_the_time_cut_short_is_told() -> None:
    train = worlds.general().train
    whole = Member.learned(Mf(epochs=1), train, Run(time_budget=1000.0))
    cut = Member.learned(Mf(epochs=100), train, Run(time_budget=1e-3))
    assert (whole.cut_short, cut.cut_short) == (False, True)
    journal = Journal()
    members = {"mf": {"recipe": "mf", "epochs": 10_000}}
    run = Run(seed=1, report=journal.report, time_budget=1.5)
    ranker(members=members, trees=1).fit(train, run)
    assert journal.closing["stopped"] == "time budget"


def test_both_losses_learn() -> None:
    world = worlds.general()
    for loss in ("lambdarank", "logistic"):
        assert world.recall(fitted(world.train, loss=loss)) > world.between(0.75)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"members": {"a": {"recipe": "eas"}}}, "members: a: recipe: no recipe is called 'eas'; did you mean 'ease'"),
        ({"members": {"a": {"recipe": 3}}}, "members: a: recipe: no recipe is called '3'"),
        ({"members": {"a": {}}}, "the key 'recipe' is missing"),
        (
            {"members": {"a": {"recipe": "ease", "regularisation": 3}}},
            "members: a: regularisation: no such setting; did you mean 'regularization'",
        ),
        ({"members": {"a": {"recipe": "ease", "regularization": -1}}}, "members: a: regularization: .*-1 came"),
        ({"members": {"a": {"recipe": "boosted_ranker"}}}, "members: a: another recipe"),
        ({"members": {"a:b": {"recipe": "ease"}}}, "members: 'a:b': a name of letters, digits, _ and -"),
        ({"members": {'a"b': {"recipe": "ease"}}}, "a name of letters"),
        ({"members": {"": {"recipe": "ease"}}}, "a name of letters"),
        ({"hidden_last": 0, "hidden_random": 0}, "films that are hidden"),
    ],
)
def test_members_that_cannot_be_are_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        ranker(**settings)


def test_films_that_nobody_has_watched_are_found_only_if_such_films_were_hidden() -> None:
    world = worlds.new_films("genres")
    found = {
        share: world.recall(tiny_recipe("boosted_ranker", hidden_films=share).fit(world.train, Run()))
        for share in (0.0, 0.2)
    }
    assert found[0.2] > world.between(0.75)
    assert found[0.2] > found[0.0]
