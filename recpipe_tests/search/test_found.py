"""What a search found: measured again on other seeds, told, drawn, written and read back."""

import json
from dataclasses import replace

import numpy as np
import pytest
import yaml
from filelock import FileLock

from recpipe.evaluation.evaluate import evaluate
from recpipe.recipe import NonFiniteScores
from recpipe.search.pages import changes, markdown, proposal
from recpipe.search.remeasuring import Remeasured, remeasured
from recpipe.search.result import FILE, PROPOSAL, ModelSearch
from recpipe.search.study import queue_once
from recpipe.search.trials import Circumstances, try_settings
from recpipe.storage import VIEWS
from recpipe_tests.search.toys import WORLD, Climbing, Toy, in_memory, mixed, question


def searched(folder, recipe=None, trials=14):
    study, asked = in_memory(), question(recipe or Toy(alpha=0.2))
    queue_once(study, asked.space.params(asked.space.shipped), asked.space.shipped)
    try_settings(study, asked, Circumstances(), trials, FileLock(folder / "turn.lock"))
    return ModelSearch.of(study, "toy", "holdout", "ndcg@10", asked.space.shipped, trials)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return searched(tmp_path_factory.mktemp("found"))


def test_the_gain_is_over_the_settings_of_now_and_the_best_is_the_first_of_equals(found):
    scores = [trial.score for trial in found.complete]
    assert found.default.settings == {"alpha": 0.2, "beta": 0.5}
    assert found.gain == max(scores) - found.default.score > 0
    assert found.best.number == scores.index(max(scores))
    same = replace(found, trials=tuple(replace(trial, score=0.5) for trial in found.trials))
    assert same.best is same.trials[0]
    assert not same.is_better


def test_a_setting_that_decides_is_the_important_one(found):
    assert next(iter(found.importance)) == "alpha"
    assert found.importance["alpha"] > 0.6
    assert sum(found.importance.values()) == pytest.approx(1.0, abs=1e-5)


def test_of_a_few_trials_nothing_is_said_of_importance(tmp_path):
    few = searched(tmp_path, trials=4)
    assert few.importance == {}
    assert "importance" not in markdown(few)


def test_a_failed_and_a_pruned_trial_are_no_best(found):
    high = [
        replace(trial, score=9.0, state=state) for trial, state in zip(found.trials, ("pruned", "fail"), strict=False)
    ]
    mixed_up = replace(found, trials=(*found.trials, *high))
    assert mixed_up.best is found.best
    assert mixed_up.counts() == {"complete": 14, "pruned": 1, "fail": 1}


def test_it_comes_back_from_its_folder_and_the_same_trials_give_the_same_bytes(found, tmp_path):
    again = replace(found, again=remeasured_with(found))
    slower = replace(again, trials=tuple(replace(trial, seconds=trial.seconds + 1) for trial in again.trials))
    for name, each in (("one", again), ("two", slower)):
        (tmp_path / name).mkdir()
        each.write(tmp_path / name)
    assert ModelSearch.read(tmp_path / "one") == again
    assert (tmp_path / "one" / FILE).read_bytes() == (tmp_path / "two" / FILE).read_bytes()
    for picture in ("history.png", "importance.png"):
        assert (tmp_path / "one" / VIEWS / picture).stat().st_size > 5000
    assert yaml.safe_load((tmp_path / "one" / PROPOSAL).read_text()) == dict(found.best.settings)


def test_an_empty_study_is_told_and_drawn(found, tmp_path):
    empty = replace(found, trials=(), importance={})
    assert empty.verdict == "toy: no trial has been measured to its end yet"
    empty.write(tmp_path)
    assert ModelSearch.read(tmp_path) == empty
    assert yaml.safe_load(proposal(empty)) == {}


def test_what_would_change_names_each_setting_once_with_both_values(found):
    assert changes(found)["alpha"] == (0.2, found.best.settings["alpha"])
    other = replace(found, shipped={"alpha": 0.2, "gone": 1})
    assert changes(other) == {"alpha": (0.2, found.best.settings["alpha"]), "beta": (None, found.best.settings["beta"])}


def test_markdown_holds_verdict_settings_and_pictures(found):
    told = markdown(found)
    assert found.verdict in told
    assert f"| alpha | 0.2 | {found.best.settings['alpha']} |" in told
    assert told.count("data:image/png;base64,") == 2


def remeasured_with(found, seeds=(7, 8), circumstances=None, recipe=None):
    asked = question(recipe or Toy(alpha=0.2))
    known = (found.default.score, found.best.score)
    return remeasured(asked, circumstances or Circumstances(), found.best.settings, known, seeds)


