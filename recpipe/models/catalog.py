"""The catalogue is the folder: one recipe a file, found by its name; the folder that it lies in is its family."""

from __future__ import annotations

import difflib
import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recpipe.recipe import Recipe

_FOLDER = Path(__file__).parent


def recipe_modules() -> dict[str, str]:
    """Recipe name → dotted module, sorted by name; nothing is imported. Files that begin with `_` are no recipes."""
    modules: dict[str, str] = {}
    folders = [folder for folder in os.scandir(_FOLDER) if folder.is_dir()]  # asked for often: a glob takes longer
    files = [(file.name, folder.name) for folder in folders for file in os.scandir(folder)
             if file.name.endswith(".py") and not file.name.startswith("_")]  # fmt: skip
    for file, folder in sorted(files):
        recipe = file.removesuffix(".py")
        module = f"{__package__}.{folder}.{recipe}"
        if recipe in modules:
            raise ValueError(f"two recipes are called {recipe}: {modules[recipe]} and {module}; rename one file")
        modules[recipe] = module
    return modules


def family(name: str) -> str:
    """The folder that a recipe lies in: baselines, neighbours, linear, ..."""
    return _module(name).split(".")[-2]


def class_name(name: str) -> str:
    """What a recipe's class is called: its file's name in CamelCase."""
    return "".join(word.capitalize() for word in name.split("_"))


def recipe_class(name: str) -> type[Recipe]:
    """The recipe's class; imports its module. Raises `LookupError` that names the nearest recipes."""
    from recpipe.recipe import Recipe

    module = importlib.import_module(_module(name))
    wanted = class_name(name)
    found = getattr(module, wanted, None)
    if not (isinstance(found, type) and issubclass(found, Recipe)):
        raise LookupError(f"{module.__name__} has no recipe {wanted}: the class is the file's name in CamelCase")
    return found


def _module(name: str) -> str:
    modules = recipe_modules()
    if name not in modules:
        near = difflib.get_close_matches(name, modules, n=3) or sorted(modules)
        raise LookupError(f"no recipe is called {name!r}; the nearest: {', '.join(near)}")
    return modules[name]
