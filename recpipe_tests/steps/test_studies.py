"""The studies on a tiny line: what they are made from, what they say, and what makes them stale."""

import dagster as dg
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from recpipe import upkeep
from recpipe.cli import app
from recpipe.instance import dagster_home
from recpipe.lineage import Lineage, Node, Standing, model_node
from recpipe.progress import listening
from recpipe.settings import Project
from recpipe.steps.compare import comparison, duel
from recpipe.steps.robustness import folds_of, robustness_report
from recpipe.steps.split_trust import HIDDEN, split_trust_report
from recpipe.storage import VIEWS, Missing
from recpipe.studies.robustness_report import RobustnessReport
from recpipe.studies.split_trust_report import SplitTrustReport
from recpipe.yaml_files import SettingsError

MODELS = ["ease", "popularity"]


def with_splits(project: Project, **splits: dict) -> None:
    for name, settings in splits.items():
        (project.conf / "splits" / f"{name}.yaml").write_text(yaml.safe_dump(settings))


def with_studies(project: Project, **studies: dict) -> None:
    (project.conf / "studies.yaml").write_text(yaml.safe_dump(studies))


def with_folds(project: Project, of: int = 3) -> None:
    with_splits(project, **{f"f{fold}": {"strategy": "folds", "fold": fold, "of": of} for fold in range(1, of + 1)})
    with_studies(project, robustness={"models": MODELS, "splits": [f"f{fold}" for fold in range(1, of + 1)]})


def with_trust(project: Project, *models: str, **splits: dict) -> None:
    with_splits(project, **splits)
    with_studies(
        project, split_trust={"models": list(models), "splits": list(splits), "hidden": {"last": 2, "random": 2}}
    )


def test_all_pairs_come_from_the_reports_that_stand(built):
    made = comparison(built, "holdout")
    assert sorted(made.models) == ["ease", "mf", "popularity"]
    assert made.table.num_rows == 3
    board = built.store.read("leaderboard", "holdout")
    assert list(made.models) == board.models
    assert list(made.models.values()) == board.table["score"].to_pylist()


def test_a_duel_has_the_scores_of_the_reports_and_a_page_with_titles(built):
    made = duel(built, "ease", "popularity", "holdout")
    reports = [built.store.read("evaluation_report", f"{model}|holdout") for model in MODELS]
    assert [score.mean for score in made.result.scores] == [report.metrics["ndcg@10"].mean for report in reports]
    page = made.page.read_text()
    assert "<em>Film " in page and "genre" in page
    assert made.result.winner == "ease"


def test_a_duel_without_a_training_or_with_an_old_one_is_refused(built):
    with pytest.raises(Missing, match=r"trained_model\[ease\|full\]|split\[none\]"):
        duel(built, "ease", "popularity", "none")
    with pytest.raises(SettingsError, match="did you mean 'ease'"):
        duel(built, "eese", "popularity", "holdout")
    with pytest.raises(ValueError, match="hides no films"):
        duel(built, "ease", "mf", "full")
    record = built.store.need("split", "holdout")
    built.store.publish(type(record)(**{**vars(record), "content": "other"}))
    with pytest.raises(ValueError, match=r"trained_model\[ease\|holdout\] was made from an earlier version of split"):
        duel(built, "ease", "popularity", "holdout")


def test_compare_prints_verdict_and_page_and_refuses_one_name(built):
    def run(*words):
        return CliRunner().invoke(app, ["compare", *words])

    done = run("ease", "popularity")
    assert done.exit_code == 0, done.output
    assert "ease is better than popularity" in " ".join(done.output.split())
    assert (built.home / "studies" / "compare-ease-popularity-holdout.html").exists()
    assert "pairs are told apart" in " ".join(run("--split", "holdout").output.split())
    assert (built.home / "studies" / "comparison-holdout.html").exists()
    assert isinstance(run("ease").exception, SettingsError)


