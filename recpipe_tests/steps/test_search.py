"""A model's search in a project: what it may see, which study it goes on with, what it writes and when it refuses."""

import pytest
import yaml

from recpipe.data.parts import Parts
from recpipe.lineage import Lineage, Node, Standing
from recpipe.processes import this_process
from recpipe.search.study import PROCESS, finished
from recpipe.steps.search import Asked, Searching, apply, search, so_far
from recpipe.upkeep import kept
from recpipe.yaml_files import SettingsError

EASE = Asked("ease", "holdout", trials=4)


@pytest.fixture(autouse=True)
def one_thread(request, monkeypatch):
    if "built" in request.fixturenames:
        project = request.getfixturevalue("built")
        path = project.conf / "run.yaml"
        path.write_text(path.read_text().replace("device: auto", "device: cpu").replace("threads: auto", "threads: 1"))


def write_search(project, **settings):
    (project.conf / "search.yaml").write_text(yaml.safe_dump(settings))


def test_the_test_part_is_never_looked_at(built, monkeypatch):
    monkeypatch.setattr(Parts, "test", property(lambda parts: pytest.fail("the test part was looked at")))
    found = search(built, EASE)
    assert len(found.trials) == 4
    assert found.again is None or found.again.same_with_any_seed
    with pytest.raises(pytest.fail.Exception):
        _ = built.store.read("split", "holdout").test  # what is patched is what would be read


def test_the_first_trial_is_the_yaml_and_scores_what_the_training_did(built):
    found = search(built, EASE)
    assert found.default is found.trials[0]
    assert found.default.settings == {"regularization": 20.0, "damping": 0.0, "half_life": None}
    trained = search(built, Asked("mf", "holdout", trials=1))
    best_valid = built.store.need("trained_model", "mf|holdout").figures["best_valid"]
    assert trained.default.score == best_valid


def test_a_second_call_goes_on_and_a_third_finds_all_done(built):
    first = search(built, EASE)
    more = search(built, Asked("ease", "holdout", trials=6))
    assert more.study == first.study
    assert more.trials[:4] == first.trials
    assert len(more.trials) == 6
    again = search(built, EASE)
    assert again.trials == more.trials
    assert so_far(built, EASE) == again


def test_other_data_metric_seeds_and_fixed_settings_are_another_study_and_other_ranges_too(built):
    def name(**more):
        return Searching(built, Asked("ease", "holdout", **more)).name

    own = name()
    assert own == name(trials=99, minutes=5.0, jobs=2)
    assert len({own, name(metric="recall@10"), name(seeds=2)}) == 3
    yaml_of_ease = built.conf / "models" / "ease.yaml"
    yaml_of_ease.write_text("recipe: ease\nregularization: 33.0\n")
    assert name() == own  # the settings of now are a trial, not the study
    yaml_of_ease.write_text("recipe: ease\nregularization: 33.0\nprecision: float32\n")
    assert name() != own
    yaml_of_ease.write_text("recipe: ease\nregularization: 33.0\n")
    write_search(built, spaces={"ease": {"damping": None}})
    assert name() != own


def test_what_is_better_is_written_with_its_story_and_then_is_what_stands(built):
    path = built.conf / "models" / "ease.yaml"
    path.write_text("recipe: ease\n# An old story.\nregularization: 4000.0\nhalf_life: 0.5\n")
    found = search(built, Asked("ease", "holdout", trials=8))
    assert found.is_better
    told = apply(built, found)
    text = path.read_text()
    assert "-# An old story." in told
    assert "old story" not in text
    assert text.startswith("recipe: ease\n# Searched by validation ndcg@10 on the split holdout, study ")
    assert f"best of 8 trials, {found.best.score:.4f}, the settings before {found.default.score:.4f}" in " ".join(
        line.removeprefix("# ") for line in text.splitlines()
    )
    settings = built.recipe("ease").model_dump(mode="json")
    assert {name: settings[name] for name in found.best.settings} == found.best.settings
    later = search(built, Asked("ease", "holdout", trials=8))
    assert (later.study, len(later.trials)) == (found.study, 8)
    assert later.verdict.endswith("with the settings of now")
    with pytest.raises(ValueError, match="nothing better to write"):
        apply(built, later, force=True)


