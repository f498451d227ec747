"""The pipeline, run once for all tests that look at what it wrote."""

import os
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

from tests.copies import call, copy_repository, succeeds


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """A copy of the repository, with the pipeline run in it as anybody runs it who knows DVC, at the size of the profile tiny.

    All processes of pytest-xdist share it, and the first that needs it makes it: tests change copies of it.
    """
    root = tmp_path_factory.getbasetemp()
    root = root.parent if os.environ.get("PYTEST_XDIST_WORKER") else root
    folder = root / "finished"
    with FileLock(root / "finished.lock"):
        if not folder.is_dir():
            partial = copy_repository(tmp_path_factory.mktemp("pipeline"), profile="tiny")
            succeeds(call(partial, "dvc", "repro"))
            partial.rename(folder)
    return folder


@pytest.fixture(scope="module")
def clone(finished, tmp_path_factory) -> Path:
    """A copy of the repository with the finished pipeline, for the tests of one file."""
    return shutil.copytree(finished, tmp_path_factory.mktemp("clone") / "clone", symlinks=True)
