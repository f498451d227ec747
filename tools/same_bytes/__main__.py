"""Run the pipeline natively and on an emulated processor of another vendor, without AVX-512, and compare every file it writes.

python -m tools.same_bytes [--steps STAGE ...] [--fastest]

Runs the profile `bits` in copies of the repository. Needs qemu-x86_64 (docs/same_bytes.md).
"""

import argparse
import sys
import tempfile
from pathlib import Path

from pipeline.error_messages import report
from tools.same_bytes.runs import compare_processors, describe, other_processor


def main(*arguments: str) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tools.same_bytes",
        description="Compare the results of the pipeline between this processor and an emulated one.",
    )
    parser.add_argument("--steps", metavar="STAGE", nargs="+", help="stages of dvc.yaml, in any order (default: all)")
    parser.add_argument(
        "--fastest", action="store_true", help="with compute.one_code_path: false, to see that results differ then"
    )
    given = parser.parse_args(arguments)
    model = other_processor()
    with tempfile.TemporaryDirectory() as temporary:
        n_files, differences = compare_processors(Path(temporary), model, given.steps, one_code_path=not given.fastest)
    print(describe(n_files, differences, model))
    if differences:
        sys.exit(1)


if __name__ == "__main__":
    report(main, *sys.argv[1:])
