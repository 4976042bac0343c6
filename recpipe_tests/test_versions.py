"""Versions of code: what can change a result counts, layout and words do not."""

import pytest

from recpipe import versions
from recpipe.models.catalog import class_name, recipe_class, recipe_modules


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "recpipe"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "low.py").write_text("VALUE = 1\n")
    (folder / "high.py").write_text("from recpipe.low import VALUE\n\ndef twice():\n    return 2 * VALUE\n")
    (folder / "other.py").write_text("VALUE = 3\n")
    monkeypatch.setattr(versions, "PACKAGE", folder)
    return folder


def test_the_closure_follows_imports_inside_the_project(package):
    assert versions.closure(["recpipe.high"]) == {"recpipe.high", "recpipe.low"}


def test_comments_docstrings_and_layout_do_not_count(package):
    before = versions.code_version("recpipe.high")
    (package / "high.py").write_text(
        '"""Words."""\nfrom recpipe.low import VALUE\n\n\n'
        'def twice():\n    """More words."""\n    return (2 *\n VALUE)  # why\n'
    )
    assert versions.code_version("recpipe.high") == before


def test_a_change_in_an_imported_module_counts(package):
    before = versions.code_version("recpipe.high")
    (package / "low.py").write_text("VALUE = 2\n")
    assert versions.code_version("recpipe.high") != before


def test_a_change_elsewhere_does_not_count(package):
    before = versions.code_version("recpipe.high")
    (package / "other.py").write_text("VALUE = 4\n")
    assert versions.code_version("recpipe.high") == before


def test_a_recipe_that_declares_features_is_found_without_importing_it(package):
    (package / "recipe.py").write_text("class R:\n    uses_features: ClassVar[bool] = True\n")
    assert versions.declares("recpipe.recipe", "uses_features")
    assert not versions.declares("recpipe.high", "uses_features")


@pytest.mark.parametrize("name", sorted(recipe_modules()))
def test_the_defaults_read_from_the_source_are_the_recipes_own(name):
    fields = recipe_class(name).model_fields
    own = {key: field.get_default() for key, field in fields.items() if not field.is_required()}
    assert versions.defaults(recipe_modules()[name], class_name(name)) == own
