import numpy as np
import pytest

from recpipe.evaluation import evaluate as module
from recpipe.evaluation.evaluate import evaluate, in_head, validator
from recpipe.evaluation.ranking import rank
from recpipe_tests.evaluation.scorers import Known, hidden, random_world, watched


def test_evaluation_of_a_tiny_world_equals_the_values_worked_out_by_hand():
    # In training both watched films 0 and 2; film 1 came later. Lists of 2: user 0 gets 1, 3; user 1 gets 2, 4.
    train = watched([[0, 2], [0, 2]], 5)
    held_out = hidden([[0, 2], [0, 1]], [[3, 4], [2]], 5)
    table = np.array([[0, 5, 0, 4, 1], [0, 0, 5, 1, 4]], dtype=np.float32)
    told = evaluate(Known(table), held_out, train, cut_offs=(1, 2))
    assert told.users.tolist() == [0, 1]
    assert told.n_known.tolist() == [2, 2] and told.n_targets.tolist() == [2, 1]
    assert told.per_user["recall@2"].tolist() == [0.5, 1.0]
    assert told.per_user["mrr@2"].tolist() == [0.5, 1.0]
    assert told.per_user["hit_rate@1"].tolist() == [0.0, 1.0]
    assert told.means()["recall@2"] == 0.75
    assert told.lists["coverage@2"] == 4 / 5
    assert told.lists["novelty@1"] == 0.5  # film 1 counts as watched by one of two users, film 2 was by both
    assert told.film_groups["head"] == {
        "films": 1, "targets": 0, "recall@1": 0, "share_of_lists@1": 0, "recall@2": 0, "share_of_lists@2": 0,
    }  # fmt: skip
    assert told.film_groups["tail"]["recall@2"] == pytest.approx(2 / 3)


def test_film_groups_add_up_to_all_targets():
    scorer, held_out = random_world(200, 60)
    told = evaluate(scorer, held_out, watched([[i % 60] * 1 for i in range(200)], 60))
    head, tail = told.film_groups["head"], told.film_groups["tail"]
    assert head["films"] == 12 and tail["films"] == 48
    assert head["targets"] + tail["targets"] == told.n_targets.sum()
    found = told.per_user["recall@10"] @ told.n_targets
    assert head["recall@10"] * head["targets"] + tail["recall@10"] * tail["targets"] == pytest.approx(found)
    assert head["share_of_lists@5"] + tail["share_of_lists@5"] == pytest.approx(1)


@pytest.mark.parametrize("users_at_once", [128, 256])
def test_figures_do_not_depend_on_how_many_users_are_measured_at_once(monkeypatch, users_at_once):
    scorer, held_out = random_world(401, 60)
    train = watched([[i % 60, (i + 7) % 60] for i in range(401)], 60)
    whole = evaluate(scorer, held_out, train)
    monkeypatch.setattr(module, "USERS_AT_ONCE", users_at_once)
    blocks = evaluate(scorer, held_out, train)
    assert whole.per_user.keys() == blocks.per_user.keys()
    for name, values in whole.per_user.items():
        np.testing.assert_array_equal(blocks.per_user[name], values)
    assert blocks.lists == whole.lists and blocks.film_groups == whole.film_groups
    assert blocks.n_targets.tolist() == whole.n_targets.tolist() and blocks.n_known.tolist() == whole.n_known.tolist()


def test_the_validator_gives_the_mean_that_the_evaluation_gives():
    scorer, held_out = random_world(150, 70)
    told = evaluate(scorer, held_out, watched([[0]] * 150, 70)).means()
    for metric in ("ndcg@10", "capped_recall@5", "map@20"):
        assert validator(held_out, metric)(scorer) == pytest.approx(told[metric], abs=1e-12)


def test_a_scorer_that_knows_the_targets_scores_one():
    held_out = hidden([[0], [1]], [[2, 3], [0]], 6)
    table = np.zeros((2, 6), dtype=np.float32)
    table[0, [2, 3]] = table[1, 0] = 1
    assert validator(held_out, "ndcg@5")(Known(table)) == pytest.approx(1)


def test_seen_targets_count_but_cannot_be_found():
    held_out = hidden([[0, 1]], [[1, 2]], 4)
    scorer = Known(np.array([[0, 9, 8, 1]], dtype=np.float32))
    assert rank(scorer, held_out.histories, 2).items.tolist() == [[2, 3]]
    assert validator(held_out, "recall@2")(scorer) == 0.5


def test_an_empty_part_is_refused_with_what_to_do():
    scorer, held_out = random_world(3, 20)
    nobody = type(held_out)(held_out.histories.rows(slice(0, 0)), held_out.targets.rows(slice(0, 0)))
    with pytest.raises(ValueError, match="nobody has hidden films"):
        evaluate(scorer, nobody, watched([[0]], 20))
    with pytest.raises(ValueError, match="choose a split with a validation part"):
        validator(nobody)


def test_the_head_is_the_most_watched_share_with_ties_to_the_lower_number():
    assert in_head(np.array([3, 9, 3, 1, 0]), share=0.4).tolist() == [True, True, False, False, False]
