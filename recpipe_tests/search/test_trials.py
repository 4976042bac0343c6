"""Trials of a study: which are tried, which count, what ends them early, and what is tried again."""

import subprocess
import sys
import time
from functools import partial
from types import SimpleNamespace

import optuna
import pytest
from filelock import FileLock
from optuna.trial import TrialState

from recpipe.evaluation.evaluate import validator
from recpipe.recipe import silent
from recpipe.search.settings import SearchSettings
from recpipe.search.study import (
    AGAIN,
    FIGURES,
    REASON,
    SETTINGS,
    NoStorage,
    Studies,
    begin,
    finished,
    hopeless,
    lose_dead,
    queue_once,
    repeat_lost,
    trials,
)
from recpipe.search.trials import Circumstances, OutOfTime, fitted, try_settings
from recpipe_tests.search.toys import WORLD, Climbing, Toy, in_memory, mixed, question

NOW = Circumstances()


@pytest.fixture
def turn(tmp_path):
    return FileLock(tmp_path / "turn.lock")


@pytest.fixture(autouse=True)
def forgotten():
    Toy.fits.clear()
    Climbing.heard.clear()


def settings_of(study):
    return [trial.user_attrs[SETTINGS] for trial in finished(study)]


def queue_shipped(study, asked):
    queue_once(study, asked.space.params(asked.space.shipped), asked.space.shipped)


def call(study, asked, wanted, turn):
    """As a call of the search does it."""
    given_up = hopeless(study)
    queue_shipped(study, asked)
    repeat_lost(study, failed_too=given_up)
    try_settings(study, asked, NOW, wanted, turn)


def failing_at(alphas):
    fit = Toy.fit

    def fails(self, train, run):
        if self.alpha in alphas:
            raise MemoryError("no room")
        return fit(self, train, run)

    return fails


def test_one_process_and_one_seed_give_the_same_trials_and_another_seed_others(turn):
    studies = [in_memory(seed) for seed in (7, 7, 8)]
    for study in studies:
        try_settings(study, question(), NOW, 6, turn)
    first, again, other = [[(trial.params, trial.value) for trial in study.trials] for study in studies]
    assert first == again
    assert first[0] != other[0]
    assert len({trial["alpha"] for trial, _ in first}) == 6


def test_a_search_in_two_calls_tries_what_one_call_tries(turn):
    whole, halves = in_memory(), in_memory()
    try_settings(whole, question(), NOW, 6, turn)
    for wanted in (3, 6):
        halves.sampler = type(halves.sampler)(0, 3)
        try_settings(halves, question(), NOW, wanted, turn)
    assert settings_of(whole) == settings_of(halves)


def test_trials_asked_for_are_a_total(turn):
    study = in_memory()
    for wanted, there in ((2, 2), (5, 5), (5, 5), (3, 5)):
        try_settings(study, question(), NOW, wanted, turn)
        assert len(finished(study)) == there
    assert len(Toy.fits) == 5


def test_the_settings_of_now_are_the_first_trial_and_queued_once(turn):
    study, asked = in_memory(), question(Toy(alpha=0.123456))
    for _ in range(2):
        queue_shipped(study, asked)
    try_settings(study, asked, NOW, 3, turn)
    queue_shipped(study, asked)
    assert settings_of(study)[0] == {"alpha": 0.123456, "beta": 0.5}
    assert len(study.trials) == 3


def test_a_trial_scores_what_the_validator_says_as_a_mean_over_its_seeds(turn):
    study, asked = in_memory(), question(Climbing(alpha=0.6), seeds=(4, 5))
    queue_shipped(study, asked)
    try_settings(study, asked, NOW, 1, turn)
    validate = validator(WORLD.held_out, "ndcg@10")
    scores = [validate(mixed(WORLD.train, 0.6, seed)) for seed in (4, 5)]
    assert scores[0] != scores[1]
    assert study.trials[0].value == pytest.approx(sum(scores) / 2, abs=0)
    assert study.trials[0].user_attrs[FIGURES]["scores"] == scores


def test_what_is_found_beats_the_settings_of_now(turn):
    study, asked = in_memory(), question(Toy(alpha=0.0))
    queue_shipped(study, asked)
    try_settings(study, asked, NOW, 12, turn)
    assert study.best_value > study.trials[0].value
    assert study.best_params["alpha"] > 0.5


def test_a_trial_below_half_of_the_others_ends_at_that_epoch_and_its_best_one_counts(turn):
    study = in_memory(pruner=optuna.pruners.MedianPruner(2, 2))
    for alpha in (0.8, 0.9, 0.1):
        study.enqueue_trial({"alpha": alpha, "beta": 0.5})
    try_settings(study, question(Climbing()), NOW, 3, turn)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED]
    assert [epoch for alpha, epoch in Climbing.heard if alpha == 0.1] == [1, 2]  # of five
    assert study.trials[2].value == pytest.approx(0.2)