def test_folds_are_the_largest_family_of_one_partition(project):
    with_splits(
        project,
        b={"strategy": "folds", "fold": 2, "of": 4},
        a={"strategy": "folds", "fold": 3, "of": 4},
        z={"strategy": "folds", "fold": 1, "of": 4},
        other={"strategy": "folds", "fold": 1, "of": 4, "seed": 9},
    )
    assert folds_of(project, 3) == ["z", "b", "a"]
    assert folds_of(project, 2) == ["z", "b"]
    with pytest.raises(SettingsError, match=r"--folds: 4 came; .* has 3 folds"):
        folds_of(project, 4)


def test_robustness_is_built_shown_and_goes_stale_with_its_settings(project, planner, monkeypatch):
    with_folds(project)
    lineage, node = Lineage(project), Node("robustness_report")
    assert model_node("ease", "f2", "evaluation_report") in lineage.line_to(node)
    monkeypatch.setenv("DAGSTER_HOME", str(dagster_home(project)))
    done = CliRunner().invoke(app, ["robustness", "--folds", "3", "--models", "popularity,ease"])
    assert done.exit_code == 0, done.output
    assert "ease has the best mean of ndcg@10 over 3 folds" in " ".join(done.output.split())
    report = project.store.read("robustness_report")
    assert isinstance(report, RobustnessReport)
    assert report.study.models == ("ease", "popularity") and report.study.folds == ("f1", "f2", "f3")
    assert report.study.test_to_train == pytest.approx((1 / 3) / (0.9 * 2 / 3), abs=0.06)
    assert "not independent" in (project.store.folder("robustness_report") / VIEWS / "robustness.html").read_text()
    assert lineage.state(node).standing is Standing.CURRENT
    again = robustness_report(project)
    assert np.array_equal(again.study.scores, report.study.scores) and again.table().equals(report.table())
    project.choose_for_study("robustness", splits=["f1", "f3"])
    assert lineage.state(node).why == ("evaluation_report[ease|f2]", "evaluation_report[popularity|f2]", "settings")
    project.choose_for_study("robustness", models=["mf", "ease", "popularity"])
    without_mf = robustness_report(project)
    assert (without_mf.study.folds, without_mf.study.models) == (("f1", "f3"), ("ease", "popularity"))
    assert without_mf.notes == ("mf has no report on f1, f3 as it is now: left out",)


def test_without_two_models_that_have_all_reports_the_study_says_what_is_missing(built):
    with_studies(built, robustness={"models": ["ease", "mf", "popularity"], "splits": ["holdout", "full"]})
    with pytest.raises(ValueError, match=r"mf has no report on full.*`recpipe robustness` makes"):
        robustness_report(built)


def test_the_most_trusted_split_and_its_scores_come_back_as_they_were_written(project, planner):
    holdout = {"strategy": "holdout", "last": 1, "random": 1, "valid_last": 2, "valid_random": 2}
    with_trust(project, *MODELS, holdout=holdout, random={"strategy": "ratio_random"}, strong={"strategy": "strong"})
    node = Node("split_trust_report")
    news: list[dict] = []
    with dg.DagsterInstance.ephemeral() as instance, listening(news.append):
        planner.build(project, [node], instance)
    report = project.store.read("split_trust_report")
    assert isinstance(report, SplitTrustReport)
    assert {trust.split for trust in report.trusts} == {"holdout", "random", "strong"}
    assert all(trust.tau.mean == 1 for trust in report.trusts)  # two tastes: ease finds them everywhere
    assert report.scores.num_rows == 6 and report.scores["own"].null_count == 0
    told = [each for each in news if each["event"] == "study"]
    assert [each["done"] for each in told] == list(range(8)) and told[0]["of"] == 8
    assert "laid aside before" in (project.store.folder("split_trust_report") / VIEWS / "split_trust.html").read_text()
    lineage = Lineage(project)
    assert lineage.state(node).standing is Standing.CURRENT
    assert node not in upkeep.kept(lineage)  # or automation would call it due whenever something changed
    (project.conf / "models" / "ease.yaml").write_text("recipe: ease\nregularization: 30.0\n")
    with_splits(project, random={"strategy": "ratio_random", "seed": 5})
    assert lineage.state(node).why == ("model ease", "split random")


