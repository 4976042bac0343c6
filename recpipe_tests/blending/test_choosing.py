from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml

import recpipe
from recpipe.blending.blend import Blend, blend
from recpipe.blending.choosing import choose
from recpipe.blending.pages import markdown
from recpipe.blending.settings import EnsembleSettings
from recpipe.evaluation.metrics import METRICS, Targets
from recpipe.evaluation.ranking import Ranking, rank
from recpipe.storage import content_digest
from recpipe_tests.evaluation.scorers import Known, hidden

N_USERS, N_ITEMS = 300, 80
METHODS = ("rrf", "borda", "minmax", "zscore")


def world(noises: dict[str, float], seed: int = 0):
    """Members that see what users like through independent noise of their own size; lists of 30, and the targets."""
    random = np.random.default_rng(seed)
    liking = random.normal(size=(N_USERS, N_ITEMS))
    targets = np.argsort(-liking, axis=1)[:, :5].tolist()
    held_out = hidden([[]] * N_USERS, targets, N_ITEMS)
    lists = {}
    for name, noise in noises.items():
        seen = (liking + noise * random.normal(size=liking.shape)).astype(np.float32)
        lists[name] = rank(Known(seen), held_out.histories, 30)
    return lists, held_out


def settings(lists: dict[str, Ranking], **changes) -> EnsembleSettings:
    return EnsembleSettings(**{"members": tuple(lists), "metric": "ndcg@10", "candidates": 30} | changes)


@pytest.mark.parametrize("method", METHODS)
def test_members_that_err_independently_are_blended_and_win_on_new_users_too(method):
    lists, held_out = world({"a": 1.0, "b": 1.0, "c": 1.1})
    chosen = choose(lists, held_out, settings(lists, method=method))
    assert chosen.kept and chosen.difference.low > 0 and len(chosen.weights) >= 2
    assert sum(chosen.weights.values()) == pytest.approx(1)
    assert "The blend is used" in chosen.verdict
    fresh, fresh_users = world({"a": 1.0, "b": 1.0, "c": 1.1}, seed=1)
    wanted = Targets.of(fresh_users.targets)

    def ndcg(ranking: Ranking) -> float:
        return float(METRICS["ndcg"](wanted.hits(ranking.items[:, :10]), wanted.counts).mean())

    assert ndcg(blend(fresh, chosen, fresh_users.histories, 10)) > max(map(ndcg, fresh.values())) + 0.02


def test_a_blend_that_is_worse_than_its_best_member_is_not_used():
    lists, held_out = world({"bad": 30.0, "good": 0.3, "worse": 50.0})
    chosen = choose(lists, held_out, settings(lists, search="none"))
    assert not chosen.kept and chosen.difference.high < 0
    assert chosen.used == {"good": 1.0} and chosen.best_single == "good"
    assert "not used" in chosen.verdict and "good is used alone" in chosen.verdict
    assert blend(lists, chosen, held_out.histories, 10).items.tolist() == lists["good"].items[:, :10].tolist()


def test_a_gain_within_the_noise_is_not_used():
    lists, held_out = world({"good": 0.3, "noise": 40.0})
    chosen = choose(lists, held_out, settings(lists))
    assert not chosen.kept and chosen.used == {"good": 1.0}


def test_the_search_gives_noise_no_weight_to_speak_of():
    lists, held_out = world({"noise": 40.0, "a": 1.0, "b": 1.0})
    chosen = choose(lists, held_out, settings(lists))
    assert chosen.kept and chosen.weights.get("noise", 0) <= 0.05


def test_each_step_of_the_search_is_better_than_the_one_before():
    lists, held_out = world({"a": 1.0, "b": 1.2, "c": 1.4})
    path = choose(lists, held_out, settings(lists)).path
    reached = [score for _, score in path]
    assert path[0][0] == "a" and len(path) > 1
    assert all(later > earlier for earlier, later in pairwise(reached))


def test_the_path_ends_where_the_blend_stands_on_the_users_it_searched_on():
    lists, held_out = world({"a": 1.0, "b": 1.0, "c": 1.0})
    chosen = choose(lists, held_out, settings(lists))
    searched = Targets.of(held_out.targets)
    told = METRICS["ndcg"](searched.hits(blend(lists, chosen, held_out.histories, 10).items), searched.counts).mean()
    assert chosen.path[-1][1] == pytest.approx(told, abs=1e-6)


def test_the_blend_is_judged_by_users_that_its_weights_have_not_seen():
    lists, held_out = world({f"noise_{n}": 1000.0 for n in range(8)})
    chosen = choose(lists, held_out, settings(lists))
    alone = chosen.member_scores[chosen.best_single]
    assert chosen.path[-1][1] > alone  # what the search believes to have gained from noise
    assert chosen.score < alone and not chosen.kept


