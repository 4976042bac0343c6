"""What the code of a step is, as a digest: its module and every module of the project that it imports.

Comments, docstrings and layout do not count, so that only a change that can change a result makes a step stale.
Nothing is imported for it: the sources are parsed. What a file says is kept beside the bytecode, in one small cache
that may be deleted at any time, and is read again only where the file has changed.
"""

from __future__ import annotations

import ast
import hashlib
import json
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any, Self

from recpipe.storage import replace_text

PACKAGE = Path(__file__).parent

SETTLED = 2_000_000_000
"""Nanoseconds after its last change from which on a file is kept in the cache: see `data.digests`."""


def code_version(*modules: str) -> str:
    """sha256 over the modules and everything of this project that they import, directly or not."""
    digest, names = hashlib.sha256(), sorted(closure(modules))
    for name in names:
        digest.update(f"{name}:{_source(name).digest}\n".encode())
    _keep(names)
    return digest.hexdigest()


def closure(modules: tuple[str, ...] | list[str]) -> set[str]:
    """The modules and all modules of this project that they import, by dotted name."""
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(_source(name).imports)
    return found


def defaults(module: str, class_name: str) -> dict[str, Any]:
    """The default of every setting of a settings class, inherited ones included, by reading its source.

    Only what is written as a plain value is found; a setting without default, or with a computed one, is left out.
    """
    found: dict[str, Any] = {}
    for each in _with_bases(module, class_name):
        found |= each.defaults
    return found


def declares(module: str, class_name: str, name: str) -> bool:
    """Whether a class of the module sets its attribute `name`, a bool, to True, or has it from one that does."""
    found = False
    for each in _with_bases(module, class_name):
        found = each.switches.get(name, found)
    return found


@dataclass(frozen=True)
class _Class:
    """What a class says: its bases, its settings' plain defaults, its attributes that are True or False."""

    bases: tuple[str, ...]
    defaults: dict[str, Any]
    switches: dict[str, bool]


def _with_bases(module: str, class_name: str) -> Iterator[_Class]:
    """The class after all that it inherits from, as far as they are of this project."""
    source = _source(module)
    own = source.classes[class_name]
    for base in own.bases:
        home = module if base in source.classes else source.comes_from.get(base)
        if home is not None:
            yield from _with_bases(home, base)
    yield own


@dataclass(frozen=True)
class _Source:
    """What one file says.

    classes: by name. comes_from: the module of this project that a name is imported from.
    """

    digest: str
    imports: tuple[str, ...]
    classes: dict[str, _Class]
    comes_from: dict[str, str]

    def told(self) -> dict[str, Any]:
        """As JSON; defaults as Python writes them, since JSON knows no tuple."""
        classes = {name: [list(each.bases), repr(each.defaults), each.switches] for name, each in self.classes.items()}
        return {"digest": self.digest, "imports": list(self.imports), "classes": classes, "comes_from": self.comes_from}

    @classmethod
    def of(cls, told: dict[str, Any]) -> Self:
        classes = {
            name: _Class(tuple(bases), ast.literal_eval(own), switches)
            for name, (bases, own, switches) in told["classes"].items()
        }
        return cls(told["digest"], tuple(told["imports"]), classes, told["comes_from"])


def _source(module: str) -> _Source:
    path = _file(module)
    return _read(path, _stamp(path))


@cache
def _read(path: Path, stamp: tuple[int, ...]) -> _Source:
    kept = _kept().get(str(path))
    return _Source.of(kept["source"]) if kept and kept["stamp"] == list(stamp) else _parsed(path)


def _kept() -> dict[str, Any]:
    """What the cache holds, by path; nothing where it is missing, damaged or of another version of this file."""
    path = _cache()
    return _entries(path, _stamp(path)) if path.exists() else {}


@lru_cache(maxsize=4)
def _entries(path: Path, stamp: tuple[int, ...]) -> dict[str, Any]:
    with suppress(ValueError, KeyError, TypeError, OSError):
        told = json.loads(path.read_text(encoding="utf-8"))
        if told["made_by"] == list(_stamp(Path(__file__))):
            entries: dict[str, Any] = told["files"]
            return entries
    return {}


def _keep(modules: Collection[str]) -> None:
    """Bring what the cache does not hold into it, as bytecode is kept: not where that is not wanted or not allowed."""
    kept, now = _kept(), time.time_ns()
    stamps = {path: _stamp(path) for path in map(_file, modules)}
    new = {
        str(path): {"stamp": list(stamp), "source": _read(path, stamp).told()}
        for path, stamp in stamps.items()
        if kept.get(str(path), {}).get("stamp") != list(stamp) and now - max(stamp[1:]) > SETTLED
    }
    if new and not sys.dont_write_bytecode:
        there = {path: entry for path, entry in kept.items() if Path(path).exists()}
        with suppress(OSError):
            told = {"made_by": _stamp(Path(__file__)), "files": there | new}
            replace_text(_cache(), json.dumps(told))


def _cache() -> Path:
    return Path(cache_from_source(str(PACKAGE / "versions.py"))).with_suffix(".json")


def _stamp(path: Path) -> tuple[int, ...]:
    """Size, time of the last change of the content and of the entry (nanoseconds; the latter cannot be set back)."""
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def _parsed(path: Path) -> _Source:
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    nodes = list(ast.walk(tree))
    imports = tuple(name for node in nodes for name in _imported_by(node))
    classes = {
        node.name: _Class(_bases(node), _plain_defaults(node), _switches(node))
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }
    comes_from = {
        alias.asname or alias.name: node.module or ""
        for node in nodes
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("recpipe.")
        for alias in node.names
    }
    for node in nodes:
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [statement for statement in node.body if not _is_text(statement)]
    digest = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
    return _Source(digest, imports, classes, comes_from)


def _bases(node: ast.ClassDef) -> tuple[str, ...]:
    return tuple(base.id for base in node.bases if isinstance(base, ast.Name))


def _plain_defaults(node: ast.ClassDef) -> dict[str, Any]:
    found = {}
    for line in node.body:
        if not isinstance(line, ast.AnnAssign) or not isinstance(line.target, ast.Name) or line.value is None:
            continue
        value = _default(line.value)
        if "ClassVar" not in ast.unparse(line.annotation) and value is not None:
            with suppress(ValueError):  # a computed default is not a plain value
                found[line.target.id] = ast.literal_eval(value)
    return found


def _switches(node: ast.ClassDef) -> dict[str, bool]:
    return {
        line.target.id: line.value.value
        for line in node.body
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
        if isinstance(line.value, ast.Constant) and isinstance(line.value.value, bool)
    }


def _default(value: ast.expr) -> ast.expr | None:
    """The default inside `Field(default, …)` or `Field(default=…)`, or the value itself."""
    if not isinstance(value, ast.Call):
        return value
    named = [keyword.value for keyword in value.keywords if keyword.arg == "default"]
    return next(iter([*value.args[:1], *named]), None)


def _imported_by(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names if alias.name.startswith("recpipe.")]
    if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("recpipe"):
        base = node.module or ""
        inner = [f"{base}.{alias.name}" for alias in node.names if _file(f"{base}.{alias.name}").exists()]
        return inner or [base]
    return []


def _is_text(statement: ast.stmt) -> bool:
    """A docstring: text that stands alone changes no result."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _file(module: str) -> Path:
    path = PACKAGE.parent.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
