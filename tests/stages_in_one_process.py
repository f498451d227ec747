"""Run all stages that compute, in the order of dvc.yaml and in one process; print their names, "ran NAME".

    python -m tests.stages_in_one_process

A stage of a small network takes less time than a process needs to start. Stages that make tables and notebooks are left to DVC.
"""

import importlib

from pipeline.parameters import read_params
from pipeline.plan.stages import Stage, stages_of

OF_TABLES = ("run_notebook", "collect_findings", "fill_pages", "write_checksums", "live_figure")


def run(stage: Stage) -> None:
    _, _, module, *arguments = stage.command.split()
    items = iter(stage.items)
    main = importlib.import_module(module).main
    main(*(next(items) if argument.startswith("${") else argument for argument in arguments))


if __name__ == "__main__":
    for stage in stages_of(read_params(inputs=True)):
        if not any(f"pipeline.{name}" in stage.command for name in OF_TABLES):
            run(stage)
            print(f"ran {stage.name}")
