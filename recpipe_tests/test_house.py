"""What we say about the house: who may import whom, what loads light, one word an idea, names that say what is in."""

import ast
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import recpipe
from recpipe.models.catalog import family, recipe_class, recipe_modules
from recpipe.settings import Project
from recpipe.vocabulary import VOCABULARY

PACKAGE = Path(recpipe.__file__).parent
ROOT = PACKAGE.parent
FILES = sorted(PACKAGE.rglob("*.py"))

ANYBODY = {"storage", "yaml_files", "processes", "space", "vocabulary", "recpipe"}
BELOW = {
    "data": set(),
    "costs": {"data"},
    "recipe": {"costs", "data"},
    "scoring": {"recipe", "data"},
    "training": {"scoring", "recipe", "costs", "data"},
    "models": {"training", "scoring", "recipe", "costs", "data"},
    "claims": {"recipe", "costs", "data", "measuring", "progress"},
    "evaluation": {"scoring", "recipe", "data"},
    "studies": {"evaluation", "data"},
    "probing": {"costs", "data", "evaluation", "recipe", "training"},
    "profiling": {"evaluation", "data"},
    "explaining": {"evaluation", "scoring", "recipe", "data"},
    "blending": {"evaluation", "scoring", "data"},
    "search": {"claims", "costs", "data", "evaluation", "progress", "recipe", "scoring", "training"},
    "validation": {"data"},
    "warehouse": {"data", "sql_models"},
    "spark_warehouse": {"settings", "sql_models", "warehouse"},
    "sql_models": {"data"},
    "tracking": {"conf_files", "progress", "recipe", "settings", "training"},
    "versions": set(),
    "measuring": set(),
    "progress": set(),
    "remote": set(),
    "conf_files": {"data", "evaluation"},
    "settings": {"conf_files", "data", "models", "recipe", "blending", "studies", "search", "remote"},
    "instance": {"settings"},
    "lock": {"settings", "progress"},
    "references": {"settings"},
    "retention": {"settings", "references", "lineage"},
    "lineage": {"conf_files", "settings", "sql_models", "versions", "models", "data"},
    "upkeep": {"lineage", "settings"},
    "starting": {"models", "settings"},
    "steps": {"data", "recipe", "scoring", "training", "models", "evaluation", "studies", "profiling", "explaining",
              "blending", "search", "validation", "warehouse", "spark_warehouse", "sql_models", "lineage", "settings",
              "conf_files", "measuring", "progress", "claims", "costs", "probing"},
    "showing": {"costs", "data", "evaluation", "profiling", "blending", "models", "recipe", "scoring", "steps",
                "lineage", "settings", "progress", "lock", "retention", "starting", "upkeep"},
    "showing_studies": {"settings", "steps", "studies"},
    "showing_trainings": {"evaluation", "steps", "settings", "costs", "progress"},
    "showing_search": {"search"},
    "defs": {"data", "instance", "evaluation", "profiling", "blending", "validation", "steps", "lineage", "settings",
             "progress", "showing", "showing_studies", "showing_search", "lock", "retention", "tracking", "upkeep"},
    "cli": {"data", "defs", "instance", "settings", "showing", "showing_studies", "showing_trainings", "steps", "lock"},
}  # fmt: skip


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_go_downwards_only(path):
    own = room(path)
    if own in {"__init__", "__main__", *ANYBODY}:
        assert {name for name in imports(path) if name.startswith("recpipe.")} <= {
            "recpipe.cli", "recpipe.processes", "recpipe.space"
        }  # fmt: skip
        return
    rooms = {name.split(".")[1] for name in imports(path) if name.startswith("recpipe.")}
    assert rooms - BELOW[own] - {own} - ANYBODY == set()


def test_models_never_import_each_other():
    for path in FILES:
        if room(path) == "models":
            others = {name for name in imports(path) if name.startswith("recpipe.models")}
            assert others <= {"recpipe.models.catalog"}, path


def test_only_defs_import_dagster():
    guilty = [path for path in FILES if any(name.split(".")[0] == "dagster" for name in imports(path))]
    assert {room(path) for path in guilty} == {"defs"}


def test_backward_stands_once():
    assert sum(path.read_text(encoding="utf-8").count(".backward()") for path in FILES) == 1


@pytest.mark.parametrize(
    "word", ["import pickle", "yaml.load(", "torch.load(", "except Exception", "except:", "except ImportError"]
)
def test_what_is_unsafe_or_hides_errors_is_nowhere(word):
    assert [path for path in FILES if word in path.read_text(encoding="utf-8")] == []


def test_loading_the_definitions_loads_nothing_heavy(tmp_path):
    code = (
        "import sys; import recpipe.defs.definitions; "
        "print([name for name in ('torch', 'pandas', 'great_expectations', 'scipy', 'matplotlib', 'duckdb', 'optuna') "
        "if name in sys.modules])"
    )
    environment = os.environ | {"RECPIPE_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", sorted(recipe_modules()))
def test_settings_use_the_vocabulary(name):
    assert set(recipe_class(name).model_fields) - set(VOCABULARY) == set()


def test_every_word_of_the_vocabulary_is_used():
    used = {field for name in recipe_modules() for field in recipe_class(name).model_fields}
    assert set(VOCABULARY) - used == set()


def test_a_recipe_without_a_yaml_is_no_model():
    recipes = {Project.here().model_settings(model)["recipe"] for model in Project.here().model_names()}
    assert recipes == set(recipe_modules())


def test_concrete_recipes_and_scorers_are_never_subclassed():
    for name in recipe_modules():
        assert recipe_class(name).__subclasses__() == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_files_have_names_that_say_what_they_are(path):
    assert not re.search(r"utils|helper|manager|common|misc", path.stem)


def test_every_module_says_what_it_is():
    silent = [
        path for path in FILES if path.name != "__init__.py" and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_the_readme_shows_the_tree_as_it_is():
    tree = (ROOT / "README.md").read_text(encoding="utf-8").split("<!-- tree -->")[1]
    named = set(re.findall(r"^    ([a-z_]+(?:/|\.py)) ", tree, flags=re.MULTILINE))
    there = {f"{path.name}/" for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    there |= {path.name for path in PACKAGE.glob("*.py") if not path.name.startswith("__")}
    assert named == there


def test_the_readme_lists_every_model():
    table = (ROOT / "README.md").read_text(encoding="utf-8").split("<!-- models -->")[1]
    named = re.findall(r"^\| `([a-z0-9_]+)` \| ([a-z]+) \|", table, flags=re.MULTILINE)
    project = Project.here()
    assert named == [(model, family(project.model_settings(model)["recipe"])) for model in project.model_names()]


def test_every_module_can_be_imported():
    for path in (path for path in FILES if path.stem != "__main__"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        assert importlib.import_module(name).__name__ == name