def test_only_the_first_seeds_epochs_prune(turn):
    study, asked = in_memory(pruner=optuna.pruners.MedianPruner(0, 0)), question(Climbing(), seeds=(0, 1))
    try_settings(study, asked, NOW, 1, turn)
    assert study.trials[0].state is TrialState.COMPLETE
    assert len(Climbing.heard) == 10
    assert len(study.trials[0].intermediate_values) == 5


def test_settings_that_are_refused_fail_with_the_reason_and_the_search_goes_on(turn, monkeypatch):
    monkeypatch.setattr(Toy, "refused", 0.9)
    study = in_memory()
    for alpha in (0.95, 0.5, 0.4):
        study.enqueue_trial({"alpha": alpha, "beta": 0.5})
    try_settings(study, question(), NOW, 3, turn)
    assert study.trials[0].user_attrs[REASON] == "ValueError: alpha 0.95 is too much"
    assert [trial.state.name for trial in finished(study)] == ["FAIL", "COMPLETE", "COMPLETE"]


def test_where_the_first_trials_all_fail_the_search_says_why_and_stops(turn, monkeypatch):
    monkeypatch.setattr(Toy, "refused", -1.0)
    with pytest.raises(
        ValueError, match=r"first 3 trials failed, so it is not their settings: ValueError: alpha .* too"
    ):
        try_settings(in_memory(), question(), NOW, 10, turn)
    assert len(Toy.fits) == 3


def test_a_call_after_the_cause_is_mended_tries_again_what_failed(turn, monkeypatch):
    monkeypatch.setattr(Toy, "refused", -1.0)
    study, asked = in_memory(), question(Toy(alpha=0.2))
    called = partial(call, study, asked, 3, turn)
    for _ in range(2):
        Toy.fits.clear()
        with pytest.raises(ValueError, match="first 3 trials failed"):
            called()
        assert len(Toy.fits) == 3
    failed = settings_of(study)
    monkeypatch.setattr(Toy, "refused", 2.0)
    called()
    assert settings_of(study) == failed
    assert failed[0] == asked.space.shipped
    assert [trial.state for trial in finished(study)] == [TrialState.COMPLETE] * 3


def test_the_settings_of_now_are_tried_again_where_they_failed_and_others_are_not(turn, monkeypatch):
    study, asked = in_memory(), question(Toy(alpha=0.2))
    monkeypatch.setattr(Toy, "fit", failing_at({0.2, 0.7}))
    queue_shipped(study, asked)
    for alpha in (0.7, 0.8):
        study.enqueue_trial({"alpha": alpha, "beta": 0.5})
    try_settings(study, asked, NOW, 3, turn)
    monkeypatch.undo()
    call(study, asked, 4, turn)
    assert [trial.params["alpha"] for trial in finished(study)[:3]] == [0.7, 0.8, 0.2]
    assert [trial.state.name for trial in finished(study)] == ["FAIL", "COMPLETE", "COMPLETE", "COMPLETE"]
    assert len(study.trials) == 5


def test_the_settings_of_now_are_never_pruned_and_measured_where_they_were(turn):
    study = in_memory(pruner=optuna.pruners.MedianPruner(2, 2))
    for alpha in (0.8, 0.9, 0.1):
        study.enqueue_trial({"alpha": alpha, "beta": 0.5})
    try_settings(study, question(Climbing()), NOW, 3, turn)
    assert study.trials[2].state is TrialState.PRUNED
    call(study, question(Climbing(alpha=0.1)), 3, turn)  # now it is what the YAML says
    assert [trial.state for trial in finished(study)] == [TrialState.COMPLETE] * 3
    assert finished(study)[2].params["alpha"] == 0.1
    assert study.trials[3].intermediate_values.keys() == {1, 2, 3, 4, 5}


def test_a_trial_that_the_end_of_the_time_cuts_short_does_not_count_and_is_tried_again(turn):
    study, asked = in_memory(), question(Climbing())
    queue_shipped(study, asked)
    cut = Circumstances(goes_on=lambda: len(Climbing.heard) < 2)
    try_settings(study, asked, cut, 5, turn)
    assert finished(study) == []
    assert len(study.trials) == 1
    repeat_lost(study)
    repeat_lost(study)  # a second look queues nothing more
    try_settings(study, asked, Circumstances(), 1, turn)
    assert settings_of(study) == [asked.space.shipped]
    assert study.trials[1].user_attrs[AGAIN] == 0


def test_a_training_cut_by_its_own_time_counts_and_one_cut_by_the_searchs_does_not(turn):
    study = in_memory()
    try_settings(study, question(Climbing()), Circumstances(trial_seconds=60.0), 1, turn)
    assert len(Climbing.heard) == 2
    assert [trial.state for trial in finished(study)] == [TrialState.COMPLETE]
    with pytest.raises(OutOfTime):
        fitted(Climbing(), 0, question(), Circumstances(until=time.time() + 60), silent)