def test_one_member_is_used_alone():
    lists, held_out = world({"only": 1.0})
    chosen = choose(lists, held_out, settings(lists))
    assert chosen.used == {"only": 1.0} and not chosen.kept and chosen.difference.mean == 0
    assert "no other member adds to only" in chosen.verdict


def test_the_same_lists_give_the_same_blend_and_the_same_bytes(tmp_path):
    lists, held_out = world({"a": 1.0, "b": 1.0})
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        chosen = choose(lists, held_out, settings(lists), split_digest="f" * 64)
        chosen.write(tmp_path / name)
    assert content_digest(tmp_path / "first") == content_digest(tmp_path / "second")
    assert Blend.read(tmp_path / "first") == chosen


def test_the_page_tells_verdict_members_reasons_and_path():
    lists, held_out = world({"a": 1.0, "b": 1.0})
    chosen = choose(lists, held_out, settings(lists))
    text = markdown(chosen)
    assert text.startswith(chosen.verdict) and "| a |" in text
    assert chosen.reasons["a"] in text and "the greedy search, step by step](data:image/png" in text


def test_a_member_of_the_blend_stays_for_what_is_lost_without_it_and_the_others_have_their_reason_too():
    lists, held_out = world({"a": 1.0, "b": 1.0, "noise": 1000.0})
    chosen = choose(lists, held_out, settings(lists))
    assert chosen.kept and set(chosen.used) == {"a", "b"}
    wanted = Targets.of(held_out.targets)
    alone = METRICS["ndcg"](wanted.hits(lists["b"].items[:, :10]), wanted.counts).mean()
    assert chosen.reasons["a"].startswith(f"without it {alone - chosen.path[-1][1]:+.4f} [-")
    assert chosen.reasons["noise"] == "no share of it made the blend better"


def test_where_the_blend_is_not_used_the_reasons_say_so():
    lists, held_out = world({"good": 0.3, "noise": 40.0})
    reasons = choose(lists, held_out, settings(lists)).reasons
    assert reasons["good"] == "the best alone" and "not better beyond the noise" in reasons["noise"]


def test_members_without_lists_are_named():
    lists, held_out = world({"a": 1.0, "b": 1.0})
    chosen = choose(lists, held_out, settings(lists))
    with pytest.raises(ValueError, match="the lists of b are missing"):
        choose({"a": lists["a"]}, held_out, settings(lists))
    with pytest.raises(ValueError, match="the lists of a, b are not of the 3 users"):
        blend(lists, chosen, held_out.histories.rows(slice(0, 3)), 10)
    with pytest.raises(ValueError, match="the lists of b are missing"):
        blend({"a": lists["a"]}, chosen, held_out.histories, 10)


def test_the_lists_do_not_depend_on_the_blocks(monkeypatch):
    lists, held_out = world({"a": 1.0, "b": 1.0})
    chosen = choose(lists, held_out, settings(lists))
    whole = blend(lists, chosen, held_out.histories, 10)
    monkeypatch.setattr("recpipe.blending.blend.ROWS_A_BLOCK", 7)
    np.testing.assert_array_equal(blend(lists, chosen, held_out.histories, 10).items, whole.items)


def test_lists_shorter_than_k_are_padded():
    lists, held_out = world({"only": 1.0})
    chosen = choose(lists, held_out, settings(lists))
    padded = blend(lists, chosen, held_out.histories, 32)
    assert padded.items.shape == (N_USERS, 32) and (padded.items[:, 30:] == -1).all()


def test_the_settings_that_are_delivered_are_right():
    path = Path(recpipe.__file__).parent / "conf" / "ensemble.yaml"
    told = EnsembleSettings(**yaml.safe_load(path.read_text(encoding="utf-8")))
    assert told.split == "holdout"
    assert told.k == 10
    assert len(told.members) > 1


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"members": ()}, "at least 1 item"),
        ({"members": ("a", "a")}, "named twice: a"),
        ({"metric": "ndgc@10"}, "did you mean ndcg@10"),
        ({"candidates": 10, "k": 20, "method": "rrf"}, "at least 20"),
        ({"candidates": 20, "k": 20, "method": "minmax"}, "minmax want at least 21"),
        ({"candidates": 20, "metric": "ndcg@20"}, "zscore want at least 21"),
        ({"method": "mean"}, "rrf"),
        ({"switch_by": "age"}, "recent"),
        ({"memebrs": ("a",)}, "Extra inputs"),
    ],
)
def test_wrong_settings_are_refused(changes, told):
    with pytest.raises(ValueError, match=told):
        EnsembleSettings(**{"members": ("a", "b")} | changes)


@pytest.mark.parametrize("method", ["rrf", "borda"])
def test_places_count_for_the_last_film_too_so_that_no_more_candidates_than_are_handed_in_will_do(method):
    assert EnsembleSettings(members=("a", "b"), candidates=10, method=method).candidates == 10