def test_a_search_goes_on_where_the_settings_before_were_out_of_the_range(built):
    path = built.conf / "models" / "ease.yaml"
    path.write_text("recipe: ease\nregularization: 60000.0\nhalf_life: 0.5\n")
    found = search(built, Asked("ease", "holdout", trials=10))
    apply(built, found)
    later = search(built, Asked("ease", "holdout", trials=11))
    assert later.study == found.study
    assert later.trials[:10] == found.trials
    assert len(later.trials) == 11
    assert all(trial.settings["regularization"] <= 5000.0 for trial in later.trials[10:])
    assert set(later.importance) == set(found.importance) == {"damping", "half_life", "regularization"}


def test_a_search_given_up_for_want_of_memory_goes_on_where_there_is_enough(built):
    path = built.conf / "run.yaml"
    before = path.read_text()
    path.write_text(yaml.safe_dump(yaml.safe_load(before) | {"memory_limit": 1e-6}))
    with pytest.raises(ValueError, match="the first 3 trials failed, so it is not their settings: TooLarge: "):
        search(built, EASE)
    path.write_text(before)
    found = search(built, EASE)
    assert found.counts() == {"complete": 4, "pruned": 0, "fail": 0}
    assert found.default is found.trials[0]


def test_what_is_no_better_on_other_seeds_is_written_by_force_alone(built, monkeypatch):
    path = built.conf / "models" / "ease.yaml"
    path.write_text("recipe: ease\nregularization: 4000.0\nhalf_life: 0.5\n")
    found = search(built, Asked("ease", "holdout", trials=6))
    assert found.best.settings != found.shipped
    monkeypatch.setattr(type(found), "is_better", property(lambda each: False))
    before = path.read_text()
    with pytest.raises(ValueError, match=r"nothing better to write into ease.yaml: .*--force writes it all the same"):
        apply(built, found)
    assert path.read_text() == before
    apply(built, found, force=True)
    assert built.recipe("ease").regularization == found.best.settings["regularization"]


def test_other_processes_try_what_is_wanted_and_no_more(built):
    found = search(built, Asked("ease", "holdout", trials=5, jobs=2))
    assert len(found.trials) == 5
    assert found.default is not None
    study = Searching(built, EASE).study
    assert this_process() not in {trial.user_attrs[PROCESS] for trial in finished(study)}


def test_a_space_of_settings_that_the_recipe_has_not_is_a_wrong_setting(built):
    write_search(built, spaces={"popularity": {"damping": {"low": 1.0, "high": 9.0, "log": True}}})
    with pytest.raises(SettingsError, match="popularity: popularity has no setting 'damping'"):
        search(built, Asked("popularity", "holdout"))


def test_a_second_search_of_a_study_under_way_is_refused(built):
    searching = Searching(built, EASE)
    with (
        searching.studies.alone(searching.name),
        pytest.raises(ValueError, match=r"another search goes on .* --show` tells how far"),
    ):
        search(built, EASE)


def test_without_a_validation_part_and_with_a_misspelt_metric_nothing_begins(built):
    with pytest.raises(ValueError, match="the split 'full' has no validation part to search by"):
        search(built, Asked("ease", "full", trials=1))
    with pytest.raises(ValueError, match=r"did you mean ndcg@10"):
        search(built, Asked("ease", "holdout", metric="ndgc@10"))
    assert so_far(built, EASE).trials == ()


def test_a_space_of_a_model_that_is_none_is_a_wrong_setting(built):
    write_search(built, spaces={"eese": {}})
    with pytest.raises(SettingsError, match=r"search.yaml: spaces: no model 'eese'; did you mean 'ease'"):
        built.search()


def test_the_environments_data_base_comes_first_and_is_not_printed(built, monkeypatch):
    write_search(built, storage="sqlite:///a.db")
    monkeypatch.setenv("RECPIPE_SEARCH_STORAGE", "postgresql://me:secret@host/db")
    settings = built.search()
    assert settings.storage.get_secret_value() == "postgresql://me:secret@host/db"
    assert "secret" not in str(settings)


def test_a_search_is_kept_for_looking_at_and_made_by_nothing_but_a_request(built):
    lineage, node = Lineage(built), Node("model_search", "ease|holdout")
    versions = {name: version for name, version in lineage.versions(node).items() if version is not None}
    built.store.write(node.asset, node.partition, search(built, EASE), versions, {})
    assert lineage.state(node).standing is Standing.CURRENT
    path = built.conf / "models" / "ease.yaml"
    path.write_text(path.read_text().replace("20.0", "21.0"))
    assert lineage.state(node).why == ("settings",)
    assert lineage.has(node)
    assert node not in kept(lineage)
