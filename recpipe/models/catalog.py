"""The catalogue is the folder: one recipe a file, found by its name; the folder that it lies in is its family."""

from __future__ import annotations

import difflib
import importlib
from pathlib import Path

from recpipe.recipe import Recipe

_FOLDER = Path(__file__).parent


def recipe_modules() -> dict[str, str]:
    """Recipe name → dotted module, sorted by name; nothing is imported. Files that begin with `_` are no recipes."""
    modules: dict[str, str] = {}
    for path in sorted(_FOLDER.glob("*/[!_]*.py"), key=lambda path: path.stem):
        module = f"{__package__}.{path.parent.name}.{path.stem}"
        if path.stem in modules:
            raise ValueError(f"two recipes are called {path.stem}: {modules[path.stem]} and {module}; rename one file")
        modules[path.stem] = module
    return modules


def family(name: str) -> str:
    """The folder that a recipe lies in: baselines, neighbours, linear, ..."""
    return _module(name).split(".")[-2]


def class_name(name: str) -> str:
    """What a recipe's class is called: its file's name in CamelCase."""
    return "".join(word.capitalize() for word in name.split("_"))


def recipe_class(name: str) -> type[Recipe]:
    """The recipe's class; imports its module. Raises `LookupError` that names the nearest recipes."""
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
