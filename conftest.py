"""`pytest --nbval` on rendered notebooks: every cell must have run, and every output must be the same again, images too; only stderr
(progress) may differ."""

from pathlib import Path

import pytest
from nbval.plugin import IPyNbCell

import pipeline  # noqa: F401  sets the number of threads, before anything loads torch

# isort: split
import clip360.models  # noqa: F401  before a test imports open_clip, and with it torchvision

# The files that take longest, in the order in which processes of pytest-xdist should begin them (`--no-loadscope-reorder`).
LONGEST = [f"tests/pipeline/test_{name}.py" for name in ("pipeline", "paper_profile", "notebooks", "scale")]


def pytest_collection_modifyitems(config, items):
    order = {config.rootpath / path: k for k, path in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(Path(item.path), len(order)))


def pytest_runtest_setup(item):
    if isinstance(item, IPyNbCell):
        compared = {"image/png", "image/jpeg"}
        item.parent.skip_compare = (*(key for key in item.parent.skip_compare if key not in compared), "stderr")
        if item.cell.execution_count is None:
            pytest.fail(f"{item.name} of {item.path} was never run: render the notebook again", pytrace=False)
