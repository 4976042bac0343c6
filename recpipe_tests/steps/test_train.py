"""One model on one split, without Dagster."""

import json

import numpy as np
import pytest
import yaml

from recpipe.claims import TooLarge
from recpipe.conf_files import RunSettings
from recpipe.costs import Cost
from recpipe.data.training_set import TrainingSet
from recpipe.evaluation.evaluate import evaluate
from recpipe.lineage import Lineage, model_node
from recpipe.models.factors.ials import Ials
from recpipe.models.factors.mf import Mf
from recpipe.models.linear.ease import Ease
from recpipe.recipe import Recipe
from recpipe.scoring.item_weights import ItemWeights
from recpipe.steps.train import TrainedModel, device, refit_epochs, train, training_set
from recpipe.storage import Missing
from recpipe.training.checkpoint import read, write
from recpipe.training.journal import Journal
from recpipe.training.pretraining import stage
from recpipe.versions import code_version
from recpipe.yaml_files import SettingsError


@pytest.fixture
def parts(built):
    return built.store.read("split", "holdout")


class Constant(Recipe):
    """A recipe whose scores are all alike."""

    def fit(self, train, run):
        return ItemWeights(np.zeros((train.n_items, train.n_items), dtype=np.float32))

    def cost(self, shape):
        return Cost(4 * shape.n_items**2, 0.0)


def fitted(recipe, parts, **circumstances):
    return train(recipe, parts, TrainingSet(parts.train), RunSettings(device="cpu", threads=1), **circumstances)


def test_a_trained_model_comes_back_from_its_folder_with_the_same_scores(parts, tmp_path):
    trained = fitted(Mf(epochs=2, embedding_size=4), parts)
    trained.write(tmp_path)
    again = TrainedModel.read(tmp_path)
    asked = parts.valid.histories.rows(slice(0, 7))
    np.testing.assert_array_equal(again.scorer.scores(asked), trained.scorer.scores(asked))
    assert again.recipe == trained.recipe
    assert [row["epoch"] for row in again.journal.epochs] == [1, 2]
    assert again.figures == trained.figures


def test_a_model_beyond_the_memory_limit_is_refused_before_it_starts_and_told_what_to_set(parts, monkeypatch):
    monkeypatch.setattr(Ease, "fit", lambda *_: pytest.fail("it was started"))
    few_bytes = RunSettings(device="cpu", threads=1, memory_limit=0.01)
    told = r"ease: about \d+ MiB of memory are wanted, and 10 MiB may be taken \(memory_limit.*precision: float32"
    with pytest.raises(TooLarge, match=told):
        train(Ease(), parts, TrainingSet(parts.train), few_bytes)


def test_a_fit_holds_its_claim_while_it_runs_and_no_longer(parts, tmp_path, monkeypatch):
    seen = []
    fit = Constant.fit

    def looking(self, data, run):
        seen.extend(json.loads(path.read_text())["what"] for path in tmp_path.glob("*.json"))
        return fit(self, data, run)

    monkeypatch.setattr(Constant, "fit", looking)
    fitted(Constant(), parts, claims=tmp_path)
    assert seen == ["constant"]
    assert list(tmp_path.glob("*.json")) == []


def test_figures_tell_time_memory_size_and_where_training_stopped(parts):
    figures = fitted(Mf(epochs=2, embedding_size=4), parts).figures
    assert figures["seconds"] > 0
    assert figures["stopped"] == "epochs"
    assert figures["best_epoch"] in {1, 2}
    assert figures["parameters"] > 4 * (120 + 60)


def test_a_refit_learns_exactly_the_epochs_asked_for_and_validates_nothing(parts):
    trained = fitted(Mf(epochs=50, embedding_size=4), parts, epochs=3)
    assert [row["valid"] for row in trained.journal.epochs] == [None, None, None]


@pytest.mark.filterwarnings("ignore:.*encountered in matmul:RuntimeWarning")
def test_a_model_whose_loss_is_not_finite_is_kept_with_a_warning(parts):
    trained = fitted(Mf(epochs=5, embedding_size=4, learning_rate=1e38), parts)
    assert any("finite" in warning for warning in trained.warnings)
    assert trained.figures["stopped"] in {"non-finite loss", "non-finite scores"}
    assert np.isfinite(trained.scorer.scores(parts.valid.histories)).all()


def test_problems_and_notes_of_parts_trained_first_are_warnings_too(parts, monkeypatch):
    def fails(self, data, run):
        part = stage(run, "product", 1)
        part.report(note="the disk is full")
        part.report(problem="it failed")
        run.report(problem="it failed later")
        return Constant().fit(data, run)

    monkeypatch.setattr(Mf, "fit", fails)
    warnings = fitted(Mf(), parts).warnings
    assert warnings[:2] == ("product: it failed; it failed later", "product: the disk is full")


