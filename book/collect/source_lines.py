"""Lines of the package's source: where a function begins, and where it computes a column of a table."""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from book.collect.notebook_code import iter_growing, module_file


@dataclass(frozen=True)
class SourceLine:
    """A line of a function: ``function`` is ``module.function``, ``line`` counts from 1."""

    function: str
    line: int

    @property
    def file(self) -> str:
        """Path of the file from the root of the repository."""
        return module_file(self.function.rpartition(".")[0]).as_posix()

    @property
    def name(self) -> str:
        """The name of the function without its module."""
        return self.function.rpartition(".")[2]


def line_of_column(column: str, functions: Iterable[str]) -> SourceLine:
    """Where one of ``functions``, or a function or constant that they name, computes the column of a table.

    That is where its name is the key of a value: of a dictionary, of an argument, of a pair, or the first argument of a call such as
    ``with_interval("gain", ...)``. Where it is no key, the first line with its name decides, and where the name is composed, the first
    line of the first function.
    """
    functions = tuple(functions)
    called = dict.fromkeys(name for function in functions for name in names_used_by(function))
    for lines in (_lines_with_key, _lines_with_pattern, _lines_with_name):
        for name in called:
            for line in lines(column, name):
                return SourceLine(name, line)
    return first_line(functions[0])


def first_line(function: str) -> SourceLine:
    """The line with the name of a function."""
    return SourceLine(function, _definitions(function.rpartition(".")[0])[function].lineno)


@cache
def names_used_by(function: str) -> tuple[str, ...]:
    """A function, and the functions and constants of the package that it names, directly or not, the nearest first."""
    found = {function: None}
    for name in iter_growing(found):
        module = name.rpartition(".")[0]
        known, imports = _definitions(module), _imports(module)
        names = [node.id for node in ast.walk(known[name]) if isinstance(node, ast.Name)]
        for full in (f"{module}.{used}" if f"{module}.{used}" in known else imports.get(used, "") for used in names):
            if full in _definitions(full.rpartition(".")[0]):
                found[full] = None
    return tuple(found)


@cache
def _tree(module: str) -> ast.Module:
    file = module_file(module)
    return ast.parse(file.read_text(encoding="utf-8")) if file.is_file() else ast.Module([], [])


@cache
def _definitions(module: str) -> dict[str, ast.stmt]:
    """The functions, classes and constants of a module by full name; none for a module of another package."""
    found = {}
    for node in _tree(module).body if module.startswith("clip360.") else []:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[f"{module}.{node.name}"] = node
        elif isinstance(node, ast.Assign):
            found |= {f"{module}.{target.id}": node for target in node.targets if isinstance(target, ast.Name)}
    return found


@cache
def _imports(module: str) -> dict[str, str]:
    nodes = (node for node in ast.walk(_tree(module)) if isinstance(node, ast.ImportFrom))
    return {alias.asname or alias.name: f"{node.module}.{alias.name}" for node in nodes for alias in node.names}


def _lines_with_key(column: str, name: str) -> Iterator[int]:
    """Where the column is the key of a value."""
    for node in _nodes(name):
        keys = []
        if isinstance(node, ast.Dict):
            keys = node.keys
        elif isinstance(node, ast.Call) and len(node.args) > 1:
            keys = node.args[:1]
        elif isinstance(node, ast.Tuple | ast.List):
            keys = [part.elts[0] for part in node.elts if isinstance(part, ast.Tuple) and len(part.elts) > 1]
        elif isinstance(node, ast.keyword) and node.arg == column:
            yield node.value.lineno
        yield from (key.lineno for key in keys if isinstance(key, ast.Constant) and key.value == column)


def _lines_with_pattern(column: str, name: str) -> Iterator[int]:
    """Where an f-string with some text of its own, such as ``f"{measure}_change"``, gives the column's name."""
    for node in _nodes(name):
        if isinstance(node, ast.JoinedStr):
            texts = [part.value if isinstance(part, ast.Constant) else None for part in node.values]
            pattern = "".join(".*" if text is None else re.escape(text) for text in texts)
            if sum(len(text or "") for text in texts) > 3 and re.fullmatch(pattern, column):
                yield node.lineno


def _lines_with_name(column: str, name: str) -> Iterator[int]:
    """Where the column's name stands."""
    yield from (node.lineno for node in _nodes(name) if isinstance(node, ast.Constant) and node.value == column)


def _nodes(name: str) -> Iterator[ast.AST]:
    """The syntax of a definition, without its docstring, as deep as it goes."""
    definition = _definitions(name.rpartition(".")[0])[name]
    documented = isinstance(definition, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(definition) is not None
    for statement in definition.body[1:] if documented else getattr(definition, "body", [definition]):
        yield from ast.walk(statement)
