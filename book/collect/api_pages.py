"""API pages: one for each room of the package, with all its modules."""

import ast
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path("lib")


@dataclass(frozen=True)
class Module:
    """A module of the package: its full name, its path from the root, and the first line of its docstring."""

    name: str
    path: str
    summary: str

    @property
    def short(self) -> str:
        """The name without that of its room."""
        return self.name.rpartition(".")[2]


@dataclass(frozen=True)
class Room:
    """A folder of the package, or the package itself with its loose modules: name, docstring, modules with a public name."""

    name: str
    docstring: str
    modules: tuple[Module, ...]


def read_rooms() -> list[Room]:
    """The rooms of lib/ in alphabetical order; the package itself comes last."""
    folders = sorted(path.parent for path in PACKAGE.glob("*/__init__.py"))
    return [_room(folder) for folder in (*folders, PACKAGE)]


def _room(folder: Path) -> Room:
    paths = [path for path in sorted(folder.glob("*.py")) if path.stem != "__init__"]
    modules = tuple(
        Module(_name(path.with_suffix("")), path.as_posix(), _docstring(path).partition("\n")[0]) for path in paths
    )
    return Room(_name(folder), _docstring(folder / "__init__.py"), modules)


def _docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def _name(path: Path) -> str:
    return ".".join(("clip360", *path.relative_to(PACKAGE).parts))
