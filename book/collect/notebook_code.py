"""What the code of a rendered notebook does: which cell writes which table and figure, by which functions, and states which claim."""

import ast
import json
from dataclasses import dataclass, field
from pathlib import Path

READERS = {"read_table", "read_tables", "read_measurements"}  # they compute nothing


@dataclass(frozen=True)
class Output:
    """A table or a figure that a cell writes.

    name       its file name without suffix
    cell       the id of the cell
    line       the line of that cell, from 1
    functions  the functions that compute it, ``module.function``, those of its own expression first
    written    the variables in its own expression
    variables  these, and those that they are computed from
    """

    name: str
    cell: str
    line: int
    functions: tuple[str, ...]
    written: frozenset[str]
    variables: frozenset[str]


@dataclass(frozen=True)
class StatedClaim:
    """A claim as a notebook states it: where, and on which column of which table."""

    name: str
    table: str
    column: str
    cell: str
    line: int


@dataclass
class NotebookCode:
    """The tables, figures and claims of a notebook by name, and where each name of its code comes from."""

    tables: dict[str, Output] = field(default_factory=dict)
    figures: dict[str, Output] = field(default_factory=dict)
    claims: dict[str, StatedClaim] = field(default_factory=dict)
    _imports: dict[str, str] = field(default_factory=dict)
    _assigned: dict[str, tuple[str, ...]] = field(default_factory=dict)  # the names in the expression of each variable
    _constants: dict[str, str] = field(default_factory=dict)  # variables that are strings

    def read(self, cell: str, statement: ast.stmt) -> None:
        """Take in one statement; the statements of a notebook come in their order."""
        if isinstance(statement, ast.ImportFrom):
            self._imports |= {
                alias.asname or alias.name: f"{statement.module}.{alias.name}" for alias in statement.names
            }
        for node in ast.walk(statement):
            if isinstance(node, ast.Call):
                self._read_call(cell, node)
        for target, value in _assignments(statement):
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                self._constants[target] = value.value
            self._assigned[target] = _names(value) + (self._assigned.get(target, ()) if target in _names(value) else ())

    def _read_call(self, cell: str, call: ast.Call) -> None:
        name = getattr(call.func, "id", "")
        if name in ("write_table", "save_figure"):
            value, path = call.args
            outputs = self.tables if name == "write_table" else self.figures
            file = self._text(path.args[-1])
            names = self._closure(_names(value))
            functions = tuple(self._imports[name] for name in names if self._computes(name))
            written, variables = (frozenset(part) & self._assigned.keys() for part in (_names(value), names))
            outputs[file] = Output(file, cell, call.lineno, functions, written, variables)
        elif name == "Claim":
            claim, _, table, column = (self._text(argument) for argument in call.args[:4])
            self.claims[claim] = StatedClaim(claim, table, column, cell, call.lineno)

    def _computes(self, name: str) -> bool:
        module = self._imports.get(name, "")
        return module.startswith("clip360.") and name not in READERS and name[0].islower()

    def _closure(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """The names, then those that they were computed from, and so on."""
        found = dict.fromkeys(names)
        for name in iter_growing(found):
            found.update(dict.fromkeys(self._assigned.get(name, ())))
        return tuple(found)

    def _text(self, node: ast.expr) -> str:
        """The value of a string, or of the name of one, in the notebook or in the module that it is imported from."""
        if isinstance(node, ast.Constant):
            return str(node.value)
        if isinstance(node, ast.Name) and node.id in self._constants:
            return self._constants[node.id]
        if isinstance(node, ast.Name) and node.id in self._imports:
            return constant_of(self._imports[node.id])
        return ast.unparse(node)


def read_notebook_code(path: Path) -> NotebookCode:
    """Parse the code cells of a notebook."""
    code = NotebookCode()
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            for statement in ast.parse("".join(cell["source"])).body:
                code.read(cell["id"], statement)
    return code


def iter_growing(names: dict[str, None]):
    """The keys of a dictionary, with those that are added meanwhile."""
    done = 0
    while done < len(names):
        yield from list(names)[done : (done := len(names))]


def module_file(module: str) -> Path:
    """The file of a module of the package.

    >>> module_file("clip360.stats.claims").as_posix()
    'lib/stats/claims.py'
    """
    return Path("lib", *module.split(".")[1:]).with_suffix(".py")


def constant_of(name: str) -> str:
    """The string that a module of the package assigns to a name, ``module.NAME``."""
    module, _, variable = name.rpartition(".")
    for statement in ast.parse(module_file(module).read_text(encoding="utf-8")).body:
        for target, value in _assignments(statement):
            if target == variable and isinstance(value, ast.Constant):
                return value.value
    raise ValueError(f"{module_file(module)}: expected {variable} = a string, which a notebook names a table by")


def _assignments(statement: ast.stmt) -> list[tuple[str, ast.expr]]:
    """The variables that a statement assigns, each with its expression; those of a loop too."""
    found = []
    for node in ast.walk(statement):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                pairs = [(target, node.value)]
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs = zip(target.elts, node.value.elts, strict=False)
                found += [(name, value) for part, value in pairs for name in _names(part)]
        elif isinstance(node, ast.AnnAssign | ast.AugAssign) and node.value and isinstance(node.target, ast.Name):
            found.append((node.target.id, node.value))
        elif isinstance(node, ast.For):
            found += [(name, node.iter) for name in _names(node.target)]
    return found


def _names(expression: ast.AST) -> tuple[str, ...]:
    """The names in an expression, in the order of its text; the functions first."""
    names = sorted(
        (node for node in ast.walk(expression) if isinstance(node, ast.Name)),
        key=lambda node: (node.lineno, node.col_offset),
    )
    called = {id(node.func) for node in ast.walk(expression) if isinstance(node, ast.Call)}
    return tuple(dict.fromkeys(node.id for node in sorted(names, key=lambda node: id(node) not in called)))
