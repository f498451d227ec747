"""Run all stages of dvc.yaml in its order and in one process; a notebook has a kernel of its own.

    python -m tests.stages_in_one_process

Stages of a small network take less time than a process, and DVC, need to start.
"""

import importlib

from pipeline.parameters import read_params
from pipeline.plan.stages import Stage, stages_of


def run(stage: Stage) -> None:
    _, _, module, *arguments = stage.command.split()
    items = iter(stage.items)
    main = importlib.import_module(module).main
    main(*(next(items) if argument.startswith("${") else argument for argument in arguments))


if __name__ == "__main__":
    for stage in stages_of(read_params(inputs=True)):
        run(stage)