def test_a_killed_study_goes_on_with_the_cells_that_are_done(built, tmp_path, monkeypatch):
    with_trust(built, *MODELS, random={"strategy": "ratio_random"})
    whole = split_trust_report(built, tmp_path / "cells")
    kept = sorted(path.name for path in (tmp_path / "cells").iterdir())
    assert kept == sorted(f"{on}.{model}.npz" for on in ("random", HIDDEN) for model in MODELS)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("it was trained already")

    monkeypatch.setattr("recpipe.steps.split_trust.train", refuse)
    assert split_trust_report(built, tmp_path / "cells").told() == whole.told()


def test_what_a_model_or_a_split_cannot_do_is_noted_and_stops_nothing(built):
    with_trust(
        built, "ease", "mf", "popularity",
        random={"strategy": "ratio_random"}, strong={"strategy": "strong"}, full={"strategy": "full"},
        by_date={"strategy": "by_date", "days": 4000},
    )  # fmt: skip
    report = split_trust_report(built)
    notes = " ".join(report.notes)
    assert "full has no validation part" in notes
    assert "by_date cannot split the rest" in notes and "lower `days`" in notes
    assert "mf on strong" in notes
    trusts = {trust.split: trust for trust in report.trusts}
    assert (trusts["random"].models, trusts["strong"].models) == (3, 2)
    assert "none" in {cell for row in report.score_rows() for cell in row}


def test_the_hidden_films_reach_no_training(built, monkeypatch):
    from recpipe.steps import split_trust
    from recpipe.studies.laid_aside import LaidAside

    with_trust(built, *MODELS, random={"strategy": "ratio_random"}, strong={"strategy": "strong"})
    aside = LaidAside.of(built.store.read("interactions").interactions, built.split_trust().hidden)
    laid = set(zip(aside.events.users[aside.hidden].tolist(), aside.events.items[aside.hidden].tolist(), strict=True))
    real, seen = split_trust.train, []

    def watched(recipe, parts, data, *more, **named):
        events = data.interactions
        seen.append(laid & set(zip(events.users.tolist(), events.items.tolist(), strict=True)))
        if len(parts.valid):
            targets = parts.valid.targets
            rows = np.repeat(targets.users, targets.lengths).tolist()
            seen.append(laid & set(zip(rows, targets.items.tolist(), strict=True)))
        return real(recipe, parts, data, *more, **named)

    monkeypatch.setattr(split_trust, "train", watched)
    split_trust_report(built)
    assert len(seen) == 2 * 2 * 2 + 2 and not any(seen)


def test_what_is_chosen_for_a_study_is_remembered_and_what_cannot_be_is_refused(built):
    built.choose_for_study("robustness", models=MODELS, splits=["holdout", "full"])
    built.choose_for_study("robustness", models=["mf", "ease"], splits=[])
    assert built.robustness().models == ("mf", "ease")
    assert built.robustness().splits == ("holdout", "full")
    before = (built.home / "studies.yaml").read_text()
    for choice, message in (
        ({"models": ["mf", "eese"]}, r"robustness\.models: no model 'eese'; did you mean 'ease'"),
        ({"splits": ["holdout", "ful"]}, r"robustness\.splits: no split 'ful'; did you mean 'full'"),
        ({"models": ["mf", "mf"]}, "named twice: mf"),
        ({"models": ["mf"]}, "at least 2"),
    ):
        with pytest.raises(SettingsError, match=message):
            built.choose_for_study("robustness", **choice)
    assert (built.home / "studies.yaml").read_text() == before
    built.choose_for_study("robustness", models=["mf", "ease", "popularity"])
    (built.conf / "models" / "ease.yaml").unlink()
    assert built.robustness().models == ("mf", "popularity")


def test_the_comparison_of_a_split_is_an_asset_after_its_leaderboard(built, planner):
    node = Node("comparison", "holdout")
    with dg.DagsterInstance.ephemeral() as instance:
        planner.build(built, [node], instance)
    assert built.store.read("comparison", "holdout").table.num_rows == 3
    lineage = Lineage(built)
    assert lineage.state(node).standing is Standing.CURRENT
    assert lineage.has(node) and lineage.has(Node("robustness_report")) and not lineage.has(Node("comparison"))