@pytest.mark.parametrize(("recipe", "remedy"), [(Mf, "a lower learning_rate"), (Ials, "more regularization")])
def test_what_is_advised_is_a_setting_that_the_recipe_has(parts, monkeypatch, recipe, remedy):
    def fails(self, data, run):
        run.report(epoch=1, loss=np.nan, valid=None)
        return Constant().fit(data, run)

    monkeypatch.setattr(recipe, "fit", fails)
    assert f"not a finite number ({remedy} usually helps)" in fitted(recipe(), parts).warnings[0]


def test_the_seconds_before_a_kill_count_among_those_of_the_model(parts, tmp_path, monkeypatch):
    class Killed(KeyboardInterrupt):
        pass

    report = Journal.report

    def dies(self, **numbers):
        report(self, **numbers)
        if numbers.get("epoch") == 3:
            raise Killed

    recipe = Mf(epochs=4, embedding_size=4)
    settings = RunSettings(device="cpu", threads=1, checkpoint_every=0)
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(Journal, "report", dies)
        train(recipe, parts, TrainingSet(parts.train), settings, checkpoints=tmp_path)
    tensors, told = read(tmp_path / "1.safetensors")
    write(tmp_path / "1.safetensors", tensors, told | {"seconds": 3600.0})
    resumed = train(recipe, parts, TrainingSet(parts.train), settings, checkpoints=tmp_path)
    assert 3600 < resumed.figures["seconds"] < 3660
    assert resumed.journal.closing["resumed_from"] == 2
    assert resumed.figures["epochs"] == 4


def test_collapsed_predictions_are_a_warning(parts):
    trained = fitted(Constant(), parts)
    assert any("nearly equal" in warning or "same list" in warning for warning in trained.warnings)


def test_a_refit_wants_the_number_of_epochs_that_validation_found(built):
    lineage = Lineage(built)
    assert (
        refit_epochs(lineage, "mf", "full", Mf())
        == built.store.need("trained_model", "mf|holdout").figures["best_epoch"]
    )
    assert refit_epochs(lineage, "mf", "holdout", Mf()) is None
    assert refit_epochs(lineage, "ease", "full", Ease()) is None
    with pytest.raises(Missing, match=r"trained_model\[sasrec\|holdout\] found best: train that first"):
        refit_epochs(lineage, "sasrec", "full", Mf())


def test_the_code_of_a_rankers_members_counts_as_its_own(built):
    """It imports them by name: a change of EASE must make the ranker stale, and a change of another recipe must not."""
    members = {"members": {"one": {"recipe": "ease"}, "other": {"recipe": "item_knn"}}}
    (built.conf / "models" / "ranker.yaml").write_text(yaml.safe_dump({"recipe": "boosted_ranker"} | members))
    own = ("recpipe.models.features.boosted_ranker", "recpipe.steps.train")
    of_members = ("recpipe.models.linear.ease", "recpipe.models.neighbours.item_knn")
    code = Lineage(built).versions(model_node("ranker", "holdout"))["code"]
    assert code == code_version(*own, *of_members)
    assert code != code_version(*own)
    (built.conf / "models" / "ranker.yaml").write_text(
        yaml.safe_dump({"recipe": "boosted_ranker", "members": ["ease"]})
    )
    assert Lineage(built).versions(model_node("ranker", "holdout"))["code"] == code_version(*own)
    with pytest.raises(SettingsError, match="members"):
        built.recipe("ranker")


def test_a_ranker_is_trained_stored_and_tells_what_its_trees_split_at(built, tmp_path):
    settings = {"recipe": "boosted_ranker", "members": {"ease": {"recipe": "ease"}}, "trees": 10, "negatives": 5}
    (built.conf / "models" / "ranker.yaml").write_text(yaml.safe_dump(settings))
    parts, recipe = built.store.read("split", "holdout"), built.recipe("ranker")
    trained = train(recipe, parts, training_set(built, recipe, parts), built.run())
    assert not trained.warnings
    assert sum(trained.journal.closing["importance"].values()) == pytest.approx(1.0, abs=1e-4)
    trained.write(tmp_path)
    found = [evaluate(each.scorer, parts.test, parts.train).means() for each in (trained, TrainedModel.read(tmp_path))]
    assert found[0] == found[1]


def test_a_gpu_that_is_not_there_is_refused_and_auto_goes_without(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device("auto") == "cpu"
    with pytest.raises(ValueError, match="torch sees no GPU; use auto or cpu"):
        device("cuda")
