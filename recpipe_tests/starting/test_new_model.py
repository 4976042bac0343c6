"""A model that was begun from the template is a model: nothing but its documentation is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from recpipe.cli import app
from recpipe.settings import PACKAGE, Project
from recpipe.starting import new_model
from recpipe.starting.new_model import Begun, begin_model, check_name
from recpipe.vocabulary import VOCABULARY
from recpipe.yaml_files import SettingsError

ROOT = PACKAGE.parent


@pytest.fixture
def empty(tmp_path: Path) -> tuple[Project, Path]:
    """A checkout with the folders alone."""
    (tmp_path / "recpipe_tests" / "models").mkdir(parents=True)
    (tmp_path / "conf" / "models").mkdir(parents=True)
    return Project(tmp_path / "home", tmp_path / "conf"), tmp_path / "recpipe"


def test_a_new_model_passes_the_contract_of_every_model_and_the_rules_of_the_house(tmp_path: Path) -> None:
    for folder in ("recpipe", "recpipe_tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    project = Project(tmp_path / "home", tmp_path / "recpipe" / "conf")
    begun = begin_model(project, "my_sketch", "neighbours", tmp_path / "recpipe")
    assert any("| `my_sketch` | neighbours |" in each for each in begun.remains)
    assert any("recpipe/vocabulary.py" in each for each in begun.remains)
    (command,) = [each.split()[3:] for each in begun.remains if each.startswith("python -m pytest ")]
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *command],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert tested.returncode == 0, tested.stdout
    assert tested.stdout.count(".") >= 25


def test_the_command_begins_a_model_or_says_what_is_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []

    def begin(project: Project, name: str, folder: str) -> Begun:
        asked.append((name, folder))
        return Begun((tmp_path / "my_sketch.py",), ("write the recipe",))

    monkeypatch.setattr(new_model, "begin_model", begin)
    done = CliRunner().invoke(app, ["models", "--new", "my_sketch", "--family", "graphs"])
    assert asked == [("my_sketch", "graphs")]
    assert done.exit_code == 0, done.output


def test_the_files_are_named_after_the_model_and_every_setting_is_a_word_of_the_vocabulary(
    empty: tuple[Project, Path],
) -> None:
    project, package = empty
    begun = begin_model(project, "my_sketch", "linear", package)
    recipe, settings, test = (path.read_text() for path in begun.files)
    assert "class MySketch(Recipe):" in recipe
    assert settings.startswith("recipe: my_sketch\n# ")
    assert "from recpipe.models.linear.my_sketch import MySketch" in test
    assert "$" not in recipe + settings + test
    assert {line.split(":")[0] for line in settings.splitlines() if line[0] != "#"} - {"recipe"} <= set(VOCABULARY)


@pytest.mark.parametrize("there", [0, 1, 2])
def test_nothing_is_overwritten_and_nothing_written_where_one_file_is_there(
    there: int, empty: tuple[Project, Path]
) -> None:
    project, package = empty
    files = begin_model(project, "my_sketch", "linear", package).files
    for path in files:
        path.unlink()
    files[there].write_text("mine")
    with pytest.raises(SettingsError, match="is there already" if there != 1 else "is taken"):
        begin_model(project, "my_sketch", "linear", package)
    assert files[there].read_text() == "mine"
    assert [path.exists() for path in files].count(True) == 1


@pytest.mark.parametrize("name", ["", "My_Model", "knn_2", "2nd", "_own", "a__b", "a-b", "../x", "class", "né"])
def test_a_name_that_cannot_be_a_module_and_a_class_is_refused(name: str, empty: tuple[Project, Path]) -> None:
    with pytest.raises(SettingsError, match="cannot be a recipe's name"):
        check_name(name, empty[0])


def test_what_is_taken_unknown_or_no_checkout_is_refused(empty: tuple[Project, Path], tmp_path: Path) -> None:
    project, package = empty
    with pytest.raises(SettingsError, match="'ease' is taken"):
        begin_model(project, "ease", "linear", package)
    with pytest.raises(SettingsError, match="--family: 'linaer' is none; did you mean 'linear'"):
        begin_model(project, "my_sketch", "linaer", package)
    with pytest.raises(SettingsError, match="in a checkout of recpipe"):
        begin_model(project, "my_sketch", "linear", tmp_path / "site-packages" / "recpipe")
