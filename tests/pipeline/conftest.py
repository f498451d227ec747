"""The pipeline, run once for all tests that look at what it wrote."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from tests.copies import call, copy_repository, succeeds


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """A copy of the repository with all results of the profile tiny: computed by workers, and recorded by DVC.

    `dvc repro` gives the same (``test_dvc_repro_gives_the_same``), in three times the time. All processes of pytest-xdist share the
    copy, and the first that needs it makes it: tests change copies of it.
    """
    root = tmp_path_factory.getbasetemp()
    root = root.parent if os.environ.get("PYTEST_XDIST_WORKER") else root
    folder = root / "finished"
    with FileLock(root / "finished.lock"):
        if not folder.is_dir():
            partial = copy_repository(tmp_path_factory.mktemp("pipeline"), profile="tiny")
            succeeds(call(partial, sys.executable, "-m", "pipeline.run_in_workers"))
            partial.rename(folder)
    return folder


@pytest.fixture(scope="module")
def clone(finished, tmp_path_factory) -> Path:
    """A copy of the repository with the finished pipeline, for the tests of one file."""
    return shutil.copytree(finished, tmp_path_factory.mktemp("clone") / "clone", symlinks=True)
