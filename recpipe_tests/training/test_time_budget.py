"""Whatever a training is made of, a spent time budget ends it cleanly: the best epoch so far is what is kept."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from recpipe.data.interactions import FloatArray
from recpipe.models.features import boosted_ranker
from recpipe.recipe import Run, Scorer
from recpipe.training import loop, pretraining
from recpipe.training.candidates import Member
from recpipe.training.journal import Journal
from recpipe_tests.settings_for_tests import ITERATIVE, model_names, tiny_recipe
from recpipe_tests.test_model_contract import few_ratings

BUDGET, BEST = 100.0, 3
LOOKS_AN_EPOCH = 20
"""By how many the end may be late: an epoch that has begun is seen to its end or to the next look at the clock."""
IN_STAGES = {"cfm", "conv_ncf", "nais", "neumf", "s3_rec"}


class Clock:
    """Each look at it takes a second."""

    now = 0.0

    def monotonic(self) -> float:
        self.now += 1.0
        return self.now


class Judge:
    """Praises one epoch most; keeps the scores that it saw then."""

    calls = 0
    seen: FloatArray

    def __call__(self, scorer: Scorer) -> float:
        self.calls += 1
        if self.calls == BEST:
            self.seen = scores(scorer)
        return 1.0 - abs(self.calls - BEST) / 1000


def scores(scorer: Scorer) -> FloatArray:
    return scorer.scores(few_ratings().interactions.histories()).copy()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """One clock for the loop, the stages and every model that looks at it."""
    one = Clock()
    rooms = [module for name, module in sys.modules.items() if name.startswith("recpipe.models.")]
    for room in (loop, pretraining, *rooms):
        if hasattr(room, "time"):
            monkeypatch.setattr(room, "time", one)
    return one


@pytest.mark.parametrize("model", ITERATIVE)
def test_what_learns_by_epochs_ends_in_time_with_its_best_epoch(model: str, clock: Clock) -> None:
    stages = {"pretraining": 1000} if model in IN_STAGES else {}
    recipe = tiny_recipe(model, epochs=1000, patience=1000, batch_size=16, **stages)
    journal, judge = Journal(), Judge()
    scorer = recipe.fit(few_ratings(), Run(seed=5, time_budget=BUDGET, report=journal.report, validate=judge))
    assert journal.closing["stopped"] == "time budget"
    assert clock.now <= BUDGET + LOOKS_AN_EPOCH
    assert BEST < len(journal.epochs) < 1000
    assert (journal.closing["best_epoch"], journal.closing["best_valid"]) == (BEST, 1.0)
    np.testing.assert_allclose(scores(scorer), judge.seen, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("model", sorted(IN_STAGES))
def test_parts_that_are_trained_first_leave_time_for_the_whole(model: str, clock: Clock) -> None:
    journal = Journal()
    recipe = tiny_recipe(model, epochs=1000, patience=1000, batch_size=16, pretraining=1000)
    recipe.fit(few_ratings(), Run(seed=5, time_budget=BUDGET, report=journal.report, validate=Judge()))
    assert journal.stages
    for part in journal.stages:
        assert journal.closing[f"{part}_stopped"] == "time budget"
    assert len(journal.epochs) > BEST


@pytest.mark.parametrize("model", sorted(set(model_names()) - set(ITERATIVE)))
def test_what_learns_in_one_step_is_learned_whole(model: str) -> None:
    hurried = tiny_recipe(model).fit(few_ratings(), Run(seed=5, time_budget=1e-9))
    assert np.isfinite(scores(hurried)).all()
    if model != "boosted_ranker":  # whose trees end when the time is up
        assert np.array_equal(scores(hurried), scores(tiny_recipe(model).fit(few_ratings(), Run(seed=5))))


def test_all_trainings_inside_a_ranker_together_have_its_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    budgets = []
    learned = Member.learned

    def seen(recipe, train, run, name):
        budgets.append(run.time_budget)
        return learned(recipe, train, run, name)

    monkeypatch.setattr(boosted_ranker.Member, "learned", seen)
    tiny_recipe("boosted_ranker").fit(few_ratings(), Run(seed=5, time_budget=50.0))
    assert budgets == [10.0] * 4  # two members, each on two training parts; the trees have what is left
    budgets.clear()
    tiny_recipe("boosted_ranker").fit(few_ratings(), Run(seed=5))
    assert budgets == [None] * 4
