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
    (package / "recipe.py").write_text("class R:\n    uses_features: ClassVar[bool] = True\n\nclass None_:\n    pass\n")
    (package / "heir.py").write_text(
        "from recpipe.recipe import R\n\nclass Heir(R):\n    pass\n\n"
        "class Without(Heir):\n    uses_features: ClassVar[bool] = False\n"
    )
    assert versions.declares("recpipe.recipe", "R", "uses_features")
    assert not versions.declares("recpipe.recipe", "None_", "uses_features")
    assert versions.declares("recpipe.heir", "Heir", "uses_features")
    assert not versions.declares("recpipe.heir", "Without", "uses_features")


@pytest.mark.parametrize("name", sorted(recipe_modules()))
def test_the_line_knows_which_recipes_look_at_side_data(name):
    told = versions.declares(recipe_modules()[name], class_name(name), "uses_features")
    assert told == recipe_class(name).uses_features


@pytest.mark.parametrize("name", sorted(recipe_modules()))
def test_the_defaults_read_from_the_source_are_the_recipes_own(name):
    fields = recipe_class(name).model_fields
    own = {key: field.get_default() for key, field in fields.items() if not field.is_required()}
    assert versions.defaults(recipe_modules()[name], class_name(name)) == own


def cache_of(package):
    return next((package / "__pycache__").glob("versions.*.json"))


@pytest.fixture
def settled(package, monkeypatch):
    monkeypatch.setattr(versions, "SETTLED", -1)
    monkeypatch.setattr(versions.sys, "dont_write_bytecode", False)
    return package


def test_what_the_cache_tells_is_what_the_sources_say(settled):
    (settled / "high.py").write_text(
        "from recpipe.low import VALUE\n\n"
        "class High(Low):\n    layers: tuple[int, ...] = (600, 200)\n    on: bool = True\n"
    )
    read = versions.code_version("recpipe.high"), versions.defaults("recpipe.high", "High")
    assert cache_of(settled).exists()
    versions._read.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(versions, "_parsed", lambda path: pytest.fail(f"{path} was parsed again"))
        assert (versions.code_version("recpipe.high"), versions.defaults("recpipe.high", "High")) == read
        assert versions.declares("recpipe.high", "High", "on") and versions.closure(["recpipe.high"]) >= {"recpipe.low"}


def test_a_changed_file_is_read_again_whatever_the_cache_holds(settled):
    before = versions.code_version("recpipe.high")
    versions._read.cache_clear()
    (settled / "low.py").write_text("VALUE = 2\n")
    assert versions.code_version("recpipe.high") != before


def test_a_file_that_has_just_been_changed_is_not_kept(package, monkeypatch):
    monkeypatch.setattr(versions.sys, "dont_write_bytecode", False)
    versions.code_version("recpipe.high")
    assert not (package / "__pycache__").exists()


@pytest.mark.parametrize("text", ["", "[]", '{"made_by": 1}', '{"files": {}}', "no json"])
def test_a_damaged_cache_is_made_anew(settled, text):
    before = versions.code_version("recpipe.high")
    cache_of(settled).write_text(text)
    versions._read.cache_clear()
    assert versions.code_version("recpipe.high") == before
    assert "low.py" in cache_of(settled).read_text()
