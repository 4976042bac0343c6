from dataclasses import replace

import numpy as np
import pytest

from recpipe.data.parts import Part
from recpipe.data.splitting import Holdout, LeaveOneOut, Strong
from recpipe.studies.laid_aside import LaidAside
from recpipe.studies.settings import HiddenSettings
from recpipe.studies.split_trust import Scores, SplitTrust
from recpipe_tests.data.generated import generated, of_rows

TRUTH = np.linspace(0.1, 0.3, 12)
MODELS = tuple(f"m{place}" for place in range(12))


def scores(means, n_users=800, noise=0.05, seed=0):
    random = np.random.default_rng(seed)
    values = random.random((n_users, 1)) + np.asarray(means) - 0.5 + noise * random.normal(size=(n_users, len(means)))
    return Scores(np.arange(n_users, dtype=np.int32), values)


def study(valid, hidden=None, **more):
    hidden = scores(TRUTH) if hidden is None else hidden
    return SplitTrust(MODELS[: hidden.values.shape[1]], "ndcg@10", 800, hidden, valid, **more)


def test_a_split_that_ranks_by_the_truth_has_tau_near_one_and_one_that_ranks_by_noise_near_zero():
    by_noise = [scores(np.random.default_rng(seed).permutation(TRUTH), seed=seed) for seed in range(1, 9)]
    found = study({"truth": scores(TRUTH + 0.1, seed=99)} | {f"n{seed}": each for seed, each in enumerate(by_noise)})
    trusts = {each.split: each for each in found.trusts}
    assert found.trusts[0].split == "truth"
    assert trusts["truth"].tau.mean > 0.95 and trusts["truth"].tau.low > 0.9
    noise = [each for split, each in trusts.items() if split != "truth"]
    assert abs(np.mean([each.tau.mean for each in noise])) < 0.2
    assert all(each.to_the_best.high < 0 for each in noise)
    assert trusts["truth"].gap == pytest.approx(0.1, abs=0.02)
    assert trusts["truth"].cost == 0 and trusts["truth"].to_the_best is None
    assert "every other split is told from it" in found.verdict()


def test_a_split_with_few_users_has_a_wide_interval_around_the_same_order():
    many, few = scores(TRUTH, seed=1), scores(TRUTH, n_users=40, noise=0.3, seed=2)
    wide, narrow = (next(each for each in study({"many": many, "few": few}).trusts if each.split == split).tau
                    for split in ("few", "many"))  # fmt: skip
    assert wide.high - wide.low > 3 * (narrow.high - narrow.low)


def test_the_reverse_order_has_tau_minus_one_and_costs_what_the_hidden_part_says():
    (trust,) = study({"reverse": scores(-TRUTH, noise=0)}, hidden=scores(TRUTH, noise=0)).trusts
    assert trust.tau.mean == -1
    assert trust.picked == "m0" and trust.cost == pytest.approx(0.2)


def test_a_constant_score_says_nothing_and_ties_share_an_order():
    constant = Scores(np.arange(50, dtype=np.int32), np.full((50, 12), 0.25))
    (trust,) = study({"constant": constant}).trusts
    assert (trust.tau.mean, trust.tau.low, trust.tau.high) == (0, 0, 0)
    tied = scores(TRUTH, noise=0)
    tied = replace(tied, values=np.repeat(tied.values[:, ::2], 2, axis=1))
    (half,) = study({"tied": tied}, hidden=scores(TRUTH, noise=0)).trusts
    assert 0.9 < half.tau.mean < 1


def test_means_that_differ_in_their_last_bits_are_tied():
    values = np.array([[0.1, 0.3, 0.5], [0.2, 0.2, 0.5], [0.3, 0.1, 0.5]])
    one, other = (Scores(np.arange(3, dtype=np.int32), each) for each in (values, values[:, [1, 0, 2]]))
    assert one.means[0] != one.means[1]
    (trust,) = SplitTrust(MODELS[:3], "ndcg@10", 3, one, {"a": other}).trusts
    assert trust.tau.mean == 1  # of the two pairs that are not tied


def test_a_model_without_a_score_is_left_out_of_that_split_alone():
    holed = scores(TRUTH, seed=3)
    holed.values[:, 5] = np.nan
    trusts = {each.split: each for each in study({"holed": holed, "whole": scores(TRUTH, seed=4)}).trusts}
    assert (trusts["holed"].models, trusts["whole"].models) == (11, 12)
    assert trusts["holed"].tau.mean > 0.9 and np.isfinite(trusts["holed"].gap)
    assert trusts["holed"].tau.low == pytest.approx(trusts["whole"].tau.low, abs=0.1)


def test_the_splits_own_models_are_held_against_the_hidden_part_too():
    (trust,) = study({"a": scores(TRUTH, seed=1)}, own={"a": scores(TRUTH - 0.02, seed=5)}).trusts
    assert trust.own_tau > 0.9 and trust.own_gap == pytest.approx(0.02, abs=0.02)


def test_what_is_laid_aside_is_in_no_part_that_a_strategy_makes():
    events = generated(repeats=True)
    aside = LaidAside.of(events, HiddenSettings(last=2, random=2))
    laid = set(zip(aside.events.users[aside.hidden], aside.events.items[aside.hidden], strict=True))
    rest = set(zip(aside.rest.users, aside.rest.items, strict=True))
    assert laid and not laid & rest
    split = Holdout(last=2, random=2, valid_last=2, valid_random=2).split(aside.rest)
    known = aside.known_to(split)
    assert np.array_equal(known.train.items, split.train.items)
    assert (
        len(known.test.histories.items) == (~aside.hidden)[np.isin(aside.events.users, known.test.targets.users)].sum()
    )
    assert len(known.events(Part.TEST)) == len(laid)


def test_each_users_latest_films_are_laid_aside_and_others_drawn_with_draws_of_their_own():
    rows = [(user, film, film) for user in range(30) for film in range(20)]
    aside = LaidAside.of(of_rows(rows, 20), HiddenSettings(last=2, random=2))
    hidden = aside.hidden.reshape(30, 20)
    assert hidden[:, -2:].all() and (hidden.sum(axis=1) == 4).all()
    other = LaidAside.of(of_rows(rows, 20), HiddenSettings(last=2, random=2, seed=0))
    assert not np.array_equal(aside.hidden, other.hidden)


def test_users_that_a_split_holds_out_whole_are_newcomers_with_all_their_history():
    aside = LaidAside.of(generated(), HiddenSettings(last=1, random=1))
    split = Strong().split(aside.rest)
    known = aside.known_to(split)
    newcomers = known.test.histories.users < 0
    assert newcomers.any() and not newcomers.all()
    assert (known.test.histories.lengths[newcomers] > 0).all()
    assert len(aside.trained_on_rest.train) == len(aside.rest)
    assert len(LeaveOneOut().split(aside.rest).valid) > 0


def test_where_nobody_can_hide_a_film_the_study_says_what_to_do():
    with pytest.raises(ValueError, match="raise most_share"):
        LaidAside.of(of_rows([(0, 0, 0), (0, 1, 1)]), HiddenSettings())
