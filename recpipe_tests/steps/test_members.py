"""Models that learned on an earlier version of a split, and splits that were made from earlier interactions."""

from dataclasses import replace

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from recpipe.cli import app
from recpipe.data.preparing import prepare
from recpipe.lineage import Lineage, Node
from recpipe.steps.ensemble import choose_ensemble
from recpipe.steps.evaluate import evaluation_report
from recpipe.steps.look import Wanted, look
from recpipe.steps.members import Outdated, ids_of, scorer_on, scorers_on
from recpipe.steps.raw import read_raw
from recpipe.steps.submit import submission
from recpipe.storage import Missing


def made_from_another(project, asset, partition, source):
    """The artifact's record says so; its content stays."""
    record = project.store.need(asset, partition)
    project.store.publish(replace(record, made_from={**record.made_from, source: "of before"}))


def with_a_newcomer_first(project):
    """Interactions made anew with a user whose id comes before all others', so that every row moves by one."""
    source = project.conf.parent / "delivery" / "train_ratings.csv"
    source.write_text(source.read_text() + "".join(f"1,{100 + film},1000000000\n" for film in range(20)))
    anew = prepare(read_raw(project).ratings, project.dataset().preparation)
    project.store.write("interactions", None, anew, project.store.need("interactions").made_from, {})


def test_a_model_of_an_earlier_split_is_not_used(built):
    made_from_another(built, "trained_model", "mf|holdout", "split[holdout]")
    assert scorer_on(built, "ease", "holdout").serves_newcomers
    with pytest.raises(Outdated, match=r"trained_model\[mf\|holdout\] was made from an earlier version of split\[hold"):
        scorer_on(built, "mf", "holdout")
    with pytest.raises(Missing, match=r"popularity\|full"):
        scorer_on(built, "popularity", "full")
    scorers, notes = scorers_on(built, ["ease", "mf", "lightgcn"], "holdout")
    assert list(scorers) == ["ease"]
    assert notes[0].endswith("`recpipe build` makes it anew: left out")
    assert notes[1] == "lightgcn is not trained and was left out"
    with pytest.raises(ValueError, match="no model can be used on the split 'holdout': trained_model"):
        scorers_on(built, ["mf"], "holdout")


def test_an_ensemble_leaves_out_who_has_seen_films_that_are_hidden_now(built):
    made_from_another(built, "trained_model", "mf|holdout", "split[holdout]")
    chosen = choose_ensemble(built)
    assert list(chosen.blend.member_scores) == ["ease"]
    assert any("trained_model[mf|holdout] was made from an earlier version" in note for note in chosen.notes)


def test_a_report_is_not_made_of_a_model_of_an_earlier_split(built):
    made_from_another(built, "trained_model", "mf|holdout", "split[holdout]")
    with pytest.raises(Outdated):
        evaluation_report(built, "mf", "holdout")


def test_rows_of_earlier_interactions_are_nobody_elses(built):
    before = ids_of(built, "full").users.to_pylist()
    with_a_newcomer_first(built)
    assert ids_of(built).users.to_pylist() == [1, *before]
    for refused in (
        lambda: ids_of(built, "full"),
        lambda: submission(built),
        lambda: look(built, Wanted(users=("7",))),
    ):
        with pytest.raises(Outdated, match=r"split\[\w+\] was made from an earlier version of interactions"):
            refused()
    told = CliRunner().invoke(app, ["recommend", "--user", "7"])
    assert isinstance(told.exception, Outdated)


def test_a_submission_goes_on_without_a_member_that_was_not_refitted(built):
    store = built.store
    both = replace(store.read("ensemble"), kept=True, weights={"ease": 0.25, "mf": 0.75}, switch=None)
    record = store.need("ensemble")
    store.write("ensemble", None, both, record.made_from, record.figures | {"used": both.used})
    refitted = [name for name in ("ease", "mf") if store.record("trained_model", f"{name}|full")]
    assert refitted != ["ease", "mf"]
    made = submission(built)
    assert made.blend.used == {refitted[0]: 1.0}
    assert sum("is not trained and was left out" in note for note in made.notes) == 1
    made_from_another(built, "trained_model", f"{refitted[0]}|full", "split[full]")
    with pytest.raises(ValueError, match="no model can be used on the split 'full'"):
        submission(built)


def test_the_release_years_come_into_the_line_where_lists_are_filtered_by_them(built):
    years = {Node("item_features"), Node("interactions")}
    lineage, path = Lineage(built), built.conf / "ensemble.yaml"
    assert not years & set(lineage.upstream(Node("ensemble")))
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"release_year_filter": True}))
    assert years <= set(lineage.upstream(Node("ensemble")))


def recommended(*words):
    told = CliRunner().invoke(app, ["recommend", "--user", "7", *words])
    assert told.exit_code == 0, told.output
    return [int(line.split()[1]) for line in told.output.splitlines() if line.strip()[:1].isdigit()]


def test_recommendations_leave_out_what_the_submission_leaves_out(built, monkeypatch):
    table = submission(built).submission.table().to_pandas()
    handed_in = table[table["user"] == 7]["item"].tolist()
    assert recommended() == handed_in

    def all_but_the_first(project, settings, split):
        wanted = ids_of(project, split).items.to_numpy() != handed_in[0]
        return lambda histories: np.tile(wanted, (len(histories), 1))

    monkeypatch.setattr("recpipe.steps.ensemble.year_masker", all_but_the_first)
    assert recommended()[:9] == handed_in[1:]


def test_more_films_than_there_are_left_are_as_many_as_there_are(built):
    assert len(recommended("--k", "60", "--model", "ease")) == 40  # the user has watched 20 of the 60
