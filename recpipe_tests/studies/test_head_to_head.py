import numpy as np
import pytest

from recpipe.data.features import Bag, ItemFeatures
from recpipe.studies.groups import YEAR, film_groups, quarters, user_groups
from recpipe.studies.head_to_head import head_to_head
from recpipe.studies.head_to_head_page import html
from recpipe_tests.evaluation.scorers import hidden, watched

N_ITEMS = 60


def world(n_users=600, seed=0):
    """Films 0 to 29 are Old, 30 to 59 New; each user hides four films; users 0, 4, 8 … know many films."""
    random = np.random.default_rng(seed)
    known, targets = [], []
    for user in range(n_users):
        films = random.permutation(N_ITEMS)
        known.append(films[: 20 if user % 4 == 0 else 4].tolist())
        targets.append(films[20:24].tolist())
    years = np.where(np.arange(N_ITEMS) < 30, 1950, 1968).astype(np.int32)
    genres = Bag.from_lists([["Old"] if film < 30 else ["New", "<New>"] for film in range(N_ITEMS)])
    titles = tuple(f"Film <{film}>" for film in range(N_ITEMS))
    return watched(known, N_ITEMS), hidden(known, targets, N_ITEMS), ItemFeatures(titles, years, {"genres": genres})


def lists_that_find(held_out, share, seed):
    """int32 [users × 10]: each hidden film is in its user's list with its share; the other places are empty.

    share: [users × films], or what is broadcast to it.
    """
    random = np.random.default_rng(seed)
    targets = held_out.targets.items.reshape(-1, 4)
    chance = np.broadcast_to(share, (len(targets), N_ITEMS))
    drawn = random.random(targets.shape) < np.take_along_axis(chance, targets, axis=1)
    return np.concatenate([np.where(drawn, targets, -1), np.full((len(targets), 6), -1)], axis=1).astype(np.int32)


def compared(first, second, seed=0, **world_of):
    train, held_out, features = world(**world_of)
    lists = lists_that_find(held_out, first, 2 * seed), lists_that_find(held_out, second, 2 * seed + 1)
    return head_to_head(("a", "b"), lists, held_out, train, features, "recall@10")


def found(result):
    return {(group.by, group.who): group.difference.mean > 0 for group in result.groups if group.found}


def test_a_model_that_wins_with_busy_users_alone_is_found_there_and_nowhere_else():
    busy = np.arange(600) % 4 == 0
    result = compared(np.where(busy, 0.6, 0.3)[:, None], np.where(busy, 0.3, 0.3)[:, None])
    findings = found(result)
    assert findings["films known", "over 4"] is True
    assert ("films known", "up to 4") not in findings
    groups = {(group.by, group.who): group for group in result.groups}
    busy_users = groups["films known", "over 4"]
    assert (busy_users.users, busy_users.first) == (150, pytest.approx(0.6, abs=0.05))


def test_a_model_that_wins_with_one_genre_and_loses_with_another_is_found_in_both():
    old = np.where(np.arange(N_ITEMS) < 30, 0.5, 0.2)
    result = compared(old, old[::-1])
    findings = found(result)
    assert findings["genre", "Old"] is True and findings["genre", "New"] is False
    assert findings["release year", "up to 1950"] is True
    assert result.winner is None and "a and b are not told apart" in result.verdict()


def test_where_two_models_are_alike_at_most_few_pages_name_any_group():
    pages = [compared(0.3, 0.3, seed=seed, n_users=80) for seed in range(12)]
    assert sum(bool(found(page)) for page in pages) <= 1
    everything = [group.difference for page in pages for group in page.groups]
    assert sum(not each.low <= 0 <= each.high for each in everything) <= len(everything) / 100


def test_the_verdict_names_the_better_model_whichever_stands_first():
    assert compared(0.5, 0.3).winner == "a"
    assert compared(0.3, 0.5).winner == "b"
    result = compared(0.5, 0.3)
    assert result.difference.mean == pytest.approx(result.scores[0].mean - result.scores[1].mean)
    assert sum(result.ahead) == 600


