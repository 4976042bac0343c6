"""The folder is the list."""

from __future__ import annotations

import subprocess
import sys

import pytest

from recpipe.models.catalog import family, recipe_class, recipe_modules


def test_file_names_are_the_catalogue() -> None:
    modules = recipe_modules()
    assert modules["ease"] == "recpipe.models.linear.ease"
    assert list(modules) == sorted(modules)
    assert "__init__" not in modules


def test_the_folder_is_the_family() -> None:
    assert family("item_knn") == "neighbours"


def test_the_class_is_the_file_name_in_camel_case() -> None:
    assert recipe_class("item_knn").__name__ == "ItemKnn"


def test_a_misspelt_name_is_told_the_nearest() -> None:
    with pytest.raises(LookupError, match="item_knn"):
        recipe_class("itemknn")


def test_listing_and_closed_form_recipes_and_the_store_import_no_torch() -> None:
    program = (
        "import sys; from recpipe.models.catalog import recipe_class, recipe_modules; recipe_modules(); "
        "[recipe_class(name) for name in ('ease', 'item_knn', 'knn_basic', 'popularity')]; "
        "import recpipe.scoring.store; sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
