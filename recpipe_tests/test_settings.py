"""Settings: every error names file, key and the nearest valid key."""

from pathlib import Path

import pytest

from recpipe.settings import Project
from recpipe.yaml_files import SettingsError


@pytest.fixture
def project(tmp_path: Path) -> Project:
    for folder in ("models", "splits"):
        (tmp_path / "conf" / folder).mkdir(parents=True)
    (tmp_path / "conf" / "models" / "ease.yaml").write_text("recipe: ease\nregularization: 250\n")
    (tmp_path / "conf" / "splits" / "holdout.yaml").write_text("strategy: holdout\nlast: 5\n")
    (tmp_path / "conf" / "dataset.yaml").write_text("source: sample\n")
    (tmp_path / "conf" / "ensemble.yaml").write_text("split: holdout\nmembers: [ease]\n")
    return Project(tmp_path / "home", tmp_path / "conf")


def conf(project: Project, name: str, text: str) -> None:
    (project.conf / name).write_text(text)


def test_a_mistake_in_one_file_is_not_blamed_on_the_one_above_it(project):
    project.choose_data("sample")
    conf(project, "dataset.yaml", "sauce: sample\n")
    with pytest.raises(SettingsError, match=r"conf/dataset\.yaml: sauce: no such setting; did you mean 'source'"):
        project.dataset()


def test_a_model_is_its_recipe_with_its_settings(project):
    recipe = project.recipe("ease")
    assert recipe.recipe_name() == "ease"
    assert recipe.regularization == 250


