"""The examples in docstrings give what they show, in every module."""

import doctest
import importlib
import pkgutil

import pytest

import clip360
import pipeline
import tools

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
MODULES = [
    module.name
    for package in (clip360, pipeline, tools)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    assert doctest.testmod(importlib.import_module(name), optionflags=OPTIONS).failed == 0


def test_every_room_is_found():
    assert {
        "clip360.names",
        "clip360.world.scene",
        "clip360.stats.signed_rank",
        "pipeline.parameters",
        "tools.benchmark.page",
    } <= set(MODULES)
    assert sum(bool(importlib.import_module(name).__doc__) for name in MODULES) == len(MODULES), (
        "a module has no docstring"
    )