def test_a_part_that_the_searchs_end_cut_is_not_a_whole_training_either(monkeypatch):
    def fit(self, train, run):
        run.report(product_best_epoch=1, product_stopped="time budget")
        run.report(best_epoch=1, stopped="patience")
        return mixed(train, self.alpha, 0)

    monkeypatch.setattr(Toy, "fit", fit)
    fitted(Toy(), 0, question(), Circumstances(trial_seconds=60.0), silent)
    with pytest.raises(OutOfTime):
        fitted(Toy(), 0, question(), Circumstances(until=time.time() + 60), silent)


def test_time_is_kept_for_measuring_again_but_half_of_it_is_the_searchs(turn, monkeypatch):
    clock = SimpleNamespace(time=lambda: float(len(Toy.fits)), monotonic=lambda: float(len(Toy.fits)))
    monkeypatch.setattr("recpipe.search.trials.time", clock)  # every fit takes a second
    for spare, tried in ((0, 10), (1, 8), (2, 6), (1000, 5)):
        Toy.fits.clear()
        study = in_memory()
        study.enqueue_trial({"alpha": 0.0, "beta": 0.5})
        try_settings(study, question(), Circumstances(until=10.0), 1000, turn, spare)
        assert len(finished(study)) == tried


def test_no_time_is_kept_where_nothing_is_better_than_the_first(turn, monkeypatch):
    clock = SimpleNamespace(time=lambda: float(len(Toy.fits)), monotonic=lambda: float(len(Toy.fits)))
    monkeypatch.setattr("recpipe.search.trials.time", clock)
    study, alike = in_memory(), question(own={"alpha": None})
    try_settings(study, alike, Circumstances(until=10.0), 1000, turn, spare=1000)
    assert len(finished(study)) == 10


def test_an_interrupted_trial_is_not_left_under_way(turn, monkeypatch):
    def interrupted(self, train, run):
        raise KeyboardInterrupt

    monkeypatch.setattr(Toy, "fit", interrupted)
    study = in_memory()
    with pytest.raises(KeyboardInterrupt):
        try_settings(study, question(), NOW, 3, turn)
    assert [trial.state for trial in study.trials] == [TrialState.FAIL]
    assert trials(study) == []


def test_a_search_that_is_not_wanted_any_more_ends_within_its_trial(turn):
    wanted = iter([True] * 4 + [False] * 100)
    study = in_memory()
    try_settings(study, question(Climbing(epochs=1000)), Circumstances(goes_on=lambda: next(wanted)), 5, turn)
    assert len(Climbing.heard) < 5
    assert trials(study) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from recpipe.search.settings import SearchSettings
from recpipe.search.study import Studies, begin
study = Studies(Path(sys.argv[1])).study("a|b|c", SearchSettings(), 0)
for begun in (True, False):
    trial = study.ask()
    settings = {"alpha": trial.suggest_float("alpha", 0.0, 1.0), "beta": trial.suggest_float("beta", 0.0, 1.0)}
    if begun:
        begin(trial, settings)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is not of this system")
def test_what_a_killed_process_had_under_way_is_tried_again_and_counts_once(tmp_path, turn):
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, text=True)
    assert killed.returncode == -9, killed.stderr
    study = Studies(tmp_path).study("a|b|c", SearchSettings(), 0)
    left = [trial.params for trial in study.trials]
    assert [trial.state for trial in study.trials] == [TrialState.RUNNING] * 2
    assert lose_dead(study) == 2
    repeat_lost(study)
    try_settings(study, question(), NOW, 3, turn)
    done = finished(study)
    assert [trial.params for trial in done[:2]] == left
    assert len(done) == 3
    assert lose_dead(study) == 0


def test_a_living_process_keeps_its_trial(turn):
    study = in_memory()
    trial = study.ask()
    begin(trial, question().space.suggested(trial))
    assert lose_dead(study) == 0
    try_settings(study, question(), NOW, 2, turn)  # it counts among those that are wanted
    assert len(Toy.fits) == 1


def test_a_data_base_that_does_not_answer_is_told_without_its_address(tmp_path):
    studies = Studies(tmp_path, f"sqlite:///{tmp_path}/nowhere/secret.db")
    with pytest.raises(NoStorage, match=r"RECPIPE_SEARCH_STORAGE") as told:
        studies.storage()
    assert "secret" not in str(told.value)
    assert told.value.__cause__ is None
    assert told.value.__suppress_context__


def test_the_address_stays_out_of_what_settings_print():
    assert "secret" not in repr(SearchSettings(storage="postgresql://me:secret@host/db"))