@pytest.mark.parametrize(
    ("file", "text", "read", "told"),
    [
        ("models/ease.yaml", "recipe: ease\nregularisation: 250\n", lambda p: p.recipe("ease"),
         r"models/ease\.yaml: regularisation: no such setting; did you mean 'regularization'"),
        ("models/ease.yaml", "recipe: ease\nregularization: -1\n", lambda p: p.recipe("ease"),
         r"models/ease\.yaml: regularization: .*greater than.*-1 came"),
        ("dataset.yaml", "preparation: {min_ratin: 3}\n", Project.dataset,
         r"dataset\.yaml: preparation\.min_ratin: no such setting; did you mean 'min_rating'"),
        ("run.yaml", "metric: ncdg@10\n", Project.run, r"run\.yaml: metric: .*did you mean ndcg@10"),
        ("run.yaml", "metric: ndcg@50\n", Project.run, r"metric: .*at the cut-offs 5, 10, 20; take ndcg@10"),
        ("automation.yaml", "nightly: {at: 13:30}\n", Project.automation, r"nightly\.at: .*in quotes: \"13:30\""),
        ("automation.yaml", "nightly: {att: '13:30'}\n", Project.automation, r"nightly\.att: .*did you mean 'at'"),
        ("ensemble.yaml", "members:\n", Project.ensemble, r"ensemble\.yaml: members: "),
        ("models/ease.yaml", "recipe: easy\n", lambda p: p.recipe("ease"), r"recipe: .*'easy'; did you mean 'ease'"),
        ("models/ease.yaml", "regularization: 1\n", lambda p: p.recipe("ease"), "the key 'recipe' is missing"),
        ("models/ease.yaml", "recipe: bpr\nlearning_rate: 1\nweight_decay: 3\n", lambda p: p.recipe("ease"),
         r"models/ease\.yaml: learning_rate 1 × weight_decay 3 is 3: each step multiplies the weights by -2.*below 2"),
        ("models/ease.yaml", "recipe: boosted_ranker\nmembers: {all: {recipe: eas}}\n", lambda p: p.recipe("ease"),
         r"models/ease\.yaml: members: all: recipe: no recipe is called 'eas'; did you mean 'ease'"),
        ("models/ease.yaml", "recipe: boosted_ranker\nmembers: {all: {recipe: ease, regularisation: 3}}\n",
         lambda p: p.recipe("ease"),
         r"models/ease\.yaml: members: all: regularisation: no such setting; did you mean 'regularization'"),
        ("models/ease.yaml", "- ease\n", lambda p: p.recipe("ease"), "a mapping of settings was wanted, a list came"),
        ("models/ease.yaml", "recipe: [\n", lambda p: p.recipe("ease"), r"not valid YAML: .*line 2"),
        ("splits/holdout.yaml", "strategy: hold_out\n", lambda p: p.strategy("holdout"), "did you mean 'holdout'"),
        ("splits/holdout.yaml", "strategy: holdout\nlasts: 2\n", lambda p: p.strategy("holdout"),
         "lasts: no such setting; did you mean 'last'"),
        ("dataset.yaml", "sauce: sample\n", lambda p: p.dataset(), "sauce: no such setting; did you mean 'source'"),
        ("ensemble.yaml", "split: holdout\nmembers: [easse]\n", lambda p: p.ensemble(), "did you mean 'ease'"),
        ("ensemble.yaml", "split: hold\nmembers: [ease]\n", lambda p: p.ensemble(), "split: 'hold' is none.*holdout"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_named_with_its_file_and_the_nearest_valid_key(project, file, text, read, told):
    conf(project, file, text)
    with pytest.raises(SettingsError, match=told):
        read(project)


def test_a_missing_file_names_what_there_is(project):
    with pytest.raises(SettingsError, match=r"there is no model 'eas'; did you mean 'ease'"):
        project.recipe("eas")


def test_chosen_data_lie_on_top_of_the_dataset_settings(project, tmp_path):
    (tmp_path / "delivery").mkdir()
    project.choose_data(str(tmp_path / "delivery"))
    assert project.dataset().source == str(tmp_path / "delivery")
    project.choose_data("sample")
    assert project.dataset().source == "sample"


def test_data_that_do_not_exist_are_refused(project, tmp_path):
    with pytest.raises(SettingsError, match="does not exist"):
        project.choose_data(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("name", Project.here().model_names())
def test_every_model_yaml_is_valid(name):
    assert Project.here().recipe(name).recipe_name() == Project.here().model_settings(name)["recipe"]


@pytest.mark.parametrize("name", Project.here().split_names())
def test_every_split_yaml_is_valid(name):
    assert Project.here().strategy(name).strategy == Project.here().split_settings(name)["strategy"]


def test_the_other_settings_are_valid():
    project = Project.here()
    assert project.ensemble().members
    assert project.run().metric
    assert project.dataset().preparation


def test_a_memory_limit_is_a_positive_number_and_makes_no_model_stale(project):
    conf(project, "run.yaml", "memory_limit: 1.5\n")
    assert project.run().memory_budget == 1.5 * 2**30
    limited = project.run().choices
    conf(project, "run.yaml", "seed: 0\n")
    assert project.run().memory_budget is None
    assert project.run().choices == limited
    conf(project, "run.yaml", "memory_limit: 0\n")
    with pytest.raises(SettingsError, match=r"run\.yaml: memory_limit: .*greater than 0; 0 came"):
        project.run()


def test_a_build_that_names_no_model_makes_the_members_and_the_baselines(project):
    conf(project, "models/popularity.yaml", "recipe: popularity\n")
    conf(project, "models/mf.yaml", "recipe: mf\n")
    conf(project, "run.yaml", "baselines: [popularity]\n")
    assert project.submission_models() == ["ease", "popularity"]
    conf(project, "run.yaml", "baselines: []\n")
    assert project.submission_models() == ["ease"]


def test_a_baseline_that_is_no_model_is_refused_with_the_nearest(project):
    conf(project, "run.yaml", "baselines: [eese]\n")
    with pytest.raises(SettingsError, match=r"run\.yaml: baselines: no model 'eese'; did you mean 'ease'"):
        project.run()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nightly: {at: '25:00'}\n", r"automation\.yaml: nightly\.at: .*'25:00' came"),
        ("nightly: {time_zone: Europe/Berlim}\n", r"nightly\.time_zone: .*did you mean 'Europe/Berlin'"),
        ("look_ever: 3\n", r"look_ever: no such setting; did you mean 'look_every'"),
    ],
)
def test_automation_that_cannot_be_is_refused(project, text, told):
    conf(project, "automation.yaml", text)
    with pytest.raises(SettingsError, match=told):
        project.automation()
