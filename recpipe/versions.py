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
from collections.abc import Collection
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
    source = _source(module)
    bases, own = source.classes[class_name]
    for base in bases:
        home = module if base in source.classes else source.comes_from.get(base)
        if home is not None:
            found |= defaults(home, base)
    return found | own


def declares(module: str, name: str) -> bool:
    """Whether a class of the module sets the class attribute `name` to True."""
    return name in _source(module).switched_on


@dataclass(frozen=True)
class _Source:
    """What one file says.

    switched_on: class attributes that are set to True. classes: bases and plain defaults of each class. comes_from: the
    module of this project that a name is imported from.
    """

    digest: str
    imports: tuple[str, ...]
    switched_on: frozenset[str]
    classes: dict[str, tuple[tuple[str, ...], dict[str, Any]]]
    comes_from: dict[str, str]

    def told(self) -> dict[str, Any]:
        """As JSON; defaults as Python writes them, since JSON knows no tuple."""
        classes = {name: [list(bases), repr(own)] for name, (bases, own) in self.classes.items()}
        return {"digest": self.digest, "imports": list(self.imports), "switched_on": sorted(self.switched_on),
                "classes": classes, "comes_from": self.comes_from}  # fmt: skip

    @classmethod
    def of(cls, told: dict[str, Any]) -> Self:
        classes = {name: (tuple(bases), ast.literal_eval(own)) for name, (bases, own) in told["classes"].items()}
        imports, switched_on = tuple(told["imports"]), frozenset(told["switched_on"])
        return cls(told["digest"], imports, switched_on, classes, told["comes_from"])


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
    switched_on = {
        node.target.id
        for node in nodes
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        if isinstance(node.value, ast.Constant) and node.value.value is True
    }
    imports = tuple(name for node in nodes for name in _imported_by(node))
    classes = {node.name: (_bases(node), _plain_defaults(node)) for node in tree.body if isinstance(node, ast.ClassDef)}
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
    return _Source(digest, imports, frozenset(switched_on), classes, comes_from)


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
