"""What a process does with memory that it frees."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy as np
from clip360.memory import keep_memory
if sys.argv[1] == "keep":
    keep_memory()
for k in range(40):
    if k == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [np.ones(2**22, np.uint8) + 1 for _ in range(8)]  # of 4 MiB, as activations of a small network
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def new_pages(way: str) -> int:
    """How many pages of memory a process asks the system for while it fills and frees the same number of blocks again and again."""
    return int(subprocess.run([sys.executable, "-c", PROGRAM, way], capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="keeps memory by glibc's mallopt")
def test_freed_memory_is_used_again():
    assert new_pages("keep") < 100 < new_pages("return")
