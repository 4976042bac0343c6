import numpy as np
import pytest

from recpipe.evaluation.ranking import Ranking
from recpipe.explaining.reasons import NEAREST, NOTHING, PLACES, SAME, SHOWN, SUM, TREES, places, reasons
from recpipe.explaining.trees import tree_contributions
from recpipe.recipe import Run
from recpipe.scoring.factors import Factors
from recpipe.scoring.item_weights import ItemWeights
from recpipe.scoring.same_for_all import SameForAll
from recpipe.scoring.top import NO_FILM
from recpipe_tests import worlds
from recpipe_tests.explaining.test_contributions import history
from recpipe_tests.settings_for_tests import tiny_recipe


def test_the_largest_films_are_shown_and_all_adds_up():
    weights = np.zeros((8, 8), dtype=np.float32)
    weights[[0, 1, 2, 3, 4], 7] = [0.5, -2.0, 0.25, 1.0, 0.125]
    scorer = ItemWeights(weights, item_biases=np.full(8, 0.0625, dtype=np.float32))
    told = reasons(scorer, history(0, 1, 2, 3, 4, 5), np.array([7]))
    (reason,) = told.of
    assert told.how == SUM
    assert [(part.films, part.value) for part in reason.parts] == [((3,), 1.0), ((0,), 0.5), ((2,), 0.25)]
    assert (reason.n_others, reason.others, reason.rest) == (2, 0.125 - 2.0, 0.0625)  # film 5 brings nothing
    assert reason.score == sum(part.value for part in reason.parts) + reason.others + reason.rest
    assert reason.score == pytest.approx(float(scorer.scores(history(0, 1, 2, 3, 4, 5))[0, 7]))


def test_what_speaks_against_a_film_is_never_shown_as_its_reason():
    scorer = ItemWeights(-np.ones((8, 8), dtype=np.float32))
    (reason,) = reasons(scorer, history(0, 1), np.array([7])).of
    assert (reason.parts, reason.n_others, reason.others) == ((), 2, -2.0)


def test_factors_show_the_nearest_films_and_claim_no_sum():
    vectors = np.array([[1, 0], [0.9, 0.1], [0, 1], [1, 1], [-1, 0]], dtype=np.float32)
    told = reasons(Factors(np.ones((1, 2), np.float32), vectors), history(1, 2, 3, 4, n_items=5), np.array([0]))
    assert told.how == NEAREST
    assert [part.films for part in told.of[0].parts] == [(1,), (3,), (2,)] and told.of[0].score is None


def test_where_nothing_can_be_checked_nothing_is_said():
    world = worlds.general(n_users=60, n_blocks=2, block_size=12)
    known = world.held_out.histories.rows(np.array([0]))
    unseen = np.setdiff1d(np.arange(24), known.items)[:2]
    told = reasons(tiny_recipe("multi_vae", epochs=1).fit(world.train, Run()), known, unseen)
    assert (told.how, told.of) == (NOTHING, ())
    assert reasons(SameForAll(np.zeros(24, np.float32)), known, unseen).how == SAME
    nobody = Factors(np.ones((1, 2), np.float32), np.ones((8, 2), np.float32))
    assert reasons(nobody, history(), np.array([0])).how == NOTHING


def test_places_are_those_in_the_members_lists_the_best_first():
    def ranked(*films):
        return Ranking(np.array([films], dtype=np.int32), np.zeros((1, len(films)), np.float32))

    told = places({"a": ranked(4, 7, NO_FILM), "b": ranked(7, 1, 2)}, 0, np.array([7, 2]))
    assert told.how == PLACES
    assert [[(part.label, part.value) for part in reason.parts] for reason in told.of] == [
        [("b", 1), ("a", 2)], [("b", 3)]
    ]  # fmt: skip


def test_a_rankers_columns_add_up_to_its_score():
    world = worlds.general(n_users=120, n_blocks=3, block_size=12)
    scorer = tiny_recipe("boosted_ranker", epochs=2, candidates=6).fit(world.train, Run())
    known = world.held_out.histories.rows(np.array([5]))
    unseen = np.setdiff1d(np.arange(world.train.n_items), known.items)
    scores = scorer.scores(known)[0]
    found, names = tree_contributions(scorer, known, unseen)
    told = {film: values.sum() + rest for film, (values, rest) in zip(unseen, found, strict=True) if values is not None}
    assert set(told) == {film for film in unseen if scores[film] > 0} and len(told) >= 6
    odds = 1 / (1 + np.exp(-np.array(list(told.values()))))
    raised = np.array([scores[film] for film in told]) - 1.0  # above the least likely candidate
    np.testing.assert_allclose(odds - odds.min(), raised, atol=1e-5)
    assert {len(values) for values, _ in found if values is not None} == {len(names)}
    best = int(unseen[np.argmax(scores[unseen])])
    reason = reasons(scorer, known, np.array([best])).of[0]
    assert reasons(scorer, known, np.array([best])).how == TREES
    assert 0 < len(reason.parts) <= SHOWN and {part.label for part in reason.parts} <= set(names)
    assert reason.score == pytest.approx(float(told[best]))
