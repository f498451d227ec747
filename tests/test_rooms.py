"""Imports follow the order of the rooms: each room of lib/ imports only those that it needs, and the project imports nothing of DVC."""

import ast
from pathlib import Path

import pytest

ALLOWED = {  # room: the rooms that it may import; names.py is open to all
    "geometry": set(),
    "world": {"geometry"},
    "data": {"geometry"},
    "fetch": {"data"},
    "models": {"geometry", "data"},
    "scoring": {"geometry", "data", "models"},
    "evaluation": {"geometry", "world", "data", "models", "scoring"},
    "finetune": {"geometry", "data", "models", "scoring"},
    "stats": set(),
    "figures": {"data", "geometry", "stats"},
    "pages": {"data", "geometry", "stats", "figures"},
    "reports": {"geometry", "data", "models", "scoring", "stats"},
    "tuning": {"geometry", "data", "models", "scoring", "evaluation", "finetune", "stats", "reports"},
    "cards": {"geometry", "data", "models", "scoring", "evaluation", "stats", "reports"},
    "commands": {
        "geometry",
        "data",
        "fetch",
        "models",
        "scoring",
        "finetune",
        "stats",
        "figures",
        "pages",
        "reports",
        "cards",
        "tuning",
    },
}
MODULES = sorted(path for folder in ("lib", "pipeline", "tools", "tests") for path in Path(folder).rglob("*.py"))


def imports_of(path: Path) -> set[str]:
    """The names of all modules that a file imports, anywhere in it; names imported from a module included."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides its room, write it out"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


def test_every_room_is_in_the_table():
    assert {path.parent.name for path in Path("lib").glob("*/__init__.py")} == ALLOWED.keys()


@pytest.mark.parametrize("room", ALLOWED)
def test_a_room_imports_only_what_it_may(room):
    forbidden = {}
    for path in Path("lib", room).glob("*.py"):
        imported = {name.split(".")[1] for name in imports_of(path) if name.startswith("clip360.")}
        if others := imported - {room, "names"} - ALLOWED[room]:
            forbidden[str(path)] = others
    assert not forbidden


def test_the_package_does_not_import_what_stands_around_it():
    for path in Path("lib").rglob("*.py"):
        assert not {name.split(".")[0] for name in imports_of(path)} & {"pipeline", "tools", "tests", "lib"}, path
    for path in Path("pipeline").rglob("*.py"):
        assert not {name.split(".")[0] for name in imports_of(path)} & {"tools", "tests", "lib"}, path


def test_nothing_imports_dvc():
    """Its commands are documented, most of its modules are not and change with any version."""
    importing = [path for path in MODULES if any(name.split(".")[0] == "dvc" for name in imports_of(path))]
    assert not importing
