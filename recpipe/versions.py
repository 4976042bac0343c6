"""What the code of a step is, as a digest: its module and every module of the project that it imports.

Comments, docstrings and layout do not count, so that only a change that can change a result makes a step stale.
Nothing is imported for it: the sources are parsed.
"""

from __future__ import annotations

import ast
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent


def code_version(*modules: str) -> str:
    """sha256 over the modules and everything of this project that they import, directly or not."""
    digest = hashlib.sha256()
    for name in sorted(closure(modules)):
        digest.update(f"{name}:{_source(name).digest}\n".encode())
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


def declares(module: str, name: str) -> bool:
    """Whether a class of the module sets the class attribute `name` to True."""
    return name in _source(module).switched_on


@dataclass(frozen=True)
class _Source:
    """What one file says. switched_on: class attributes that are set to True."""

    digest: str
    imports: tuple[str, ...]
    switched_on: frozenset[str]


def _source(module: str) -> _Source:
    path = _file(module)
    return _parsed(path, path.stat().st_mtime_ns)


@cache
def _parsed(path: Path, modified: int) -> _Source:
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    nodes = list(ast.walk(tree))
    switched_on = {
        node.target.id
        for node in nodes
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        if isinstance(node.value, ast.Constant) and node.value.value is True
    }
    imports = tuple(name for node in nodes for name in _imported_by(node))
    for node in nodes:
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [statement for statement in node.body if not _is_text(statement)]
    return _Source(hashlib.sha256(ast.dump(tree).encode()).hexdigest(), imports, frozenset(switched_on))


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