def test_a_model_against_itself_has_no_winner_no_finding_and_no_example():
    train, held_out, features = world(60)
    lists = lists_that_find(held_out, 0.4, 0)
    result = head_to_head(("a", "a"), (lists, lists), held_out, train, features)
    assert (result.winner, found(result), result.examples) == (None, {}, ())
    assert result.ahead == (0, 0, 60)


def test_examples_say_who_found_what():
    train, held_out, features = world(40)
    everything = lists_that_find(held_out, 1.0, 0)
    second = np.full_like(everything, -1)
    second[:, 0] = everything[:, 2]
    result = head_to_head(("a", "b"), (everything, second), held_out, train, features)
    assert len(result.examples) == 4
    for example in result.examples:
        targets = held_out.targets.rows(slice(example.row, example.row + 1)).items.tolist()
        assert (list(example.both), list(example.second_only), list(example.missed)) == ([targets[2]], [], [])
        assert list(example.first_only) == [*targets[:2], targets[3]]
        assert example.known[0] == held_out.histories.rows(slice(example.row, example.row + 1)).items[-1]


def test_without_side_data_there_are_the_groups_that_need_none():
    train, held_out, _ = world(100)
    lists = lists_that_find(held_out, 0.5, 0), lists_that_find(held_out, 0.2, 1)
    result = head_to_head(("a", "b"), lists, held_out, train, None)
    assert {group.by for group in result.groups} >= {"films known", "users who watched the film"}
    assert not {group.by for group in result.groups} & {"genre", "release year"}


def test_one_user_has_a_verdict_and_no_groups():
    train, held_out, features = world(1)
    lists = lists_that_find(held_out, 1.0, 0), lists_that_find(held_out, 0.0, 1)
    result = head_to_head(("a", "b"), lists, held_out, train, features)
    assert (result.winner, result.groups, len(result.examples)) == (None, (), 1)


def test_the_page_stands_alone_with_titles_escaped():
    _, _, features = world(1)
    result = compared(0.6, 0.2, n_users=120)
    page = html(result, "holdout", "d" * 64, [f"u{place}" for place in range(len(result.examples))], features.titles)
    assert "Film &lt;" in page and "Film <" not in page
    assert "a is better than b" in page and "found by a alone" in page
    assert "http" not in page.replace("http-equiv", "")


def test_quarters_keep_equal_values_together_and_leave_unknown_ones_out():
    groups = list(quarters("x", np.array([1, 1, 1, 1, 1, 2, 3, np.nan])))
    assert [(group.who, group.inside.tolist()) for group in groups] == [
        ("up to 1", [True] * 5 + [False] * 3),
        ("over 1, up to 2", [False] * 5 + [True, False, False]),
        ("over 2", [False] * 6 + [True, False]),
    ]
    assert [group.who for group in quarters("x", np.full(5, 2.0))] == ["all"]
    assert list(quarters("x", np.full(3, np.nan))) == []


def test_users_are_grouped_by_what_their_known_films_say():
    at = int(20 * YEAR)  # in 1990
    known = [[0, 1], [2, 3], [0, 2], [1, 3]]
    train = watched(known, 4, first_time=at)
    years = np.array([1989, 1989, 1950, 1950], dtype=np.int32)
    groups = user_groups(train.histories(), train, ItemFeatures(("",) * 4, years, {}))
    by_new = {group.who: group.inside.tolist() for group in groups if group.by.startswith("new films")}
    assert by_new == {
        "up to 0": [False, True, False, False],
        "over 0, up to 50": [False, False, True, True],
        "over 50": [True, False, False, False],
    }
    assert {group.who for group in groups if group.by.startswith("popularity")} == {"all"}
    assert {group.who for group in groups if group.by.startswith("days since")} == {"all"}


def test_films_are_grouped_by_watches_and_not_by_their_number():
    train = watched([[0, 1, 2, 3]] + [[0]] * 5 + [[0, 1]] * 3, 5)
    held = {group.who: train.item_counts()[group.inside].sum() for group in film_groups(train, None)}
    assert held == {"up to 4": 6, "over 4": 9}


def test_a_user_without_known_films_is_in_no_group_but_that_of_few_films():
    train = watched([[0, 1], [0], []], 3)
    groups = user_groups(train.histories(), train, None)
    assert [group.by for group in groups if group.inside[2]] == ["films known"]