def test_a_model_without_chance_is_measured_with_one_seed_and_says_so(found):
    again = remeasured_with(found)
    assert (again.shipped, again.best) == ((found.default.score,), (found.best.score,))
    assert again.same_with_any_seed
    assert "the same with any seed" in str(again)
    assert again.gain == pytest.approx(found.gain)


def test_a_model_without_chance_is_recognised_by_a_mean_of_several_equal_scores(found):
    known = tuple(np.nextafter(score, 1.0) for score in (found.default.score, found.best.score))
    again = remeasured(question(Toy(alpha=0.2)), Circumstances(), found.best.settings, known, (7, 8))
    assert again.same_with_any_seed
    assert again.seeds == (7,)


def refusing(refused):
    fit = Toy.fit

    def fits(self, train, run):
        if run.seed in refused:
            raise NonFiniteScores("nothing but NaN\nin the scores")
        return fit(self, train, run)

    return fits


def test_a_seed_on_which_a_fit_is_refused_leaves_the_others_and_is_told(found, monkeypatch):
    monkeypatch.setattr(Toy, "fit", refusing({7}))
    again = remeasured_with(found, seeds=(7, 8))
    assert again.seeds == (8,)
    assert again.refused == ("seed 7: NonFiniteScores: nothing but NaN",)
    assert again.is_all_of(2)
    assert str(again).endswith("; seed 7: NonFiniteScores: nothing but NaN")
    assert Remeasured.from_json(json.loads(json.dumps(again.json()))) == again


def test_what_is_refused_on_every_other_seed_is_no_ground_to_change_anything(found, monkeypatch):
    monkeypatch.setattr(Toy, "fit", refusing({7, 8}))
    again = remeasured_with(found, seeds=(7, 8))
    none = replace(found, again=again)
    assert again.seeds == ()
    assert not again.is_all_of(2)  # so the next call tries again
    assert not none.is_better
    assert none.verdict.endswith("whole trainings again: refused on every other seed; seed 7: NonFiniteScores: nothing "
                                 "but NaN; seed 8: NonFiniteScores: nothing but NaN")  # fmt: skip
    assert Remeasured.from_json(json.loads(json.dumps(again.json()))) == again


def test_on_other_seeds_the_difference_is_that_of_the_means_by_user(tmp_path):
    found = searched(tmp_path, Climbing(alpha=0.2), trials=8)
    again = remeasured_with(found, recipe=Climbing(alpha=0.2))

    def by_user(alpha, seed):
        return evaluate(mixed(WORLD.train, alpha, seed), WORLD.held_out, WORLD.train.interactions).per_user["ndcg@10"]

    shipped = [by_user(0.2, seed) for seed in (7, 8)]
    best = [by_user(found.best.settings["alpha"], seed) for seed in (7, 8)]
    assert again.seeds == (7, 8)
    assert again.shipped == tuple(float(values.mean()) for values in shipped)
    assert again.best == tuple(float(values.mean()) for values in best)
    difference = sum(best) / 2 - sum(shipped) / 2
    assert again.difference.mean == pytest.approx(difference.mean())
    assert again.difference.low < difference.mean() < again.difference.high
    assert "±" in str(again)


def test_the_best_of_luck_is_no_better(found):
    unlucky = Remeasured((1,), (0.5,), (0.4,), remeasured_with(found).difference)
    assert found.is_better
    assert not replace(found, again=unlucky).is_better


def test_without_time_nothing_is_measured_again_and_the_verdict_says_so(found):
    assert remeasured_with(found, circumstances=Circumstances(until=0.0)) is None
    assert "not measured on other seeds: the same command with more minutes does it" in found.verdict
    none = replace(found, measures_again=False)
    assert none.verdict.endswith("not measured on other seeds: other_seeds is 0")


def test_trainings_that_were_ended_early_are_no_ground_to_change_anything(found):
    early = replace(found, trial_seconds=15.0)
    assert found.is_better
    assert not early.is_better
    assert "14 trials of 15 s" in early.verdict
    assert replace(early, again=remeasured_with(found)).is_better


def test_a_difference_around_nothing_is_called_chance(found):
    again = remeasured_with(found)
    around = replace(again, difference=replace(again.difference, low=-0.1, high=0.1))
    assert "which may be chance" in str(around)
    assert "which may be chance" not in str(replace(again, difference=replace(again.difference, low=0.1, high=0.2)))


def test_what_is_kept_in_the_study_is_what_was_measured(found):
    again = remeasured_with(found)
    assert Remeasured.from_json(json.loads(json.dumps(again.json()))) == again
