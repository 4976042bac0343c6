"""A recipe of one's own to begin with: it works, passes the contract of every model, and waits to be replaced."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from pathlib import Path
from string import Template

from recpipe.models.catalog import class_name, family, recipe_modules
from recpipe.settings import PACKAGE, Project
from recpipe.storage import replace_text
from recpipe.yaml_files import SettingsError, nearest

TEMPLATES = Path(__file__).with_name("templates")
WORDS = re.compile(r"[a-z][a-z0-9]*(_[a-z][a-z0-9]*)*")


@dataclass(frozen=True)
class Begun:
    """The files of a new model: recipe, settings, test; and what is left to do, a sentence each."""

    files: tuple[Path, ...]
    remains: tuple[str, ...]


def begin_model(project: Project, name: str, folder: str, package: Path = PACKAGE) -> Begun:
    """Write recipe, settings and test of a new model from the templates.

    name: of recipe and model, in snake case. folder: its family. package: the checkout's recpipe/. Raises
    `SettingsError` for a name that cannot be or is taken, an unknown family, a file that is there, or no checkout.
    """
    check_name(name, project)
    families = sorted({family(recipe) for recipe in recipe_modules()})
    if folder not in families:
        raise SettingsError(f"--family: {folder!r} is none{nearest(folder, families)}")
    tests = package.parent / "recpipe_tests" / "models"
    if not tests.is_dir():
        raise SettingsError(f"{tests} is not there: a model is begun in a checkout of recpipe, not in an installed one")
    test = tests / f"test_{name}.py"
    files = {
        package / "models" / folder / f"{name}.py": "recipe",
        project.conf / "models" / f"{name}.yaml": "settings",
        test: "test",
    }
    for path in files:
        if path.exists():
            raise SettingsError(f"--new: {path} is there already, and nothing is overwritten; choose another name")
    told = {"name": name, "class_name": class_name(name), "family": folder, "title": name.replace("_", " ").title()}
    for path, template in files.items():
        text = (TEMPLATES / f"{template}.txt").read_text(encoding="utf-8")
        replace_text(path, Template(text).substitute(told))
    return Begun(tuple(files), _remains(name, folder))


def check_name(name: str, project: Project) -> None:
    """Raises `SettingsError` where no recipe and no model can be called so."""
    if not WORDS.fullmatch(name) or keyword.iskeyword(name):
        raise SettingsError(
            f"--new: {name!r} cannot be a recipe's name: lower-case words joined by _ are wanted, each with a letter "
            "first, for instance user_knn"
        )
    if name in recipe_modules() or name in project.model_names():
        raise SettingsError(f"--new: {name!r} is taken: `recpipe models {name}` shows it")


def _remains(name: str, folder: str) -> tuple[str, ...]:
    return (
        f"write the recipe: every line of {name}.py and {name}.yaml that says REPLACE, then fit, cost and the test",
        f"README.md, between the marks <!-- models -->, in alphabetical order: | `{name}` | {folder} | what it is "
        "(source and year) |",
        "recpipe/vocabulary.py: a word, with meaning and unit, for every setting that no other recipe has",
        f"python -m pytest recpipe_tests/test_model_contract.py recpipe_tests/test_house.py "
        f"recpipe_tests/models/test_{name}.py -k {name}",
        f"recpipe build --models {name}",
    )
